"""The SQL that adds missing foreign keys without a long lock.

Each key takes two statements, in transactions of their own: ``ADD … NOT VALID`` locks writers out
only for a moment, ``VALIDATE`` scans under a lock that lets them pass.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from runbook.findings import CensusRow, Evidence, KeyState
from runbook.relationships import Relationship
from runbook.schema import TableName

LONGEST_NAME = 63  # bytes; PostgreSQL cuts a longer name, and then two can become one


@dataclass(frozen=True)
class KeyStatements:
    """The two statements that bring one relationship's key into being."""

    relationship: Relationship
    name: str
    add: str
    validate: str


def constraint_name(relationship: Relationship, alone: bool = True) -> str:
    """``fk_{table}_{columns}``; where that is over 63 bytes, cut and ended by a digest.

    So is the name that another relationship of the table would have too: not ``alone``.
    """
    name = relationship.constraint_name
    if alone and len(name.encode()) <= LONGEST_NAME:
        return name
    ends = (relationship.child, relationship.columns, relationship.parent, relationship.references)
    whole = json.dumps([str(end) if isinstance(end, TableName) else end for end in ends])
    digest = hashlib.sha256(whole.encode()).hexdigest()[:10]
    kept = name.encode()[: LONGEST_NAME - 11].decode(errors="ignore")
    return f"{kept}_{digest}"


def statements(relationship: Relationship, alone: bool = True) -> KeyStatements:
    """The statements for one relationship, every identifier quoted where it must be."""
    child = _table(relationship.child.schema, relationship.child.table)
    name = constraint_name(relationship, alone)
    match = f" MATCH {relationship.match.value.upper()}" if relationship.match else ""
    update = f" ON UPDATE {relationship.on_update.sql}" if relationship.on_update else ""
    add = (
        f"ALTER TABLE {child}\n"
        f"  ADD CONSTRAINT {quote(name)}\n"
        f"  FOREIGN KEY ({_columns(relationship.columns)})\n"
        f"  REFERENCES {_table(relationship.parent.schema, relationship.parent.table)}"
        f" ({_columns(relationship.references)}){match}\n"
        f"  ON DELETE {relationship.on_delete.sql}{update} NOT VALID;"
    )
    validate = f"ALTER TABLE {child} VALIDATE CONSTRAINT {quote(name)};"
    return KeyStatements(relationship, name, add, validate)


def missing(census: Sequence[CensusRow]) -> tuple[KeyStatements, ...]:
    """The statements for all missing keys, the most urgent first."""
    rows = [row for row in census if row.state is KeyState.MISSING]
    rows.sort(key=lambda row: (row.relationship.priority.rank, row.relationship.id))
    names = Counter(_named(row.relationship) for row in census)
    return tuple(statements(row.relationship, names[_named(row.relationship)] == 1) for row in rows)


def _named(relationship: Relationship) -> tuple[TableName, str]:
    return relationship.child, relationship.constraint_name


def options(census: Sequence[CensusRow]) -> Evidence:
    """What option A (add the missing keys) and option B (leave them to the application) come to."""
    kept = [row for row in census if row.state is KeyState.MISSING]
    added = [row.relationship for row in kept]
    tables = {table for item in added for table in (item.child, item.parent)}
    others = [row for row in census if row.state not in (KeyState.ENFORCED, KeyState.MISSING)]
    rows = [
        ("foreign keys to add", len(added), 0),
        ("statements, each a transaction of its own", 2 * len(added), 0),
        ("tables whose writers wait for a moment", len(tables), 0),
        ("relationships that are left to the application and to audits", 0, len(added)),
        ("relationships to mend either way: not as decided", len(others), len(others)),
    ]
    columns = ("", "A: add the missing keys", "B: minimal keys, checks in the application")
    return Evidence.of(columns, rows, "The two options here")


def quote(name: str) -> str:
    """The identifier as SQL text: plain where PostgreSQL needs no quotes, else quoted."""
    plain = name.isascii() and name.islower() and name.replace("_", "a").isalnum()
    if plain and not name[0].isdigit() and name not in _RESERVED:
        return name
    return sql.Identifier(name).as_string(None)


def _table(schema: str, table: str) -> str:
    return f"{quote(schema)}.{quote(table)}"


def _columns(names: Sequence[str]) -> str:
    return ", ".join(quote(name) for name in names)


# the words that PostgreSQL 18 reserves ("reserved" and "reserved (can be function or type)" in
# its appendix on SQL key words)
_RESERVED = frozenset(
    """
    all analyse analyze and any array as asc asymmetric authorization binary both case cast
    check collate collation column concurrently constraint create cross current_catalog
    current_date current_role current_schema current_time current_timestamp current_user
    default deferrable desc distinct do else end except false fetch for foreign freeze from
    full grant group having ilike in initially inner intersect into is isnull join lateral
    leading left like limit localtime localtimestamp natural not notnull null offset on only
    or order outer overlaps placing primary references returning right select session_user
    similar some symmetric system_user table tablesample then to trailing true union unique
    user using variadic verbose when where window with
    """.split()  # noqa: SIM905 - as a list they would take a hundred lines
)
