"""The keys that one column may mean, taken together: what they say of each of them.

All is counted once for a column: a name of common words may mean a hundred keys.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from runbook.discovery.offers import RANK, Match, Offers
from runbook.discovery.vocabulary import Key, Named, Vocabulary
from runbook.schema import TableName

_WHOLE = frozenset({"full", "tail", "context", "sibling"})
_PLACE = {kind: place for place, kind in enumerate(RANK)}
MOST = 24  # keys that a column is held against; where more match, none is likely by its name
_SHORTEST = 4  # letters of a name that is looked for inside another


def mentions(child: Named, other: Named) -> bool:
    """Whether the child's name holds the other's."""
    return len(other.flat) >= _SHORTEST and other.flat in child.flat


@dataclass(frozen=True)
class Rivals:
    """The keys that are offered for one column of the table ``name``."""

    vocabulary: Vocabulary
    name: TableName
    offers: Offers

    def likeliest(self) -> Iterable[tuple[Key, Match]]:
        """Those that are worth a closer look: by how they match, those of the schema first."""
        if len(self.offers) <= MOST:
            return self.offers.items()

        def order(item: tuple[Key, Match]) -> tuple[int, bool, int, int]:
            key, match = item
            elsewhere = key.table.schema != self.name.schema
            return _PLACE[match.kind], elsewhere, len(match.role), len(match.missing)

        return sorted(self.offers.items(), key=order)[:MOST]

    def alike(self, kind: str, role: int) -> int:
        """How many names match in this way, with a role of so many words."""
        return self._alike[kind, role]

    def outranked(self, kind: str) -> bool:
        """Whether another name matches better."""
        return self._best < _PLACE[kind]

    def mentioned(self, parent: TableName) -> list[Named]:
        """The other tables that the child's name holds."""
        return [named for named in self._mentioned if named.name != parent]

    @cached_property
    def kinds(self) -> Mapping[str, int]:
        return Counter(match.kind for match in self.offers.values())

    @cached_property
    def whole(self) -> int:
        """How many names match from their end to a table's end."""
        return sum(self.kinds.get(kind, 0) for kind in _WHOLE)

    @cached_property
    def schemas(self) -> int:
        return len({key.table.schema for key in self.offers})

    @cached_property
    def _alike(self) -> Counter[tuple[str, int]]:
        return Counter((match.kind, len(match.role)) for match in self.offers.values())

    @cached_property
    def _best(self) -> int:
        return min(_PLACE[match.kind] for match in self.offers.values())

    @cached_property
    def _mentioned(self) -> tuple[Named, ...]:
        tables = self.vocabulary.tables
        child = tables[self.name]
        names = dict.fromkeys(key.table for key in self.offers)
        return tuple(
            tables[name] for name in names if name != self.name and mentions(child, tables[name])
        )
