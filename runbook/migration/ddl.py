"""The SQL of a migration, for people to read and for the server to run, statement by statement."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from runbook.relationships import Relationship
from runbook.schema import Table, TableName


def alter(child: TableName, only: bool = False) -> str:
    """``only`` where others inherit from it: they get no key, and would be locked with it."""
    return f"ALTER TABLE {'ONLY ' if only else ''}{table(child)}"


def add(  # noqa: PLR0913 - the parts of the statement
    relationship: Relationship,
    child: TableName,
    name: str,
    *,
    not_valid: bool = True,
    only: bool = False,
    late: str = "",
) -> str:
    """Add the key to ``child``, the relationship's own or a partition of it.

    ``late`` is its ``DEFERRABLE …``, or empty.
    """
    match = f" MATCH {relationship.match.value.upper()}" if relationship.match else ""
    update = f" ON UPDATE {relationship.on_update.sql}" if relationship.on_update else ""
    return (
        f"{alter(child, only)}\n"
        f"  ADD CONSTRAINT {quote(name)}\n"
        f"  FOREIGN KEY ({columns(relationship.columns)})\n"
        f"  REFERENCES {table(relationship.parent)}"
        f" ({columns(relationship.references)}){match}\n"
        f"  ON DELETE {relationship.on_delete.sql}{update}{f' {late}' if late else ''}"
        f"{' NOT VALID' if not_valid else ''};"
    )


def validate(child: TableName, name: str, *, only: bool = False) -> str:
    return f"{alter(child, only)} VALIDATE CONSTRAINT {quote(name)};"


def drop(child: TableName, name: str, *, only: bool = False) -> str:
    return f"{alter(child, only)} DROP CONSTRAINT {quote(name)};"


def add_again(child: TableName, name: str, definition: str, *, not_valid: bool) -> str:
    """What undoes the drop of a key of this definition; nobody looked at the rows meanwhile."""
    there = definition.endswith((" NOT VALID", " NOT ENFORCED"))
    ending = " NOT VALID" if not_valid and not there else ""
    return f"{alter(child)} ADD CONSTRAINT {quote(name)} {definition}{ending};"


def lock(mode: str, *tables: Table) -> str:
    """Lock the tables in this order, each once; partitions with their partitioned table."""
    names = dict.fromkeys(
        table(item.name) if item.kind == "p" else f"ONLY {table(item.name)}" for item in tables
    )
    return f"LOCK TABLE {', '.join(names)} IN {mode} MODE;"


def create_index(child: TableName, name: str, names: Sequence[str], concurrently: bool) -> str:
    how = " CONCURRENTLY" if concurrently else ""
    return f"CREATE INDEX{how} {quote(name)} ON {table(child)} ({columns(names)});"


def drop_index(schema: str, name: str, concurrently: bool) -> str:
    how = " CONCURRENTLY" if concurrently else ""
    return f"DROP INDEX{how} {quote(schema)}.{quote(name)};"


def text(statement: sql.Composed) -> str:
    """A statement as text, ended with a semicolon."""
    return f"{statement.as_string(None)};"


def quote(name: str) -> str:
    """The identifier as SQL text: plain where PostgreSQL needs no quotes, else quoted."""
    plain = name.isascii() and name.islower() and name.replace("_", "a").isalnum()
    if plain and not name[0].isdigit() and name not in _RESERVED:
        return name
    return sql.Identifier(name).as_string(None)


def table(name: TableName) -> str:
    return f"{quote(name.schema)}.{quote(name.table)}"


def columns(names: Sequence[str]) -> str:
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
