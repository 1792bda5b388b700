"""Whether a step is done, as the catalog has it: by shape, never by what a log says."""

from __future__ import annotations

from dataclasses import dataclass

from runbook.errors import IncompleteError
from runbook.findings import counted as number_of
from runbook.migration import declared, indexes
from runbook.migration.log import StepOutcome
from runbook.migration.plan import Plan, PlannedKey, PlanStep, StepKind, TableLock
from runbook.schema import ForeignKey, Index, TableName
from runbook.session import Session

PLAN_AGAIN = "make a new plan: runbook migrate plan"


@dataclass(frozen=True)
class Settled:
    """What came of a step; ``locks`` are those its transaction held at its end."""

    outcome: StepOutcome
    message: str = ""
    locks: tuple[TableLock, ...] = ()
    orphans: int | None = None


def already(session: Session, step: PlanStep, key: PlannedKey) -> Settled | None:
    """That ``step`` has nothing to do; None: it has.

    Raises :class:`IncompleteError` where what it would make or drop is not what the plan meant.
    """
    table = TableName(step.schema_name, step.table)
    if step.kind is StepKind.INDEX:
        return _index(session, step, key, table)
    if step.kind is StepKind.DROP:
        return _drop(session, step, key, table)
    found = declared.as_decided(session, table, key)
    if found and (found.validated or step.kind is StepKind.ADD):
        return _there(found.name, step)
    if step.kind is StepKind.VALIDATE:
        if found is None or found.name != step.name:
            raise IncompleteError(f"no key {step.name!r} on {table} that is as decided", PLAN_AGAIN)
    elif declared.constraint_exists(session, table, step.name):
        raise IncompleteError(
            f"the name {step.name!r} is taken on {table} by another constraint", PLAN_AGAIN
        )
    return None


def _there(name: str, step: PlanStep) -> Settled:
    by = "" if name == step.name else f"by the key {name!r}"
    return Settled(StepOutcome.ALREADY, by)


def _index(session: Session, step: PlanStep, key: PlannedKey, table: TableName) -> Settled | None:
    serving = _serving(session, key, table)
    if serving:
        by = "" if serving.name == step.name else f"by the index {serving.name!r}"
        return Settled(StepOutcome.ALREADY, by)
    taken = declared.relation(session, step.schema_name, step.name)
    if taken and (taken.table != table or taken.valid):
        raise IncompleteError(
            f"the name {step.name!r} is taken in schema {step.schema_name!r}", PLAN_AGAIN
        )
    return None


def _serving(session: Session, key: PlannedKey, table: TableName) -> Index | None:
    """Of a table that is not the child itself, but a partition of it, only the very index."""
    known = declared.indexes(session, table)
    return indexes.serving(known, key.columns, partition=table != key.child_name)


def leftover(session: Session, step: PlanStep) -> bool:
    """Whether an index that a failed attempt left invalid has the name."""
    taken = declared.relation(session, step.schema_name, step.name)
    return taken is not None and not taken.valid


def require_index(session: Session, step: PlanStep, key: PlannedKey) -> None:
    """Raise :class:`IncompleteError` unless the index is there and usable."""
    table = TableName(step.schema_name, step.table)
    if _serving(session, key, table) is None:
        raise IncompleteError(
            f"the index {step.name!r} was built and is not usable",
            "apply the same plan again: it drops it and builds it anew",
        )


def _drop(session: Session, step: PlanStep, key: PlannedKey, table: TableName) -> Settled | None:
    here = declared.keys(session, table)
    old = next((found for found in here if found.name == step.name), None)
    if old is None:
        return Settled(StepOutcome.ALREADY)
    if key.is_that_of(old):
        raise IncompleteError(
            f"the key {step.name!r} on {table} is as decided now, and the plan would drop it",
            PLAN_AGAIN,
        )
    if not any(key.is_that_of(found) and found.validated for found in here):
        raise IncompleteError(
            f"the key {step.name!r} on {table} is not replaced by a valid one yet",
            "apply the same plan again",
        )
    return None


def faults(session: Session, step: PlanStep, plan: Plan) -> tuple[str, ...]:
    """What the catalog says against a proof; nothing for any other step."""
    if step.kind is not StepKind.PROVE:
        return ()
    key = plan.key_of(step)
    here = declared.keys(session, key.child_name)
    alike = [found for found in here if key.has_shape_of(found)]
    if not alike:
        return ("the key is not there",)
    right = [found for found in alike if key.is_that_of(found)]
    if not right:
        return tuple(_against(found) for found in alike)
    return () if any(found.validated for found in right) else ("the key is not valid",)


def _against(key: ForeignKey) -> str:
    if not key.enforced:
        return f"the key {key.name!r} is declared NOT ENFORCED"
    if key.disabled_triggers:
        return f"{number_of(key.disabled_triggers, 'trigger')} of the key {key.name!r} disabled"
    return f"the key {key.name!r} is not as decided"


def counted(step: PlanStep, orphans: int, against: tuple[str, ...]) -> Settled:
    """What a count came to, for remediation or as a proof."""
    rows = number_of(orphans, "orphan row")
    if step.kind is StepKind.REMEDIATE:
        if not orphans:
            return Settled(StepOutcome.DONE, orphans=0)
        return Settled(StepOutcome.WAITING, rows, orphans=orphans)
    if orphans:
        against = (*against, f"{rows} though the key is there")
    if against:
        return Settled(StepOutcome.NOT_PROVEN, "; ".join(against), orphans=orphans)
    return Settled(StepOutcome.DONE, orphans=0)
