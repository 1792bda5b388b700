"""Pairs of a column and a key that its name may mean, with the features of each pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runbook.discovery import features, house, offers
from runbook.discovery.features import Pair
from runbook.discovery.offers import Match, Offers
from runbook.discovery.rivals import Rivals
from runbook.discovery.vocabulary import Key, Vocabulary
from runbook.schema import Column, TableName


@dataclass(frozen=True)
class Candidate:
    """A column, a key it may refer to, how its name means it, and the features of the pair."""

    child: TableName
    column: Column
    key: Key
    match: Match
    features: Mapping[str, float]


def of(vocabulary: Vocabulary) -> dict[tuple[TableName, str], tuple[Candidate, ...]]:
    """The candidates of every column that is no declared key by itself."""
    found = {place: _nearest(vocabulary, place[0], each) for place, each in offers.of(vocabulary)}
    conventions = house.of(vocabulary, found)
    declared = {
        (key.child, key.columns[0])
        for key in vocabulary.schema.foreign_keys
        if len(key.columns) == 1
    }
    everywhere: dict[tuple[TableName, str], tuple[Candidate, ...]] = {}
    for (name, column), offered in found.items():
        if (name, column.name) in declared:
            continue
        rivals = Rivals(vocabulary, name, offered)
        pairs = (
            Pair(vocabulary, conventions, name, column, key, match, rivals)
            for key, match in rivals.likeliest()
        )
        everywhere[name, column.name] = tuple(
            Candidate(name, column, pair.key, pair.match, features.of(pair)) for pair in pairs
        )
    return everywhere


def _nearest(vocabulary: Vocabulary, child: TableName, offered: Offers) -> Offers:
    """Without tables of other schemas that one of the child's schema has the name of.

    As on a search path: a schema for each tenant, or a copy, refers to itself. A key that others
    of the same column have stays.
    """
    tables = vocabulary.tables
    own = {tables[key.table].flat for key in offered if key.table.schema == child.schema}
    return {
        key: match
        for key, match in offered.items()
        if key.table.schema == child.schema
        or match.kind == "learnt"
        or tables[key.table].flat not in own
    }
