"""Keys that statements and rows offer to columns whose names say nothing of them.

A join offers its key to any column. Rows offer keys only where no name does, and the more the
names of a schema say, the less the rows of a column without such a name count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from runbook.discovery import coverage, data, house, model, nearest, refusals, roles, types
from runbook.discovery.candidates import Candidate
from runbook.discovery.coverage import Tested
from runbook.discovery.data import Place
from runbook.discovery.nearest import Fit
from runbook.discovery.offers import HELD, USED, Match
from runbook.discovery.told import Told
from runbook.discovery.vocabulary import Key, Vocabulary
from runbook.discovery.weights import WEIGHTS
from runbook.relationships import Relationship
from runbook.schema import Column, TableName

SPEAKING = 0.3  # of the tables named by columns: from here on rows alone are worth two looks

Alone = Mapping[Place, tuple[Candidate, ...]]


@dataclass(frozen=True)
class Unnamed:
    """Candidates of joins, the nearest keys of columns without a name, and what names say."""

    joined: Alone = field(default_factory=dict)
    near: Mapping[Place, tuple[Fit, ...]] = field(default_factory=dict)
    spoken: float = 0.0

    def tests(self) -> Iterator[Relationship]:
        """The inclusions worth counting."""
        for (child, column), fits in self.near.items():
            for fit in fits:
                yield Relationship(child, (column,), fit.key.table, (fit.key.column.name,))


def of(
    vocabulary: Vocabulary, alone: Alone, told: Told, weights: Mapping[str, float] = WEIGHTS
) -> Unnamed:
    """What joins and statistics offer; nothing where nobody has looked at either."""
    if not told.joins and not told.rows.spreads:
        return Unnamed()
    joined = _joined(vocabulary, alone, told, weights)
    declared = {
        (key.child, column) for key in vocabulary.schema.foreign_keys for column in key.columns
    }
    places = [
        (name, column)
        for name, named in vocabulary.tables.items()
        for column in named.table.columns
        if (name, column.name) not in declared
        if (name, column.name) in joined
        or not _is_named(vocabulary, (name, column.name), alone, weights)
    ]
    near = nearest.of(vocabulary, places, told.rows)
    return Unnamed(joined, near, _spoken(vocabulary, alone))


def _is_named(
    vocabulary: Vocabulary, place: Place, alone: Alone, weights: Mapping[str, float]
) -> bool:
    """Whether the name says which key, or that the column is a value."""
    name, column = place
    if max(model.chances(alone.get(place, ()), weights), default=0.0) >= model.POSSIBLE:
        return True
    base, said = vocabulary.base_of(name, column)
    quantity = not said and bool(base) and base[-1] in roles.QUANTITIES
    return quantity or refusals.is_none(vocabulary.tables[name].table, column)


def _joined(
    vocabulary: Vocabulary, alone: Alone, told: Told, weights: Mapping[str, float]
) -> Alone:
    """A candidate for each join whose key no name offers."""
    keys = {(key.table, key.column.name): key for n in vocabulary.tables.values() for key in n.keys}
    declared = {(key.child, key.columns) for key in vocabulary.schema.foreign_keys}
    found: dict[Place, tuple[Candidate, ...]] = {}
    for name, parent, pairs in told.joins:
        ((own, referred),) = pairs
        key, place = keys.get((parent, referred)), (name, own)
        column = vocabulary.schema.tables[name].column(own)
        if key is None or column is None or name not in vocabulary.tables:
            continue
        offered = alone.get(place, ())
        if key in {each.key for each in offered}:
            continue
        if (name, (own,)) in declared or not types.compatible(column.type, key.column.type):
            continue
        named = max(model.chances(offered, weights), default=0.0) >= model.LIKELY
        against = _built(vocabulary, name, column, key, named=named)
        each = Candidate(name, column, key, Match(USED), against)
        found[place] = (*found.get(place, ()), each)
    return found


def _built(
    vocabulary: Vocabulary, name: TableName, column: Column, key: Key, *, named: bool
) -> dict[str, float]:
    """What speaks against a join: a primary key is seldom a reference, and a name says more."""
    primary = vocabulary.tables[name].table.primary_key
    sole = primary is not None and primary.columns == (column.name,)
    found = {"used.pk": sole, "used.unique": not key.primary, "used.named": named}
    return {feature: 1.0 for feature, holds in found.items() if holds}


def _spoken(vocabulary: Vocabulary, alone: Alone) -> float:
    """The share of the tables that columns of others name plainly."""
    keyed = [named for named in vocabulary.tables.values() if named.keys]
    named = {
        each.key.table
        for offered in alone.values()
        for each in offered
        if each.match.kind in house.COUNTED and each.key.table != each.child
    }
    return len(named) / len(keyed) if keyed else 0.0


def ranked(
    vocabulary: Vocabulary, found: Unnamed, place: Place, told: Told, spoken: float | None = None
) -> tuple[tuple[Candidate, float], ...]:
    """The keys that hold a column's values, with their chances by rows alone, the best first."""
    name, own = place
    column, spread = vocabulary.tables[name].table.column(own), told.rows.spreads.get(place)
    if column is None or spread is None or spread.values < 1:
        return ()
    tested = tuple(_held(place, found.near.get(place, ()), told, spread.values))
    if not tested:
        return ()
    described = coverage.features(
        vocabulary, name, column, spread, tested, found.spoken if spoken is None else spoken
    )
    offered = [
        Candidate(name, column, each.fit.key, Match(HELD), features)
        for each, features in zip(tested, described, strict=True)
    ]
    odds = model.chances(offered, coverage.WEIGHTS)
    return tuple(
        sorted(zip(offered, odds, strict=True), key=lambda p: (-p[1], str(p[0].key.table)))
    )


def _held(place: Place, fits: Sequence[Fit], told: Told, values: float) -> Iterator[Tested]:
    """The keys whose inclusion was counted exactly, with few orphan rows at most."""
    for fit in fits:
        pairs = frozenset({(place[1], fit.key.column.name)})
        inclusion = told.rows.inclusions.get((place[0], fit.key.table, pairs))
        if inclusion is not None and inclusion.orphans is not None:
            share = inclusion.orphans / values
            if share <= data.FEW:
                yield Tested(fit, share)


def agrees(vocabulary: Vocabulary, found: Unnamed, each: Candidate, told: Told) -> bool:
    """Whether the rows alone would find the key of a join likely, without an orphan row."""
    inclusion = told.rows.inclusions.get(data.shape(each))
    if inclusion is None or inclusion.orphans != 0:
        return False
    place = each.child, each.column.name
    return any(
        other.key == each.key and chance >= model.LIKELY
        for other, chance in ranked(vocabulary, found, place, told, spoken=0.0)
    )
