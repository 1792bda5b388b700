"""Workflows, their stages and the log of each stage."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from runbook.telecore.rows import Rows
from runbook.telecore.rows.cases import Case
from runbook.telecore.rows.outer import site_key, submitter, user_in_role, workspace_of
from runbook.telecore.rows.policies import policy_key


def place(case: Case) -> str:
    """Workspace and version of the approval matrix, as the ids of master data have them."""
    return f"{workspace_of(case.site).number}_{case.matrix}"


def workflow_id(case: Case) -> str:
    return f"wfi_{case.number:06d}"


def stage_id(case: Case, index: int) -> str:
    return f"wfs_{case.number:06d}_{index + 1}"


def vendor_id(case: Case) -> str | None:
    return f"ven_{place(case)}_{case.vendor.lower()}" if case.vendor else None


def current_stage(case: Case) -> int:
    """The number of the stage that waits, or where it ended."""
    return case.steps[min(case.decided, len(case.steps) - 1)][0]


def workflow_rows(cases: Iterable[Case]) -> Rows:
    for case in cases:
        workspace = workspace_of(case.site)
        policy = policy_key(workspace.number, case.matrix, case.scope, case.policy_vendor)
        updated = case.finished_at or case.started_at + timedelta(days=2 * case.decided)
        yield (
            workflow_id(case),
            workspace.id,
            f"cfg_{workspace.number}_matrix_{case.matrix}",
            f"pol_{policy}",
            site_key(case.site),
            vendor_id(case),
            f"scp_{place(case)}_{case.scope.lower()}",
            case.category,
            case.status,
            current_stage(case),
            case.steps[-1][0],
            case.started_at,
            case.finished_at,
            submitter(case.number),
            f'{{"scope": "{case.scope}", "matrix_version": {case.matrix}}}',
            case.started_at,
            updated,
        )


def stage_rows(cases: Iterable[Case]) -> Rows:
    for case in cases:
        workspace = workspace_of(case.site).number
        config = f"cfg_{workspace}_matrix_{case.matrix}"
        policy = policy_key(workspace, case.matrix, case.scope, case.policy_vendor)
        for index, (stage, role, group) in enumerate(case.steps):
            decided = index < case.decided
            skipped = not decided and case.status in {"REJECTED", "CANCELLED"}
            reached = decided or (not skipped and stage == current_stage(case))
            approver = user_in_role(role, case.number + index)
            due = case.decided_at(index) + timedelta(days=1)
            late = decided and (case.number + index) % 23 == 0
            status = "APPROVED" if decided else "SKIPPED" if skipped else "PENDING"
            yield (
                stage_id(case, index),
                workflow_id(case),
                config,
                stage,
                f"rol_{workspace}_{case.matrix}_{role.lower()}",
                group is not None,
                group,
                approver if reached else None,
                "REJECTED" if index == case.rejected_at else status,
                approver if decided else None,
                case.decided_at(index) if decided else None,
                "photos do not show the antenna" if index == case.rejected_at else None,
                None if skipped else due,
                due - timedelta(hours=30) if late else None,
                # stages that were added by hand come from no policy
                None if (case.number + index) % 41 == 7 else f"pst_{policy}_{index + 1}",
                case.started_at,
                case.decided_at(index) if decided else case.started_at,
            )


def action_rows(cases: Iterable[Case]) -> Rows:
    """An assignment and a decision for each decided stage, one entry for each other stage."""
    for case in cases:
        for index, (_, role, _) in enumerate(case.steps):
            stage = stage_id(case, index)
            key = f"act_{case.number:06d}_{index + 1}"
            approver = user_in_role(role, case.number + index)
            before = case.decided_at(index - 1) if index else case.started_at
            if index < case.decided:
                verb = "REJECT" if index == case.rejected_at else "APPROVE"
                moment = case.decided_at(index)
                yield f"{key}_1", stage, "ASSIGN", None, before, None, None, before
                yield f"{key}_2", stage, verb, approver, moment, '{"channel": "web"}', None, moment
            elif case.status == "IN_PROGRESS":
                yield f"{key}_1", stage, "ASSIGN", None, before, None, None, before
            else:
                end = case.finished_at or before
                yield f"{key}_1", stage, "SKIP", submitter(case.number), end, None, None, end
