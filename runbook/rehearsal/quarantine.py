"""Puts the orphan rows of a copy aside, in plain SQL, so that its keys can be validated.

Only what a rehearsal needs: it stands in for the remediation that a person decides on. Row by row
nothing is restored; the copy is thrown away.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import psycopg
from psycopg import sql

from runbook.rehearsal.outcome import Quarantined
from runbook.relationships import Relationship
from runbook.server import Session
from runbook.session import reason

SCHEMA = "runbook_rehearsal"
ROUNDS = 32  # a row put aside may leave children of its own behind


@dataclass
class _Aside:
    rows: int = 0
    failure: str = ""


def quarantine(
    session: Session, relationships: Sequence[Relationship], orphans: dict[str, sql.Composed]
) -> tuple[Quarantined, ...]:
    """Move all orphan rows into tables of a schema of their own, until there are none left.

    ``session`` is that of who made the copy. Triggers and other keys do not take part where its
    role may say so (``session_replication_role``).
    """
    session.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(SCHEMA)))
    with suppress(psycopg.errors.InsufficientPrivilege):  # then what stands in the way is reported
        session.execute("SET session_replication_role = replica")
    found = {item.id: _Aside() for item in relationships if item.id in orphans}
    known = {item.id: (number, item) for number, item in enumerate(relationships)}
    for _ in range(ROUNDS):
        moved = 0
        for name, aside in found.items():
            if aside.failure:
                continue
            number, item = known[name]
            try:
                count = _move(session, number, item, orphans[name])
            except psycopg.Error as error:
                aside.failure = reason(error)
                continue
            aside.rows += count
            moved += count
        if not moved:
            break
    session.execute("RESET session_replication_role")
    return tuple(
        Quarantined(
            relationship=name, rows=None if aside.failure else aside.rows, failure=aside.failure
        )
        for name, aside in found.items()
        if aside.rows or aside.failure
    )


def _move(session: Session, number: int, item: Relationship, found: sql.Composed) -> int:
    """Move the orphan rows of one relationship; how many."""
    child = sql.Identifier(item.child.schema, item.child.table)
    aside = sql.Identifier(SCHEMA, f"orphans_{number}")
    session.execute(
        sql.SQL("CREATE TABLE IF NOT EXISTS {} AS SELECT * FROM {} WHERE false").format(
            aside, child
        )
    )
    cursor = session.execute(
        sql.SQL(
            "WITH gone AS (DELETE FROM {child} gone WHERE (gone.tableoid, gone.ctid) IN"
            " (SELECT fk.tableoid, fk.ctid {found}) RETURNING gone.*)"
            " INSERT INTO {aside} SELECT * FROM gone"
        ).format(child=child, found=found, aside=aside)
    )
    return cursor.rowcount
