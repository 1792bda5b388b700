"""Submissions and their documents, punch lists and their items, and approver overrides."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from runbook.telecore.rows import Row, Rows
from runbook.telecore.rows.cases import DOCUMENT_TYPES, SCOPE_CATEGORY, SCOPES, Case
from runbook.telecore.rows.clusters import CLUSTERS
from runbook.telecore.rows.outer import (
    CITIES,
    site_key,
    submitter,
    user_id,
    user_in_role,
    workspace_of,
)
from runbook.telecore.rows.workflows import (
    current_stage,
    place,
    stage_id,
    vendor_id,
    workflow_id,
)

_STATUS = {
    "COMPLETED": "APPROVED",
    "REJECTED": "REJECTED",
    "CANCELLED": "DRAFT",  # taken back by the submitter
    "IN_PROGRESS": "PENDING_APPROVAL",
}


def submission_id(case: Case) -> str:
    return f"sub_{case.number:06d}"


def document_id(case: Case, index: int) -> str:
    return f"doc_{case.number:06d}_{index}"


def submission_rows(cases: Iterable[Case]) -> Rows:
    for case in cases:
        workspace = workspace_of(case.site)
        submitted = case.started_at - timedelta(minutes=5)
        yield (
            submission_id(case),
            workspace.id,
            f"cfg_{workspace.number}_matrix_{case.matrix}",
            site_key(case.site),
            f"scp_{place(case)}_{case.scope.lower()}",
            vendor_id(case),
            case.category,
            workflow_id(case),
            None if case.number % 25 == 3 else document_id(case, 0),
            case.documents,
            _STATUS[case.status],
            current_stage(case),
            case.finished_at or case.started_at,
            submitted,
            case.finished_at if case.status == "COMPLETED" else None,
            case.finished_at if case.status == "REJECTED" else None,
            submitter(case.number),
            submitted - timedelta(hours=8),
            case.finished_at or case.started_at,
        )
        if case.draft:
            yield _draft(case)


def _draft(case: Case) -> Row:
    """A submission for a fourth scope of the site: no workflow, vendor and document yet."""
    workspace = workspace_of(case.site)
    scope = SCOPES[(case.site + 1) % len(SCOPES)]
    created = datetime(2025, 12, 1, 9, 0) + timedelta(minutes=case.number % 20_000)
    return (
        f"sub_{case.number:06d}_draft",
        workspace.id,
        f"cfg_{workspace.number}_matrix_4",
        site_key(case.site),
        f"scp_{workspace.number}_4_{scope.lower()}",
        None,
        SCOPE_CATEGORY[scope],
        None,
        None,
        0,
        "DRAFT",
        None,
        None,
        None,
        None,
        None,
        submitter(case.number),
        created,
        created,
    )


def submission_document_rows(cases: Iterable[Case]) -> Rows:
    for case in cases:
        workspace = workspace_of(case.site).id
        for index in range(case.documents):
            uploaded = case.started_at - timedelta(hours=5 - index)
            yield (
                f"sdo_{case.number:06d}_{index}",
                workspace,
                submission_id(case),
                document_id(case, index),
                DOCUMENT_TYPES[index],
                submitter(case.number),
                uploaded,
                f"batch_{case.number // 50:04d}" if case.number % 2 else None,
                None,
                uploaded,
            )


def punchlist_rows(cases: Iterable[Case]) -> Rows:
    """Issued by the last stage that decided; cleared where the workflow was completed."""
    for case in cases:
        if not case.punchlist:
            continue
        last = case.decided - 1
        issued = case.decided_at(last)
        cleared = case.status == "COMPLETED"
        yield (
            f"pch_{case.number:06d}",
            workflow_id(case),
            # a list for the workflow as a whole names no stage
            None if case.number % 5 == 1 else stage_id(case, last),
            "CLEARED" if cleared else "OPEN",
            user_in_role(case.steps[last][1], case.number + last),
            issued,
            submitter(case.number) if cleared else None,
            issued + timedelta(hours=20) if cleared else None,
            None,
            issued,
            issued + timedelta(hours=20) if cleared else issued,
        )


def punchlist_item_rows(cases: Iterable[Case]) -> Rows:
    for case in cases:
        for index in range(case.punchlist):
            issued = case.decided_at(case.decided - 1)
            cleared = case.status == "COMPLETED" or index == 0
            yield (
                f"pit_{case.number:06d}_{index + 1}",
                f"pch_{case.number:06d}",
                f"PL-{index + 1:02d}",
                ("grounding not labelled", "torque seal missing", "photo out of focus")[index % 3],
                "CLEARED" if cleared else "OPEN",
                document_id(case, 1) if cleared and index != 1 else None,
                issued,
                issued + timedelta(hours=20) if cleared else issued,
            )


def override_rows(cases: Iterable[Case]) -> Rows:
    """A stand-in for one stage, one submission, one cluster or a region, in turn."""
    for case in cases:
        if not case.override:
            continue
        workspace = workspace_of(case.site)
        turn = case.number // 12 % 4
        role = case.steps[0][1]
        cluster = f"clu_{workspace.number}_3_{case.number % CLUSTERS:02d}"
        pending = case.number // 12 % 5 == 4
        asked = case.started_at + timedelta(hours=3)
        yield (
            f"ovr_{case.number:06d}",
            workspace.id,
            ("STAGE", "SUBMISSION", "CLUSTER", "REGION")[turn],
            stage_id(case, 0) if turn == 0 else None,
            submission_id(case) if turn == 1 else None,
            cluster if turn == 2 else None,
            CITIES[case.site % len(CITIES)][0] if turn == 3 else None,
            f"rol_{place(case)}_{role.lower()}",
            user_in_role(role, case.number),
            user_in_role(role, case.number + 2),
            "on leave",
            user_in_role(role, case.number),
            "PENDING" if pending else "APPROVED",
            None if pending else user_id(6),
            None if pending else asked + timedelta(hours=1),
            not pending,
            case.started_at.date(),
            case.started_at.date() + timedelta(days=14),
            asked,
            user_in_role(role, case.number),
            None,
        )
