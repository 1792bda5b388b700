"""A plan as files: SQL to read and to run with psql, and migrations for Prisma; pure.

``plan.sql`` is the whole; ``psql/`` has a file of each step; ``prisma/`` has a migration of each
transaction. What waits for orphan rows is commented out in the first and in a folder of its own in
the last. The same plan gives the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta

from runbook.environment import Change
from runbook.migration.attempts import SCANS, concurrently
from runbook.migration.owner import LONGER, milliseconds
from runbook.migration.plan import Plan, PlanStep, StepKind

AFTER_REMEDIATION = (StepKind.VALIDATE, StepKind.ATTACH, StepKind.DROP, StepKind.PROVE)
STOP = "\\set ON_ERROR_STOP on"
LONGEST_FOLDER = 60
# what squawk would warn of, and why it is meant
ALONE = (
    "-- several statements in one message are one transaction, where CONCURRENTLY is refused:",
    "-- give the role of the migration a lock_timeout and a statement_timeout with ALTER ROLE",
    "-- squawk-ignore require-lock-timeout, require-statement-timeout",
)
ATTACHED = (
    "  -- the partitions have the key already: nothing is scanned",
    "  -- squawk-ignore adding-foreign-key-constraint, constraint-missing-not-valid",
)
MEANT = {
    StepKind.DROP: (
        "-- the key that is as decided has taken its place",
        "-- squawk-ignore ban-drop-constraint",
    ),
    StepKind.INDEX: (
        "-- the partitions have the index already: nothing is built",
        "-- squawk-ignore require-concurrent-index-creation",
    ),
}


def files(plan: Plan, change: Change) -> Mapping[str, str]:
    """Text by path, relative to the plan's folder."""
    found = {"plan.sql": _whole(plan, change)}
    found |= {f"psql/{step.id}.sql": _file(step, change) for step in plan.steps}
    waiting = _waiting(plan)
    for number, step in enumerate(_changing(plan)):
        waits = step.relationship in waiting and step.kind in AFTER_REMEDIATION
        above = "prisma_after_remediation" if waits else "prisma"
        folder = f"{plan.planned + timedelta(seconds=number):%Y%m%d%H%M%S}_{_slug(step)}"
        found[f"{above}/{folder}/migration.sql"] = _migration(step, change)
    return found


def _whole(plan: Plan, change: Change) -> str:
    waiting = _waiting(plan)
    parts = [_heading(plan), STOP]
    for step in plan.steps:
        waits = step.relationship in waiting and step.kind in AFTER_REMEDIATION
        body = _runnable(step, change)
        if step.kind is StepKind.REMEDIATE or waits:
            body = _commented(body)
        if waits:
            body = "-- waits for the remediation above: run it without the comment marks\n" + body
        parts.append(f"{_comment(step)}\n{body}")
    return "\n\n".join(parts) + "\n"


def _heading(plan: Plan) -> str:
    lines = [
        f"migration of {plan.environment}, database {plan.database}",
        f"planned {plan.planned:%Y-%m-%d %H:%M:%S} UTC by fk-runbook {plan.tool_version}",
        f"fingerprint of what it presupposes: {plan.fingerprint}",
        "runbook migrate apply runs these statements too, and tries again for a lock",
        "with psql: psql -f plan.sql; where it stops, run the rest file by file from psql/",
    ]
    lines += [f"left out, {out.state}: {out.relationship}: {out.reason}" for out in plan.left_out]
    return _commented("\n".join(lines))


def _comment(step: PlanStep) -> str:
    lines = [f"{step.id}: {step.title}", f"relationship: {step.relationship}"]
    lines += [f"why: {step.why}"] if step.why else []
    lines += [f"locks: {lock.mode} on {lock.table}" for lock in step.locks]
    lines += [f"waits for: {step.waits_for}"] if step.waits_for else []
    seconds = "not known" if step.seconds is None else f"{step.seconds:g} s"
    lines += [f"estimated: {seconds}"]
    lines += [f"undo: {step.undo}"] if step.undo else []
    return _commented("\n".join(lines))


def _commented(text: str) -> str:
    """``text`` as SQL comments; a name may hold any character that ends a line."""
    return "\n".join(f"-- {line}".rstrip() for line in text.splitlines())


def _file(step: PlanStep, change: Change) -> str:
    return f"{_comment(step)}\n{STOP}\n{_runnable(step, change)}\n"


def _migration(step: PlanStep, change: Change) -> str:
    """For Prisma, which sends a file as one: an index built concurrently has to stand alone."""
    if not concurrently(step):
        return f"{_comment(step)}\n{_transaction(step, change)}\n"
    return "\n".join([_comment(step), *ALONE, step.statements[0], ""])


def _runnable(step: PlanStep, change: Change) -> str:
    if not concurrently(step):
        return _transaction(step, change)
    return "\n".join(
        [
            f"SET lock_timeout = '{milliseconds(change.lock * LONGER)}';",
            f"SET statement_timeout = '{milliseconds(change.scan)}';",
            *step.statements,
            "RESET lock_timeout;",
            "RESET statement_timeout;",
        ]
    )


def _transaction(step: PlanStep, change: Change) -> str:
    """The statements with the limits that apply sets, in one transaction."""
    scan = step.kind in SCANS
    lock = milliseconds(change.lock * (LONGER if scan else 1))
    limit = milliseconds(change.scan if scan else change.statement)
    return "\n".join(
        [
            "BEGIN;",
            "SET LOCAL search_path = pg_catalog;",
            "SET LOCAL row_security = off;",
            f"SET LOCAL lock_timeout = '{lock}';",
            f"SET LOCAL statement_timeout = '{limit}';",
            *_explained(step),
            "COMMIT;",
        ]
    )


def _explained(step: PlanStep) -> Iterator[str]:
    """The statements; squawk is told why the last of them is meant, a line before it looks."""
    *before, last = step.statements
    if step.kind is StepKind.ATTACH:
        last = last.replace("\n  ADD CONSTRAINT", "\n".join(["", *ATTACHED, "  ADD CONSTRAINT"]), 1)
    yield from before
    yield from MEANT.get(step.kind, ())
    yield last


def _waiting(plan: Plan) -> frozenset[str]:
    """The relationships with orphan rows that were counted."""
    return frozenset(
        step.relationship for step in plan.steps if step.kind is StepKind.REMEDIATE and step.orphans
    )


def _changing(plan: Plan) -> Iterator[PlanStep]:
    still = (StepKind.PROVE, StepKind.REMEDIATE)
    return (step for step in plan.steps if step.kind not in still)


def _slug(step: PlanStep) -> str:
    text = f"{step.kind}_{step.table}_{step.name}"
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:LONGEST_FOLDER].rstrip("_")
