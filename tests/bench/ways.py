"""The ways of counting orphan rows that are held against each other, over one shape each.

What a person would run by hand runs with the server's own settings; the engine sets its own.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from runbook import catalog, migration, operators
from runbook import session as sessions
from runbook import statistics as planner
from runbook.audit import engine
from runbook.audit.strategy import Strategy
from runbook.findings import Audit, AuditState
from runbook.operators import Comparisons
from runbook.relationships import Relationship, Relationships
from runbook.schema import Schema
from runbook.session import Session
from tests.bench.server import Bench
from tests.bench.shapes import SCHEMA

ENGINE, SKIP, ANTI = "this engine", "skip scan", "anti-join"
VALIDATE, LEFT_JOIN, DBT = "VALIDATE", "LEFT JOIN", "dbt"
STEADY_SECONDS, MOST_REPEATS = 0.3, 7
WAYS = (ENGINE, SKIP, ANTI, VALIDATE, LEFT_JOIN, DBT)


@dataclass(frozen=True)
class Subject:
    """Relationships of one shape, and what was read before they are counted."""

    relationships: Relationships
    schema: Schema
    comparisons: tuple[Comparisons, ...]


def look(bench: Bench, reader: Session, relationships: Relationships) -> Subject:
    with sessions.reading(reader, bench.environment):
        schema = catalog.read(reader, [SCHEMA])
        return Subject(relationships, schema, operators.read(reader, relationships.items))


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def counted(
    bench: Bench, reader: Session, subject: Subject, forced: Strategy | None
) -> tuple[float, Audit]:
    """Seconds of the engine with its own transaction and statistics, and its first audit."""
    started = time.perf_counter()
    with sessions.reading(reader, bench.environment):
        items = subject.relationships.items
        audits = engine.count(reader, items, subject.schema, subject.comparisons, forced)
    seconds = time.perf_counter() - started
    for audit in audits:
        if audit.state is not AuditState.CLEAN:  # as built; anything else is a broken benchmark
            raise RuntimeError(f"{audit.relationship.id}: {audit.state}, {audit.reason}")
    return seconds, audits[0]


def can_skip(bench: Bench, reader: Session, subject: Subject) -> bool:
    with sessions.reading(reader, bench.environment):
        found = planner.read(reader, subject.relationships.items)
    return all(item.skip_columns for item in found)


def left_join(item: Relationship) -> str:
    """The query of hand-written audits."""
    on = " AND ".join(
        f"p.{migration.quote(reference)} = c.{migration.quote(column)}"
        for reference, column in zip(item.references, item.columns, strict=True)
    )
    present = " AND ".join(f"c.{migration.quote(column)} IS NOT NULL" for column in item.columns)
    first = migration.quote(item.references[0])
    return (
        f"SELECT count(*) FROM {item.child} c LEFT JOIN {item.parent} p ON {on}"
        f" WHERE p.{first} IS NULL AND {present}"
    )


def dbt(item: Relationship) -> str:
    """What dbt compiles its relationships test to (default__test_relationships, dbt-core 1.x)."""
    column, field = item.columns[0], item.references[0]
    return (
        "select count(*) as failures, count(*) != 0 as should_warn, count(*) != 0 as should_error"
        f" from (with child as (select {column} as from_field from {item.child}"
        f" where {column} is not null), parent as (select {field} as to_field from {item.parent})"
        " select from_field from child left join parent on child.from_field = parent.to_field"
        " where parent.to_field is null) dbt_internal_test"
    )


def by_hand(
    bench: Bench, reader: Session, subject: Subject, query: Callable[[Relationship], str]
) -> float:
    """Seconds of a plain query for each relationship, with the server's own settings."""
    total = 0.0
    for item in subject.relationships:
        text = query(item).encode()
        with sessions.reading(reader, bench.environment):
            total += timed(lambda text=text: reader.execute(text).fetchall())  # type: ignore[misc]
    return total


def validate(bench: Bench, subject: Subject) -> float:
    """Seconds of VALIDATE alone, each key in a transaction of the owner's that is rolled back."""
    total = 0.0
    for item in subject.relationships:
        with sessions.trying(bench.owner, bench.environment):
            keys = migration.statements(item)
            bench.owner.execute(keys.add.encode())
            total += timed(lambda keys=keys: bench.owner.execute(keys.validate.encode()))  # type: ignore[misc]
    return total


def steady(work: Callable[[], float]) -> float:
    """Seconds of ``work``; the median of several where they are mostly noise."""
    seconds = [work()]
    while sum(seconds) < STEADY_SECONDS and len(seconds) < MOST_REPEATS:
        seconds.append(work())
    return statistics.median(seconds)


@dataclass(frozen=True)
class Round:
    """Seconds by way, and the strategy that the engine took."""

    seconds: Mapping[str, float]
    strategy: str


def one_round(bench: Bench, reader: Session, subject: Subject, skips: bool, number: int) -> Round:
    """Every way once, in another order each time, so that none profits from its neighbour."""
    strategy = ""

    def engine_seconds() -> float:
        nonlocal strategy
        seconds, audit = counted(bench, reader, subject, None)
        strategy = audit.strategy
        return seconds

    work: dict[str, Callable[[], float]] = {
        ENGINE: engine_seconds,
        SKIP: lambda: counted(bench, reader, subject, Strategy.SKIP_SCAN)[0],
        ANTI: lambda: counted(bench, reader, subject, Strategy.ANTI_JOIN)[0],
        VALIDATE: lambda: validate(bench, subject),
        LEFT_JOIN: lambda: by_hand(bench, reader, subject, left_join),
        DBT: lambda: by_hand(bench, reader, subject, dbt),
    }
    if not skips:
        del work[SKIP]
    if len(subject.relationships.items[0].columns) > 1:
        del work[DBT]  # its test takes one column
    names = list(work)
    random.Random(number).shuffle(names)  # noqa: S311 - an order, no secret
    seconds = {name: steady(work[name]) for name in names}
    return Round(seconds, strategy)
