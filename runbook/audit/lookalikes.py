"""What looks like orphan rows or like a relationship, and is neither: measured apart, by name.

- *Live children of soft-deleted parents*: the parent's row is there and marked as deleted. A
  foreign key is content; whether the application is, only its people know.
- *Polymorphic pairs*: ``owner_id`` with ``owner_type``. The type names the table that the id refers
  to, so no single parent is missing a row, and no foreign key can hold it.
- *Rows that refer to themselves*: a row that is its own parent is no orphan, and never goes away
  with its parent.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import LiteralString

import psycopg
from psycopg import sql

from runbook.audit import query
from runbook.operators import Comparisons
from runbook.relationships import Relationship
from runbook.schema import Column, Schema, Table, TableName
from runbook.session import Session, fetch, reason

INCOMPARABLE = "PostgreSQL could not compare the two sides"
TEMPORAL = "a key with PERIOD compares ranges, which is not counted yet"

# a partition has the columns of its table, and its rows are counted with it
PARTITIONS: LiteralString = """
    SELECT n.nspname::text, c.relname::text
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relispartition
"""

_MARKERS = {"deletedat", "deleted", "isdeleted", "archivedat"}  # without case and underscores
_TIMES = re.compile(r"(?:timestamp(?:\(\d\))? with(?:out)? time zone|date)")
_ID = re.compile(r"(.+?)(_id|Id|ID)")


class Kind(StrEnum):
    """What it is; never ``orphans``."""

    SOFT_DELETED = "live children of soft-deleted parents"
    POLYMORPHIC = "polymorphic pair"
    SELF = "rows that refer to themselves"


@dataclass(frozen=True)
class Lookalike:
    """Rows that are no orphans, of one relationship or of one polymorphic pair.

    ``relationship`` is None for a pair that nobody declared. ``by`` names the columns that tell:
    the parent's markers, or the pair's type column. ``rows`` is None where nothing was counted,
    with the ``reason``; ``distinct`` counts the types of a pair.
    """

    kind: Kind
    child: TableName
    columns: tuple[str, ...]
    by: tuple[str, ...] = ()
    relationship: Relationship | None = None
    rows: int | None = None
    distinct: int | None = None
    seconds: float = 0.0
    reason: str = ""

    @property
    def label(self) -> str:
        """For people: ``orders.customer_id``, and of a pair ``notes.(owner_id, owner_type)``."""
        names = self.columns + (self.by if self.kind is Kind.POLYMORPHIC else ())
        return f"{self.child.label}." + (names[0] if len(names) == 1 else f"({', '.join(names)})")


def markers(table: Table) -> tuple[Column, ...]:
    """The columns whose value marks a row as deleted or archived: by name, and by type."""
    return tuple(
        column
        for column in table.columns
        if column.name.replace("_", "").lower() in _MARKERS
        and (column.type == "boolean" or _TIMES.fullmatch(column.type))
    )


def polymorphic_pairs(
    schema: Schema,
    relationships: Iterable[Relationship] = (),
    partitions: Container[TableName] = (),
) -> tuple[Lookalike, ...]:
    """Every ``x_id`` with an ``x_type`` beside it that no enforced foreign key starts from.

    A key settles it: then the id has one parent, and the type is an attribute like any other. A
    relationship that somebody declared is named in its pair, and does not settle it.
    """
    keyed = {
        (key.child, name) for key in schema.foreign_keys if key.enforced for name in key.columns
    }
    declared = {(item.child, item.columns): item for item in relationships}
    return tuple(
        Lookalike(
            Kind.POLYMORPHIC,
            table.name,
            (column.name,),
            (beside,),
            declared.get((table.name, (column.name,))),
        )
        for table in schema.tables.values()
        if table.kind in ("r", "p") and table.name not in partitions
        for column in table.columns
        if (beside := type_column(table, column.name)) and (table.name, column.name) not in keyed
    )


def type_column(table: Table, column: str) -> str:
    """The column that would name the table ``column`` refers to; empty where there is none."""
    found = _ID.fullmatch(column)
    if found is None:
        return ""
    name = found[1] + ("_type" if found[2] == "_id" else "Type")
    return name if table.column(name) else ""


def detect(
    relationships: Iterable[Relationship], schema: Schema, partitions: Container[TableName] = ()
) -> tuple[Lookalike, ...]:
    """All that there is to count, from the declarations alone."""
    items = tuple(relationships)
    soft = [
        Lookalike(Kind.SOFT_DELETED, item.child, item.columns, names, item)
        for item in items
        if (names := tuple(c.name for c in markers(schema.tables[item.parent])))
    ]
    own = [
        Lookalike(Kind.SELF, item.child, item.columns, item.references, item)
        for item in items
        if item.child == item.parent and item.columns != item.references
    ]
    return (*soft, *polymorphic_pairs(schema, items, partitions), *own)


def measure(
    session: Session,
    relationships: Sequence[Relationship],
    schema: Schema,
    comparisons: Sequence[Comparisons],
    ended: Callable[[], str] = lambda: "",
) -> tuple[Lookalike, ...]:
    """Count every one of them in the caller's read-only transaction; none counts as an orphan.

    ``ended`` says why nothing more is to be counted; what is left then carries that reason.
    """
    compared = dict(zip(relationships, comparisons, strict=True))
    try:
        with session.transaction():
            partitions = {TableName(*row) for row in fetch(session, PARTITIONS)}
    except psycopg.Error as error:
        why = reason(error)
        return tuple(replace(item, reason=why) for item in detect(relationships, schema))
    found = []
    for item in detect(relationships, schema, partitions):
        why = ended()
        counted = replace(item, reason=why) if why else _counted(session, item, schema, compared)
        found.append(counted)
    return tuple(found)


def _counted(
    session: Session,
    found: Lookalike,
    schema: Schema,
    compared: dict[Relationship, Comparisons],
) -> Lookalike:
    if found.kind is Kind.POLYMORPHIC or found.relationship is None:
        statement = of_pair(found, schema)
    else:
        item, comparison = found.relationship, compared[found.relationship]
        if any(key.temporal and key.shape == item.shape for key in schema.foreign_keys):
            return replace(found, reason=TEMPORAL)
        if not comparison.pairs:
            return replace(found, reason=INCOMPARABLE)
        statement = (
            of_deleted_parents(item, schema, comparison)
            if found.kind is Kind.SOFT_DELETED
            else of_themselves(item, schema, comparison)
        )
    started = time.perf_counter()
    try:
        # a savepoint: a failure must not end the whole snapshot, nor its locks last as long
        with session.transaction(force_rollback=True):
            row = session.execute(statement).fetchone()
    except psycopg.Error as error:
        return replace(found, seconds=time.perf_counter() - started, reason=reason(error))
    if row is None:
        return replace(found, reason="the counting statement returned no row")
    rows, distinct = row
    seconds = time.perf_counter() - started
    return replace(found, rows=rows, distinct=distinct, seconds=seconds)


def of_deleted_parents(
    item: Relationship, schema: Schema, comparisons: Comparisons
) -> sql.Composed:
    """Children that carry no mark themselves, of a parent that does."""
    child, parent = schema.tables[item.child], schema.tables[item.parent]
    live = sql.SQL("").join(
        sql.SQL(" AND NOT ({})").format(_is_set("fk", column)) for column in markers(child)
    )
    return sql.SQL(
        "SELECT count(*), NULL FROM {child} fk WHERE EXISTS"
        " (SELECT FROM {parent} pk WHERE ({deleted}) AND {equal}){live}"
    ).format(
        child=query.table(child),
        parent=query.table(parent),
        deleted=sql.SQL(" OR ").join(_is_set("pk", column) for column in markers(parent)),
        equal=query.equal(item, comparisons),
        live=live,
    )


def of_themselves(item: Relationship, schema: Schema, comparisons: Comparisons) -> sql.Composed:
    """Rows whose reference is their own key."""
    return sql.SQL(
        "SELECT count(*), NULL FROM {table} fk CROSS JOIN LATERAL (SELECT fk.*) pk WHERE {equal}"
    ).format(table=query.table(schema.tables[item.child]), equal=query.equal(item, comparisons))


def of_pair(found: Lookalike, schema: Schema) -> sql.Composed:
    """Rows whose id is set, and how many types they name."""
    return sql.SQL(
        "SELECT count(*), count(DISTINCT ({types})) FROM {table} fk WHERE {present}"
    ).format(
        types=sql.SQL(", ").join(sql.Identifier("fk", name) for name in found.by),
        table=query.table(schema.tables[found.child]),
        present=query.present(found.columns),
    )


def _is_set(alias: str, column: Column) -> sql.Composed:
    test = sql.SQL("{} IS TRUE" if column.type == "boolean" else "{} IS NOT NULL")
    return test.format(sql.Identifier(alias, column.name))
