"""What a parent's delete costs where the child has no index on the columns that refer to it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from contextlib import closing

import psycopg
from psycopg import sql

from runbook.disposable import Copy
from runbook.impact import declaring
from runbook.impact.outcome import MissingIndex
from runbook.rehearsal.rows import Rows, deletion, insertion, rows_of
from runbook.relationships import Relationship
from runbook.server import Session
from runbook.session import reason

DELETED = 40


def missing_index(copy: Copy, database: str, relationships: Sequence[Relationship]) -> MissingIndex:
    """The delete of a parent with and without an index on the child that has the most rows."""
    schema = copy.read(database)
    ranked = sorted(
        (r for r in relationships if r.child != r.parent),
        key=lambda item: schema.tables[item.child].estimated_rows,
        reverse=True,
    )
    reasons = []
    with closing(copy.administer(database)) as session:
        for item in ranked:
            table = schema.tables[item.child]
            serving = [
                index
                for index in table.indexes
                if set(index.columns[: len(item.columns)]) == set(item.columns)
            ]
            parent = rows_of(session, schema.tables[item.parent], (), {})
            if any(index.of_constraint or index.unique for index in serving):
                reasons.append(f"{item.label}: its index belongs to a constraint")
            elif parent is None or not parent.keys or not parent.fresh:
                reasons.append(f"{item.label}: no copy of a parent can be made")
            else:
                try:
                    return _without_and_with(session, item, parent, [i.name for i in serving])
                except psycopg.Error as error:
                    reasons.append(f"{item.label}: {reason(error)}")
    return MissingIndex(reason=reasons[0] if reasons else "no relationship between two tables")


def _without_and_with(
    session: Session, item: Relationship, parent: Rows, serving: Sequence[str]
) -> MissingIndex:
    for name in serving:
        session.execute(
            sql.SQL("DROP INDEX IF EXISTS {}").format(sql.Identifier(item.child.schema, name))
        )
    with session.transaction(force_rollback=True):
        declaring.add(session, item)
        without = _deletes(session, parent)
        session.execute(declaring.index(item, "runbook_impact_index"))
        with_index = _deletes(session, parent)
        count = session.execute(
            sql.SQL("SELECT count(*) FROM {}").format(declaring.named(item.child))
        ).fetchone()
    return MissingIndex(
        relationship=item.label,
        child_rows=int(count[0]) if count else None,
        with_index_ms=round(1000 * statistics.median(with_index), 4),
        without_index_ms=round(1000 * statistics.median(without), 4),
        count=len(without),
    )


def _deletes(session: Session, parent: Rows) -> list[float]:
    found = []
    for number in range(DELETED):
        row = parent.keys[number % len(parent.keys)]
        key = session.execute(insertion(parent, row)).fetchone()
        statement = deletion(parent, key or ())
        began = time.perf_counter()
        session.execute(statement)
        found.append(time.perf_counter() - began)
    return found
