"""Counts the orphan rows of relationships in the caller's snapshot, each the cheapest way.

A statement that fails makes its relationship ``could not look``, never ``clean``.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from psycopg import sql

from runbook.audit import query, sample, skip_scan, strategy
from runbook.audit.strategy import Plan, Strategy
from runbook.audit.target import Target, targets
from runbook.findings import Audit, AuditState
from runbook.operators import Comparisons
from runbook.relationships import Relationship
from runbook.schema import Schema
from runbook.session import Session, reason

SAMPLES = 5
MEMORY = 256 * 1024 * 1024
SAMPLE_PERCENT = 1.0
PARALLEL_WORKERS = 2


@dataclass(frozen=True)
class Options:
    """How to count: a forced strategy, how many example keys, and bytes for one hash table."""

    strategy: Strategy | None = None
    samples: int = SAMPLES
    memory: int = MEMORY
    sample_percent: float = SAMPLE_PERCENT


def count(
    session: Session,
    relationships: Sequence[Relationship],
    schema: Schema,
    comparisons: Sequence[Comparisons],
    strategy: Strategy | None = None,
) -> tuple[Audit, ...]:
    """Audit each relationship inside the caller's read-only transaction, in order."""
    options = Options(strategy=strategy)
    try:
        found = targets(session, relationships, schema, comparisons)
    except psycopg.Error as error:
        why = reason(error)
        return tuple(Audit(r, AuditState.COULD_NOT_LOOK, reason=why) for r in relationships)
    return tuple(one(session, target, options) for target in found)


def one(session: Session, target: Target, options: Options) -> Audit:
    """Audit one relationship inside the caller's transaction; never raises psycopg's errors."""
    return attempt(session, target, options)[0]


def attempt(session: Session, target: Target, options: Options) -> tuple[Audit, str | None]:
    """The same, with the SQLSTATE of what went wrong, so that the caller may try again."""
    started = time.perf_counter()
    code = None
    if target.not_looked:
        audit = Audit(target.relationship, AuditState.NOT_LOOKED, reason=target.not_looked)
        return audit, None
    try:
        with session.transaction():  # a savepoint: a failure must not end the whole snapshot
            audit = _counted(session, target, options)
    except psycopg.Error as error:
        audit = Audit(target.relationship, AuditState.COULD_NOT_LOOK, reason=reason(error))
        code = error.sqlstate
    return replace(audit, seconds=time.perf_counter() - started), code


def _counted(session: Session, target: Target, options: Options) -> Audit:
    memory = strategy.work_memory(target.statistics, options.memory)
    _set(
        session,
        work_mem=f"{memory}kB",
        max_parallel_workers_per_gather=str(PARALLEL_WORKERS),
        jit="off",  # compiling costs more than it saves on a scan this simple
    )
    plan = _plan(session, target, options)
    if plan.strategy is Strategy.SAMPLE:
        audit = _sampled(session, target, options)
        if audit is not None:
            return replace(audit, cost=plan.cost)
    if plan.strategy is Strategy.SKIP_SCAN:
        audit = _skipped(session, target, plan, options)
        if audit is not None:
            return replace(audit, cost=plan.cost)
    return replace(_joined(session, target, options), cost=plan.cost)


def _plan(session: Session, target: Target, options: Options) -> Plan:
    """The plan; the planner is only asked where the child's pages do not settle it already."""
    known, match, forced = target.statistics, target.match, options.strategy
    least = float(known.child_pages)  # no join reads fewer than the pages, at one unit each
    plan = strategy.choose(known, least, match, forced)
    if plan.strategy is Strategy.SKIP_SCAN:
        return plan
    return strategy.choose(known, _cost(session, query.count(target.found)), match, forced)


def _joined(session: Session, target: Target, options: Options) -> Audit:
    found, columns = target.found, target.relationship.columns
    orphans = _number(session, query.count(found))
    if not orphans:
        return _exact(target, Strategy.ANTI_JOIN, 0, 0, ())
    return _exact(
        target,
        Strategy.ANTI_JOIN,
        orphans,
        _number(session, query.distinct(found, columns)),
        _keys(session, query.samples(found, target.key), options) if target.key else (),
    )


def _skipped(session: Session, target: Target, plan: Plan, options: Options) -> Audit | None:
    """The skip scan's count, or None when it met more distinct values than it was allowed."""
    columns = target.statistics.skip_columns
    values = skip_scan.values(
        target.relationship, target.schema, target.comparisons, columns, plan.most_steps
    )
    _set(session, **dict.fromkeys(skip_scan.SETTINGS, "off"))
    steps, missing, orphans = _row(session, skip_scan.count(values, target.child, columns))
    keys: tuple[str, ...] = ()
    if orphans and target.key and steps < plan.most_steps:
        statement = skip_scan.samples(values, target.child, columns, target.key)
        keys = _keys(session, statement, options)
    _set(session, **dict.fromkeys(skip_scan.SETTINGS, "on"))
    if steps >= plan.most_steps:
        return None
    return _exact(target, Strategy.SKIP_SCAN, orphans, missing, keys)


def _sampled(session: Session, target: Target, options: Options) -> Audit | None:
    """The estimate, or None for a table that is too small to sample."""
    statement = sample.pages(
        target.relationship,
        target.schema,
        target.comparisons,
        target.match,
        options.sample_percent,
    )
    pages, rows, orphans, squares = (int(value) for value in _row(session, statement))
    if pages < sample.FEWEST_PAGES:
        return None
    whole = max(target.statistics.child_pages, pages)
    estimate = sample.estimate(whole, pages, rows, orphans, squares)
    return Audit(
        target.relationship,
        AuditState.ESTIMATED,
        orphans=estimate.rows,
        bounds=(estimate.low, estimate.high),
        strategy=Strategy.SAMPLE.value,
        exact=False,
        rows=rows,
        reason=f"estimated from {pages:,} of {whole:,} pages, between {estimate.low:,} and"
        f" {estimate.high:,} at 95 %",
    )


def _exact(
    target: Target, used: Strategy, orphans: int, distinct: int, keys: tuple[str, ...]
) -> Audit:
    known = target.statistics.child_rows
    return Audit(
        target.relationship,
        AuditState.ORPHANS if orphans else AuditState.CLEAN,
        orphans=orphans,
        distinct=distinct,
        strategy=used.value,
        exact=True,
        rows=None if known is None else int(known),
        samples=keys,
    )


def _set(session: Session, **values: str) -> None:
    """Set these until the end of the transaction, in one round trip."""
    session.execute(
        "SELECT pg_catalog.set_config(name, value, true) FROM unnest(%s::text[], %s::text[])"
        " AS setting(name, value)",
        (list(values), list(values.values())),
    )


def _cost(session: Session, statement: sql.Composed) -> float:
    plan: Any = _row(session, sql.SQL("EXPLAIN (FORMAT JSON) ") + statement)[0]
    return float(plan[0]["Plan"]["Total Cost"])


def _number(session: Session, statement: sql.Composed) -> int:
    return int(_row(session, statement)[0])


def _row(session: Session, statement: sql.Composed) -> tuple[Any, ...]:
    row = session.execute(statement).fetchone()
    if row is None:
        raise psycopg.DataError("the statement returned no row")
    return row


def _keys(session: Session, statement: sql.Composed, options: Options) -> tuple[str, ...]:
    if not options.samples:
        return ()
    limited = statement + sql.Literal(options.samples)
    return tuple(row[0] for row in session.execute(limited).fetchall())
