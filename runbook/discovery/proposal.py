"""What discovery says: relationships that should hold, with the evidence; and what is no key."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from runbook.relationships import Relationship
from runbook.schema import Action, Shape, TableName


class Source(StrEnum):
    """Where a piece of evidence comes from."""

    ENFORCED = "enforced key"
    PRISMA = "prisma"
    NAMES = "names and types"
    DATA = "data"
    USE = "use"


class Tier(StrEnum):
    """What to do with a proposal: take it without a person, look at it, or look twice."""

    ACCEPTED = "accepted"
    LIKELY = "likely"
    POSSIBLE = "possible"

    @property
    def rank(self) -> int:
        return list(Tier).index(self)


@dataclass(frozen=True)
class Evidence:
    """One sentence for or against a proposal, and where it comes from."""

    source: Source
    words: str

    def __str__(self) -> str:
        return f"{self.source}: {self.words}"


@dataclass(frozen=True)
class Proposal:
    """A relationship that should hold; ``confidence`` is the chance (0 to 1) that it does."""

    child: TableName
    columns: tuple[str, ...]
    parent: TableName
    references: tuple[str, ...]
    confidence: float
    tier: Tier
    evidence: tuple[Evidence, ...] = ()
    on_delete: Action = Action.NO_ACTION
    on_delete_reason: str = ""

    @property
    def shape(self) -> Shape:
        """As of a foreign key: the same whatever the order of the columns."""
        return self.child, self.parent, frozenset(zip(self.columns, self.references, strict=True))

    @property
    def relationship(self) -> Relationship:
        """As relationships.toml declares it; ``why`` is the evidence in words."""
        return Relationship(
            self.child,
            self.columns,
            self.parent,
            self.references,
            self.on_delete,
            why="; ".join(item.words for item in self.evidence),
        )


@dataclass(frozen=True)
class NotAKey:
    """Columns that look like a reference and are none, or have no target: with the reason."""

    child: TableName
    columns: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Found:
    """All that discovery says of one schema.

    ``proposals`` are the best first, without the keys that the database enforces. ``not_keys``
    are no references to one table; ``dangling`` look like references to a table that is not there.
    """

    proposals: tuple[Proposal, ...]
    not_keys: tuple[NotAKey, ...] = ()
    dangling: tuple[NotAKey, ...] = ()

    def of(self, tier: Tier) -> tuple[Proposal, ...]:
        """The proposals of one tier."""
        return tuple(item for item in self.proposals if item.tier is tier)
