"""What is to be done about the orphan rows of one relationship, and all that its SQL needs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from runbook.audit.target import match_of
from runbook.operators import Comparisons
from runbook.relationships import Relationship
from runbook.schema import ForeignKey, Match, Schema, Table, TableName


class Strategy(StrEnum):
    """What becomes of an orphan row."""

    DELETE = "delete"  # as its ON DELETE CASCADE would have done
    SET_NULL = "set-null"  # as its ON DELETE SET NULL would have done
    RESTORE = "restore"  # its parent comes back from a table or a file
    REASSIGN = "reassign"  # it gets another parent
    FLAG = "flag"  # it stays as it is and is noted
    QUARANTINE = "quarantine"  # it is taken away, whatever its ON DELETE says

    @property
    def removes(self) -> bool:
        return self in (Strategy.DELETE, Strategy.QUARANTINE)

    @property
    def changes(self) -> bool:
        return self in (Strategy.SET_NULL, Strategy.REASSIGN)

    @property
    def event(self) -> str:
        """What happens to the row, in the word that triggers and rules are made for; or empty."""
        if self is Strategy.FLAG:
            return ""
        if self is Strategy.RESTORE:
            return "INSERT"
        return "DELETE" if self.removes else "UPDATE"


@dataclass(frozen=True)
class KeyColumn:
    """A column of a primary key, and the equality operator of its index."""

    name: str
    schema: str
    operator: str


@dataclass(frozen=True)
class Dependent:
    """A relationship whose parent rows are the orphan rows of another one."""

    relationship: Relationship
    comparisons: Comparisons
    match: Match


@dataclass(frozen=True)
class Remedy:
    """A strategy for one relationship.

    ``to`` is the parent key for reassign; ``missing`` names one missing parent by the text of its
    key, so that only the rows that refer to it are meant; ``source`` is the table with the parents
    for restore, which people know as ``source_name``; ``nulled`` are the columns that the key's ON
    DELETE SET NULL names, empty for all. Rows younger than ``minimum_age`` by their column
    ``birth`` are left alone. ``key`` is the primary key of :attr:`subject`, empty without one that
    btree compares.
    """

    relationship: Relationship
    schema: Schema
    comparisons: Comparisons
    strategy: Strategy
    key: tuple[KeyColumn, ...] = ()
    dependents: tuple[Dependent, ...] = ()
    to: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    nulled: tuple[str, ...] = ()
    source: TableName | None = None
    source_columns: tuple[str, ...] = ()
    source_name: str = ""
    minimum_age: timedelta | None = None
    birth: str = ""

    @property
    def match(self) -> Match:
        return match_of(self.relationship, self.schema)

    @property
    def child(self) -> Table:
        return self.schema.tables[self.relationship.child]

    @property
    def parent(self) -> Table:
        return self.schema.tables[self.relationship.parent]

    @property
    def subject(self) -> Table:
        """The table whose rows are kept: the child, or the parent where parents are restored."""
        return self.parent if self.strategy is Strategy.RESTORE else self.child

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns of the subject, in its order."""
        return tuple(column.name for column in self.subject.columns)

    @property
    def changed(self) -> dict[str, str | None]:
        """The columns that set-null and reassign change, and their new values."""
        if self.strategy is Strategy.SET_NULL:
            return dict.fromkeys(self.nulled or self.relationship.columns)
        return dict(zip(self.relationship.columns, self.to, strict=True))

    @property
    def enforcing(self) -> ForeignKey | None:
        """The key of the relationship that refuses new orphan rows, validated or not."""
        keys = self.schema.keys_like(self.relationship.shape)
        return next((key for key in keys if key.enforced and not key.disabled_triggers), None)

    @property
    def locked(self) -> tuple[Table, ...]:
        """The tables that nobody may write to while a batch is done; the parent first."""
        if not (self.strategy.removes or self.strategy.changes):
            return ()
        names = [self.relationship.parent, *(d.relationship.child for d in self.dependents)]
        return tuple(self.schema.tables[name] for name in dict.fromkeys(names))
