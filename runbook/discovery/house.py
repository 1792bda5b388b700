"""How a schema names and builds its keys, learnt from its plainest cases and declared keys."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from runbook.discovery import roles, types
from runbook.discovery.offers import Offers, Place
from runbook.discovery.vocabulary import Named, Vocabulary
from runbook.schema import Column, TableName

_PLAIN = frozenset({"full", "key", "full_role"})
COUNTED = _PLAIN | {"tail", "context", "sibling"}


@dataclass(frozen=True)
class House:
    """The conventions of one schema; shares are from 0 to 1.

    ``bare``: names of a table without a key word. ``indexed``: mentions that lead an index.
    ``tails``: mentions of the end of a table's name alone. ``hubs``: how often a table is
    mentioned. ``learnt`` and ``ends``: what columns of a name, and of a last word, are declared
    to refer to.
    """

    bare: float
    indexed: float
    tails: float
    hubs: Mapping[TableName, int]
    learnt: Mapping[str, Mapping[TableName, int]]
    ends: Mapping[str, Mapping[TableName, int]]


def of(vocabulary: Vocabulary, offers: Mapping[Place, Offers]) -> House:
    """The conventions of a schema; a schema without a plain case is in the middle of all."""
    count: Counter[str] = Counter()
    hubs: Counter[TableName] = Counter()
    for (name, column), found in offers.items():
        plain = [key for key, match in found.items() if match.kind in COUNTED]
        plain = [key for key in plain if key.table != name]
        base, said = vocabulary.base_of(name, column.name)
        if not plain or not base or base[-1] in roles.QUANTITIES:
            continue
        if not said and types.family(column.type) == "text":
            continue
        count["all"] += 1
        count["bare"] += not said
        count["tails"] += not any(found[key].kind in _PLAIN for key in plain)
        count["led"] += leads(vocabulary.tables[name], column)
        hubs.update({key.table for key in plain})
    learnt: dict[str, Counter[TableName]] = defaultdict(Counter)
    ends: dict[str, Counter[TableName]] = defaultdict(Counter)
    for known in vocabulary.schema.foreign_keys:
        if len(known.columns) == 1 and known.child in vocabulary.tables:
            learnt[known.columns[0]][known.parent] += 1
            base, _ = vocabulary.base_of(known.child, known.columns[0])
            if base:
                ends[base[-1]][known.parent] += 1

    def share(what: str) -> float:
        return (count[what] + 1) / (count["all"] + 2)

    return House(share("bare"), share("led"), share("tails"), hubs, learnt, ends)


def leads(named: Named, column: Column) -> bool:
    """Whether an index other than the primary key's begins with the column."""
    return any(
        index.columns and index.columns[0] == column.name and not index.primary
        for index in named.table.indexes
    )
