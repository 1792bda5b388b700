"""The columns that the checks work with exist, whatever their types; it says which they found.

Nothing is assumed of a type here: :mod:`invariant_5_types` judges what this check detected.
"""

from __future__ import annotations

from runbook.checks import Context, Outcome, failed, passed
from runbook.findings import Evidence, Value
from runbook.schema import TableName

TITLE = "the columns that the checks work with exist"
CRITERION = ""

OUTER = (
    ("workspaces", "id"),
    ("workspaces", "code"),
    ("users", "id"),
    ("users", "is_active"),
    ("sites", "id"),
    ("documents", "id"),
)
MASTERS = (
    ("config_versions", "source_type"),
    ("config_versions", "status"),
    ("config_versions", "activated_at"),
    ("workflow_instances", "status"),
    ("workflow_instances", "started_at"),
    ("workflow_stages", "status"),
    ("workflow_stages", "decided_at"),
    ("workflow_stages", "sla_due_at"),
    ("atp_submissions", "status"),
    ("workflow_stage_actions", "action_type"),
)


def run(context: Context) -> Outcome:
    tables = sorted({item.child.table for item in context.core_relationships()})
    wanted = (*OUTER, *((table, "id") for table in tables), *MASTERS)
    rows = [(table, column, _type(context, table, column)) for table, column in wanted]
    missing = [f"{table}.{column}" for table, column, found in rows if not found]
    ids = sorted({found for table, column, found in rows if column == "id" and table in tables})
    facts: dict[str, Value] = {
        "columns": len(rows) - len(missing),
        "total": len(rows),
        "workspaces_id": _type(context, "workspaces", "id"),
        "users_id": _type(context, "users", "id"),
        "sites_id": _type(context, "sites", "id"),
        "masters_id": ", ".join(name for name in ids if name),
    }
    evidence = Evidence.of(
        ("table", "column", "type"), [(t, c, found or "missing") for t, c, found in rows], "Columns"
    )
    message = f"{len(rows) - len(missing)} of {len(rows)} columns exist"
    if missing:
        return failed(f"{message}, not: {', '.join(missing)}", len(missing), facts, evidence)
    return passed(message, facts, evidence)


def _type(context: Context, table: str, name: str) -> str:
    found = context.schema.tables.get(TableName("public", table))
    column = found.column(name) if found else None
    return column.type if column else ""
