"""Chooses how to count the orphan rows of a relationship, by what the planner knows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from runbook.schema import Match
from runbook.statistics import Statistics


class Strategy(StrEnum):
    """A way to count orphan rows. All but the sample are exact."""

    SKIP_SCAN = "skip scan"
    ANTI_JOIN = "anti-join"
    SAMPLE = "sample"


# One step of a skip scan, in the planner's cost units: an index descent in the child and one in
# the parent. Measured at 3 to 4 µs beside 2 to 5 µs a unit of a parallel hash anti-join in memory
# (PostgreSQL 18, two cores); `make bench` repeats the measurement.
STEP_COST = 1.2
START_COST = 600.0  # planning it, and its settings: about 2 ms
SECONDS_PER_UNIT = 4e-6
MOST_STEPS = 2**31 - 1
HASH_ENTRY = 64  # bytes of a hash table's entry beside the key itself


@dataclass(frozen=True)
class Plan:
    """How one relationship is counted; ``cost`` in the planner's units, ``reason`` in words.

    ``most_steps`` bounds a skip scan: with more distinct values than the statistics promised, the
    anti-join takes over.
    """

    strategy: Strategy
    cost: float
    reason: str
    most_steps: int = 0

    @property
    def seconds(self) -> float:
        """A rough estimate of the duration, for budgets and progress."""
        return self.cost * SECONDS_PER_UNIT


def choose(
    statistics: Statistics, join_cost: float, match: Match, forced: Strategy | None = None
) -> Plan:
    """The cheapest exact strategy, or ``forced`` where it is applicable.

    ``join_cost`` is the planner's own cost of the anti-join.
    """
    if forced is Strategy.SAMPLE:
        return Plan(Strategy.SAMPLE, join_cost, "asked for")
    columns, steps = statistics.skip_columns, statistics.distinct
    refusal = ""
    if not columns or (match is Match.FULL and len(columns) > 1):
        refusal = "no index to skip through"
    elif forced is Strategy.ANTI_JOIN:
        refusal = "asked for"
    elif forced is None and steps is None:
        refusal = "never analyzed: distinct values unknown"
    elif forced is None and steps is not None and _skip_cost(steps) >= join_cost:
        refusal = f"about {steps:,.0f} distinct values"
    if refusal:
        return Plan(Strategy.ANTI_JOIN, join_cost, refusal)
    bound = MOST_STEPS if forced else max(int(join_cost / STEP_COST), 100)
    reason = "asked for" if forced else f"about {steps:,.0f} distinct values in an index"
    return Plan(Strategy.SKIP_SCAN, _skip_cost(steps or 0), reason, most_steps=bound)


def _skip_cost(steps: float) -> float:
    return START_COST + STEP_COST * steps


def work_memory(statistics: Statistics, budget_bytes: int, processes: int) -> int:
    """Kilobytes of work_mem for a hash table of the parent's keys; never under 4 MB.

    A parallel join has it in each of its ``processes``, and shares what they do not build alone:
    https://www.postgresql.org/docs/current/runtime-config-resource.html#GUC-WORK-MEM
    """
    rows = statistics.parent_rows or 0
    needed = int(rows * (statistics.key_width + HASH_ENTRY))
    return max(4 * 1024, min(needed, budget_bytes // processes) // 1024)
