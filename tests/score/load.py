"""Makes a database of a schema that comes with its rows."""

from __future__ import annotations

import csv
import gzip
from typing import Any

import psycopg
from psycopg import sql

from runbook.discovery import types
from runbook.schema import TableName
from tests.score.layout import Known

_OWN = ("integer", "text", "numeric", "date", "time", "boolean", "uuid", "bytea", "json")


def load(connection: psycopg.Connection[Any], known: Known) -> None:
    """Create the tables without foreign keys, copy their rows, add keys and indexes, analyse."""
    for schema in sorted({name.schema for name in known.schema.tables}):
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
    for table in known.schema.tables.values():
        columns = sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(_type(column.type)))
            for column in table.columns
        )
        name = sql.Identifier(table.name.schema, table.name.table)
        connection.execute(sql.SQL("CREATE TABLE {} ({})").format(name, columns))
        _copy(connection, known, table.name)
        for index in table.indexes:
            kind = "PRIMARY KEY" if index.primary else "UNIQUE"
            listed = sql.SQL(", ").join(map(sql.Identifier, index.columns))
            if index.unique:
                form = sql.SQL("ALTER TABLE {} ADD {} ({})")
                connection.execute(form.format(name, sql.SQL(kind), listed))
            elif index.columns:
                connection.execute(sql.SQL("CREATE INDEX ON {} ({})").format(name, listed))
        required = [column.name for column in table.columns if column.not_null]
        for column in required:
            form = sql.SQL("ALTER TABLE {} ALTER {} SET NOT NULL")
            connection.execute(form.format(name, sql.Identifier(column)))
    connection.execute("ANALYZE")


def _type(text: str) -> str:
    """The type, or text where PostgreSQL does not ship it."""
    plain = types.family(text).split(" ")[0].split("(")[0].removesuffix("[]")
    shipped = plain in (*_OWN, "timestamp", "double", "real", "money", "tsvector", "jsonb")
    return text if shipped else "text"


def _copy(connection: psycopg.Connection[Any], known: Known, table: TableName) -> None:
    if known.data is None:
        return
    path = known.data / f"{table}.csv.gz"
    if not path.exists():
        return
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        head = next(csv.reader(file))
    listed = sql.SQL(", ").join(map(sql.Identifier, head))
    name = sql.Identifier(table.schema, table.table)
    form = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, HEADER true)").format(name, listed)
    with gzip.open(path, "rb") as raw, connection.cursor() as cursor, cursor.copy(form) as copy:
        while block := raw.read(1 << 20):
            copy.write(block)
