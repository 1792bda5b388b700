"""The demo's rows: as many as promised, always the same, and true to the invariants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql

from runbook.telecore import seed
from tests.conftest import Connect
from tests.telecore_databases import ENTRIES, digests, name_of, other_workspace, with_workspace

# Each of these finds rows that cannot be.
IMPOSSIBLE: dict[str, LiteralString] = {
    "a completed workflow with a stage that is not approved": """
        SELECT w.id FROM workflow_instances AS w JOIN workflow_stages AS s
            ON s.workflow_instance_id = w.id
        WHERE w.status = 'COMPLETED' AND s.status <> 'APPROVED'
    """,
    "a running workflow with nothing pending": """
        SELECT id FROM workflow_instances AS w WHERE (w.status = 'IN_PROGRESS') <> EXISTS (
            SELECT FROM workflow_stages AS s
            WHERE s.workflow_instance_id = w.id AND s.status = 'PENDING'
        )
    """,
    "a rejected workflow without exactly one rejection": """
        SELECT id FROM workflow_instances AS w WHERE (w.status = 'REJECTED')::int <> (
            SELECT count(*) FROM workflow_stages AS s
            WHERE s.workflow_instance_id = w.id AND s.status = 'REJECTED'
        )
    """,
    "a decision without who, when and a log entry": """
        SELECT id FROM workflow_stages AS s
        WHERE status IN ('APPROVED', 'REJECTED') AND (
            decided_by IS NULL OR decided_at IS NULL OR NOT EXISTS (
                SELECT FROM workflow_stage_actions AS a
                WHERE a.workflow_stage_id = s.id AND a.action_type IN ('APPROVE', 'REJECT')
                    AND a.actor_user_id = s.decided_by AND a.action_at = s.decided_at
            )
        )
    """,
    "a stage with another config version than its workflow": """
        SELECT s.id FROM workflow_stages AS s
        JOIN workflow_instances AS w ON w.id = s.workflow_instance_id
        WHERE w.config_version_id <> s.config_version_id
    """,
    "a stage with a role or policy stage of another version": """
        SELECT s.id FROM workflow_stages AS s
        JOIN approval_role_master AS r ON r.id = s.approval_role_id
        LEFT JOIN approval_policy_stages AS p ON p.id = s.policy_stage_id
        WHERE r.config_version_id <> s.config_version_id
            OR p.config_version_id <> s.config_version_id
            OR p.approval_role_id <> s.approval_role_id
            OR p.stage_number <> s.stage_number
    """,
    "a policy that does not fit its workflow": """
        SELECT w.id FROM workflow_instances AS w
        JOIN approval_policy_master AS p ON p.id = w.approval_policy_id
        WHERE p.config_version_id <> w.config_version_id OR p.scope_id <> w.scope_id
            OR p.atp_category <> w.atp_category OR p.vendor_id <> w.vendor_id
    """,
    "a version chain with a broken link": """
        SELECT v.id FROM config_versions AS v
        LEFT JOIN config_versions AS p ON p.id = v.previous_version_id
        WHERE (v.version_number > 1) <> (p.id IS NOT NULL)
            OR p.version_number <> v.version_number - 1
            OR p.workspace_id <> v.workspace_id
            OR p.source_type <> v.source_type
            OR (
                v.status <> 'DRAFT' AND p.id IS NOT NULL
                AND p.superseded_by_id IS DISTINCT FROM v.id
            )
    """,
    "a version in force that has a successor": """
        SELECT id FROM config_versions
        WHERE status IN ('ACTIVE', 'DRAFT') AND superseded_by_id IS NOT NULL
    """,
    "a punch list and its items that disagree": """
        SELECT l.id FROM punchlists AS l WHERE (l.status = 'CLEARED') <> (
            SELECT bool_and(i.status = 'CLEARED') FROM punchlist_items AS i
            WHERE i.punchlist_id = l.id
        )
    """,
    "a document count that is not the count of documents": """
        SELECT id FROM atp_submissions AS s WHERE document_count <> (
            SELECT count(*) FROM atp_submission_documents AS d WHERE d.submission_id = s.id
        )
    """,
    "a reference to a document or a user that is declared nowhere and missing": """
        SELECT id FROM atp_submission_documents AS d
        WHERE NOT EXISTS (SELECT FROM documents AS p WHERE p.id = d.document_id)
            OR NOT EXISTS (SELECT FROM users AS p WHERE p.id = d.uploaded_by)
        UNION ALL
        SELECT id FROM atp_submissions AS s
        WHERE primary_document_id IS NOT NULL
            AND NOT EXISTS (SELECT FROM documents AS p WHERE p.id = s.primary_document_id)
        UNION ALL
        SELECT id FROM punchlist_items AS i
        WHERE evidence_doc_id IS NOT NULL
            AND NOT EXISTS (SELECT FROM documents AS p WHERE p.id = i.evidence_doc_id)
        UNION ALL
        SELECT id FROM workflow_stage_actions AS a
        WHERE actor_user_id IS NOT NULL
            AND NOT EXISTS (SELECT FROM users AS p WHERE p.id = a.actor_user_id)
    """,
    "a date outside the story": """
        SELECT id FROM workflow_instances
        WHERE created_at < '2025-06-01' OR updated_at >= '2025-12-29'
    """,
}
STATUSES: dict[str, set[str]] = {
    "config_versions": {"DRAFT", "ACTIVE", "SUPERSEDED", "ARCHIVED"},
    "workflow_instances": {"IN_PROGRESS", "COMPLETED", "REJECTED", "CANCELLED"},
    "workflow_stages": {"PENDING", "APPROVED", "REJECTED", "SKIPPED"},
    "atp_submissions": {"DRAFT", "PENDING_APPROVAL", "APPROVED", "REJECTED"},
    "punchlists": {"OPEN", "CLEARED"},
    "punchlist_items": {"OPEN", "CLEARED"},
}


@pytest.fixture
def staging(connect: Connect, telecore_staging: str) -> Iterator[psycopg.Connection[Any]]:
    with connect(telecore_staging, "telecore_owner") as connection:
        yield connection


@pytest.mark.parametrize(("scale", "rows"), [(1, 100_000), (2, 200_000), (5, 500_000)])
def test_the_rows_are_a_hundred_thousand_a_scale(scale: int, rows: int) -> None:
    counts = {table: sum(1 for _ in found) for table, found in seed.rows(scale).items()}
    assert len(counts) == 20
    assert all(counts.values())
    assert sum(counts.values()) == rows


def test_a_larger_scale_begins_with_the_rows_of_a_smaller_one() -> None:
    small, large = seed.rows(1), seed.rows(2)
    for table in ("workflow_stages", "sites", "config_versions"):
        rows = list(small[table])
        assert [row for row, _ in zip(large[table], rows, strict=False)] == rows


def test_a_scale_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^scale must be 1 or more, got 0$"):
        seed.rows(0)


def test_two_loads_hold_the_same_rows(connect: Connect, scratch: str) -> None:
    lines: list[tuple[str, int]] = []
    with connect(scratch, "telecore_owner") as owner:
        first = digests(owner)
        tables = sql.SQL(", ").join(map(sql.Identifier, first))
        owner.execute(sql.SQL("TRUNCATE {}").format(tables))
        loaded = seed.load(owner, progress=lambda table, rows: lines.append((table, rows)))
        assert digests(owner) == first
    assert sum(loaded.values()) == 100_000
    assert lines == list(loaded.items())


def test_a_failed_load_leaves_no_rows(connect: Connect, scratch: str) -> None:
    with connect(scratch, "telecore_owner") as owner:
        owner.execute("TRUNCATE workspaces, users, sites, config_versions")
        with pytest.raises(psycopg.errors.UniqueViolation):
            seed.load(owner)
        assert owner.execute("SELECT count(*) FROM users").fetchone() == (0,)


def test_no_row_refers_to_another_workspace(staging: psycopg.Connection[Any]) -> None:
    tables = with_workspace(staging)
    pairs = [entry for entry in ENTRIES if {entry["child"], entry["parent"]} <= tables]
    assert len(pairs) > 20
    assert {
        name_of(entry): rows for entry in pairs if (rows := other_workspace(staging, entry))
    } == {}


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_there_is_never(staging: psycopg.Connection[Any], what: str) -> None:
    assert staging.execute(IMPOSSIBLE[what]).fetchmany(3) == []


@pytest.mark.parametrize("table", STATUSES)
def test_every_status_occurs(staging: psycopg.Connection[Any], table: str) -> None:
    found = staging.execute(sql.SQL("SELECT DISTINCT status FROM {}").format(sql.Identifier(table)))
    assert {status for (status,) in found} == STATUSES[table]


def test_a_running_workflow_may_keep_a_version_that_was_superseded(
    staging: psycopg.Connection[Any],
) -> None:
    row = staging.execute(
        "SELECT count(*) FILTER (WHERE v.status = 'SUPERSEDED'),"
        " count(*) FILTER (WHERE v.status = 'ACTIVE'), count(*)"
        " FROM workflow_instances AS w JOIN config_versions AS v ON v.id = w.config_version_id"
        " WHERE w.status = 'IN_PROGRESS'"
    ).fetchone()
    assert row is not None
    superseded, active, running = row
    assert superseded > 100
    assert active > 100
    assert superseded + active == running


def test_every_nullable_reference_is_sometimes_null_and_sometimes_not(
    staging: psycopg.Connection[Any],
) -> None:
    for entry in ENTRIES:
        table, (column,) = entry["child"].removeprefix("public."), entry["columns"]
        statement = sql.SQL("SELECT count({}), count(*) FROM {}")
        row = staging.execute(
            statement.format(sql.Identifier(column), sql.Identifier(table))
        ).fetchone()
        assert row is not None
        filled, rows = row
        assert filled > 0, name_of(entry)
        nullable = staging.execute(
            "SELECT NOT attnotnull FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attname = %s",
            [table, column],
        ).fetchone()
        assert (filled < rows) == (nullable == (True,)), name_of(entry)


def test_the_seeded_workspace_is_the_first_one(staging: psycopg.Connection[Any]) -> None:
    codes = staging.execute("SELECT code FROM workspaces ORDER BY id").fetchall()
    assert codes[0] == ("XLSMART-AVIAT",)
    assert len(codes) == 4
