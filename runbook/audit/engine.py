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
from runbook.findings import Audit, AuditState, Born
from runbook.operators import Comparisons
from runbook.relationships import Relationship
from runbook.schema import Schema
from runbook.session import Session, reason, set_local

SAMPLES = 5
MEMORY = 256 * 1024 * 1024
PARALLEL_WORKERS = 2


@dataclass(frozen=True)
class Options:
    """How to count.

    A forced ``strategy``; how many example keys (``samples``), with the values of which other
    ``columns``; bytes of ``memory`` for one statement; the percentage of the pages in a sample
    (None: by the size of the table); and whether to ``estimate`` what there is no time to count.
    """

    strategy: Strategy | None = None
    samples: int = SAMPLES
    columns: tuple[str, ...] = ()
    memory: int = MEMORY
    sample_percent: float | None = None
    estimate: bool = False


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


def attempt(
    session: Session, target: Target, options: Options, seconds: float | None = None
) -> tuple[Audit, str | None]:
    """The same, with the SQLSTATE of what went wrong, so that the caller may try again.

    ``seconds`` are left for it; with ``options.estimate`` a count that would take longer is not
    begun.
    """
    started = time.perf_counter()
    code = None
    if target.not_looked:
        audit = Audit(target.relationship, AuditState.NOT_LOOKED, reason=target.not_looked)
        return audit, None
    try:
        # a savepoint: a failure must not end the whole snapshot, nor the settings of this
        # relationship reach the next, nor its locks last as long as the transaction
        with session.transaction(force_rollback=True):
            audit = _counted(session, target, options, seconds)
    except psycopg.Error as error:
        audit = Audit(target.relationship, AuditState.COULD_NOT_LOOK, reason=reason(error))
        code = error.sqlstate
    return replace(audit, seconds=time.perf_counter() - started), code


def _counted(session: Session, target: Target, options: Options, seconds: float | None) -> Audit:
    plan = _plan(session, target, options)
    if options.estimate and seconds is not None and plan.seconds > seconds:
        plan = replace(plan, strategy=Strategy.SAMPLE)
    audit = None
    if plan.strategy is Strategy.SAMPLE:
        audit = _sampled(session, target, options)
    elif plan.strategy is Strategy.SKIP_SCAN:
        audit = _skipped(session, target, plan, options)
    return replace(audit or _joined(session, target, options), cost=plan.cost)


def _plan(session: Session, target: Target, options: Options) -> Plan:
    """The plan; the planner is only asked where the child's pages do not settle it already."""
    known, match, forced = target.statistics, target.match, options.strategy
    least = float(known.child_pages)  # no join reads fewer than the pages, at one unit each
    plan = strategy.choose(known, least, match, forced)
    if plan.strategy is Strategy.SKIP_SCAN:
        return plan
    _ready_to_join(session, target, options)
    statement = query.count(target.found, target.relationship.columns)
    return strategy.choose(known, _cost(session, statement), match, forced)


def _ready_to_join(session: Session, target: Target, options: Options) -> None:
    memory = strategy.work_memory(target.statistics, options.memory, PARALLEL_WORKERS + 1)
    set_local(
        session,
        work_mem=f"{memory}kB",
        hash_mem_multiplier="1",
        max_parallel_workers_per_gather=str(PARALLEL_WORKERS),
        jit="off",  # compiling costs more than it saves on a scan this simple
    )


def _joined(session: Session, target: Target, options: Options) -> Audit:
    statement = query.count(target.found, target.relationship.columns)
    orphans, distinct = _row(session, statement)
    keys: tuple[str, ...] = ()
    if orphans and target.key:
        statement = query.samples(target.found, target.key, _shown(target, options))
        keys = _keys(session, statement, options)
    born = None
    if orphans and target.birth:
        born = _born(session, target, query.born(target.found, target.birth))
    return replace(_exact(target, Strategy.ANTI_JOIN, orphans, distinct), samples=keys, born=born)


def _born(session: Session, target: Target, statement: sql.Composed) -> Born | None:
    first, last = _row(session, statement)
    return None if first is None else Born(target.birth, first, last)


def _shown(target: Target, options: Options) -> tuple[str, ...]:
    """The columns that were asked for and that the child has, beside its key."""
    child = target.schema.tables[target.relationship.child]
    return tuple(name for name in options.columns if child.column(name) and name not in target.key)


def _skipped(session: Session, target: Target, plan: Plan, options: Options) -> Audit | None:
    """The skip scan's count, or None when it met more distinct values than it was allowed."""
    columns = target.statistics.skip_columns
    values = skip_scan.values(
        target.relationship, target.schema, target.comparisons, columns, plan.most_steps
    )
    set_local(session, **dict.fromkeys(skip_scan.SETTINGS, "off"))
    steps, missing, orphans = _row(session, skip_scan.count(values, target.child, columns))
    if steps >= plan.most_steps:
        set_local(session, **dict.fromkeys(skip_scan.SETTINGS, "on"))
        _ready_to_join(session, target, options)
        return None
    keys: tuple[str, ...] = ()
    if orphans and target.key:
        shown = query.key_text(target.key, _shown(target, options))
        statement = skip_scan.samples(values, target.child, columns, target.key, shown)
        keys = _keys(session, statement, options)
    born = None
    if orphans and target.birth:
        rows = skip_scan.rows(target.child, columns)
        born = _born(session, target, values + query.born(rows, target.birth))
    return replace(_exact(target, Strategy.SKIP_SCAN, orphans, missing), samples=keys, born=born)


def _sampled(session: Session, target: Target, options: Options) -> Audit | None:
    """The estimate, or None for a table that is too small to sample."""
    percent = options.sample_percent or sample.percent(target.statistics.child_pages)
    if percent >= 100:
        return None
    statement = sample.pages(
        target.relationship,
        target.schema,
        target.comparisons,
        target.match,
        percent,
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


def _exact(target: Target, used: Strategy, orphans: int, distinct: int) -> Audit:
    known = target.statistics.child_rows
    return Audit(
        target.relationship,
        AuditState.ORPHANS if orphans else AuditState.CLEAN,
        orphans=orphans,
        distinct=distinct,
        strategy=used.value,
        exact=True,
        rows=None if known is None else int(known),
    )


def _cost(session: Session, statement: sql.Composed) -> float:
    plan: Any = _row(session, sql.SQL("EXPLAIN (FORMAT JSON) ") + statement)[0]
    return float(plan[0]["Plan"]["Total Cost"])


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
