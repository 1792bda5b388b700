"""What a rehearsal saw, put together: each step with its locks and stalls, and the verdict."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runbook.disposable import Copy
from runbook.migration.log import ApplyLog, StepLog, StepOutcome
from runbook.migration.plan import PlanStep
from runbook.rehearsal import load as loads
from runbook.rehearsal.load import Load, Timed, Usual
from runbook.rehearsal.outcome import CopyUsed, HeldLock, LoadUsed, Rehearsal, RehearsedStep
from runbook.rehearsal.watch import Watch
from runbook.schema import TableName

EXCLUSIVE = "ACCESS EXCLUSIVE"
SETTLED = (StepOutcome.DONE, StepOutcome.ALREADY)


@dataclass
class Times:
    """When a step began and ended, by ``time.monotonic``."""

    began: float
    ended: float


@dataclass(frozen=True)
class Seen:
    """All that was seen of one rehearsal; ``start`` is when it began, by ``time.monotonic``."""

    logs: tuple[ApplyLog, ...]
    times: Mapping[str, Times]
    load: Load
    watch: Watch
    usual: Usual | None
    during: tuple[Timed, ...]
    start: float


def judged(found: Rehearsal, failure: str) -> Rehearsal:
    """``found`` with its verdict and the reasons against it."""
    reasons = [failure] if failure else []
    reasons += [
        f"{step.id}: {step.outcome}{f': {step.message}' if step.message else ''}"
        for step in found.steps
        if step.outcome not in SETTLED and not failure
    ]
    reasons += [
        f"{step.id}: ACCESS EXCLUSIVE on {table}, which the plan does not declare"
        for step in found.steps
        for table in step.undeclared
    ]
    limit, stall = found.stall_limit_seconds, found.longest_stall_seconds
    if stall is None:
        reasons.append(f"no writer was measured{_left_out(found.load)}")
    elif stall > limit:
        reasons.append(f"a writer stood still for {stall:.3f} s, expected at most {limit:g} s")
    if found.unseen:
        reasons.append(f"the locks could not be looked at: {found.unseen}")
    if found.load:
        reasons += found.load.broken
    reasons += [
        f"{item.relationship}: its orphan rows could not be put aside: {item.failure}"
        for item in found.quarantined
        if item.failure
    ]
    reasons += [
        f"killed after statement {kill.statement} of {kill.step}: not the same catalog"
        f"{f': {kill.message}' if kill.message else ''}"
        for kill in found.kills or ()
        if not kill.converged
    ]
    return found.model_copy(update={"passed": not reasons, "reasons": tuple(reasons)})


def _left_out(load: LoadUsed | None) -> str:
    """Why nothing was written, where nothing could be."""
    if load is None or load.operations:
        return ""
    told = [f"{what}: {why}" for what, why in load.left_out.items()]
    more = f"; and {len(told) - 3} more" if len(told) > 3 else ""
    return f": {'; '.join(told[:3])}{more}" if told else ""


def attribute(done: Sequence[Timed], times: Mapping[str, Times]) -> dict[str, list[Timed]]:
    """The operations of each step: those that it overlapped, with its longest part; "": none."""
    found: dict[str, list[Timed]] = {}
    ordered = sorted(times.items(), key=lambda item: item[1].began)
    ends = [item.ended for _, item in ordered]
    for timed in done:
        best, most = "", 0.0
        for name, step in ordered[bisect_left(ends, timed.began) :]:
            if step.began > timed.ended:
                break
            part = min(step.ended, timed.ended) - max(step.began, timed.began)
            if part >= most:
                best, most = name, part
        found.setdefault(best, []).append(timed)
    return found


def longest(done: Sequence[Timed], usual: Usual | None) -> Timed | None:
    """The one that took the longest beyond its usual time; None where nothing is usual."""
    return max(done, key=usual.excess, default=None) if usual else None


def rehearsed(step: PlanStep, seen: Seen, writes: Sequence[Timed]) -> RehearsedStep:
    """What was seen of one step; ``writes`` are the operations of the load in it."""
    said = _said(step.id, seen.logs)
    times = seen.times.get(step.id)
    locks = _locks(step.id, seen.watch, said)
    declared = {lock.table for lock in step.locks if lock.mode == EXCLUSIVE}
    taken = {lock.table for lock in locks if lock.mode == EXCLUSIVE}
    slowest = longest(writes, seen.usual)
    return RehearsedStep(
        id=step.id,
        seconds=said.seconds if said.outcome is not StepOutcome.NOT_BEGUN else None,
        kind=step.kind,
        relationship=step.relationship,
        title=step.title,
        outcome=said.outcome,
        message=said.message,
        began=round(times.began - seen.start, 4) if times else None,
        attempts=len(said.attempts) + (said.outcome is not StepOutcome.NOT_BEGUN),
        locks=locks,
        undeclared=tuple(sorted(taken - declared)),
        writes=len(writes),
        stall_seconds=round(seen.usual.excess(slowest), 4) if slowest and seen.usual else None,
        stall_operation=slowest.operation if slowest else "",
        blocked_seconds=round(seen.watch.blocked.get(step.id, 0.0), 4),
        errors=loads.errors(writes),
    )


def _said(step: str, logs: Sequence[ApplyLog]) -> StepLog:
    """What the round said of the step in which it was done; else the last one."""
    every = [item for log in logs for item in log.steps if item.id == step]
    return next((item for item in every if item.outcome is StepOutcome.DONE), every[-1])


def _locks(step: str, watch: Watch, said: StepLog) -> tuple[HeldLock, ...]:
    """The locks that were sampled, and those that the server listed at the step's end."""
    sampled = {
        (str(TableName(schema, table)), mode): held
        for (at, schema, table, mode), held in watch.held.items()
        if at == step
    }
    listed = {(lock.table, lock.mode) for lock in said.locks}
    return tuple(
        HeldLock(
            table=table,
            mode=mode,
            held_ms=round(1000 * sampled[table, mode].seconds, 2)
            if (table, mode) in sampled
            else 0.0,
            waited_ms=round(1000 * sampled[table, mode].waited, 2)
            if (table, mode) in sampled
            else 0.0,
        )
        for table, mode in sorted(listed | set(sampled))
    )


def copy_used(copy: Copy) -> CopyUsed:
    return CopyUsed(
        where=copy.server.where,
        server_version=copy.version,
        source_bytes=copy.size,
        seconds=round(copy.seconds, 3),
        sampled=None
        if copy.sampled is None
        else {str(table): rows for table, rows in copy.sampled.items()},
        role=copy.role or "",
    )


def load_used(
    load: Load,
    labels: tuple[str, ...],
    left_out: dict[str, str],
    usual: Usual | None,
    during: Sequence[Timed],
) -> LoadUsed:
    """What the load was and what it saw; ``labels`` are its operations."""
    medians = usual.medians if usual else {}
    return LoadUsed(
        writers=load.writers,
        operations=labels,
        left_out=left_out,
        usual_ms={label: round(1000 * seconds, 3) for label, seconds in medians.items()},
        writes=usual.operations if usual else 0,
        errors=usual.errors if usual else {},
        writes_during=len(during),
        errors_during=loads.errors(during),
        broken=tuple(load.broken),
    )
