"""What the numbers of a run say about the decision: add the missing keys (A), or leave them (B)."""

from __future__ import annotations

from dataclasses import dataclass

from runbook import changes, markup, migration, report
from runbook.changes import Kind
from runbook.facts import Facts
from runbook.findings import AuditState, CensusRow, KeyState, counted
from runbook.impact.outcome import ImpactFound, Judgement
from runbook.migration.plan import Plan
from runbook.record import RunRecord
from runbook.rehearsal.outcome import Rehearsal
from runbook.settings import Settings


def options(run: RunRecord) -> str:
    """What each option comes to in this environment, in numbers."""
    return report.show(migration.options(run.census)).content


def recommend(settings: Settings, facts: Facts, run: RunRecord) -> str:
    """The recommendation, and each number that it rests on, as HTML."""
    core = [row for row in run.census if settings.is_core(row.relationship)]
    missing = [row for row in core if row.state is KeyState.MISSING]
    impossible = [row for row in core if row.state is KeyState.IMPOSSIBLE]
    known = _changes(settings, run.environment)
    too_dear = known.impact and known.impact.judgement is Judgement.ROLL_BACK
    too_long = known.rehearsal and not known.rehearsal.passed
    if not core:
        said = "Nothing can be recommended: the run took no census."
    elif not missing and not impossible:
        said = "There is nothing to decide: no core key is missing."
    elif len(impossible) > len(missing):
        said = "Option B: PostgreSQL would refuse more of the keys than it would take."
    elif too_dear:
        said = "Option B: the keys cost a write more than the limit to roll back at."
    elif too_long:
        said = "Option A, and not yet: its rehearsal did not pass."
    else:
        said = "Option A: add the missing keys."
    lines = [*_because(facts, run, core), *_measured(run.environment, known)]
    items = "".join(f"<li>{markup.text(line)}</li>" for line in lines)
    return f"<p><strong>{markup.text(said)}</strong></p><ul>{items}</ul>"


@dataclass(frozen=True)
class Changes:
    """What is on record of the way to the keys: the newest plan, rehearsal and measured cost."""

    plan: Plan | None
    rehearsal: Rehearsal | None
    impact: ImpactFound | None


def _changes(settings: Settings, environment: str) -> Changes:
    plan = changes.latest(settings, environment, Kind.PLAN, Plan)
    rehearsal = changes.latest(settings, environment, Kind.REHEARSAL, Rehearsal)
    impact = changes.latest(settings, environment, Kind.IMPACT, ImpactFound)
    return Changes(
        plan[1] if plan else None,
        rehearsal[1] if rehearsal else None,
        impact[1] if impact else None,
    )


def _measured(environment: str, known: Changes) -> list[str]:
    """Effort, locks and the cost of a write, each from its document, or how to get it."""
    lines = []
    if known.plan:
        scans = [step.seconds for step in known.plan.steps if step.seconds is not None]
        statements = sum(len(step.statements) for step in known.plan.steps)
        lines.append(
            f"effort: {counted(statements, 'statement')} in the plan of"
            f" {known.plan.planned:%Y-%m-%d}, its scans and builds about {sum(scans):,.0f} s"
        )
    else:
        lines.append(f"effort and locks are not planned: runbook migrate plan {environment}")
    if known.rehearsal and known.rehearsal.longest_stall_seconds is not None:
        stall, limit = known.rehearsal.longest_stall_seconds, known.rehearsal.stall_limit_seconds
        lines.append(
            f"locks: a writer stood still for {1000 * stall:,.0f} ms at most when it was rehearsed"
            f" on {known.rehearsal.finished:%Y-%m-%d}{_other_plan(known)}, allowed are"
            f" {1000 * limit:,.0f} ms"
        )
    else:
        lines.append(
            f"how long writers would wait is not measured: runbook migrate rehearse {environment}"
        )
    if known.impact and known.impact.highest_cost_ms is not None:
        cost = known.impact.highest_cost_ms
        lines.append(
            f"writes: the keys cost one {cost:+.2f} ms at most, measured on a copy on"
            f" {known.impact.finished:%Y-%m-%d}"
        )
    else:
        lines.append(f"the cost under load is not measured: runbook impact {environment}")
    return lines


def _other_plan(known: Changes) -> str:
    same = known.plan and known.rehearsal and known.plan.digest == known.rehearsal.plan_digest
    return "" if same else ", with another plan than the newest one"


def _because(facts: Facts, run: RunRecord, core: list[CensusRow]) -> list[str]:
    missing = [row for row in core if row.state is KeyState.MISSING]
    impossible = sum(row.state is KeyState.IMPOSSIBLE for row in core)
    scans = sum(any("no index leads" in remark for remark in row.remarks) for row in missing)
    audits = {audit.relationship.id: audit for audit in run.audits}
    found = [audits.get(row.relationship.id) for row in missing]
    known = [a for a in found if a and a.state in (AuditState.CLEAN, AuditState.ORPHANS)]
    orphans = sum(audit.orphans or 0 for audit in known)
    keys = counted(len(missing), "core key is", "core keys are")
    rows = counted(orphans, "orphan row")
    children = counted(scans, "child", "children")
    looked = f"{len(known):,} of {len(missing):,} were looked at"
    lines = [
        f"{keys} missing, {impossible:,} of the core relationships cannot have one",
        f"{rows} would have to be mended before all of them can be validated; {looked}",
        f"{children} would need an index first, or deletes of a parent scan it",
    ]
    cost = facts.by_name.get(f"{run.environment}.impact.insert.cost_ms")
    if cost and isinstance(cost.value, int | float):
        lines.append(f"the keys cost an insert {cost.value:.2f} ms, as measured")
    else:
        lines.append("what the keys cost an insert was not measured here: a run does not write")
    return lines
