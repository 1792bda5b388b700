"""The SQL that adds missing foreign keys without a long lock.

Each key takes two statements, in transactions of their own: ``ADD … NOT VALID`` locks writers out
only for a moment, ``VALIDATE`` scans under a lock that lets them pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from runbook.findings import CensusRow, Evidence, KeyState
from runbook.migration.ddl import add, validate
from runbook.migration.naming import constraint_name, named
from runbook.relationships import Relationship


@dataclass(frozen=True)
class KeyStatements:
    """The two statements that bring one relationship's key into being."""

    relationship: Relationship
    name: str
    add: str
    validate: str


def statements(relationship: Relationship, alone: bool = True) -> KeyStatements:
    """The statements for one relationship, every identifier quoted where it must be."""
    name = constraint_name(relationship, alone)
    child = relationship.child
    return KeyStatements(relationship, name, add(relationship, child, name), validate(child, name))


def missing(census: Sequence[CensusRow]) -> tuple[KeyStatements, ...]:
    """The statements for all missing keys, the most urgent first."""
    rows = [row for row in census if row.state is KeyState.MISSING]
    rows.sort(key=lambda row: (row.relationship.priority.rank, row.relationship.id))
    names = Counter(named(row.relationship) for row in census)
    return tuple(statements(row.relationship, names[named(row.relationship)] == 1) for row in rows)


def options(census: Sequence[CensusRow]) -> Evidence:
    """What option A (add the missing keys) and option B (leave them to the application) come to."""
    kept = [row for row in census if row.state is KeyState.MISSING]
    added = [row.relationship for row in kept]
    tables = {name for item in added for name in (item.child, item.parent)}
    others = [row for row in census if row.state not in (KeyState.ENFORCED, KeyState.MISSING)]
    rows = [
        ("foreign keys to add", len(added), 0),
        ("statements, each a transaction of its own", 2 * len(added), 0),
        ("tables whose writers wait for a moment", len(tables), 0),
        ("relationships that are left to the application and to audits", 0, len(added)),
        ("relationships to mend either way: not as decided", len(others), len(others)),
    ]
    headings = ("", "A: add the missing keys", "B: minimal keys, checks in the application")
    return Evidence.of(headings, rows, "The two options here")
