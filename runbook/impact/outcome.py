"""What the keys of a table were measured to cost: the document ``impact.json``."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict

from runbook.rehearsal.outcome import CopyUsed

JUDGED = ("insert", "update", "delete")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Judgement(StrEnum):
    """The cost against the limits."""

    WITHIN = "within the accepted limit"
    ABOVE = "above the accepted limit"
    ROLL_BACK = "above the limit to roll back at"
    NOT_JUDGED = "not judged"


class Series(_Model):
    """One operation, measured with or without the keys; times in milliseconds.

    ``temperature`` is warm or cold; ``per_second`` is of all writers together, None where it was
    not measured.
    """

    operation: str
    writers: int
    temperature: Literal["warm", "cold"]
    keys: bool
    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    per_second: float | None = None


class TriggerTime(_Model):
    """What EXPLAIN ANALYZE says that the triggers of the keys take of one statement; medians."""

    operation: str
    count: int
    triggers_ms: float
    statement_ms: float


class MissingIndex(_Model):
    """The delete of a parent without children, with and without an index on the child; medians.

    ``reason`` says why it was not measured; then the times are None.
    """

    relationship: str = ""
    child_rows: int | None = None
    with_index_ms: float | None = None
    without_index_ms: float | None = None
    count: int = 0
    reason: str = ""


class ImpactFound(_Model):
    """What the keys of ``table`` cost.

    ``quarantined`` orphan rows had to be put aside in the copy first. ``estimate_ms`` is what the
    team expected, from and to; limits in milliseconds, None where none is declared.
    """

    format: Literal[1] = 1
    environment: str
    started: datetime
    finished: datetime
    tool_version: str
    copy_used: CopyUsed
    table: str
    keys: tuple[str, ...]
    rows: int
    quarantined: int
    seconds_each: float
    cold: str
    series: tuple[Series, ...]
    triggers: tuple[TriggerTime, ...]
    missing_index: MissingIndex
    left_out: dict[str, str] = {}
    estimate_ms: tuple[float, float] | None = None
    accepted_ms: float | None = None
    rollback_ms: float | None = None

    def of(self, operation: str, writers: int, temperature: str, *, keys: bool) -> Series | None:
        wanted = (operation, writers, temperature, keys)
        return next(
            (s for s in self.series if (s.operation, s.writers, s.temperature, s.keys) == wanted),
            None,
        )

    def cost_ms(self, operation: str, writers: int, temperature: str = "warm") -> float | None:
        """The median with the keys less the median without; None where one was not measured."""
        with_keys = self.of(operation, writers, temperature, keys=True)
        without = self.of(operation, writers, temperature, keys=False)
        return with_keys.p50_ms - without.p50_ms if with_keys and without else None

    @property
    def highest_cost_ms(self) -> float | None:
        """The highest cost of a one-row write, warm, at any number of writers."""
        costs = [
            cost
            for operation in JUDGED
            for writers in sorted({item.writers for item in self.series})
            if (cost := self.cost_ms(operation, writers)) is not None
        ]
        return max(costs, default=None)

    @property
    def judgement(self) -> Judgement:
        cost = self.highest_cost_ms
        if cost is None or self.accepted_ms is None:
            return Judgement.NOT_JUDGED
        if self.rollback_ms is not None and cost > self.rollback_ms:
            return Judgement.ROLL_BACK
        return Judgement.WITHIN if cost <= self.accepted_ms else Judgement.ABOVE

    @property
    def exit_code(self) -> int:
        """0 within the accepted limit, 1 above, 3 where it cannot be judged."""
        return {Judgement.WITHIN: 0, Judgement.NOT_JUDGED: 3}.get(self.judgement, 1)
