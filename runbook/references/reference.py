"""What is looked up: references, the parents that they name, and names that cannot be any."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from runbook.references.error import NO_VALUE, WRONG_TYPE

LONGEST_NAME = 63  # bytes; PostgreSQL cuts a longer identifier, and then it names another table


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
class Parent:
    """The rows that a field refers to. An ``optional`` field may be None or absent."""

    table: str
    id_column: str = "id"
    optional: bool = False

    def __str__(self) -> str:
        return f"{self.table}({self.id_column})"


@dataclass(frozen=True)
class Column:
    """A parent's column, its table in one or two parts; every part can be an identifier."""

    table: tuple[str, ...]
    name: str


@dataclass(frozen=True)
class Lookup:
    """A row to look for. Values of different types are different rows: 1 is not True."""

    column: Column
    kind: type
    value: str | int | UUID


def column_of(table: str, id_column: str) -> Column:
    """The column; raises ValueError for names that cannot be identifiers."""
    parts = tuple(table.split("."))
    if len(parts) > 2 or not all(_is_name(part) for part in parts):
        raise ValueError(f"expected a table or schema.table, got {table!r}")
    if not _is_name(id_column):
        raise ValueError(f"expected a column, got {id_column!r}")
    return Column(parts, id_column)


def lookup_of(reference: Reference) -> Lookup | str:
    """The row to look for, or why the value names none; raises ValueError for a bad name."""
    column = column_of(reference.table, reference.id_column)
    value = reference.value
    if value is None or (isinstance(value, str) and not value.strip()):
        return NO_VALUE
    if isinstance(value, bool) or not isinstance(value, str | int | UUID):
        return WRONG_TYPE
    if isinstance(value, str) and not is_text(value):
        return WRONG_TYPE
    kind = str if isinstance(value, str) else int if isinstance(value, int) else UUID
    return Lookup(column, kind, value)


def is_text(value: str) -> bool:
    """Whether PostgreSQL can hold the text: no zero byte, and no half of a surrogate pair."""
    try:
        return b"\0" not in value.encode()
    except UnicodeEncodeError:
        return False


def references_of(
    record: dict[str, object], parents: Iterable[tuple[str, Parent]], *, partial: bool = False
) -> list[Reference]:
    """The references of one record by its fields' parents.

    An optional field that is None is left out, and with ``partial`` every field that is absent.
    """
    return [
        Reference(field, record.get(field), parent.table, parent.id_column)
        for field, parent in parents
        if not (partial and field not in record)
        and not (parent.optional and record.get(field) is None)
    ]


def _is_name(name: str) -> bool:
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        return False
    return 0 < length <= LONGEST_NAME and "\0" not in name
