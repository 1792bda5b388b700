"""What was found: the state of each relationship on its two axes, and the result of each check.

``clean``, ``not looked`` and ``could not look`` never mean the same thing, and no default
value here reads as a success.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from runbook.relationships import Relationship
from runbook.schema import ForeignKey

Value = str | int | float | bool | None


class KeyState(StrEnum):
    """What the database enforces of a relationship."""

    ENFORCED = "enforced"
    NOT_VALID = "not valid"
    NOT_ENFORCED = "not enforced"
    MISSING = "missing"
    MISMATCHED = "mismatched"
    IMPOSSIBLE = "impossible"
    EXCEPTED = "excepted"


class AuditState(StrEnum):
    """What counting the orphan rows of a relationship came to."""

    CLEAN = "clean"
    ORPHANS = "orphans"
    ESTIMATED = "estimated"
    NOT_LOOKED = "not looked"
    COULD_NOT_LOOK = "could not look"


class Status(StrEnum):
    """The result of a check."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_LOOKED = "not looked"
    COULD_NOT_LOOK = "could not look"

    @property
    def known(self) -> bool:
        return self in (Status.PASSED, Status.FAILED)


@dataclass(frozen=True)
class CensusRow:
    """A relationship held against the foreign keys of the database.

    ``reason`` is empty exactly for the state ``enforced``; ``remarks`` are worth knowing and
    change nothing.
    """

    relationship: Relationship
    state: KeyState
    key: ForeignKey | None
    reason: str = ""
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Born:
    """When the orphan rows came into being: the first and the last value of the column ``by``.

    That is a time of creation, or else the child's key, whose order is mostly that of creation.
    """

    by: str
    first: str
    last: str


@dataclass(frozen=True)
class Audit:
    """The orphan rows of one relationship, and how they were counted.

    ``orphans`` is None when nothing was counted, and an estimate where ``exact`` is False, with
    its 95 % ``bounds``. ``rows`` is the child's size by the planner (of a sample: the rows seen),
    ``cost`` the plan's in the planner's units, ``samples`` holds keys of orphan rows,
    ``born`` is None where there are none and where no column tells.
    """

    relationship: Relationship
    state: AuditState
    orphans: int | None = None
    distinct: int | None = None
    strategy: str = ""
    exact: bool = False
    seconds: float = 0.0
    reason: str = ""
    samples: tuple[str, ...] = ()
    rows: int | None = None
    cost: float | None = None
    bounds: tuple[int, int] | None = None
    born: Born | None = None


@dataclass(frozen=True)
class Evidence:
    """A table that proves a result: column headings and rows, values as the database gave them."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    caption: str = ""

    @classmethod
    def of(cls, columns: Sequence[str], rows: Sequence[Sequence[Value]], caption: str) -> Evidence:
        return cls(tuple(columns), tuple(tuple(row) for row in rows), caption)


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check in one run.

    ``failing`` counts what is wrong (a gate may accept exactly that many); ``facts`` are the
    values that pages quote, by name; ``criterion`` is the one that it belongs to, or empty.
    """

    check: str
    title: str
    criterion: str
    status: Status
    message: str
    failing: int = 0
    facts: Mapping[str, Value] = field(default_factory=dict)
    evidence: tuple[Evidence, ...] = ()
    seconds: float = 0.0


def counted(number: int, noun: str, plural: str = "") -> str:
    """``1 orphan row``, ``2 orphan rows``; ``plural`` where an ``s`` does not make it."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
