"""The tracks that are scored: what is shown of a schema, and what is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from runbook.discovery import engine, refusals
from runbook.discovery.proposal import Found, Tier
from runbook.discovery.weights import WEIGHTS
from runbook.schema import Schema, Shape
from tests.score.layout import Known
from tests.score.measure import Score, score

SEEDS = range(5)


@dataclass
class Tracks:
    """Scores by the schema's name; of the accepted tier the proposals themselves."""

    ddl: dict[str, Score] = field(default_factory=dict)
    scrubbed: dict[str, Score] = field(default_factory=dict)
    accepted: dict[str, frozenset[Shape]] = field(default_factory=dict)
    composite: dict[str, Score] = field(default_factory=dict)
    half: dict[str, list[Score]] = field(default_factory=dict)  # of the keys taken away
    half_whole: dict[str, list[Score]] = field(default_factory=dict)  # of all keys
    polymorphic: int = 0  # columns of polymorphic pairs
    polymorphic_proposed: int = 0
    confidences: list[tuple[float, bool]] = field(default_factory=list)


def proposed(found: Found) -> frozenset[Shape]:
    """What counts as proposed: all but the tier that has to be looked at twice."""
    return frozenset(each.shape for each in found.proposals if each.tier is not Tier.POSSIBLE)


def accepted(found: Found) -> frozenset[Shape]:
    """What would be taken without a person."""
    return frozenset(each.shape for each in found.of(Tier.ACCEPTED))


def measure(schemas: Iterable[Known], weights: Mapping[str, float] = WEIGHTS) -> Tracks:
    tracks = Tracks()
    for known in schemas:
        _one(tracks, known, weights)
    return tracks


def _one(tracks: Tracks, known: Known, weights: Mapping[str, float]) -> None:
    name, answer = known.name, known.answer
    found = engine.propose(known.stripped, weights=weights)
    shapes = proposed(found)
    tracks.ddl[name] = score(shapes, answer)
    scrubbed = engine.propose(known.scrubbed, weights=weights)
    tracks.scrubbed[name] = score(proposed(scrubbed), answer)
    tracks.accepted[name] = accepted(found)
    tracks.composite[name] = score(_wide(shapes), _wide(answer))
    tracks.confidences += [(each.confidence, each.shape in answer) for each in found.proposals]
    pairs = polymorphic(known.schema)
    tracks.polymorphic += len(pairs)
    tracks.polymorphic_proposed += sum(
        (each.child, column) in pairs for each in found.proposals for column in each.columns
    )
    tracks.half[name], tracks.half_whole[name] = [], []
    for seed in SEEDS:
        schema, rest = known.half(seed)
        left = frozenset(key.shape for key in schema.foreign_keys)
        more = proposed(engine.propose(schema, weights=weights))
        tracks.half[name].append(score(more, rest))
        tracks.half_whole[name].append(score(more | left, answer))


def _wide(shapes: frozenset[Shape]) -> frozenset[Shape]:
    return frozenset(shape for shape in shapes if len(shape[2]) > 1)


def polymorphic(schema: Schema) -> frozenset[tuple[object, str]]:
    """The id columns of pairs such as item_type, item_id."""
    return frozenset(
        (table.name, column.name)
        for table in schema.tables.values()
        for column in table.columns
        if refusals.polymorphic(table, column.name)
    )
