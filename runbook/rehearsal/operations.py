"""What a load does to the tables of a plan: one-row writes, made from the rows that are there."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import psycopg
from psycopg import sql

from runbook.rehearsal.rows import Rows, deletion, insertion, moving, rows_of
from runbook.relationships import Relationship
from runbook.schema import Schema, TableName
from runbook.server import Session

Kind = Literal["insert", "update", "delete", "both"]


@dataclass(frozen=True)
class Operation:
    """One thing that the load does; ``also`` is the parent that is written in its transaction."""

    kind: Kind
    rows: Rows
    also: Rows | None = None

    @property
    def tables(self) -> frozenset[TableName]:
        found = {self.rows.table.name}
        return frozenset(found | ({self.also.table.name} if self.also else set()))

    @property
    def label(self) -> str:
        name = self.rows.table.name.label
        return (
            f"update {name} and {self.also.table.name.label}"
            if self.also
            else (f"{self.kind} {name}")
        )

    def run(self, session: Session, chance: random.Random) -> None:
        """Do it once, to a row by chance; what it inserts, it deletes again."""
        row = chance.choice(self.rows.keys)
        if self.kind == "insert":
            key = _insert(session, self.rows, row)
            session.execute(deletion(self.rows, key))
        elif self.kind == "update":
            _update(session, self.rows, row, chance)
        elif self.kind == "delete":
            with session.transaction(force_rollback=True):
                session.execute(deletion(self.rows, row))
        elif self.also:
            # the child first, against the order in which a migration locks them
            with session.transaction():
                _update(session, self.rows, row, chance)
                _update(session, self.also, chance.choice(self.also.keys), chance)


def of(
    session: Session,
    schema: Schema,
    relationships: Sequence[Relationship],
    orphans: dict[str, sql.Composed],
) -> tuple[tuple[Operation, ...], dict[str, str]]:
    """The operations that work, and those that do not by label with the reason.

    Each is tried once. ``orphans`` maps a relationship to its orphan rows (``FROM child fk …``):
    the load copies and moves no orphan row, as an application that behaves would not. A table
    without a primary key or rows is not written to, and said so.
    """
    rows, left_out = {}, {}
    names = sorted({name for item in relationships for name in (item.child, item.parent)})
    for name in names:
        table = schema.tables.get(name)
        found = rows_of(session, table, relationships, orphans) if table else None
        if found is None:
            left_out[f"write {name.label}"] = "no primary key"
        elif not found.keys:
            left_out[f"write {name.label}"] = "no rows"
        else:
            rows[name] = found
    every = [
        operation
        for item in rows.values()
        for operation in (
            Operation("insert", item) if item.fresh else Operation("delete", item),
            Operation("update", item),
        )
    ]
    every += [
        Operation("both", rows[item.child], rows[item.parent])
        for item in relationships
        if item.child in rows and item.parent in rows and item.child != item.parent
    ]
    working = []
    for operation in every:
        why = _tried(session, operation)
        if not why:
            working.append(operation)
            continue
        left_out[operation.label] = why
        if operation.kind == "insert":
            instead = Operation("delete", operation.rows)
            why = _tried(session, instead)
            if why:
                left_out[instead.label] = why
            else:
                working.append(instead)
    return tuple({item.label: item for item in working}.values()), left_out


def still_there(session: Session, known: Sequence[Operation]) -> tuple[Operation, ...]:
    """The operations on the rows that are still there; without those that have none left."""
    tables = {rows.table.name: rows for item in known for rows in (item.rows, item.also) if rows}
    kept: dict[TableName, Rows] = {}
    for name, rows in tables.items():
        look = sql.SQL("SELECT FROM {} WHERE {}")
        kept[name] = replace(
            rows,
            keys=tuple(
                key
                for key in rows.keys
                if session.execute(look.format(rows.name, rows.where(key))).rowcount
            ),
        )
    changed = [
        replace(
            item, rows=kept[item.rows.table.name], also=item.also and kept[item.also.table.name]
        )
        for item in known
    ]
    return tuple(
        item for item in changed if item.rows.keys and (item.also is None or item.also.keys)
    )


def _tried(session: Session, operation: Operation) -> str:
    """Why it does not work without the migration; or empty."""
    try:
        operation.run(session, random.Random(0))  # noqa: S311 - which row it is does not matter
    except psycopg.Error as error:
        return f"{' '.join((error.diag.message_primary or str(error)).split())} ({error.sqlstate})"
    return ""


def _insert(session: Session, rows: Rows, row: tuple[str, ...]) -> tuple[str, ...]:
    made = session.execute(insertion(rows, row)).fetchone()
    if made is None:
        raise psycopg.DataError(f"{rows.table.name}: the row to copy is gone")
    return tuple(made)


def _update(session: Session, rows: Rows, row: tuple[str, ...], chance: random.Random) -> None:
    session.execute(moving(rows, row, chance.choice(rows.keys)))
