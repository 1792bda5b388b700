"""What should hold: relationships, and the exceptions that somebody answers for.

The file ``relationships.toml`` has a ``[[relationship]]`` for each, and an ``[[exception]]``
for each that is not wanted, and a ``[[rejected]]`` for each that discovery shall not propose again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from runbook import declarations
from runbook.errors import FileError
from runbook.schema import Action, Match, Shape, TableName


class Priority(StrEnum):
    """The order in which a migration adds the keys."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"

    @property
    def rank(self) -> int:
        return list(Priority).index(self)


class Alert(StrEnum):
    """How bad an orphan row is."""

    CRITICAL = "critical"
    WARNING = "warning"
    BELOW = "below"

    @property
    def rank(self) -> int:
        return list(Alert).index(self)


@dataclass(frozen=True)
class Relationship:
    """Child columns refer to parent columns; both tuples have the same length.

    ``on_update`` and ``match`` are None where nobody decided them: then any will do.
    """

    child: TableName
    columns: tuple[str, ...]
    parent: TableName
    references: tuple[str, ...]
    on_delete: Action = Action.NO_ACTION
    priority: Priority = Priority.LOW
    alert: Alert = Alert.BELOW
    group: str = ""
    decided_by: str = ""
    why: str = ""
    on_update: Action | None = None
    match: Match | None = None

    @cached_property
    def id(self) -> str:
        """Unique in a file: ``public.orders(customer_id) -> public.customers(id)``."""
        return f"{self.source} -> {self.parent}({', '.join(self.references)})"

    @property
    def shape(self) -> Shape:
        """As of a foreign key: the same whatever the order of the columns."""
        return self.child, self.parent, frozenset(zip(self.columns, self.references, strict=True))

    @property
    def source(self) -> str:
        return f"{self.child}({', '.join(self.columns)})"

    @property
    def label(self) -> str:
        """For people and facts: ``orders.customer_id``, composite ``lines.(tenant_id, id)``."""
        columns = self.columns[0] if len(self.columns) == 1 else f"({', '.join(self.columns)})"
        return f"{self.child.label}.{columns}"

    @property
    def target(self) -> str:
        columns = (
            self.references[0] if len(self.references) == 1 else f"({', '.join(self.references)})"
        )
        return f"{self.parent.label}.{columns}"

    @property
    def constraint_name(self) -> str:
        """The name a new foreign key should have, before it is cut to PostgreSQL's length."""
        return f"fk_{self.child.table}_{'_'.join(self.columns)}"


@dataclass(frozen=True)
class Exemption:
    """A relationship that is not wanted as a key (``[[exception]]``), and who says so until when.

    Not named ``Exception``, which is Python's.
    """

    relationship: str
    owner: str
    reason: str
    review_by: date

    def overdue(self, today: date) -> bool:
        return today > self.review_by


@dataclass(frozen=True)
class Rejected:
    """Columns that are no reference (``parent`` None: to any table), as a person decided."""

    child: TableName
    columns: tuple[str, ...]
    parent: TableName | None = None
    reason: str = ""

    def covers(self, child: TableName, columns: tuple[str, ...], parent: TableName) -> bool:
        same = self.child == child and set(self.columns) == set(columns)
        return same and self.parent in (None, parent)


@dataclass(frozen=True)
class Relationships:
    """All relationships of a project, in the order of the file."""

    items: tuple[Relationship, ...]
    exceptions: tuple[Exemption, ...] = ()
    rejected: tuple[Rejected, ...] = ()

    def __iter__(self) -> Iterator[Relationship]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    @cached_property
    def shapes(self) -> frozenset[Shape]:
        """What the relationships come to, whatever the order of their columns."""
        return frozenset(item.shape for item in self.items)

    def exception_for(self, relationship: Relationship) -> Exemption | None:
        return next(
            (
                exemption
                for exemption in self.exceptions
                if exemption.relationship in (relationship.id, relationship.source)
            ),
            None,
        )


def _table(value: str) -> str:
    TableName.parse(value)
    return value


_TableText = Annotated[str, AfterValidator(_table)]
_Columns = Annotated[tuple[str, ...], Field(min_length=1, max_length=32)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    child: _TableText
    columns: _Columns
    parent: _TableText
    references: _Columns
    on_delete: Action = Action.NO_ACTION
    priority: Priority = Priority.LOW
    alert: Alert = Alert.BELOW
    group: str = ""
    decided_by: str = ""
    why: str = ""
    on_update: Action | None = None
    match: Match | None = None

    @model_validator(mode="after")
    def _same_length(self) -> _Entry:
        if len(self.columns) != len(self.references):
            raise ValueError(
                f"{len(self.columns)} columns refer to {len(self.references)} columns,"
                " expected the same number"
            )
        return self

    def relationship(self) -> Relationship:
        values = self.model_dump()
        values |= {"child": TableName.parse(self.child), "parent": TableName.parse(self.parent)}
        return Relationship(**values)


class _ExceptionEntry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    relationship: str
    owner: str
    reason: str
    review_by: date


class _RejectedEntry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    child: _TableText
    columns: _Columns
    parent: _TableText | None = None
    reason: str = ""

    def rejected(self) -> Rejected:
        parent = None if self.parent is None else TableName.parse(self.parent)
        return Rejected(TableName.parse(self.child), self.columns, parent, self.reason)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    relationship: tuple[_Entry, ...] = ()
    exception: tuple[_ExceptionEntry, ...] = ()
    rejected: tuple[_RejectedEntry, ...] = ()


def parse(text: str, path: Path) -> Relationships:
    """The relationships in ``text``; raises :class:`FileError` with the line of the fault."""
    file = declarations.parse(text, path, _File)
    items = tuple(entry.relationship() for entry in file.relationship)
    seen: dict[Shape, int] = {}
    for number, item in enumerate(items):
        if item.shape in seen:
            line = declarations.line_of(text, ("relationship", number))
            first = declarations.line_of(text, ("relationship", seen[item.shape]))
            raise FileError(
                path,
                line,
                f"relationship[{number}]: {item.id!r} is already declared at line {first}",
                "remove one of the two",
            )
        seen[item.shape] = number
    found = Relationships(
        items,
        tuple(Exemption(**entry.model_dump()) for entry in file.exception),
        tuple(entry.rejected() for entry in file.rejected),
    )
    known = {name for item in items for name in (item.id, item.source)}
    for number, exemption in enumerate(found.exceptions):
        if exemption.relationship not in known:
            raise FileError(
                path,
                declarations.line_of(text, ("exception", number, "relationship")),
                f"exception[{number}].relationship: no relationship {exemption.relationship!r}",
                "write it as child(columns), as in 'public.orders(customer_id)'",
            )
    return found


def read(path: Path) -> Relationships:
    """Read ``relationships.toml``; raises :class:`UsageError` when it is missing or wrong."""
    return _parsed(declarations.read_text(path, "name the right file in runbook.toml"), path)


@lru_cache(maxsize=4)
def _parsed(text: str, path: Path) -> Relationships:
    """A build of the site asks for the same thousands of relationships several times."""
    return parse(text, path)
