"""Pairs of a column and a key that its name may mean, with the features of each pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runbook.discovery import features, house, offers
from runbook.discovery.offers import Match
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
    found = dict(offers.of(vocabulary))
    conventions = house.of(vocabulary, found)
    declared = {
        (key.child, key.columns[0])
        for key in vocabulary.schema.foreign_keys
        if len(key.columns) == 1
    }
    return {
        (name, column.name): tuple(
            Candidate(
                name,
                column,
                key,
                match,
                features.of(
                    features.Pair(vocabulary, conventions, name, column, key, match, offered)
                ),
            )
            for key, match in offered.items()
        )
        for (name, column), offered in found.items()
        if (name, column.name) not in declared
    }
