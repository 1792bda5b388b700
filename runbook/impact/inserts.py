"""What the foreign keys of a table cost an insert, measured on this server.

Two copies of the table are made in a scratch schema, one with its keys and one without; the same
rows go into both in turn under ``EXPLAIN ANALYZE``, whose trigger times are the keys' checks.
Everything happens in a transaction that is rolled back, and no lock on the real tables is more
than a reader's.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from runbook.errors import IncompleteError
from runbook.relationships import Relationship
from runbook.schema import TableName
from runbook.session import Session

SCRATCH = "runbook_impact"
ROWS = 120
WARM_UP = 20


@dataclass(frozen=True)
class Impact:
    """Milliseconds of one-row inserts, paired: each list has one value a measured row."""

    table: TableName
    keys: tuple[Relationship, ...]
    without: tuple[float, ...]
    with_keys: tuple[float, ...]
    triggers: tuple[float, ...]

    @property
    def cost_ms(self) -> float:
        """The median of the paired differences."""
        pairs = zip(self.with_keys, self.without, strict=True)
        return statistics.median(keyed - plain for keyed, plain in pairs)

    @property
    def share(self) -> float:
        """The part of an insert with keys that its triggers take, from 0 to 1."""
        return statistics.median(self.triggers) / statistics.median(self.with_keys)


def busiest(relationships: Sequence[Relationship]) -> tuple[Relationship, ...]:
    """The relationships of the child table that has the most of them, self references left out."""
    by_child: dict[TableName, list[Relationship]] = {}
    for item in relationships:
        if item.child != item.parent:
            by_child.setdefault(item.child, []).append(item)
    most = sorted(by_child.values(), key=len)[-1:]
    return tuple(most[0]) if most else ()


def measure(owner: Session, keys: Sequence[Relationship], rows: int = ROWS) -> Impact:
    """Measure the insert cost of ``keys``, all of one child table that has rows.

    ``owner`` must be in a transaction that will be rolled back, and may create a schema. Raises
    :class:`IncompleteError` when the table has too few rows to measure with.
    """
    child = keys[0].child
    owner.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(SCRATCH)))
    for name in ("plain", "keyed"):
        owner.execute(
            sql.SQL(
                "CREATE TABLE {} (LIKE {} INCLUDING ALL EXCLUDING IDENTITY EXCLUDING GENERATED)"
            ).format(sql.Identifier(SCRATCH, name), _name(child))
        )
    chosen = sql.SQL("CREATE TABLE {} AS SELECT * FROM {} fk WHERE {} LIMIT {}").format(
        sql.Identifier(SCRATCH, "chosen"), _name(child), _all_parents(keys), sql.Literal(rows)
    )
    owner.execute(chosen)
    count = owner.execute(
        sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(SCRATCH, "chosen"))
    ).fetchone()
    if not count or count[0] < rows:
        raise IncompleteError(
            f"{child}: {count[0] if count else 0} rows with all their parents, expected {rows}",
            "measure on an environment with more rows",
        )
    for number, key in enumerate(keys):
        _add_key(owner, number, key)
    return _insert(owner, child, tuple(keys), rows)


def _all_parents(keys: Sequence[Relationship]) -> sql.Composable:
    parts = []
    for key in keys:
        parts += [
            sql.SQL("fk.{} IS NOT NULL").format(sql.Identifier(column)) for column in key.columns
        ]
        equal = sql.SQL(" AND ").join(
            sql.SQL("pk.{} = fk.{}").format(sql.Identifier(reference), sql.Identifier(column))
            for reference, column in zip(key.references, key.columns, strict=True)
        )
        parts.append(
            sql.SQL("EXISTS (SELECT FROM {} pk WHERE {})").format(_name(key.parent), equal)
        )
    return sql.SQL(" AND ").join(parts)


def _add_key(owner: Session, number: int, key: Relationship) -> None:
    """Copy the parent's columns that the key refers to, index them and declare the key."""
    parent = sql.Identifier(SCRATCH, f"parent_{number}")
    columns = sql.SQL(", ").join(sql.Identifier(name) for name in key.references)
    owner.execute(
        sql.SQL("CREATE TABLE {} AS SELECT {} FROM {}").format(parent, columns, _name(key.parent))
    )
    owner.execute(sql.SQL("ALTER TABLE {} ADD UNIQUE ({})").format(parent, columns))
    owner.execute(sql.SQL("ANALYZE {}").format(parent))
    owner.execute(
        sql.SQL("ALTER TABLE {} ADD FOREIGN KEY ({}) REFERENCES {} ({})").format(
            sql.Identifier(SCRATCH, "keyed"),
            sql.SQL(", ").join(sql.Identifier(name) for name in key.columns),
            parent,
            columns,
        )
    )


def _insert(owner: Session, child: TableName, keys: tuple[Relationship, ...], rows: int) -> Impact:
    without, with_keys, triggers = [], [], []
    for number in range(rows):
        # in turn, and in changing order, so that drift and caches favour neither
        order = ("plain", "keyed") if number % 2 else ("keyed", "plain")
        times = {name: _explain(owner, name, number) for name in order}
        if number >= WARM_UP:
            without.append(times["plain"][0])
            with_keys.append(times["keyed"][0])
            triggers.append(times["keyed"][1])
    return Impact(child, keys, tuple(without), tuple(with_keys), tuple(triggers))


def _explain(owner: Session, name: str, number: int) -> tuple[float, float]:
    statement = sql.SQL(
        "EXPLAIN (ANALYZE, FORMAT JSON) INSERT INTO {} SELECT * FROM {} OFFSET {} LIMIT 1"
    ).format(sql.Identifier(SCRATCH, name), sql.Identifier(SCRATCH, "chosen"), sql.Literal(number))
    row = owner.execute(statement).fetchone()
    if row is None:
        raise IncompleteError("EXPLAIN ANALYZE returned no plan", "run it again")
    plan: dict[str, Any] = row[0][0]
    return plan["Execution Time"], sum(trigger["Time"] for trigger in plan.get("Triggers", []))


def _name(table: TableName) -> sql.Identifier:
    return sql.Identifier(table.schema, table.table)
