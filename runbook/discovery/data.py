"""What the rows say of candidates: planner's statistics first, then counted orphan rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from runbook.discovery import model, refusals
from runbook.discovery.candidates import Candidate
from runbook.discovery.offers import USED
from runbook.discovery.proposal import Evidence, Source
from runbook.discovery.vocabulary import Vocabulary
from runbook.relationships import Relationship
from runbook.schema import Shape, TableName

Place = tuple[TableName, str]

MOST_TESTS = 4  # inclusion tests of one column: their number grows with the columns alone
LEAST_CHANCE = 0.01  # by names; below it no rows are read
MANY = 0.2  # a share of orphan rows above it speaks against the relationship
FEW = 0.06
CLOSEST = 2.0  # log-odds, of the smallest of several parents that hold all values
ENOUGH = 10  # orphan rows, before a large share of them speaks against the relationship


@dataclass(frozen=True)
class Spread:
    """The planner's statistics of a column: rows of its table, share of NULLs, distinct values.

    ``marks`` are the values that the statistics hold, as texts: the bounds of the histogram and
    the most common ones. ``numbered``: a sequence gives the column its values.
    """

    rows: float
    nulls: float
    distinct: float
    marks: tuple[str, ...] = ()
    numbered: bool = False

    @property
    def values(self) -> float:
        return self.rows * (1 - self.nulls)

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        """The marks of a column of integers, in order."""
        return tuple(sorted(map(int, self.marks)))

    @property
    def least(self) -> int:
        return self.numbers[0]

    @property
    def most(self) -> int:
        return self.numbers[-1]


@dataclass(frozen=True)
class Inclusion:
    """What counting the orphan rows of a candidate came to; ``orphans`` None: not counted."""

    orphans: int | None
    reason: str = ""


@dataclass(frozen=True)
class Rows:
    """All that the rows say: spreads by column, and inclusions by the shape of the key."""

    spreads: Mapping[Place, Spread] = field(default_factory=dict)
    inclusions: Mapping[Shape, Inclusion] = field(default_factory=dict)

    def ruled_out(self, each: Candidate) -> bool:
        """Whether the statistics alone settle it: every value above the parent's is an orphan."""
        child = self.spreads.get((each.child, each.column.name))
        parent = self.spreads.get((each.key.table, each.key.column.name))
        if child is None or parent is None:
            return False
        return child.distinct - parent.rows * 1.2 - 10 > MANY * child.values


def shape(each: Candidate) -> Shape:
    return each.child, each.key.table, frozenset({(each.column.name, each.key.column.name)})


def tests(
    vocabulary: Vocabulary,
    alone: Mapping[Place, Sequence[Candidate]],
    rows: Rows,
    weights: Mapping[str, float],
) -> Iterator[Relationship]:
    """The inclusions worth counting: a few for each column, and none that statistics rule out."""
    for (child, column), offered in alone.items():
        spread = rows.spreads.get((child, column))
        if refusals.polymorphic(vocabulary.tables[child].table, column):
            continue
        if spread is not None and spread.values < 1:
            continue
        odds = model.chances(offered, weights)
        ranked = sorted(
            zip(odds, offered, strict=True), key=lambda pair: (-pair[0], str(pair[1].key.table))
        )
        for chance, each in ranked[:MOST_TESTS]:
            if chance >= LEAST_CHANCE and not rows.ruled_out(each):
                yield Relationship(child, (column,), each.key.table, (each.key.column.name,))


def shifts(offered: Sequence[Candidate], rows: Rows) -> tuple[float, ...]:
    """What the rows add to the log-odds of each candidate of one column."""
    found = [_shift(each, rows) for each in offered]
    counted = [orphans for each in offered if (orphans := _orphans(each, rows)) is not None]
    clean = [  # or as clean as any: orphan rows are orphans of every parent
        (each, number)
        for number, each in enumerate(offered)
        if _orphans(each, rows) == min(counted, default=-1)
        and each.key.column.name == offered[0].key.column.name
        and each.match.kind != USED
    ]
    if len(clean) > 1:  # subtypes share a key: the closest is the one that still holds all
        size = {number: _size(each, rows) for each, number in clean}
        if None not in size.values():
            least = min(value for value in size.values() if value is not None)
            for number, value in size.items():
                found[number] += CLOSEST if value == least else -CLOSEST
    return tuple(found)


def _orphans(each: Candidate, rows: Rows) -> int | None:
    inclusion = rows.inclusions.get(shape(each))
    return inclusion.orphans if inclusion else None


def _size(each: Candidate, rows: Rows) -> float | None:
    spread = rows.spreads.get((each.key.table, each.key.column.name))
    return spread.rows if spread else None


def _shift(each: Candidate, rows: Rows) -> float:
    if rows.ruled_out(each):
        return -4.0
    orphans = _orphans(each, rows)
    spread = rows.spreads.get((each.child, each.column.name))
    if orphans is None or spread is None or spread.values < 1:
        return 0.0
    share = orphans / spread.values
    if orphans == 0:
        return 1.0 if spread.distinct >= 2 else 0.3
    if share <= FEW:
        return 0.5
    # of a handful of rows, one orphan is a large share and says little
    return -0.5 if share <= MANY or orphans < ENOUGH else -4.0


def sentences(each: Candidate, rows: Rows) -> Iterator[Evidence]:
    """What the rows say, in words; what was not looked at is said as such."""
    if rows.ruled_out(each):
        yield Evidence(
            Source.DATA, "against it: the statistics show more values than the parent has rows"
        )
        return
    inclusion = rows.inclusions.get(shape(each))
    spread = rows.spreads.get((each.child, each.column.name))
    if inclusion is None:
        if spread is not None and spread.values < 1:
            yield Evidence(Source.DATA, "the statistics show no value: the rows say nothing")
        return
    if inclusion.orphans is None:
        yield Evidence(Source.DATA, f"its rows were not counted: {inclusion.reason}")
        return
    words = {0: "every row has a parent", 1: "1 row has no parent"}
    said = words.get(inclusion.orphans, f"{inclusion.orphans:,} rows have no parent")
    yield Evidence(Source.DATA, f"{said}, of about {spread.values:,.0f}" if spread else said)
