"""The dry run: what a remediation would do, counted and printable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from runbook.audit import query
from runbook.errors import IncompleteError, UsageError
from runbook.remediation import allowed, mending, statements, surroundings
from runbook.remediation.remedy import Remedy, Strategy
from runbook.schema import TableName
from runbook.session import Session


@dataclass(frozen=True)
class Survey:
    """What there is to do.

    ``orphans`` rows refer to ``distinct`` missing parents; ``old_enough`` of them are not too
    young; ``restorable`` parents are in the source (None: nothing is restored). ``dependents`` are
    (relationship's source, rows that refer to rows to be mended).
    """

    orphans: int
    distinct: int
    old_enough: int
    restorable: int | None
    dependents: tuple[tuple[str, int], ...]
    triggers: tuple[str, ...]
    rules: tuple[str, ...]


def take(session: Session, remedy: Remedy) -> Survey:
    """Count, in the caller's transaction; raises :class:`UsageError` for a parent not there."""
    if remedy.strategy is Strategy.REASSIGN:
        _refuse_no_parent(session, remedy)
    orphans, distinct, old = one(session, statements.count(remedy))
    restorable = None
    if remedy.strategy is Strategy.RESTORE:
        (restorable,) = one(session, sql.SQL("SELECT count(*) ") + statements.restorable(remedy))
    dependents = tuple(
        (item.relationship.source, one(session, statements.count_dependents(remedy, number))[0])
        for number, item in enumerate(remedy.dependents)
    )
    subject, event = remedy.subject.name, remedy.strategy.event
    return Survey(
        orphans=orphans,
        distinct=distinct,
        old_enough=old,
        restorable=restorable,
        dependents=dependents,
        triggers=surroundings.triggers(session, subject, event) if event else (),
        rules=surroundings.rules(session, subject, event) if event else (),
    )


def refuse(remedy: Remedy, found: Survey) -> None:
    """Raise :class:`UsageError` for what must not be done, though the relationship allows it."""
    allowed.refuse_rules(remedy, found.rules)
    allowed.refuse_dependents(remedy, found.dependents)


def printed(session: Session, remedy: Remedy, kept: TableName) -> str:
    """The SQL of a batch, as it is run; ``:name`` stands for what differs from batch to batch."""
    lock = statements.lock(remedy)
    mend = mending.mend(remedy, kept, mending.Batch.shown())
    parts = [part for part in (lock, mend) if part is not None]
    return "\n".join(f"{part.as_string(session)};" for part in parts)


def one(session: Session, statement: sql.Composed) -> tuple[Any, ...]:
    """The only row of a statement."""
    row = session.execute(statement).fetchone()
    if row is None:
        raise IncompleteError("a count returned no row", "run it again")
    return row


def _refuse_no_parent(session: Session, remedy: Remedy) -> None:
    """Whether ``to`` is a parent's key, read and compared as a child row with it would be."""
    item = remedy.relationship
    if len(remedy.to) != len(item.columns):
        raise UsageError(
            f"--to: expected {len(item.columns)} values for {', '.join(item.columns)},"
            f" got {len(remedy.to)}",
            "give --to once for each column, in their order",
        )
    row = sql.SQL(
        "SELECT EXISTS (SELECT FROM {parent} pk, (SELECT {columns} FROM {child} fk WHERE false"
        " UNION ALL SELECT {values}) fk WHERE {equal})"
    ).format(
        parent=query.table(remedy.parent),
        columns=statements.listed("fk", item.columns),
        child=query.table(remedy.child),
        values=sql.SQL(", ").join(sql.Literal(value) for value in remedy.to),
        equal=query.equal(item, remedy.comparisons),
    )
    try:
        with session.transaction():
            (there,) = one(session, row)
    except psycopg.DataError:
        there = False
    if not there:
        raise UsageError(
            f"--to: {item.parent} has no row with ({', '.join(item.references)}) ="
            f" ({', '.join(remedy.to)})",
            "give the key of a parent that is there",
        )
