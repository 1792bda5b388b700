"""Applies a plan, step by step; what is there already is left alone.

The order of every step: read the catalog, wait while an old transaction holds a conflicting lock,
begin with every limit set, lock the parent before the child, read the catalog again, alter, commit.
What went wrong decides what follows: a lock that was not to be had or a deadlock is tried again
after a pause, a lost connection is made again and the catalog read from the start.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from runbook import __version__
from runbook.environment import Change
from runbook.migration import presuppositions, rights
from runbook.migration.attempts import Applying, Observe, Phase
from runbook.migration.log import ApplyLog, StepLog, StepOutcome
from runbook.migration.owner import Owner
from runbook.migration.plan import Plan, PlanStep, StepKind
from runbook.session import Session

__all__ = ["Observe", "Phase", "apply"]

Say = Callable[[str], None]
"""Called with what happens, or what is waited for."""
Keep = Callable[[ApplyLog], None]
"""Called with the log so far, before the first step and after each."""

HOLDING = (StepOutcome.WAITING, StepOutcome.ORPHANS, StepOutcome.NOT_PROVEN)
INTERRUPTED = "interrupted"


def _unobserved(_step: PlanStep, _statement: int, _phase: Phase) -> None:
    """For those who do not look on."""


def _silent(_text: str) -> None:
    """For those who do not want to hear it."""


def _unkept(_log: ApplyLog) -> None:
    """For those who keep the returned log alone."""


def apply(  # noqa: PLR0913, PLR0917 - two are what it works on, the rest is who looks on
    plan: Plan,
    connect: Callable[[], Session],
    change: Change,
    observe: Observe = _unobserved,
    say: Say = _silent,
    keep: Keep = _unkept,
    log: ApplyLog | None = None,
) -> ApplyLog:
    """Apply ``plan`` as the owner whose sessions ``connect`` opens; returns what came of it.

    ``observe(step, n, phase)`` is called before and after each statement ``n`` of a step that is
    begun, and with ``n = len(step.statements)`` before and after its COMMIT, where it has one.
    ``log`` is the log to go on from, with what the caller knows of the plan.

    A step that fails ends it, and the log says why (``failure``); orphan rows end only the steps
    of their relationship. Raises :class:`IncompleteError` before the first step: when the database
    is not as the plan presupposes, the role may not do it, or another apply is going on.
    """
    log = log or begun(plan)
    owner = Owner(connect, change, say)
    try:
        session = owner.session()
        presuppositions.check(session, plan, change)
        rights.check(session, plan)
        keep(log)
        log = _steps(Applying(plan, change, owner, observe, say), log, keep)
        log = _complete(plan, log.model_copy(update={"finished": datetime.now(UTC)}))
        keep(log)
    finally:
        owner.close()
    return log


def begun(plan: Plan) -> ApplyLog:
    """The log of an apply that begins now."""
    return ApplyLog(
        environment=plan.environment,
        plan_digest=plan.digest,
        database=plan.database,
        tool_version=__version__,
        started=datetime.now(UTC),
    )


def _steps(work: Applying, log: ApplyLog, keep: Keep) -> ApplyLog:
    held: dict[str, StepLog] = {}
    try:
        for step in work.plan.steps:
            before = held.get(step.relationship)
            done = _held(step, before) if before else work.step(step)
            log = log.model_copy(
                update={"steps": (*log.steps, done), "reconnects": work.owner.reconnects}
            )
            keep(log)
            if done.outcome in HOLDING and before is None:
                held[step.relationship] = done
            if done.outcome is StepOutcome.FAILED:
                return _told(log, work.owner, f"{step.id}: {done.message}", work.hint)
    except KeyboardInterrupt:
        return _told(log, work.owner, INTERRUPTED, "apply the same plan again: it goes on")
    return log


def _told(log: ApplyLog, owner: Owner, failure: str, hint: str) -> ApplyLog:
    values = {"failure": failure, "hint": hint, "reconnects": owner.reconnects}
    return log.model_copy(update=values)


def _held(step: PlanStep, before: StepLog) -> StepLog:
    """A step that waits for what an earlier one of its relationship found."""
    return StepLog(
        id=step.id,
        kind=step.kind,
        relationship=step.relationship,
        outcome=StepOutcome.WAITING,
        message=f"after {before.id}: {before.outcome}",
    )


def _complete(plan: Plan, log: ApplyLog) -> ApplyLog:
    """The log with the steps that were not begun."""
    known = {step.id for step in log.steps}
    rest = tuple(
        StepLog(
            id=step.id,
            kind=StepKind(step.kind),
            relationship=step.relationship,
            outcome=StepOutcome.NOT_BEGUN,
        )
        for step in plan.steps
        if step.id not in known
    )
    return log.model_copy(update={"steps": (*log.steps, *rest)})
