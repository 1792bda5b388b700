"""Names of keys and indexes: the same each time, at most 63 bytes, free in the database."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence

from runbook.findings import CensusRow
from runbook.migration.surroundings import Surroundings
from runbook.relationships import Relationship
from runbook.schema import TableName

LONGEST_NAME = 63  # bytes; PostgreSQL cuts a longer name, and then two can become one
TRIES = 1000


def constraint_name(relationship: Relationship, alone: bool = True) -> str:
    """``fk_{table}_{columns}``; where that is over 63 bytes, cut and ended by a digest.

    So is the name that another relationship of the table would have too: not ``alone``.
    """
    name = relationship.constraint_name
    if alone and len(name.encode()) <= LONGEST_NAME:
        return name
    return cut(
        name,
        digest(
            relationship.child, relationship.columns, relationship.parent, relationship.references
        ),
    )


def digest(*ends: TableName | Sequence[str]) -> str:
    """The first 10 hex digits of the SHA-256 of tables and columns."""
    whole = json.dumps([str(end) if isinstance(end, TableName) else end for end in ends])
    return hashlib.sha256(whole.encode()).hexdigest()[:10]


def cut(name: str, ending: str) -> str:
    """``name_ending`` in at most 63 bytes; what is cut off is the end of ``name``."""
    kept = name.encode()[: LONGEST_NAME - len(ending.encode()) - 1].decode(errors="ignore")
    return f"{kept}_{ending}"


class Names:
    """Names for what the plan makes: the same each time, at most 63 bytes, and free."""

    def __init__(self, census: Sequence[CensusRow], around: Surroundings) -> None:
        self._shared = Counter(named(row.relationship) for row in census)
        self._constraints = set(around.constraints)
        self._relations = set(around.relations)
        self._around = around

    def of_key(self, item: Relationship) -> str:
        """A name that no constraint of the child, or of a partition of it, has."""
        tables = [item.child, *(part.name for part in self._around.below(item.child))]
        digested = constraint_name(item, alone=False)
        wanted = constraint_name(item, self._shared[named(item)] == 1)
        for name in (wanted, digested, *(cut(digested, str(n)) for n in range(2, TRIES))):
            if not any((table, name) in self._constraints for table in tables):
                self._constraints.update((table, name) for table in tables)
                return name
        raise AssertionError(f"a thousand names like {digested!r} are taken")

    def of_index(self, table: TableName, columns: Sequence[str], left: Sequence[str] = ()) -> str:
        """``idx_{table}_{columns}``, cut and numbered where it must be.

        A name in ``left`` is that of an invalid index, which is dropped before it is built anew.
        """
        wanted = f"idx_{table.table}_{'_'.join(columns)}"
        if len(wanted.encode()) > LONGEST_NAME:
            wanted = cut(wanted, digest(table, columns))
        for name in (wanted, *(cut(wanted, str(number)) for number in range(2, TRIES))):
            if name in left or (table.schema, name) not in self._relations:
                self._relations.add((table.schema, name))
                return name
        raise AssertionError(f"a thousand names like {wanted!r} are taken")


def named(item: Relationship) -> tuple[TableName, str]:
    """The table and the name that its key would have if nobody else had it."""
    return item.child, item.constraint_name
