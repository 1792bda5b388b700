"""What the tests of the Telecore demo ask PostgreSQL, as the oracle of the demo's own claims."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import errors, sql

from runbook.telecore.files import relationships

Entry = dict[str, Any]
ENTRIES = relationships()


def name_of(entry: Entry) -> str:
    """The relationship as demo.planted spells it."""
    return f"{entry['child']}({', '.join(entry['columns'])})"


def accepts_key(connection: psycopg.Connection[Any], entry: Entry) -> bool:
    """Whether PostgreSQL adds and validates the key; what it added is rolled back."""
    statement = sql.SQL("ALTER TABLE {} ADD CONSTRAINT oracle FOREIGN KEY ({}) REFERENCES {} ({})")
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(
                statement.format(
                    sql.Identifier(*entry["child"].split(".")),
                    sql.SQL(", ").join(map(sql.Identifier, entry["columns"])),
                    sql.Identifier(*entry["parent"].split(".")),
                    sql.SQL(", ").join(map(sql.Identifier, entry["references"])),
                )
            )
    except errors.ForeignKeyViolation:
        return False
    return True


def missing_parents(
    connection: psycopg.Connection[Any], entry: Entry, child_keys: list[str]
) -> list[str]:
    """Those of the given child rows whose reference is set and finds no parent."""
    (column,), (reference,) = entry["columns"], entry["references"]
    statement = sql.SQL(
        "SELECT c.id FROM {} AS c WHERE c.id = ANY(%s) AND c.{} IS NOT NULL"
        " AND NOT EXISTS (SELECT FROM {} AS p WHERE p.{} = c.{}) ORDER BY c.id"
    ).format(
        sql.Identifier(*entry["child"].split(".")),
        sql.Identifier(column),
        sql.Identifier(*entry["parent"].split(".")),
        sql.Identifier(reference),
        sql.Identifier(column),
    )
    return [key for (key,) in connection.execute(statement, [child_keys])]


def other_workspace(connection: psycopg.Connection[Any], entry: Entry) -> list[str]:
    """The child rows that refer to a row of another workspace."""
    (column,) = entry["columns"]
    statement = sql.SQL(
        "SELECT c.id FROM {} AS c JOIN {} AS p ON p.id = c.{}"
        " WHERE p.workspace_id <> c.workspace_id"
    ).format(
        sql.Identifier(*entry["child"].split(".")),
        sql.Identifier(*entry["parent"].split(".")),
        sql.Identifier(column),
    )
    return [key for (key,) in connection.execute(statement)]


def with_workspace(connection: psycopg.Connection[Any]) -> set[str]:
    """The tables that have a column workspace_id, with their schema."""
    rows = connection.execute(
        "SELECT 'public.' || relname FROM pg_attribute JOIN pg_class AS c ON c.oid = attrelid"
        " WHERE attname = 'workspace_id' AND relkind = 'r'"
        " AND relnamespace = 'public'::regnamespace"
    )
    return {table for (table,) in rows}


def digests(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """For each table in public a digest of all its rows."""
    tables = connection.execute(
        "SELECT relname FROM pg_class"
        " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY relname"
    ).fetchall()
    found = {}
    for (table,) in tables:
        statement = sql.SQL("SELECT md5(string_agg(t::text, '|' ORDER BY t.id)) FROM {} AS t")
        row = connection.execute(statement.format(sql.Identifier("public", table))).fetchone()
        assert row is not None
        found[str(table)] = str(row[0])
    return found
