"""Whether the database itself would refuse a row that refers to another workspace.

Foreign keys alone do not: each is satisfied by a row of any workspace. So a gate that asks for
the keys does not ask for this (``ignore`` in runbook.toml); the rows that cross are counted by
``invariant_4_workspace_isolation``.
"""

from __future__ import annotations

from typing import LiteralString

from psycopg import sql

from runbook.checks import Context, Outcome, failed, passed
from runbook.findings import Evidence
from runbook.telecore.checks._sample import Sample
from runbook.telecore.checks._trial import refusal

TITLE = "a row that refers to another workspace is refused"
CRITERION = "C5"
WRITES = True

# What a workflow and an override name: table, column, and the table that it refers to.
CROSSINGS = (
    ("workflow_instances", "config_version_id", "config_versions"),
    ("workflow_instances", "approval_policy_id", "approval_policy_master"),
    ("workflow_instances", "scope_id", "atp_scope_master"),
    ("workflow_instances", "vendor_id", "vendor_master"),
    ("approver_overrides", "cluster_id", "cluster_master"),
    ("approver_overrides", "approval_role_id", "approval_role_master"),
)
UPDATE: LiteralString = "UPDATE {table} SET {column} = %(theirs)s WHERE id = %(ours)s"


def run(context: Context) -> Outcome:
    with context.trying() as owner:
        ours = Sample(owner).add("workflow_instances", "approver_overrides")
        other = Sample(owner).add(*(parent for _, _, parent in CROSSINGS))
        rows = []
        for table, column, parent in CROSSINGS:
            statement = sql.SQL(UPDATE).format(
                table=sql.Identifier("public", table), column=sql.Identifier(column)
            )
            found = refusal(owner, statement, {"theirs": other[parent], "ours": ours[table]})
            answer = f"refused ({found.sqlstate})" if found else "accepted"
            rows.append((f"{table}.{column}", answer))
    accepted = sum(answer == "accepted" for _, answer in rows)
    facts = {"refused": len(rows) - accepted, "accepted": accepted, "total": len(rows)}
    evidence = Evidence.of(("reference", "answer"), rows, "References to another workspace")
    if accepted:
        return failed(
            f"{accepted} of {len(rows)} references to another workspace are accepted",
            accepted,
            facts,
            evidence,
        )
    return passed(f"{len(rows)} references to another workspace are refused", facts, evidence)
