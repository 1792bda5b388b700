"""Medians of pairs: each round's own ratio first, then the median of the ratios."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """One shape: seconds of each way by round (of every way as many)."""

    title: str
    rows: int
    strategy: str
    seconds: Mapping[str, Sequence[float]]

    def median(self, way: str) -> float:
        return statistics.median(self.seconds[way])

    def ratio(self, way: str, to: str) -> float | None:
        """How many times as long ``way`` took as ``to``; None where one was not measured."""
        if way not in self.seconds or to not in self.seconds:
            return None
        pairs = zip(self.seconds[way], self.seconds[to], strict=True)
        return statistics.median(other / own for other, own in pairs)

    def over_best(self, engine: str, single: Sequence[str]) -> float:
        """The engine against the single strategy with the lowest median."""
        best = min((way for way in single if way in self.seconds), key=self.median)
        found = self.ratio(engine, best)
        assert found is not None, "both were measured"
        return found


def total(shapes: Sequence[Measured], title: str, ways: Sequence[str]) -> Measured:
    """All shapes together, for the ways that were measured on each and the rounds that all had."""
    common = [way for way in ways if all(way in shape.seconds for shape in shapes)]
    return Measured(
        title,
        sum(shape.rows for shape in shapes),
        "",
        {
            way: [sum(r) for r in zip(*(shape.seconds[way] for shape in shapes), strict=False)]
            for way in common
        },
    )
