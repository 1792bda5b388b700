"""Keys that the values of a column could be, by the planner's statistics alone, nearest first.

A number that counts rows from one lies within the range of every larger table, so of all keys
that fit only the nearest are worth a test: those that the column's values fill best.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from runbook.discovery import types
from runbook.discovery.data import Place, Rows, Spread
from runbook.discovery.vocabulary import Key, Vocabulary
from runbook.schema import Column, TableName

FAMILIES = frozenset({"integer", "text", "uuid"})
MOST_KEYS = 6  # tests of one column: their number grows with the columns alone
MOST_TESTS = 3000  # of one database, and one for each column where there are more columns
LOOKED_AT = 24  # keys of one column whose statistics are compared, by either order
INSIDE = 0.9  # share of the known values within the key's; the rest may be orphan rows


@dataclass(frozen=True)
class Fit:
    """How a column's values lie among those of a key; all from 0 to 1.

    ``coverage``: distinct values for each row of the parent. ``reach``: how far up the key's range
    they go. ``gaps``: the share of the key's range that no row has, so that being inside it is no
    matter of course.
    """

    key: Key
    coverage: float
    reach: float
    gaps: float

    @property
    def nearness(self) -> float:
        return self.coverage + self.reach


@dataclass(frozen=True)
class _Keys:
    """The keys of one family of types, in orders that make the nearest quick to find."""

    known: tuple[tuple[Key, Spread], ...]

    @cached_property
    def by_rows(self) -> tuple[tuple[Key, Spread], ...]:
        return tuple(sorted(self.known, key=lambda each: each[1].rows))

    @cached_property
    def by_most(self) -> tuple[tuple[Key, Spread], ...]:
        return tuple(sorted(self.known, key=lambda each: each[1].most))

    @cached_property
    def by_value(self) -> Mapping[str, tuple[tuple[Key, Spread], ...]]:
        """The keys by the values that the statistics hold of them."""
        found: dict[str, list[tuple[Key, Spread]]] = defaultdict(list)
        for key, spread in self.known:
            for mark in spread.marks:
                found[mark].append((key, spread))
        return {mark: tuple(keys) for mark, keys in found.items()}

    def near(self, child: Spread, family: str) -> Iterator[tuple[Key, Spread]]:
        """A bounded number of keys, whatever the number of tables: some of them fit."""
        least = _rows_at_least(child)
        start = bisect_left(self.by_rows, least, key=lambda each: each[1].rows)
        if family == "integer":
            highest = child.numbers[int(INSIDE * (len(child.numbers) - 1))]
            first = bisect_left(self.by_most, highest, key=lambda each: each[1].most)
            others = self.by_most[first : first + LOOKED_AT]
        else:
            others = self.by_value.get(child.marks[0], ())[:LOOKED_AT]
        chosen = (*self.by_rows[start : start + LOOKED_AT], *others)
        yield from {(key.table, key.column.name): (key, one) for key, one in chosen}.values()


def of(
    vocabulary: Vocabulary, places: Sequence[tuple[TableName, Column]], rows: Rows
) -> Mapping[Place, tuple[Fit, ...]]:
    """The nearest keys of each of these columns; columns without statistics have none."""
    listed: dict[str, list[tuple[Key, Spread]]] = defaultdict(list)
    for named in vocabulary.tables.values():
        for key in named.keys:
            spread = rows.spreads.get((key.table, key.column.name))
            if spread is not None and spread.rows >= 1 and spread.marks:
                listed[types.family(key.column.type)].append((key, spread))
    keys = {family: _Keys(tuple(known)) for family, known in listed.items()}
    found: dict[Place, tuple[Fit, ...]] = {}
    for name, column in places:
        family, spread = types.family(column.type), rows.spreads.get((name, column.name))
        if family not in FAMILIES or family not in keys or spread is None:
            continue
        if not spread.marks or spread.numbered:
            continue
        fits = [
            fit
            for key, other in keys[family].near(spread, family)
            if (key.table, key.column.name) != (name, column.name)
            if (fit := _fit(spread, key, other)) is not None
        ]
        if fits:
            found[name, column.name] = tuple(sorted(fits, key=_order))
    most = min(MOST_KEYS, max(1, MOST_TESTS // max(len(found), 1)))
    return {place: fits[:most] for place, fits in found.items()}


def _order(fit: Fit) -> tuple[float, str, str]:
    return -fit.nearness, str(fit.key.table), fit.key.column.name


def _rows_at_least(child: Spread) -> float:
    """Of a parent: both numbers are estimates of the planner's."""
    return (child.distinct - 10) / 1.2


def _fit(child: Spread, key: Key, parent: Spread) -> Fit | None:
    """How the values fit; None where statistics show that they do not."""
    if parent.rows < _rows_at_least(child):
        return None
    coverage = min(1.0, child.distinct / parent.rows)
    if types.family(key.column.type) != "integer":
        known = set(parent.marks)
        inside = sum(mark in known for mark in child.marks)
        if len(known) >= parent.distinct and inside < INSIDE * len(child.marks):
            return None
        return Fit(key, coverage, coverage, 1.0)
    first = bisect_left(child.numbers, parent.least)
    end = bisect_right(child.numbers, parent.most)
    if end - first < INSIDE * len(child.numbers):
        return None
    width = parent.most - parent.least + 1
    reach = (child.numbers[end - 1] - parent.least + 1) / width
    return Fit(key, coverage, reach, max(0.0, 1 - parent.rows / width))
