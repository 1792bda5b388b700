"""A cost model of each strategy: seconds from rows, bytes and distinct values.

Linear, fitted by least squares on *relative* residuals (each point weighs the same, whether it
took a millisecond or a minute), with coefficients that may not be negative: more work is never
quicker. Pure: what it is fitted on is measured elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from operator import mul


@dataclass(frozen=True)
class Point:
    """One measurement: rows and bytes of the child, rows of the parent, and the seconds."""

    rows: int
    bytes: int
    parents: int
    seconds: float


@dataclass(frozen=True)
class Model:
    """``seconds = sum(coefficient * term)``."""

    names: tuple[str, ...]
    coefficients: tuple[float, ...]
    terms: Callable[[Point], tuple[float, ...]]

    def seconds(self, point: Point) -> float:
        return float(sum(map(mul, self.coefficients, self.terms(point))))

    def error(self, point: Point) -> float:
        """How far the model is from a measurement, as a share of it."""
        return abs(self.seconds(point) - point.seconds) / point.seconds


# a table that nobody could build here: rows of 100 bytes, and a million parents
BILLION = Point(rows=1_000_000_000, bytes=100_000_000_000, parents=1_000_000, seconds=0.0)


def anti_join_terms(point: Point) -> tuple[float, ...]:
    return 1.0, point.rows / 1e6, point.bytes / 1e9, point.parents / 1e6


def skip_scan_terms(point: Point) -> tuple[float, ...]:
    return 1.0, point.parents / 1e6


ANTI_JOIN = ("start", "million rows", "gigabyte of the child", "million parents")
SKIP_SCAN = ("start", "million distinct values")


def fit(
    names: tuple[str, ...],
    terms: Callable[[Point], tuple[float, ...]],
    points: Sequence[Point],
) -> Model:
    """The best coefficients that are not negative: all subsets of terms are tried."""
    best: tuple[float, tuple[float, ...]] | None = None
    places = range(len(names))
    for size in range(1, len(names) + 1):
        for subset in combinations(places, size):
            rows = [[terms(point)[place] / point.seconds for place in subset] for point in points]
            found = solve(rows)
            if found is None or min(found) < 0:
                continue
            loss = sum((1 - sum(map(mul, row, found))) ** 2 for row in rows)
            full = [0.0] * len(names)
            for place, factor in zip(subset, found, strict=True):
                full[place] = factor
            if best is None or loss < best[0]:
                best = loss, tuple(full)
    if best is None:
        raise ValueError(f"{len(points)} points do not determine a model")
    return Model(names, best[1], terms)


def solve(rows: Sequence[Sequence[float]]) -> tuple[float, ...] | None:
    """``x`` that brings every ``row · x`` closest to 1; None where it is not determined."""
    size = len(rows[0])
    matrix = [
        [sum(row[i] * row[j] for row in rows) for j in range(size)] + [sum(row[i] for row in rows)]
        for i in range(size)
    ]
    for place in range(size):
        pivot = max(range(place, size), key=lambda line: abs(matrix[line][place]))
        matrix[place], matrix[pivot] = matrix[pivot], matrix[place]
        if abs(matrix[place][place]) < 1e-12:
            return None
        for line in range(size):
            if line != place:
                factor = matrix[line][place] / matrix[place][place]
                matrix[line] = [
                    a - factor * b for a, b in zip(matrix[line], matrix[place], strict=True)
                ]
    return tuple(matrix[place][size] / matrix[place][place] for place in range(size))
