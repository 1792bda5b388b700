"""Deleting a workspace is refused, or leaves no row behind that still names it.

Tried for each relationship to ``workspaces`` alone: one row of the child is moved into an empty
workspace, which is then deleted. So each relationship has to be held by its own key, and not by
the key of another that happens to be there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, LiteralString
from uuid import uuid4

import psycopg
from psycopg import sql

from runbook.checks import Context, Outcome, could_not_look, failed, passed
from runbook.findings import Evidence
from runbook.relationships import Relationship
from runbook.schema import TableName
from runbook.session import Session
from runbook.telecore.checks._sample import INSERTS, PREFIX, Sample
from runbook.telecore.checks._trial import NOW

TITLE = "deleting a workspace is refused or leaves nothing behind"
CRITERION = "C5"
WRITES = True

PARENT = TableName("public", "workspaces")
MOVE: LiteralString = "UPDATE {table} SET {column} = %(empty)s WHERE id = %(row)s"
DELETE: LiteralString = "DELETE FROM public.workspaces WHERE id = %(empty)s"
LEFT: LiteralString = "SELECT count(*) FROM {table} WHERE {column} = %(empty)s"


def run(context: Context) -> Outcome:
    tried = [item for item in context.relationships if item.parent == PARENT]
    unknown = [item.label for item in tried if item.child.table not in INSERTS]
    if unknown or not tried:
        return could_not_look(f"no sample row for {', '.join(unknown) or 'any relationship'}")
    with context.trying() as owner:
        sample = Sample(owner).add(*(item.child.table for item in tried))
        rows = [(item.label, _delete(owner, sample, item)) for item in tried]
    orphans = [label for label, answer in rows if answer == "orphan row"]
    facts = {"stopped": len(rows) - len(orphans), "total": len(rows)}
    evidence = Evidence.of(("relationship", "answer"), rows, "What deleting a workspace leads to")
    if orphans:
        return failed(
            f"{len(orphans)} of {len(rows)} relationships leave orphan rows of a deleted workspace",
            len(orphans),
            facts,
            evidence,
        )
    return passed(
        f"{len(rows)} relationships leave no orphan row of a deleted workspace", facts, evidence
    )


def _delete(owner: Session, sample: Sample, item: Relationship) -> str:
    """What deleting the workspace of the child's one row leads to; undone."""
    empty = uuid4()
    values: Mapping[str, Any] = {
        **sample.values,
        "workspaces": empty,
        "code": f"{PREFIX}{empty.hex}",
        "empty": empty,
        "row": sample[item.child.table],
    }
    names = {
        "table": sql.Identifier(item.child.schema, item.child.table),
        "column": sql.Identifier(*item.columns),
    }
    try:
        with owner.transaction(force_rollback=True):
            owner.execute(INSERTS["workspaces"], values)
            owner.execute(sql.SQL(MOVE).format(**names), values)
            owner.execute(DELETE, values)
            owner.execute(NOW)
            left = owner.execute(sql.SQL(LEFT).format(**names), values).fetchone()
    except psycopg.IntegrityError as error:
        return f"refused ({error.sqlstate})"
    return "orphan row" if left and left[0] else "no row left"
