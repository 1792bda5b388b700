"""The rows that a load writes to, and the statements that copy, move and delete one of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

from runbook.relationships import Relationship
from runbook.schema import Column, Table
from runbook.server import Session

ROWS = 200  # whose keys a load knows, of each table
READ = 2_000  # rows that are looked at for them


@dataclass(frozen=True)
class Rows:
    """A table that a load writes to: its key's columns, and keys of rows as text.

    ``fresh`` are the columns that a copy of a row gets new values in, with their SQL; empty where
    no copy can be made. ``refers`` are its columns that refer to parents.
    """

    table: Table
    key: tuple[str, ...]
    keys: tuple[tuple[str, ...], ...]
    fresh: tuple[tuple[str, sql.SQL], ...]
    refers: tuple[str, ...]

    @property
    def name(self) -> sql.Identifier:
        return sql.Identifier(self.table.name.schema, self.table.name.table)

    def where(self, row: Sequence[str], alias: str = "") -> sql.Composed:
        """``id = '7'::integer AND …``; the values are literals, as a name may hold a ``%``."""
        return sql.SQL(" AND ").join(
            sql.SQL("{} = {}::{}").format(
                sql.Identifier(alias, name) if alias else sql.Identifier(name),
                sql.Literal(value),
                sql.SQL(_type(self.table, name)),
            )
            for name, value in zip(self.key, row, strict=True)
        )

    def key_text(self) -> sql.Composed:
        return sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(n)) for n in self.key)


NUMBERS: LiteralString = """
    CREATE SCHEMA IF NOT EXISTS runbook_load;
    CREATE SEQUENCE IF NOT EXISTS runbook_load.fresh START 1000000001;
    GRANT USAGE ON SCHEMA runbook_load TO PUBLIC;
    GRANT USAGE ON SEQUENCE runbook_load.fresh TO PUBLIC
"""


def rows_of(
    session: Session,
    table: Table,
    relationships: Sequence[Relationship],
    orphans: dict[str, sql.Composed],
) -> Rows | None:
    """What a load knows of a table of a copy; None where it has no primary key.

    ``session`` is an administrator's: new numbers come from a sequence that is made here.
    """
    session.execute(NUMBERS)
    if table.primary_key is None or table.kind not in ("r", "p"):
        return None
    key = table.primary_key.columns
    refers = [item for item in relationships if item.child == table.name]
    columns = tuple(dict.fromkeys(name for item in refers for name in item.columns))
    fresh = _fresh(table, columns)
    rows = Rows(table, key, (), fresh, _movable(table, columns))
    chosen = sql.SQL("(SELECT {} FROM {} LIMIT {})").format(
        rows.key_text(), rows.name, sql.Literal(READ)
    )
    aliased = sql.SQL(", ").join(sql.SQL("fk.{}::text").format(sql.Identifier(n)) for n in key)
    for item in refers:
        if item.id in orphans:
            chosen += sql.SQL(" EXCEPT (SELECT {} {})").format(aliased, orphans[item.id])
    some = sql.SQL("SELECT * FROM ({}) known LIMIT {}").format(chosen, sql.Literal(ROWS))
    found = session.execute(some).fetchall()
    return Rows(table, key, tuple(tuple(row) for row in found), fresh, rows.refers)


def _movable(table: Table, columns: tuple[str, ...]) -> tuple[str, ...]:
    """The referring columns, but for those that another row's value may not be put in."""
    taken = {name for index in table.indexes if index.unique for name in index.columns}
    return tuple(name for name in columns if name not in taken and not _generated(table, name))


def _fresh(table: Table, refers: tuple[str, ...]) -> tuple[tuple[str, sql.SQL], ...]:
    """A column of each unique index to change in a copy; nothing where one has none."""
    found: dict[str, sql.SQL] = {}
    for index in table.indexes:
        if not index.unique or any(name in found for name in index.columns):
            continue
        candidates = [name for name in index.columns if name and name not in refers]
        made = [(name, _new(table.column(name))) for name in candidates]
        usable = [(name, value) for name, value in made if value is not None]
        if not usable:
            return ()
        found[usable[-1][0]] = usable[-1][1]
    return tuple(found.items())


def _new(column: Column | None) -> sql.SQL | None:
    """SQL of a value that no row has, nearly certainly; None for a type without one.

    Numbers come from a sequence: of thousands by chance two would soon be the same.
    """
    if column is None or column.generated:
        return None
    kind = column.type
    if kind == "uuid":
        return sql.SQL("gen_random_uuid()")
    if kind in ("integer", "bigint", "numeric"):
        return sql.SQL("nextval('runbook_load.fresh')::integer")
    text = re.fullmatch(r"(?:text|character varying|character)(?:\((\d+)\))?", kind)
    if text:
        length = min(int(text[1] or 32), 32)
        return sql.SQL("left(replace(gen_random_uuid()::text, '-', ''), {})").format(  # type: ignore[return-value]
            sql.Literal(length)
        )
    if kind.startswith("timestamp"):
        return sql.SQL("(clock_timestamp() + random() * interval '1 day')::timestamp")
    return None


def insertion(rows: Rows, row: Sequence[str]) -> sql.Composed:
    """Copy the row with this key under new values; returns the copy's key as text."""
    fresh = dict(rows.fresh)
    names = [column.name for column in rows.table.columns if not column.generated]
    return sql.SQL(
        "INSERT INTO {0} ({1}) OVERRIDING SYSTEM VALUE SELECT {2} FROM {0} WHERE {3} RETURNING {4}"
    ).format(
        rows.name,
        sql.SQL(", ").join(map(sql.Identifier, names)),
        sql.SQL(", ").join(fresh.get(name, sql.Identifier(name)) for name in names),
        rows.where(row),
        rows.key_text(),
    )


def moving(rows: Rows, row: Sequence[str], other: Sequence[str]) -> sql.Composed:
    """Let a row refer to what another row refers to.

    Where the table refers to nothing, a column is written as it is.
    """
    if rows.refers:
        statement = sql.SQL("UPDATE {} SET ({}) = (SELECT {} FROM {} other WHERE {}) WHERE {}")
        return statement.format(
            rows.name,
            sql.SQL(", ").join(map(sql.Identifier, rows.refers)),
            sql.SQL(", ").join(sql.Identifier("other", name) for name in rows.refers),
            rows.name,
            rows.where(other, "other"),
            rows.where(row),
        )
    names = [c.name for c in rows.table.columns if not c.generated and c.name not in rows.key]
    name = sql.Identifier((names or list(rows.key))[0])
    return sql.SQL("UPDATE {} SET {} = {} WHERE {}").format(rows.name, name, name, rows.where(row))


def deletion(rows: Rows, row: Sequence[str]) -> sql.Composed:
    """Delete the row with this key."""
    return sql.SQL("DELETE FROM {} WHERE {}").format(rows.name, rows.where(row))


def _generated(table: Table, name: str) -> bool:
    column = table.column(name)
    return column is None or bool(column.generated)


def _type(table: Table, name: str) -> str:
    """As format_type prints it, which quotes what needs quotes."""
    column = table.column(name)
    return column.type if column else "text"
