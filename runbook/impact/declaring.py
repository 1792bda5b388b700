"""Declares and drops keys and indexes in a disposable copy."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from runbook.relationships import Relationship
from runbook.schema import TableName
from runbook.server import Session


def add(session: Session, item: Relationship) -> None:
    """Declare the key of ``item`` and validate it."""
    statement = sql.SQL("ALTER TABLE {} ADD FOREIGN KEY ({}) REFERENCES {} ({}) ON DELETE {}")
    session.execute(
        statement.format(
            named(item.child),
            _list(item.columns),
            named(item.parent),
            _list(item.references),
            sql.SQL(item.on_delete.sql),
        )
    )


def drop(session: Session, table: TableName, name: str) -> None:
    session.execute(
        sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(named(table), sql.Identifier(name))
    )


def index(item: Relationship, name: str) -> sql.Composed:
    return sql.SQL("CREATE INDEX {} ON {} ({})").format(
        sql.Identifier(name), named(item.child), _list(item.columns)
    )


def _list(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def named(table: TableName) -> sql.Identifier:
    return sql.Identifier(table.schema, table.table)
