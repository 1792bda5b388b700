"""What is looked up: references, the parents that they name, and names that cannot be any."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar
from uuid import UUID

from runbook.references.error import NO_VALUE, SOME_VALUES, WRONG_TYPE

LONGEST_NAME = 63  # bytes; PostgreSQL cuts a longer identifier, and then it names another table
MOST_COLUMNS = 32  # a foreign key of PostgreSQL has no more

Names = str | tuple[str, ...]
Match = Literal["simple", "full"]
Value = str | int | UUID
Fields = TypeVar("Fields", bound=Names)  # the keys of a mapping are of one type


@dataclass(frozen=True)
class Reference:
    """A value of ``field`` that should be the ``id_column`` of a row of ``table``.

    ``table`` may be qualified by a schema; without one the connection's search path decides. Where
    several columns are the key, ``id_column`` and ``field`` are tuples in the same order, and so
    is ``value``, a tuple or a list.

    An ``optional`` value may be None. Of several, ``match`` says as PostgreSQL does what None
    means: "simple", one None is enough to refer to nothing; "full", all of them or none.
    """

    field: Names
    value: object
    table: str
    id_column: Names = "id"
    optional: bool = False
    match: Match = "simple"


@dataclass(frozen=True)
class Parent:
    """The rows that a field refers to, or several fields with a tuple as ``id_column``.

    An ``optional`` field may be None or absent; of several ``match`` says as in
    :class:`Reference` what that means.
    """

    table: str
    id_column: Names = "id"
    optional: bool = False
    match: Match = "simple"

    def __str__(self) -> str:
        return f"{self.table}({', '.join(names_of(self.id_column))})"


@dataclass(frozen=True)
class Column:
    """A parent's column, its table in one or two parts; every part can be an identifier."""

    table: tuple[str, ...]
    name: str


@dataclass(frozen=True)
class Key:
    """The columns of a parent that are referred to together; mostly one."""

    table: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def columns(self) -> tuple[Column, ...]:
        return tuple(Column(self.table, name) for name in self.names)

    def __str__(self) -> str:
        return f"{'.'.join(self.table)}({', '.join(self.names)})"


@dataclass(frozen=True)
class Lookup:
    """A row to look for. Values of different types are different rows: 1 is not True."""

    key: Key
    kinds: tuple[type, ...]
    values: tuple[Value, ...]


def names_of(names: Names) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def key_of(table: str, id_column: Names) -> Key:
    """The key; raises ValueError for names that cannot be identifiers."""
    parts = tuple(table.split("."))
    if len(parts) > 2 or not all(_is_name(part) for part in parts):
        raise ValueError(f"expected a table or schema.table, got {table!r}")
    names = names_of(id_column)
    for name in names:
        if not _is_name(name):
            raise ValueError(f"expected a column, got {name!r}")
    if not 0 < len(names) <= MOST_COLUMNS or len(set(names)) < len(names):
        raise ValueError(f"expected 1 to {MOST_COLUMNS} different columns, got {id_column!r}")
    return Key(parts, names)


def check_fields(fields: Names, key: Key, match: Match) -> None:
    """Raise ValueError for fields that are not as many as the key's columns, or another match."""
    if not isinstance(fields, str) and len(fields) != len(key.names):
        raise ValueError(f"expected a field for each column of {key}, got {fields!r}")
    if match not in ("simple", "full"):
        raise ValueError(f"expected 'simple' or 'full' as the match, got {match!r}")


def parents_of(parents: Mapping[Fields, Parent | str]) -> dict[Names, Parent]:
    """Parents by field, their names looked at: a bad one is an error at the start, not later."""
    if not parents:
        raise ValueError("expected a parent for at least one field, got none")
    found: dict[Names, Parent] = {
        fields: Parent(given) if isinstance(given, str) else given
        for fields, given in parents.items()
    }
    for fields, parent in found.items():
        check_fields(names_of(fields), key_of(parent.table, parent.id_column), parent.match)
    return found


def lookup_of(reference: Reference) -> Lookup | str:
    """The row to look for, or why the value names none: empty where it needs none.

    Raises ValueError for a bad name.
    """
    key = key_of(reference.table, reference.id_column)
    check_fields(reference.field, key, reference.match)
    if reference.value is None:
        return "" if reference.optional else NO_VALUE
    values = _values(reference)
    if len(values) != len(key.names):
        return WRONG_TYPE
    fault = null_fault(values, optional=reference.optional, match=reference.match)
    if fault is not None:
        return fault
    if any(isinstance(value, str) and not value.strip() for value in values):
        return NO_VALUE
    kinds = tuple(map(_kind, values))
    if not all(kinds):
        return WRONG_TYPE
    return Lookup(key, kinds, values)  # type: ignore[arg-type]  # each has a kind


def _kind(value: object) -> type | None:
    """The type that the value is looked up as; None where it cannot be a key."""
    if isinstance(value, str):
        return str if is_text(value) else None
    if isinstance(value, bool) or not isinstance(value, int | UUID):
        return None
    return int if isinstance(value, int) else UUID


def _values(reference: Reference) -> tuple[object, ...]:
    if isinstance(reference.id_column, str):
        return (reference.value,)
    return tuple(reference.value) if isinstance(reference.value, tuple | list) else ()


def null_fault(values: Sequence[object], *, optional: bool, match: Match) -> str | None:
    """What the Nones among the values mean: a reason, or an empty text where they pass.

    None where there is a value for every column.
    """
    nulls = sum(value is None for value in values)
    if not nulls:
        return None
    if match == "full" and nulls < len(values):
        return SOME_VALUES
    return "" if optional else NO_VALUE


def is_text(value: str) -> bool:
    """Whether PostgreSQL can hold the text: no zero byte, and no half of a surrogate pair."""
    try:
        return b"\0" not in value.encode()
    except UnicodeEncodeError:
        return False


def references_of(
    record: dict[str, object], parents: Iterable[tuple[Names, Parent]], *, partial: bool = False
) -> list[Reference]:
    """The references of one record by its fields' parents.

    With ``partial`` an absent field is left alone: where others of the same key are there, it
    takes a None among them to know that they refer to nothing, and otherwise all of them.
    """
    found = []
    for fields, parent in parents:
        names = names_of(fields)
        given = [name for name in names if name in record]
        optional, match = parent.optional, parent.match
        if partial and len(given) < len(names):
            nothing = optional and match == "simple" and any(record[name] is None for name in given)
            if nothing or not given:
                continue
            optional, match = False, "full"
        values = tuple(record.get(name) for name in names)
        value = values[0] if isinstance(parent.id_column, str) else values
        found.append(Reference(fields, value, parent.table, parent.id_column, optional, match))
    return found


def _is_name(name: str) -> bool:
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        return False
    return 0 < length <= LONGEST_NAME and "\0" not in name
