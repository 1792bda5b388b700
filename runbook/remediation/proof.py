"""What tells, within its transaction, whether a batch has helped; a trigger can undo it."""

from __future__ import annotations

from psycopg import sql

from runbook.audit import query
from runbook.remediation import returning, statements
from runbook.remediation.remedy import Remedy, Strategy
from runbook.remediation.statements import AFTER, BEFORE
from runbook.schema import TableName

_GONE, _CHANGED = "are there again", "are orphan rows as before"
SAID = {
    Strategy.DELETE: _GONE,
    Strategy.QUARANTINE: _GONE,
    Strategy.SET_NULL: _CHANGED,
    Strategy.REASSIGN: _CHANGED,
    Strategy.RESTORE: "are parents of no row",
}


def in_vain(remedy: Remedy, kept: TableName, first: int) -> sql.Composed | None:
    """One row: how many rows kept after the ``first`` ones might as well have been left alone.

    None where that cannot be told, or where rows stay as they are.
    """
    if remedy.strategy is Strategy.RESTORE:
        image, undone = (
            AFTER,
            sql.SQL("NOT EXISTS (SELECT FROM {} child WHERE {})").format(
                query.table(remedy.child),
                query.equal(remedy.relationship, remedy.comparisons, parent="fk", child="child"),
            ),
        )
    elif remedy.strategy.changes:
        image, undone = AFTER, statements.orphan(remedy)
    elif remedy.strategy.removes and remedy.key:
        image, undone = (
            BEFORE,
            sql.SQL("EXISTS (SELECT FROM {} now WHERE {})").format(
                query.table(remedy.subject), statements.same_key(remedy.key, "now", "fk")
            ),
        )
    else:
        return None
    return sql.SQL("SELECT count(*) FROM {} fk WHERE {} > {} AND {} AND {}").format(
        statements.table(kept),
        sql.Identifier("fk", statements.own_names(remedy.columns)[0]),
        sql.Literal(first),
        returning.image(remedy, "fk", image),
        undone,
    )
