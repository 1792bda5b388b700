"""Measures both exact strategies on tables of several sizes, widths and numbers of parents.

The skip scan runs on indexed columns, the anti-join on columns of the same values without an index.
"""

from __future__ import annotations

import statistics as medians
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from runbook import session as sessions
from runbook.audit.strategy import Strategy
from runbook.relationships import Relationship, Relationships
from runbook.schema import TableName
from tests.bench import ways
from tests.bench.model import (
    ANTI_JOIN,
    SKIP_SCAN,
    Model,
    Point,
    anti_join_terms,
    fit,
    skip_scan_terms,
)
from tests.bench.server import Bench
from tests.bench.shapes import SCHEMA

FITTED = (200_000, 600_000, 2_000_000)
CHECKED = (300_000, 1_000_000, 3_000_000)
PAYLOADS = (0, 320)
PARENTS = (1_000, 20_000, 200_000)


@dataclass(frozen=True)
class Sized:
    """What was measured at one size, width and number of parents, by strategy."""

    anti_join: Point
    skip_scan: Point


def table(rows: int, payload: int) -> Iterator[str]:
    """A child whose columns refer to more and more parents: ``indexed_…`` and ``plain_…``."""
    name = f"{SCHEMA}.sized"
    keys = [
        f"1 + abs(hashint8(n + {p})::bigint) % {p} AS {kind}_{p}"
        for p in PARENTS
        for kind in ("indexed", "plain")
    ]
    filler = " || ".join(f"md5((n + {i})::text)" for i in range(payload // 32)) or "''"
    yield f"DROP TABLE IF EXISTS {name}"
    yield (
        f"CREATE UNLOGGED TABLE {name} AS SELECT n AS id, {', '.join(keys)}, {filler} AS payload"
        f" FROM generate_series(1, {rows}) n"
    )
    yield f"ALTER TABLE {name} ADD PRIMARY KEY (id)"
    for parents in PARENTS:
        yield f"CREATE INDEX ON {name} (indexed_{parents})"
    yield f"VACUUM (ANALYZE) {name}"


def parents() -> Iterator[str]:
    yield f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"
    for number in PARENTS:
        name = f"{SCHEMA}.parent_{number}"
        yield (
            f"CREATE UNLOGGED TABLE {name} AS SELECT n::bigint AS id"
            f" FROM generate_series(1, {number}) n"
        )
        yield f"ALTER TABLE {name} ADD PRIMARY KEY (id)"
        yield f"VACUUM (ANALYZE) {name}"


def measure(bench: Bench, sizes: tuple[int, ...], rounds: int) -> list[Sized]:
    """Medians of ``rounds`` at each size, width and number of parents."""
    found = []
    for rows in sizes:
        for payload in PAYLOADS:
            for statement in table(rows, payload):
                bench.owner.execute(statement.encode())
            asked = "SELECT pg_relation_size('bench.sized')"
            (size,) = bench.owner.execute(asked).fetchone() or (0,)
            found += [_one(bench, number, rows, int(size), rounds) for number in PARENTS]
    return found


def _one(bench: Bench, number: int, rows: int, size: int, rounds: int) -> Sized:
    reader = sessions.connect(bench.environment)

    def median(column: str, strategy: Strategy) -> Point:
        child, parent = TableName(SCHEMA, "sized"), TableName(SCHEMA, f"parent_{number}")
        item = Relationship(child, (f"{column}_{number}",), parent, ("id",))
        subject = ways.look(bench, reader, Relationships((item,)))
        found = [ways.counted(bench, reader, subject, strategy)[0] for _ in range(rounds + 1)]
        return Point(rows, size, number, medians.median(found[1:]))  # the first one warms up

    try:
        return Sized(median("plain", Strategy.ANTI_JOIN), median("indexed", Strategy.SKIP_SCAN))
    finally:
        reader.close()


@dataclass(frozen=True)
class Models:
    """Both models, and the sizes that they were checked on but not fitted to."""

    anti_join: Model
    skip_scan: Model
    checked: Sequence[Sized]

    def errors(self, strategy: Strategy) -> list[float]:
        if strategy is Strategy.ANTI_JOIN:
            return [self.anti_join.error(each.anti_join) for each in self.checked]
        return [self.skip_scan.error(each.skip_scan) for each in self.checked]


def models(bench: Bench, rounds: int, scale: float = 1.0) -> Models:
    """Measure, fit to one half of the sizes and keep the other half for the check."""
    for statement in parents():
        bench.owner.execute(statement.encode())
    fitted = measure(bench, tuple(int(rows * scale) for rows in FITTED), rounds)
    checked = measure(bench, tuple(int(rows * scale) for rows in CHECKED), rounds)
    return Models(
        fit(ANTI_JOIN, anti_join_terms, [each.anti_join for each in fitted]),
        fit(SKIP_SCAN, skip_scan_terms, [each.skip_scan for each in fitted]),
        checked,
    )
