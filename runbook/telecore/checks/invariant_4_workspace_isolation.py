"""Invariant 4: no row refers to a row of another workspace.

Counted over every relationship whose two ends belong to a workspace, by a column of their own or
by the row that they are a part of. A NULL workspace is shared by all. Whether the database would
refuse such a row is ``crossing_refused``.
"""

from __future__ import annotations

from typing import LiteralString

from psycopg import sql

from runbook.checks import Context, Outcome, could_not_look, failed, passed
from runbook.findings import Evidence
from runbook.relationships import Relationship
from runbook.schema import TableName

TITLE = "invariant 4: no row refers to a row of another workspace"
CRITERION = "C5"

# A part without a workspace_id: the column that names its whole, and the table of the whole.
WHOLES = {
    "approval_policy_stages": ("policy_id", "approval_policy_master"),
    "workflow_stages": ("workflow_instance_id", "workflow_instances"),
    "punchlists": ("workflow_instance_id", "workflow_instances"),
}
WHOLE: LiteralString = """
    (SELECT part.*, whole.workspace_id
       FROM {part} part JOIN {whole} whole ON whole.id = part.{column})
"""
CROSSING: LiteralString = """
    SELECT count(*), pg_catalog.array_to_string(
               (pg_catalog.array_agg(child.id ORDER BY child.id))[1:5], ', ')
      FROM {child} AS child JOIN {parent} AS parent ON parent.{reference} = child.{column}
     WHERE parent.workspace_id <> child.workspace_id
"""


def run(context: Context) -> Outcome:
    looked = 0
    rows = []
    for item in context.relationships:
        child, parent = _owned(context, item.child), _owned(context, item.parent)
        if child is None or parent is None or _is_whole(item):
            continue
        looked += 1
        query = sql.SQL(CROSSING).format(
            child=child,
            parent=parent,
            reference=sql.Identifier(*item.references),
            column=sql.Identifier(*item.columns),
        )
        count, examples = context.session.execute(query).fetchall()[0]
        if count:
            rows.append((item.label, count, examples))
    crossing = sum(int(row[1]) for row in rows)
    facts = {"rows": crossing, "relationships": len(rows), "looked": looked}
    if not looked:
        return could_not_look("no relationship between rows that belong to a workspace", facts)
    if not rows:
        return passed(
            f"no row refers to a row of another workspace, {looked} relationships looked at", facts
        )
    evidence = Evidence.of(("relationship", "rows", "examples"), rows, "Rows that cross")
    return failed(
        f"rows that refer to a row of another workspace: {crossing}, in {len(rows)} of {looked}"
        " relationships",
        crossing,
        facts,
        evidence,
    )


def _owned(context: Context, name: TableName) -> sql.Composable | None:
    """The table as a source of rows that have a workspace_id; None where they have none."""
    table = context.schema.tables[name]
    if table.column("workspace_id"):
        return sql.Identifier(name.schema, name.table)
    if name.table not in WHOLES:
        return None
    column, whole = WHOLES[name.table]
    return sql.SQL(WHOLE).format(
        part=sql.Identifier(name.schema, name.table),
        whole=sql.Identifier(name.schema, whole),
        column=sql.Identifier(column),
    )


def _is_whole(item: Relationship) -> bool:
    """Whether the relationship itself gives the child its workspace."""
    return WHOLES.get(item.child.table) == (*item.columns, item.parent.table)
