"""What a rehearsal came to: the document ``rehearsal.json``."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from runbook.migration.log import StepOutcome
from runbook.migration.plan import StepKind


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HeldLock(_Model):
    """A lock on a table: held and waited for in milliseconds, as far as the samples saw it."""

    table: str
    mode: str
    held_ms: float
    waited_ms: float = 0.0


class RehearsedStep(_Model):
    """A step of the plan, as it went on the copy.

    ``began`` is in seconds after the rehearsal's start; it and ``seconds`` are None where the step
    was not run. ``writes`` are the operations of the load that ended in it; ``stall_seconds`` is
    the longest of them beyond its usual time (``stall_operation``), None where there was none.
    ``blocked_seconds`` is the longest that the server says a writer waited for a lock of ours.
    ``errors`` counts what an application would have seen, by SQLSTATE. ``undeclared`` are the
    ACCESS EXCLUSIVE locks that the plan does not declare.
    """

    id: str
    seconds: float | None = None
    kind: StepKind | None = None
    relationship: str = ""
    title: str = ""
    outcome: StepOutcome = StepOutcome.NOT_BEGUN
    message: str = ""
    began: float | None = None
    attempts: int = 0
    locks: tuple[HeldLock, ...] = ()
    undeclared: tuple[str, ...] = ()
    writes: int = 0
    stall_seconds: float | None = None
    stall_operation: str = ""
    blocked_seconds: float = 0.0
    errors: dict[str, int] = {}


class LoadUsed(_Model):
    """The load: its operations, those that were left out and why, and how it went undisturbed.

    ``usual_ms`` is the median of an operation without the migration, by operation. ``writes`` and
    ``errors`` are of the time before the migration, ``writes_during`` and ``errors_during`` of the
    migration.
    """

    writers: int
    operations: tuple[str, ...] = ()
    left_out: dict[str, str] = {}
    usual_ms: dict[str, float] = {}
    writes: int = 0
    errors: dict[str, int] = {}
    writes_during: int = 0
    errors_during: dict[str, int] = {}
    broken: tuple[str, ...] = ()


class Quarantined(_Model):
    """Orphan rows that were put aside in the copy, so that the key could be validated there."""

    relationship: str
    rows: int | None
    failure: str = ""


class Kill(_Model):
    """The program killed after a statement, and what another run made of it.

    ``statement`` counts from 0; the one after the last is the COMMIT, and -1 is before the first.
    ``differences`` are the lines of the catalog that are not as without the kill.
    """

    step: str
    statement: int
    converged: bool
    differences: tuple[str, ...] = ()
    message: str = ""


class CopyUsed(_Model):
    """The copy that it went on; ``sampled``: rows by table, None where all were copied."""

    where: str
    server_version: int
    source_bytes: int
    seconds: float
    sampled: dict[str, int] | None = None
    role: str = ""


class Rehearsal(_Model):
    """One rehearsal of one plan.

    ``plan_id`` is the name of the plan's folder and ``plan_digest`` :attr:`Plan.digest`;
    ``longest_stall_seconds`` is None where no writer was measured. ``reasons`` say why it has not
    ``passed``. ``kills`` is None where nothing was killed. ``looks`` is how often the locks were
    looked at, ``unseen`` why they could not be any more.
    """

    plan_id: str
    plan_digest: str
    finished: datetime
    passed: bool
    longest_stall_seconds: float | None = None
    steps: tuple[RehearsedStep, ...] = ()
    environment: str = ""
    started: datetime | None = None
    tool_version: str = ""
    stall_limit_seconds: float = 1.0
    reasons: tuple[str, ...] = ()
    copy_used: CopyUsed | None = None
    load: LoadUsed | None = None
    quarantined: tuple[Quarantined, ...] = ()
    kills: tuple[Kill, ...] | None = None
    looks: int = 0
    unseen: str = ""
    between_stall_seconds: float | None = None
    between_stall_operation: str = ""

    @property
    def exit_code(self) -> int:
        """0 passed, 1 not."""
        return 0 if self.passed else 1
