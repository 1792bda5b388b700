"""Where parents come back from: a table, or a file that is loaded into a temporary one."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg import sql

from runbook import session as sessions
from runbook.errors import FileError, UsageError
from runbook.relationships import Relationship
from runbook.remediation import statements
from runbook.schema import Table, TableName
from runbook.session import Session, fetch

LOADED = TableName("pg_temp", "runbook_parents")

LONGEST_FIELD = 2**30 - 1  # bytes: longer than any value that PostgreSQL holds

COLUMNS: LiteralString = """
    SELECT a.attname::text, format_type(a.atttypid, a.atttypmod)
      FROM pg_catalog.pg_attribute a
      JOIN pg_catalog.pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = %s AND c.relname = %s AND a.attnum > 0 AND NOT a.attisdropped
     ORDER BY a.attnum
"""


@dataclass(frozen=True)
class Parents:
    """The rows of a file: CSV as texts and None, or the text of a JSON array of objects."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...] = ()
    json: str = ""


def columns_of(session: Session, table: TableName) -> dict[str, str]:
    """Column names and types in their order; empty where the table is not there."""
    return dict(fetch(session, COLUMNS, table.schema, table.table))


def from_table(
    session: Session, item: Relationship, parent: Table, source: TableName
) -> tuple[str, ...]:
    """The columns that the source shares with the parent and that can be written."""
    there = columns_of(session, source)
    if not there:
        raise UsageError(f"--from-table: no table {str(source)!r}", "write it as schema.table")
    for name in item.references:
        column = parent.column(name)
        if column is not None and there.get(name) != column.type:
            raise UsageError(
                f"--from-table: {source}.{name}: expected {column.type!r},"
                f" got {there.get(name, 'no such column')!r}",
                "give a table with the parent's key, under its own names and types",
            )
    return tuple(
        column.name for column in parent.columns if column.name in there and not column.generated
    )


def read(path: Path) -> Parents:
    """Read ``*.csv`` (an empty field is NULL) or ``*.json`` (an array of objects).

    Raises :class:`FileError` for anything else.
    """
    try:
        # bytes, and not read_text(), which would make one line end of another in a value
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise FileError(path, None, f"cannot be read: {reason}", "name a file in UTF-8") from None
    if path.suffix == ".json":
        return _json(path, text)
    if path.suffix != ".csv":
        raise FileError(path, None, "expected a .csv or a .json file", "write the parents as CSV")
    # not splitlines(), which also ends a line at U+2028 and the like, in the middle of a value
    csv.field_size_limit(LONGEST_FIELD)  # 128 KiB by default
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = tuple(next(reader, ()))
        rows = []
        for fields in reader:
            if len(fields) != len(header):
                raise FileError(
                    path,
                    reader.line_num,
                    f"expected {len(header)} fields, got {len(fields)}",
                    "its first line names the columns",
                )
            rows.append(tuple(field or None for field in fields))
    except csv.Error as error:
        raise FileError(path, reader.line_num, f"no CSV: {error}", "correct the file") from None
    return Parents(header, tuple(rows))


def _json(path: Path, text: str) -> Parents:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise FileError(path, None, f"no JSON: {error}", "correct the file") from None
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise FileError(path, None, "expected an array of objects", "one object is one parent")
    names = tuple(found[0]) if found else ()
    for number, item in enumerate(found):
        if set(item) != set(names):
            raise FileError(
                path,
                None,
                f"[{number}]: expected the keys {', '.join(names)}, got {', '.join(item)}",
                "give every object the same keys; null is NULL",
            )
    return Parents(names, json=text)


def load(
    session: Session, item: Relationship, parent: Table, path: Path, found: Parents
) -> tuple[str, ...]:
    """Load the rows into a temporary table of the parent's own types; its columns."""
    writable = [column.name for column in parent.columns if not column.generated]
    for name in found.columns:
        if name not in writable:
            raise FileError(
                path,
                None,
                f"{parent.name} has no column {name!r} that can be written",
                "name the parent's columns",
            )
    for name in item.references:
        if name not in found.columns:
            raise FileError(path, None, f"no column {name!r}", "the parent's key has to be in it")
    session.execute(
        sql.SQL("CREATE TEMPORARY TABLE runbook_parents AS SELECT {} FROM {} WITH NO DATA").format(
            statements.plain(found.columns), statements.table(parent.name)
        )
    )
    try:
        _fill(session, found)
    except psycopg.DataError as error:
        raise FileError(
            path, None, f"a value is none of its column: {sessions.reason(error)}", "correct it"
        ) from None
    return found.columns


def _fill(session: Session, found: Parents) -> None:
    columns: Sequence[str] = found.columns
    if found.json:
        session.execute(
            sql.SQL(
                "INSERT INTO {loaded} SELECT {columns}"
                " FROM json_populate_recordset(NULL::{loaded}, {text})"
            ).format(
                loaded=statements.table(LOADED),
                columns=statements.plain(columns),
                text=sql.Literal(found.json),
            )
        )
        return
    into = sql.SQL("COPY {} ({}) FROM STDIN").format(
        statements.table(LOADED), statements.plain(columns)
    )
    with session.cursor() as cursor, cursor.copy(into) as copy:
        for row in found.rows:
            copy.write_row(row)
