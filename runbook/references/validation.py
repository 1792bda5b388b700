"""Asks whether the rows that references name exist, all of them in one round trip.

Identifiers are quoted by psycopg, values are parameters. A value that cannot be a reference
(None, empty, of another type than the column) is an error of its own and never passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg import pq, sql
from psycopg.rows import tuple_row

from runbook.references.error import InvalidReferenceError

MOST_REFERENCES = 1000  # distinct ones a call; a statement takes 65,535 parameters at most
LONGEST_NAME = 63  # bytes; PostgreSQL cuts a longer identifier, and then it names another table

NO_VALUE = "no value"
WRONG_TYPE = "not of the column's type"
NO_ROW = "no such row"

# a value that the column's type refuses, that has no equality with it, or that is no text
_UNFIT = (psycopg.DataError, psycopg.errors.UndefinedFunction, UnicodeEncodeError)


@dataclass(frozen=True)
class Reference:
    """A value of ``field`` that should be the ``id_column`` of a row of ``table``.

    ``table`` may be qualified by a schema; without one the connection's search path decides.
    """

    field: str
    value: object
    table: str
    id_column: str = "id"


@dataclass(frozen=True)
class Validation:
    """What became of a list of references: an error for each that failed, in their order."""

    errors: tuple[InvalidReferenceError, ...] = ()

    @property
    def valid(self) -> bool:
        return not self.errors


def reference_exists(
    connection: psycopg.Connection[Any],
    table: str,
    id: object,  # noqa: A002 - the column's name, as callers know it
    id_column: str = "id",
    *,
    lock: bool = False,
) -> bool:
    """Whether ``table`` has a row whose ``id_column`` is ``id``.

    ``lock`` keeps that row until the caller's transaction ends, see :func:`validate_references`.
    Raises :class:`InvalidReferenceError` for a value that cannot be a reference at all.
    """
    reference = Reference(id_column, id, table, id_column)
    for error in validate_references(connection, [reference], lock=lock).errors:
        if error.reason != NO_ROW:
            raise error
        return False
    return True


def validate_references(
    connection: psycopg.Connection[Any],
    references: Iterable[Reference],
    *,
    lock: bool = False,
) -> Validation:
    """Look up all references in one round trip, whatever the number of tables.

    With ``lock`` every row that is found is locked FOR KEY SHARE: until the caller's transaction
    ends nobody can delete it or change its key. That needs an open transaction, and the right to
    UPDATE the parent tables. Inside a transaction a lookup that fails undoes itself alone.

    Raises ValueError for a name that cannot be an identifier, for more than ``MOST_REFERENCES``
    distinct references, and for ``lock`` outside a transaction; psycopg.Error where the table or
    the column does not exist or may not be read.
    """
    wanted = [(item, _lookup(item)) for item in references]
    if lock and _autocommits(connection):
        raise ValueError(
            "lock=True needs an open transaction, got a connection in autocommit mode outside one;"
            " call it inside connection.transaction()"
        )
    lookups = list(dict.fromkeys(lookup for _, lookup in wanted if isinstance(lookup, _Lookup)))
    if len(lookups) > MOST_REFERENCES:
        raise ValueError(
            f"expected at most {MOST_REFERENCES:,} distinct references, got {len(lookups):,};"
            " call it once for each part of them"
        )
    found = _look_up(connection, lookups, lock=lock)
    errors = []
    for item, lookup in wanted:
        reason = found[lookup] if isinstance(lookup, _Lookup) else lookup
        if reason:
            errors.append(InvalidReferenceError(item.field, item.value, item.table, reason))
    return Validation(tuple(errors))


@dataclass(frozen=True)
class _Lookup:
    """A row to look for."""

    table: tuple[str, ...]
    column: str
    value: str | int | UUID


def _lookup(reference: Reference) -> _Lookup | str:
    """The row to look for, or why the value names none; raises ValueError for a bad name."""
    table = tuple(reference.table.split("."))
    if len(table) > 2 or not all(_is_name(part) for part in table):
        raise ValueError(f"expected a table or schema.table, got {reference.table!r}")
    if not _is_name(reference.id_column):
        raise ValueError(f"expected a column, got {reference.id_column!r}")
    value = reference.value
    if value is None or (isinstance(value, str) and not value.strip()):
        return NO_VALUE
    if isinstance(value, bool) or not isinstance(value, str | int | UUID):
        return WRONG_TYPE
    return _Lookup(table, reference.id_column, value)


def _is_name(name: str) -> bool:
    return bool(name) and "\0" not in name and len(name.encode()) <= LONGEST_NAME


def _look_up(
    connection: psycopg.Connection[Any], lookups: Sequence[_Lookup], *, lock: bool
) -> dict[_Lookup, str]:
    """For each lookup why it failed, or an empty text."""
    if not lookups:
        return {}
    try:
        exist = _ask(connection, lookups, lock=lock)
    except _UNFIT:
        if len(lookups) == 1:
            return {lookups[0]: WRONG_TYPE}
        # which of them it was, the server does not say in a form to rely on: ask one by one
        found: dict[_Lookup, str] = {}
        for lookup in lookups:
            found |= _look_up(connection, [lookup], lock=lock)
        return found
    return {lookup: "" if exists else NO_ROW for lookup, exists in zip(lookups, exist, strict=True)}


def _ask(
    connection: psycopg.Connection[Any], lookups: Sequence[_Lookup], *, lock: bool
) -> list[bool]:
    """One statement; in a transaction with a savepoint around it, sent in the same round trip."""
    strength = sql.SQL(" FOR KEY SHARE") if lock else sql.SQL("")
    rows = [
        sql.SQL("EXISTS (SELECT FROM {} WHERE {} = %s{})").format(
            sql.Identifier(*lookup.table), sql.Identifier(lookup.column), strength
        )
        for lookup in lookups
    ]
    statement = sql.SQL("SELECT ARRAY[{}]").format(sql.SQL(", ").join(rows))
    # a cursor of our own: the connection's may answer with dicts
    cursor = psycopg.Cursor(connection, row_factory=tuple_row)
    broken = connection.info.transaction_status == pq.TransactionStatus.INERROR
    guarded = not broken and not _autocommits(connection)
    try:
        with connection.pipeline() if psycopg.Pipeline.is_supported() else nullcontext():
            if guarded:
                connection.execute("SAVEPOINT runbook_references")
            cursor.execute(statement, [lookup.value for lookup in lookups])
            if guarded:
                connection.execute("RELEASE SAVEPOINT runbook_references")
    except (psycopg.Error, UnicodeEncodeError):
        if guarded and not connection.closed:
            connection.execute("ROLLBACK TO SAVEPOINT runbook_references")
            connection.execute("RELEASE SAVEPOINT runbook_references")
        raise
    row = cursor.fetchone()
    return list(row[0]) if row else []


def _autocommits(connection: psycopg.Connection[Any]) -> bool:
    """Whether the next statement would be a transaction of its own."""
    idle = connection.info.transaction_status == pq.TransactionStatus.IDLE
    return connection.autocommit and idle
