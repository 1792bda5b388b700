"""The chooser, and the arithmetic of a sample."""

from __future__ import annotations

import pytest

from runbook.audit import sample
from runbook.audit.strategy import START_COST, STEP_COST, Plan, Strategy, choose, work_memory
from runbook.schema import Match
from runbook.statistics import UNKNOWN, Statistics

MILLION = 1_000_000.0


def known(distinct: float | None, columns: tuple[str, ...] = ("a",)) -> Statistics:
    return Statistics(10 * MILLION, 100_000, 1000.0, 8, distinct, columns)


def test_few_distinct_values_in_an_index_are_skipped_through() -> None:
    plan = choose(known(500), 200_000, Match.SIMPLE)
    assert plan == Plan(
        Strategy.SKIP_SCAN,
        START_COST + 500 * STEP_COST,
        "about 500 distinct values in an index",
        int(200_000 / STEP_COST),
    )


@pytest.mark.parametrize(
    ("statistics", "match", "reason"),
    [
        (known(MILLION), Match.SIMPLE, "about 1,000,000 distinct values"),
        (known(None), Match.SIMPLE, "never analyzed: distinct values unknown"),
        (known(500, ()), Match.SIMPLE, "no index to skip through"),
        (known(500, ("a", "b")), Match.FULL, "no index to skip through"),
        (UNKNOWN, Match.SIMPLE, "no index to skip through"),
    ],
)
def test_the_rest_is_joined(statistics: Statistics, match: Match, reason: str) -> None:
    plan = choose(statistics, 200_000, match)
    assert (plan.strategy, plan.cost, plan.reason) == (Strategy.ANTI_JOIN, 200_000, reason)


def test_a_small_table_is_joined_though_it_has_few_distinct_values() -> None:
    assert choose(known(10), 50, Match.SIMPLE).strategy is Strategy.ANTI_JOIN


@pytest.mark.parametrize("strategy", list(Strategy))
def test_a_strategy_can_be_forced(strategy: Strategy) -> None:
    plan = choose(known(500), 200_000, Match.SIMPLE, strategy)
    assert (plan.strategy, plan.reason) == (strategy, "asked for")


def test_a_skip_scan_cannot_be_forced_without_an_index() -> None:
    plan = choose(known(500, ()), 200_000, Match.SIMPLE, Strategy.SKIP_SCAN)
    assert plan.strategy is Strategy.ANTI_JOIN


def test_memory_follows_the_parent_within_the_budget() -> None:
    assert work_memory(UNKNOWN, 2**28, 3) == 4096
    assert work_memory(Statistics(1.0, 1, MILLION, 8, 1.0, ()), 2**28, 3) == 70_312
    assert work_memory(Statistics(1.0, 1, 1000 * MILLION, 8, 1.0, ()), 2**28, 2) == 2**17


def test_a_whole_table_is_no_estimate() -> None:
    assert sample.estimate(100, 100, 5000, 7, 49) == sample.Estimate(7, 7, 7)


def test_no_orphan_in_a_sample_is_not_none_in_the_table() -> None:
    found = sample.estimate(10_000, 300, 30_000, 0, 0)
    assert (found.rows, found.low) == (0, 0)
    assert found.high == 9937  # 1 - 0.05 ** (1 / 300) of ten thousand pages of a hundred rows


def test_clustered_orphans_widen_the_interval() -> None:
    spread_out = sample.estimate(1000, 100, 10_000, 100, 100)  # one in every page
    clustered = sample.estimate(1000, 100, 10_000, 100, 10_000)  # all of them in one page
    assert spread_out == sample.Estimate(1000, 1000, 1000)
    assert clustered.rows == 1000
    assert clustered.low == 100  # what was seen
    assert clustered.high > 2500


def test_a_sample_takes_enough_pages_and_not_too_many() -> None:
    assert sample.percent(0) == 100
    assert sample.percent(900) == 100
    assert sample.percent(20_000) == 5
    assert sample.percent(1_000_000) == 1
    assert sample.percent(100_000_000) == 0.05
