"""What a database declares: tables, columns, unique keys, checks, indexes, foreign keys.

Plain frozen values, read by :mod:`runbook.catalog`. Columns are always tuples, so that a
composite key is the normal case, and a table is always named with its schema.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from functools import cached_property

from runbook import fingerprint as fingerprints

_NAME_PART = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')
_NAME = re.compile(rf"(?:{_NAME_PART.pattern})(?:\.(?:{_NAME_PART.pattern}))?")


class Action(StrEnum):
    """A referential action, in the words of SQL."""

    NO_ACTION = "no action"
    RESTRICT = "restrict"
    CASCADE = "cascade"
    SET_NULL = "set null"
    SET_DEFAULT = "set default"

    @property
    def sql(self) -> str:
        return self.value.upper()


class Match(StrEnum):
    """How a key with NULLs is matched; PostgreSQL does not implement MATCH PARTIAL."""

    SIMPLE = "simple"
    FULL = "full"


@dataclass(frozen=True, order=True)
class TableName:
    """A table's schema and name, as the catalog spells them."""

    schema: str
    table: str

    def __str__(self) -> str:
        return f"{_quoted(self.schema)}.{_quoted(self.table)}"

    @property
    def label(self) -> str:
        """The name for people: without the schema where that is ``public``."""
        return self.table if self.schema == "public" else str(self)

    @classmethod
    def parse(cls, text: str) -> TableName:
        """Read ``schema.table``; a name without a schema is in ``public``.

        A name that holds a dot or a double quote is written in double quotes, as in SQL:
        ``"my.schema"."table"``. Raises ValueError for anything else.
        """
        if "\0" in text:  # libpq would cut the name there without a word
            raise ValueError(f"a name cannot hold a NUL character: {text!r}")
        parts = [
            quoted.replace('""', '"') if quoted else plain
            for quoted, plain in _NAME_PART.findall(text)
        ]
        if not _NAME.fullmatch(text):
            raise ValueError(f"not a table name: {text!r}, expected schema.table")
        return cls(parts[0], parts[1]) if len(parts) == 2 else cls("public", parts[0])


Shape = tuple[TableName, TableName, frozenset[tuple[str, str]]]
"""Child, parent and the pairs of their columns."""


@dataclass(frozen=True)
class Column:
    """A column; ``type`` as ``format_type`` prints it."""

    name: str
    type: str
    not_null: bool
    collation: str | None = None
    generated: str = ""  # '' no, 's' stored, 'v' virtual (PostgreSQL 18)


@dataclass(frozen=True)
class Index:
    """An index. Only ``columns`` without expressions can serve as the target of a key."""

    name: str
    columns: tuple[str, ...]
    unique: bool
    primary: bool
    immediate: bool
    valid: bool
    partial: bool
    expressions: bool
    method: str = "btree"
    of_constraint: bool = False
    definition: str = ""

    @property
    def can_be_referenced(self) -> bool:
        """PostgreSQL's rule: unique, immediate, valid, whole, plain columns."""
        return (
            self.unique
            and self.immediate
            and self.valid
            and not self.partial
            and not self.expressions
        )

    def holds_all_of(self, columns: tuple[str, ...]) -> bool:
        """Whether every row with a value in ``columns`` is in it: whole, or without NULLs alone."""
        spelled = [name for c in columns for name in (c, '"' + c.replace('"', '""') + '"')]
        return not self.partial or any(
            self.definition.endswith(f" WHERE ({name} IS NOT NULL)") for name in spelled
        )


@dataclass(frozen=True)
class CheckConstraint:
    """A CHECK constraint with PostgreSQL's own text of it."""

    name: str
    definition: str
    validated: bool


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key that the database declares.

    ``disabled_triggers`` counts its referential-integrity triggers that do not fire in an
    ordinary session: above zero, the key is declared but lets orphan rows in.
    """

    name: str
    child: TableName
    columns: tuple[str, ...]
    parent: TableName
    references: tuple[str, ...]
    on_delete: Action
    on_update: Action
    match: Match
    deferrable: bool
    validated: bool
    enforced: bool
    temporal: bool
    disabled_triggers: int

    @property
    def shape(self) -> Shape:
        """What makes two keys the same whatever their names and the order of their columns."""
        return self.child, self.parent, frozenset(zip(self.columns, self.references, strict=True))


@dataclass(frozen=True)
class Table:
    """A table (kind ``r``), partitioned table (``p``), view, foreign table …

    ``persistence`` is ``p`` (permanent) or ``u`` (unlogged). ``partition_of`` is the table whose
    partition this is.
    """

    name: TableName
    kind: str
    columns: tuple[Column, ...]
    indexes: tuple[Index, ...] = ()
    checks: tuple[CheckConstraint, ...] = ()
    estimated_rows: int = 0
    has_inheritance_children: bool = False
    row_security: bool = False
    owner: str = ""
    persistence: str = "p"
    partition_of: TableName | None = None

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)

    @property
    def primary_key(self) -> Index | None:
        return next((index for index in self.indexes if index.primary), None)

    def index_leading_with(self, columns: tuple[str, ...]) -> Index | None:
        """A usable index whose first columns are ``columns`` in any order."""
        wanted = set(columns)
        return next(
            (
                index
                for index in self.indexes
                if index.valid
                and not index.expressions
                and index.method in ("btree", "hash")
                and index.holds_all_of(columns)
                and set(index.columns[: len(columns)]) == wanted
            ),
            None,
        )


@dataclass(frozen=True)
class Schema:
    """All that was read of one database, and its fingerprint."""

    tables: Mapping[TableName, Table]
    foreign_keys: tuple[ForeignKey, ...]
    extensions: tuple[str, ...] = ()
    server_version: int = 0

    def nearest(self, name: TableName) -> str | None:
        """The table whose name is closest to one that does not exist."""
        close = get_close_matches(str(name), [str(known) for known in self.tables], n=1, cutoff=0.6)
        return close[0] if close else None

    def keys_of(self, child: TableName) -> tuple[ForeignKey, ...]:
        """The foreign keys that a table declares."""
        return self._by_child.get(child, ())

    def keys_like(self, shape: Shape) -> tuple[ForeignKey, ...]:
        """The foreign keys of one shape: a database may declare the same key twice.

        A key of a partitioned table is one of each of its partitions.
        """
        child, *rest = shape
        return tuple(
            key
            for table in self._with_wholes(child)
            for key in self.keys_of(table)
            if [*key.shape[1:]] == rest
        )

    def _with_wholes(self, name: TableName) -> Iterator[TableName]:
        """The table, and where it is a partition what it is a partition of."""
        found: TableName | None = name
        while found is not None:
            yield found
            table = self.tables.get(found)
            found = table.partition_of if table else None

    @cached_property
    def _by_child(self) -> Mapping[TableName, tuple[ForeignKey, ...]]:
        """A database of thousands of keys is asked for each of them."""
        found: dict[TableName, list[ForeignKey]] = {}
        for key in self.foreign_keys:
            found.setdefault(key.child, []).append(key)
        return {child: tuple(keys) for child, keys in found.items()}

    @property
    def fingerprint(self) -> str:
        """SHA-256 (first 16 hex digits) of all declarations; rows and statistics do not count."""
        return fingerprints.of(self.tables.values(), self.foreign_keys)

    @property
    def structure_fingerprint(self) -> str:
        """The same without foreign keys: equal in two databases that differ only in their keys."""
        return fingerprints.of(self.tables.values())


def _quoted(name: str) -> str:
    """The name as :meth:`TableName.parse` reads it back."""
    return '"' + name.replace('"', '""') + '"' if "." in name or '"' in name else name
