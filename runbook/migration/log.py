"""What came of an apply: the document ``apply.json``."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict

from runbook.migration.plan import StepKind, TableLock


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StepOutcome(StrEnum):
    """What came of a step."""

    DONE = "done"
    ALREADY = "already done"  # nothing was changed
    WAITING = "waiting for remediation"
    ORPHANS = "orphan rows"  # the key is there, not valid
    NOT_PROVEN = "not proven"  # the catalog or the count contradicts
    FAILED = "failed"
    NOT_BEGUN = "not begun"


NEEDS_A_PERSON = (StepOutcome.WAITING, StepOutcome.ORPHANS, StepOutcome.NOT_PROVEN)


class Attempt(_Model):
    """One attempt that did not succeed, ``at`` so many seconds after the step began.

    ``blockers`` are the sessions that held a conflicting lock; ``sqlstate`` is empty where no lock
    was asked for because of them, or where the connection was lost.
    """

    at: float
    seconds: float
    sqlstate: str
    reason: str
    blockers: tuple[str, ...] = ()


class StepLog(_Model):
    """What came of one step.

    ``seconds`` is all of it, ``waited`` the part before the attempt that succeeded; ``locks`` are
    those that its transaction held at its end, as the server lists them, of tables alone.
    """

    id: str
    kind: StepKind
    relationship: str
    outcome: StepOutcome
    message: str = ""
    seconds: float = 0.0
    waited: float = 0.0
    attempts: tuple[Attempt, ...] = ()
    locks: tuple[TableLock, ...] = ()
    orphans: int | None = None


class ApplyLog(_Model):
    """One apply of one plan.

    ``failure`` and ``hint`` are empty unless it was cut short. ``finished`` is None while it goes
    on. ``rehearsal`` is the folder's name of the rehearsal that it relies on; ``unrehearsed`` is
    why there was none.
    """

    format: Literal[1] = 1
    environment: str
    plan_id: str = ""
    plan_digest: str
    database: str
    tool_version: str
    started: datetime
    finished: datetime | None = None
    rehearsal: str = ""
    unrehearsed: str = ""
    reconnects: int = 0
    failure: str = ""
    hint: str = ""
    steps: tuple[StepLog, ...] = ()

    @property
    def changed(self) -> int:
        """Steps that changed the database."""
        still = (StepKind.PROVE, StepKind.REMEDIATE)
        return sum(s.outcome is StepOutcome.DONE and s.kind not in still for s in self.steps)

    @property
    def exit_code(self) -> int:
        """0 all done, 1 something needs a person, 3 cut short."""
        if self.failure or self.finished is None:
            return 3
        return 1 if any(step.outcome in NEEDS_A_PERSON for step in self.steps) else 0
