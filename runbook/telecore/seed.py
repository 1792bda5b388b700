"""Loads the demo's rows: 100,000 over all 20 tables at scale 1, in proportion at any other.

The rows follow from their numbers alone (see :mod:`runbook.telecore.rows`), so two loads are
equal, every reference is valid, and no row names a row of another workspace.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

import psycopg
from psycopg import sql

from runbook.telecore.rows import (
    Rows,
    clusters,
    configuration,
    outer,
    policies,
    submissions,
    workflows,
)
from runbook.telecore.rows.cases import CASES_PER_SITE, Case, cases

ROWS_AT_SCALE_1 = 100_000


def rows(scale: int) -> dict[str, Rows]:
    """Every table's rows, parents before children; each iterator can be read once.

    Raises ValueError where ``scale`` is below 1.
    """
    if scale < 1:
        raise ValueError(f"scale must be 1 or more, got {scale!r}")
    fixed = _fixed()
    constant = sum(1 for _ in chain.from_iterable(_fixed().values()))
    chosen, left = cases(ROWS_AT_SCALE_1 * scale - constant)
    return {**fixed, **_growing(chosen, left)}


def _fixed() -> dict[str, Rows]:
    """The tables that have the same rows at every scale."""
    return {
        "workspaces": outer.workspace_rows(),
        "users": outer.user_rows(),
        "config_versions": configuration.config_version_rows(),
        "atp_scope_master": configuration.scope_rows(),
        "vendor_master": configuration.vendor_rows(),
        "approval_role_master": configuration.role_rows(),
        "approval_policy_master": policies.policy_rows(),
        "approval_policy_stages": policies.policy_stage_rows(),
        "cluster_master": clusters.cluster_rows(),
        "cluster_approver_master": clusters.cluster_approver_rows(),
    }


def _growing(chosen: list[Case], left: int) -> dict[str, Rows]:
    begun = -(-len(chosen) // CASES_PER_SITE)
    return {
        "sites": outer.site_rows(begun + max(left, 0)),  # the last ones wait for their first case
        "documents": outer.document_rows(chosen),
        "workflow_instances": workflows.workflow_rows(chosen),
        "workflow_stages": workflows.stage_rows(chosen),
        "atp_submissions": submissions.submission_rows(chosen),
        "atp_submission_documents": submissions.submission_document_rows(chosen),
        "punchlists": submissions.punchlist_rows(chosen),
        "punchlist_items": submissions.punchlist_item_rows(chosen),
        "workflow_stage_actions": workflows.action_rows(chosen),
        "approver_overrides": submissions.override_rows(chosen),
    }


def load(
    connection: psycopg.Connection[Any],
    scale: int = 1,
    progress: Callable[[str, int], None] | None = None,
) -> dict[str, int]:
    """Fill the empty tables and return the rows of each; ``progress`` gets table and rows.

    One transaction, which a failure rolls back: either all tables are filled or none.
    """
    loaded: dict[str, int] = {}
    with connection.transaction():
        # Durability is no use here: half of a demo database is built again, not recovered.
        connection.execute("SET LOCAL synchronous_commit = off")
        for table, table_rows in rows(scale).items():
            loaded[table] = _copy(connection, table, table_rows)
            if progress is not None:
                progress(table, loaded[table])
    _analyze(connection, loaded)
    return loaded


def _copy(connection: psycopg.Connection[Any], table: str, table_rows: Rows) -> int:
    statement = sql.SQL("COPY {} FROM STDIN").format(sql.Identifier("public", table))
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        number = 0
        for row in table_rows:
            copy.write_row(row)
            number += 1
    return number


def _analyze(connection: psycopg.Connection[Any], tables: Mapping[str, int]) -> None:
    names = sql.SQL(", ").join(sql.Identifier("public", table) for table in tables)
    connection.execute(sql.SQL("ANALYZE {}").format(names))
