"""Invariant 5: the columns keep to the type rules.

``workspaces.id`` is uuid, ``users.id``, ``sites.id`` and the id of every table that holds
references are text; every ``workspace_id`` is uuid, every ``config_version_id``, ``…_user_id``
and ``…_by`` is text. Whether a referencing column fits its key is ``types_aligned``.
"""

from __future__ import annotations

from runbook.checks import Context, Outcome, failed, passed
from runbook.findings import Evidence

TITLE = "invariant 5: ids and references have the types of the rules"
CRITERION = "C2"

IDS = {"workspaces": "uuid", "users": "text", "sites": "text"}


def expected(table: str, column: str) -> str:
    """The type that the rules want for a column; empty where they say nothing."""
    if column == "id":
        return IDS.get(table, "text")
    if column == "workspace_id":
        return "uuid"
    if column == "config_version_id" or column.endswith(("_user_id", "_by")):
        return "text"
    return ""


def run(context: Context) -> Outcome:
    names = {item.child for item in context.relationships}
    names |= {item.parent for item in context.relationships}
    rows = [
        (name.label, column.name, column.type, wanted)
        for name in sorted(names)
        for column in context.schema.tables[name].columns
        if (wanted := expected(name.table, column.name))
    ]
    wrong = [row for row in rows if row[2] != row[3]]
    facts = {"columns": len(rows), "wrong": len(wrong)}
    message = f"{len(rows) - len(wrong)} of {len(rows)} columns have the type of the rules"
    if not wrong:
        return passed(message, facts)
    evidence = Evidence.of(("table", "column", "type", "expected"), wrong, "Other types")
    names_of = ", ".join(f"{table}.{column} is {found}" for table, column, found, _ in wrong)
    return failed(f"{message}, {names_of}", len(wrong), facts, evidence)
