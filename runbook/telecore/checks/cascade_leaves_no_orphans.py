"""Deleting a whole takes its parts along, for every relationship that was decided so.

For each relationship whose decision is CASCADE a whole with one part is made and deleted. A
refused delete leaves no orphan row either, and is no failure here: the census tells of it.
"""

from __future__ import annotations

from typing import LiteralString

import psycopg
from psycopg import sql

from runbook.checks import Context, Outcome, could_not_look, failed, passed
from runbook.findings import Evidence
from runbook.relationships import Relationship
from runbook.schema import Action
from runbook.session import Session
from runbook.telecore.checks._sample import INSERTS, Sample
from runbook.telecore.checks._trial import NOW

TITLE = "deleting a whole leaves no part behind"
CRITERION = "C5"
WRITES = True

DELETE: LiteralString = "DELETE FROM {table} WHERE id = %s"


def run(context: Context) -> Outcome:
    tried = [item for item in context.relationships if item.on_delete is Action.CASCADE]
    unknown = [item.label for item in tried if item.child.table not in INSERTS]
    if unknown or not tried:
        return could_not_look(f"no sample row for {', '.join(unknown) or 'any relationship'}")
    with context.trying() as owner:
        rows = [(item.label, item.parent.label, _delete(owner, item)) for item in tried]
    orphans = [label for label, _, answer in rows if answer == "orphan row"]
    facts = {"clean": len(rows) - len(orphans), "total": len(rows)}
    evidence = Evidence.of(
        ("relationship", "deleted", "answer"), rows, "What deleting a whole leads to"
    )
    if orphans:
        return failed(
            f"{len(orphans)} of {len(rows)} relationships leave parts without their whole",
            len(orphans),
            facts,
            evidence,
        )
    return passed(f"{len(rows)} relationships leave no part without its whole", facts, evidence)


def _delete(owner: Session, item: Relationship) -> str:
    """What deleting the parent of a fresh child leads to; undone."""
    child = sql.Identifier(item.child.schema, item.child.table)
    parent = sql.Identifier(item.parent.schema, item.parent.table)
    try:
        with owner.transaction(force_rollback=True):
            sample = Sample(owner).add(item.child.table)
            owner.execute(sql.SQL(DELETE).format(table=parent), [sample[item.parent.table]])
            owner.execute(NOW)
            left = owner.execute(
                sql.SQL("SELECT count(*) FROM {} WHERE id = %s").format(child),
                [sample[item.child.table]],
            ).fetchone()
    except (psycopg.errors.ForeignKeyViolation, psycopg.errors.RestrictViolation) as error:
        return f"refused ({error.sqlstate})"
    return "orphan row" if left and left[0] else "no row left"
