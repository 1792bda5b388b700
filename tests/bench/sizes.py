"""Measures both exact strategies on tables of several sizes, widths and numbers of parents."""

from __future__ import annotations

import statistics as medians
from collections.abc import Iterator
from dataclasses import dataclass

from runbook import session as sessions
from runbook.audit.strategy import Strategy
from runbook.relationships import Relationship, Relationships
from runbook.schema import TableName
from tests.bench import ways
from tests.bench.model import Point
from tests.bench.server import Bench
from tests.bench.shapes import SCHEMA

FITTED = (200_000, 600_000, 2_000_000)
CHECKED = (300_000, 1_000_000, 3_000_000)
PAYLOADS = (0, 320)
PARENTS = (1_000, 20_000, 200_000)
BILLION = 1_000_000_000


@dataclass(frozen=True)
class Sized:
    """What was measured on one relationship, by strategy, and the planner's cost of the join."""

    anti_join: Point
    skip_scan: Point
    join_cost: float


def table(rows: int, payload: int) -> Iterator[str]:
    """A child whose columns refer to more and more parents, all of them indexed."""
    name = f"{SCHEMA}.sized"
    keys = [f"1 + abs(hashint8(n + {p})::bigint) % {p} AS to_{p}" for p in PARENTS]
    filler = " || ".join(f"md5((n + {i})::text)" for i in range(payload // 32)) or "''"
    yield f"DROP TABLE IF EXISTS {name}"
    yield (
        f"CREATE UNLOGGED TABLE {name} AS SELECT n AS id, {', '.join(keys)}, {filler} AS payload"
        f" FROM generate_series(1, {rows}) n"
    )
    yield f"ALTER TABLE {name} ADD PRIMARY KEY (id)"
    for parents in PARENTS:
        yield f"CREATE INDEX ON {name} (to_{parents})"
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
            (size,) = bench.owner.execute(
                "SELECT pg_relation_size(%s)", (f"{SCHEMA}.sized",)
            ).fetchone() or (0,)
            found += [_one(bench, number, rows, int(size), rounds) for number in PARENTS]
    return found


def _one(bench: Bench, number: int, rows: int, size: int, rounds: int) -> Sized:
    item = Relationship(
        TableName(SCHEMA, "sized"),
        (f"to_{number}",),
        TableName(SCHEMA, f"parent_{number}"),
        ("id",),
    )
    reader = sessions.connect(bench.environment)
    try:
        subject = ways.look(bench, reader, Relationships((item,)))

        def median(strategy: Strategy) -> tuple[float, float]:
            counted = [ways.counted(bench, reader, subject, strategy) for _ in range(rounds + 1)]
            seconds = medians.median(each for each, _ in counted[1:])  # the first one warms up
            return seconds, counted[0][1].cost or 0.0

        (join, cost), (skip, _) = median(Strategy.ANTI_JOIN), median(Strategy.SKIP_SCAN)
    finally:
        reader.close()
    return Sized(Point(rows, size, number, join), Point(rows, size, number, skip), cost)
