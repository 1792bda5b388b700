"""The tables that are measured: each shape is one child table with five relationships."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from runbook.relationships import Relationship, Relationships
from runbook.schema import TableName

SCHEMA = "bench"
KEYS = 5  # relationships of a shape


@dataclass(frozen=True)
class Shape:
    """A child table: its share of all rows in percent, and what its key columns are like.

    ``parents`` is how many distinct values they have, or None for a fifth of the rows.
    ``clustered`` rows lie in the order of their keys, ``nulls`` is the share without a value,
    ``payload`` the bytes of a row beside its keys.
    """

    title: str
    share: int
    kind: str
    parents: int | None
    indexed: bool = True
    clustered: bool = False
    nulls: float = 0.0
    payload: int = 0

    @property
    def name(self) -> str:
        """The title as a name for tables and facts."""
        return re.sub(r"\W+", "_", self.title.lower())

    def rows(self, total: int) -> int:
        return max(100, total * self.share // 100)

    def distinct(self, total: int) -> int:
        return self.parents or max(10, self.rows(total) // 5)


FEW = 200  # distinct parents
SHAPES = (
    Shape("unindexed text", 6, "text", 100_000, indexed=False),
    Shape("unindexed bigint", 6, "bigint", 100_000, indexed=False),
    Shape("few distinct text", 38, "text", FEW),
    Shape("few distinct bigint", 38, "bigint", FEW),
    Shape("many distinct text", 3, "text", None),
    Shape("clustered bigint", 3, "bigint", None, clustered=True),
    Shape("wide rows", 2, "text", 500, indexed=False, payload=1000),
    Shape("many NULLs", 2, "text", 5_000, nulls=0.95),
    Shape("composite", 2, "composite", 5_000),
)


def chosen(titles: Sequence[str]) -> tuple[Shape, ...]:
    """The shapes of these titles; all without one. Raises ValueError for a title unknown."""
    known = {shape.title: shape for shape in SHAPES}
    unknown = [title for title in titles if title not in known]
    if unknown:
        raise ValueError(f"no shape {unknown[0]!r}, expected one of {', '.join(known)}")
    return tuple(known[title] for title in titles) or SHAPES


def columns(shape: Shape, number: int) -> tuple[str, ...]:
    """The child columns of one of a shape's relationships."""
    name = f"key_{number}"
    return (f"{name}_tenant", name) if shape.kind == "composite" else (name,)


def relationships(shape: Shape) -> Relationships:
    references = ("tenant", "id") if shape.kind == "composite" else ("id",)
    child, parent = TableName(SCHEMA, shape.name), TableName(SCHEMA, f"{shape.name}_parent")
    return Relationships(
        tuple(
            Relationship(child, columns(shape, number), parent, references)
            for number in range(1, KEYS + 1)
        )
    )


TENANTS = 50


def value(kind: str, number: str) -> str:
    """SQL of the key with this number (SQL as well)."""
    return f"md5(({number})::text)::uuid::text" if kind == "text" else f"({number})::bigint"


def parent_table(shape: Shape, total: int) -> str:
    """CREATE TABLE … AS of a shape's parent, before its primary key."""
    extra = f", (n % {TENANTS})::int AS tenant" if shape.kind == "composite" else ""
    return (
        f"SELECT {value(shape.kind, 'n')} AS id{extra}, 'parent ' || n AS title"
        f" FROM generate_series(1, {shape.distinct(total)}) n"
    )


def child_table(shape: Shape, total: int) -> str:
    """The rows of a shape's child. Key columns differ by a shift, so none helps another."""
    rows, distinct = shape.rows(total), shape.distinct(total)
    parts = ["n::bigint AS id"]
    for number in range(1, KEYS + 1):
        place = f"n::bigint * {distinct} / {rows}" if shape.clustered else f"hashint8(n + {number})"
        key = f"1 + abs({place}::bigint) % {distinct}"
        present = f"abs(hashint8(n * 7 + {number})::bigint) % 10000 >= {int(shape.nulls * 10000)}"
        names = columns(shape, number)
        shown = f"CASE WHEN {present} THEN {value(shape.kind, key)} END" if shape.nulls else ""
        if shape.kind == "composite":
            parts.append(f"(({key}) % {TENANTS})::int AS {names[0]}")
        parts.append(f"{shown or value(shape.kind, key)} AS {names[-1]}")
    if shape.payload:
        # letters that do not compress, or TOAST would make the wide rows narrow
        pieces = " || ".join(f"md5((n + {i})::text)" for i in range(-(-shape.payload // 32)))
        parts.append(f"{pieces} AS payload")
    return f"SELECT {', '.join(parts)} FROM generate_series(1, {rows}) n"


def statements(shape: Shape, total: int) -> Iterator[str]:
    """Everything that makes a shape. Unlogged: what a reader does is the same, and it is quicker.

    A column's row is never out of line, so that wide rows are wide.
    """
    child, parent = f"{SCHEMA}.{shape.name}", f"{SCHEMA}.{shape.name}_parent"
    key = "tenant, id" if shape.kind == "composite" else "id"
    yield f"CREATE UNLOGGED TABLE {parent} AS {parent_table(shape, total)}"
    yield f"ALTER TABLE {parent} ADD PRIMARY KEY ({key})"
    yield f"CREATE UNLOGGED TABLE {child} AS {child_table(shape, total)}"
    yield f"ALTER TABLE {child} ADD PRIMARY KEY (id)"
    if shape.indexed:
        for number in range(1, KEYS + 1):
            names = columns(shape, number)
            where = f" WHERE {names[0]} IS NOT NULL" if shape.nulls else ""
            yield f"CREATE INDEX ON {child} ({', '.join(names)}){where}"
    yield f"VACUUM (ANALYZE) {parent}"
    yield f"VACUUM (ANALYZE) {child}"


def build(owner: psycopg.Connection[Any], shape: Shape, total: int) -> None:
    """Make the tables of a shape; ``owner`` is in autocommit."""
    owner.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(SCHEMA)))
    owner.execute("SET maintenance_work_mem = '512MB'")
    for statement in statements(shape, total):
        owner.execute(statement.encode())
    owner.execute("RESET maintenance_work_mem")
