"""The strategies on real tables: they agree, and each is taken where it should be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from runbook import context as contexts
from runbook import operators, session
from runbook.audit import engine, parallel
from runbook.audit.engine import Options
from runbook.audit.strategy import Strategy
from runbook.audit.target import Target, targets
from runbook.audit.work import Limits
from runbook.checks import Context
from runbook.findings import Audit, AuditState, Born
from runbook.relationships import Relationship, Relationships
from runbook.schema import TableName
from runbook.settings import Settings
from tests.conftest import Connect

Owner = psycopg.Connection[tuple[object, ...]]
LABEL = "workflow_stages.approver_user_id"


@pytest.fixture
def owner(connect: Connect, scratch: str) -> Iterator[Owner]:
    with connect(scratch, "telecore_owner") as opened:
        yield opened


@pytest.fixture
def looked(settings: Settings) -> Iterator[Callable[[], Context]]:
    """Opens a reader and looks; what it opened is closed at the end."""
    environment = settings.environment("staging")
    readers = []

    def look() -> Context:
        reader = session.connect(environment)
        transaction = session.reading(reader, environment)
        transaction.__enter__()
        readers.append((reader, transaction))
        return contexts.look(settings, environment, reader)

    yield look
    for reader, transaction in readers:
        transaction.__exit__(None, None, None)
        reader.close()


def counted(context: Context, strategy: Strategy | None) -> dict[str, Audit]:
    audits = engine.count(
        context.session,
        context.relationships.items,
        context.schema,
        context.comparisons,
        strategy,
    )
    return {audit.relationship.label: audit for audit in audits}


def break_stages(owner: Owner, rows: int) -> None:
    owner.execute(
        "UPDATE public.workflow_stages SET approver_user_id = 'gone' || (sequence.n % 3)"
        " FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM public.workflow_stages"
        f" WHERE approver_user_id IS NOT NULL ORDER BY id LIMIT {rows}) sequence"
        " WHERE workflow_stages.id = sequence.id"
    )
    owner.execute("ANALYZE public.workflow_stages")


def test_the_exact_strategies_agree(owner: Owner, looked: Callable[[], Context]) -> None:
    break_stages(owner, 17)
    context = looked()
    joined = counted(context, Strategy.ANTI_JOIN)
    skipped = counted(context, Strategy.SKIP_SCAN)
    assert {audit.strategy for audit in skipped.values()} == {"skip scan"}
    for label, audit in joined.items():
        other = skipped[label]
        assert (other.state, other.orphans, other.distinct, other.samples) == (
            audit.state,
            audit.orphans,
            audit.distinct,
            audit.samples,
        ), label
    found = joined[LABEL]
    assert (found.orphans, found.distinct, found.exact, len(found.samples)) == (17, 3, True, 5)


def test_a_skip_scan_that_meets_too_many_values_gives_way(
    owner: Owner, looked: Callable[[], Context]
) -> None:
    owner.execute(
        "ALTER TABLE public.workflow_stage_actions ALTER workflow_stage_id SET (n_distinct = 2)"
    )
    owner.execute("ANALYZE public.workflow_stage_actions")
    context = looked()
    (number,) = (
        place
        for place, item in enumerate(context.relationships)
        if item.label == "workflow_stage_actions.workflow_stage_id"
    )
    (target,) = targets(
        context.session,
        [context.relationships.items[number]],
        context.schema,
        [context.comparisons[number]],
    )
    assert target.statistics.distinct == 2
    audit = engine.one(context.session, target, Options())
    assert (audit.state, audit.strategy, audit.exact) == (AuditState.CLEAN, "anti-join", True)


def test_workers_share_one_snapshot(owner: Owner, looked: Callable[[], Context]) -> None:
    context = looked()
    work = parallel.prepare(
        context.session, context, Options(), Limits(jobs=3), lambda _audit: None
    )
    break_stages(owner, 9)
    assert {audit.state for audit in parallel.run(work).values()} == {AuditState.CLEAN}
    again = parallel.in_snapshot(looked().session, looked(), Options())
    assert sum(audit.orphans or 0 for audit in again) == 9


def test_a_sample_bounds_what_is_there(owner: Owner, looked: Callable[[], Context]) -> None:
    owner.execute(
        "INSERT INTO public.workflow_stage_actions (id, workflow_stage_id, action_type, action_at)"
        " SELECT 'more' || n, CASE WHEN n % 10 = 0 THEN 'gone' ELSE s.id END, 'APPROVE', now()"
        " FROM (SELECT min(id) AS id FROM public.workflow_stages) s,"
        " generate_series(1, 60000) n"
    )
    owner.execute("ANALYZE public.workflow_stage_actions")
    context = looked()
    found = targets(
        context.session, context.relationships.items, context.schema, context.comparisons
    )
    (target,) = (
        t for t in found if t.relationship.label == "workflow_stage_actions.workflow_stage_id"
    )
    options = Options(strategy=Strategy.SAMPLE, sample_percent=20.0)
    audit = engine.one(context.session, target, options)
    assert (audit.state, audit.exact, audit.strategy) == (AuditState.ESTIMATED, False, "sample")
    assert audit.bounds is not None
    low, high = audit.bounds
    assert low <= 6000 <= high
    assert high - low < 6000


WIDE = (
    "CREATE TABLE public.wide (id int PRIMARY KEY, user_id text, filler text);"
    "INSERT INTO public.wide SELECT n, 'gone', repeat('x', 900) FROM generate_series(1, 30000) n;"
    "GRANT SELECT ON public.wide TO telecore_reader; ANALYZE public.wide"
)


def to_users(looked: Callable[[], Context], child: str) -> tuple[Context, Target]:
    """What was read, with the one relationship from ``child.user_id`` to users."""
    item = Relationship(
        TableName("public", child), ("user_id",), TableName("public", "users"), ("id",)
    )
    context = looked()
    comparisons = operators.read(context.session, (item,))
    (target,) = targets(context.session, (item,), context.schema, comparisons)
    alone = replace(context, relationships=Relationships((item,)), comparisons=comparisons)
    return alone, target


@pytest.mark.parametrize("estimate", [True, False])
def test_workers_estimate_what_the_budget_leaves(
    owner: Owner, looked: Callable[[], Context], estimate: bool
) -> None:
    """Most of the budget is gone: what is left is kept for estimates, where they are wanted."""
    owner.execute(WIDE)
    context, _ = to_users(looked, "wide")
    limits, options = Limits(jobs=4, budget=timedelta(seconds=100)), Options(estimate=estimate)
    work = parallel.prepare(context.session, context, options, limits, lambda _audit: None)
    assert work.options.memory == context.environment.load.memory // 4
    work.started -= 90 if estimate else 100
    (audit,) = parallel.run(work).values()
    if estimate:
        assert (audit.state, audit.strategy) == (AuditState.ESTIMATED, "sample")
    else:
        assert (audit.state, audit.orphans) == (AuditState.NOT_LOOKED, None)
        assert audit.reason == "the time budget was used up; --sample estimates what it leaves"


def test_the_largest_come_first_and_with_a_budget_the_smallest(
    owner: Owner, looked: Callable[[], Context]
) -> None:
    owner.execute(WIDE)
    _, wide = to_users(looked, "wide")
    small = replace(wide, statistics=replace(wide.statistics, child_pages=1))
    assert list(parallel.order([small, wide], Limits())) == [wide, small]
    hurried = Limits(budget=timedelta(seconds=1))
    assert list(parallel.order([wide, small], hurried)) == [small, wide]


def test_what_would_take_too_long_is_estimated_where_asked(
    owner: Owner, looked: Callable[[], Context]
) -> None:
    owner.execute(WIDE)
    context, target = to_users(looked, "wide")
    patient, hasty = Options(), Options(estimate=True)
    assert engine.attempt(context.session, target, patient, 1e-9)[0].orphans == 30000
    assert engine.attempt(context.session, target, hasty, 60.0)[0].exact
    audit = engine.attempt(context.session, target, hasty, 1e-9)[0]
    assert (audit.state, audit.strategy) == (AuditState.ESTIMATED, "sample")
    assert audit.bounds is not None
    assert audit.bounds[0] <= 30000 <= audit.bounds[1]


@pytest.mark.parametrize("strategy", [Strategy.SKIP_SCAN, Strategy.ANTI_JOIN])
@pytest.mark.parametrize(
    ("columns", "born"),
    [
        ("id int PRIMARY KEY, made int", Born("id", "3", "12")),
        (
            "id int PRIMARY KEY, \"createdAt\" date DEFAULT '2026-01-02'",
            Born("createdAt", "2026-01-02", "2026-01-02"),
        ),
        ("id text PRIMARY KEY", None),
        ("id int, other int DEFAULT 1, PRIMARY KEY (id, other)", None),
    ],
)
def test_when_the_orphan_rows_were_born(
    owner: Owner,
    looked: Callable[[], Context],
    strategy: Strategy,
    columns: str,
    born: Born | None,
) -> None:
    owner.execute(
        f"CREATE TABLE public.born (user_id text, {columns});"
        "CREATE INDEX ON public.born (user_id);"
        "INSERT INTO public.born VALUES ('gone', 12), ('gone', 3), (NULL, 1);"
        "GRANT SELECT ON public.born TO telecore_reader; ANALYZE public.born"
    )
    context, target = to_users(looked, "born")
    audit = engine.one(context.session, target, Options(strategy=strategy))
    assert (audit.strategy, audit.orphans, audit.born) == (strategy.value, 2, born)
