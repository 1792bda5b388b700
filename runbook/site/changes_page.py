"""The page of an environment's changes: plan, rehearsal, apply, remediation, monitoring, impact.

Each part quotes the newest document of its kind, or says how to make one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from runbook import changes, impact_report, markup, rehearsal_report
from runbook.changes import Kind
from runbook.environment import Environment
from runbook.findings import AuditState, counted
from runbook.impact.outcome import ImpactFound
from runbook.markup import Html
from runbook.migration.log import ApplyLog
from runbook.migration.plan import Plan, PlanStep, StepKind
from runbook.monitoring.log import Status
from runbook.rehearsal.outcome import Rehearsal
from runbook.remediation.document import Remediation
from runbook.settings import Settings

NAME = "changes.md"
SQL = "plan.sql"
NOTEBOOK = "rehearsal.ipynb"
WORST = 15
USUAL = (StepKind.ADD, StepKind.VALIDATE, StepKind.PROVE)
SHOWN = 60  # rows of a table; all are in the files of the project's folder of changes
OUT_OF_SEARCH = "---\nsearch:\n  exclude: true\n---\n"


def documents(settings: Settings, environment: Environment) -> dict[str, str]:
    """The page, and the newest plan's SQL, by their path in the environment's folder."""
    folder = changes.newest(settings, environment.name, Kind.PLAN)
    sql = folder / SQL if folder else None
    published = sql if sql and sql.is_file() else None
    parts = _parts(settings, environment, published is not None)
    lines = [OUT_OF_SEARCH, f"# Changes of {markup.text(environment.title)}", "", *parts, ""]
    found = {NAME: "\n".join(lines)}
    if published:
        found[SQL] = published.read_text(encoding="utf-8")
    rehearsal = changes.newest(settings, environment.name, Kind.REHEARSAL)
    if rehearsal and (rehearsal / NOTEBOOK).is_file():
        found[NOTEBOOK] = (rehearsal / NOTEBOOK).read_text(encoding="utf-8")
    return found


def _parts(settings: Settings, environment: Environment, has_sql: bool) -> Iterator[str]:
    name = environment.name
    plan = changes.latest(settings, name, Kind.PLAN, Plan)
    yield "## Plan\n"
    yield _plan(*plan, has_sql) if plan else _none("plan", f"runbook migrate plan {name}")
    rehearsal = changes.latest(settings, name, Kind.REHEARSAL, Rehearsal)
    yield "\n## Rehearsal\n"
    command = f"runbook migrate rehearse {name}"
    yield _rehearsal(*rehearsal, plan) if rehearsal else _none("rehearsal", command)
    log = changes.latest(settings, name, Kind.APPLY, ApplyLog)
    yield "\n## Apply\n"
    yield _apply(log[1]) if log else _none("apply", f"runbook migrate apply {name}")
    yield "\n## Remediation\n"
    yield _remediations(settings, name)
    status = changes.latest(settings, name, Kind.MONITOR, Status)
    yield "\n## Monitoring\n"
    hint = f"runbook monitor status {name} --keep"
    yield _monitoring(status[1]) if status else _none("state of the monitoring", hint)
    impact = changes.latest(settings, name, Kind.IMPACT, ImpactFound)
    yield "\n## Cost of the keys\n"
    yield (
        impact_report.html(impact[1]) if impact else _none("measurement", f"runbook impact {name}")
    )


def _none(what: str, command: str) -> str:
    return f"<p>No {what} is on record. <code>{markup.text(command)}</code> makes one.</p>"


def _plan(folder: Path, plan: Plan, has_sql: bool) -> str:
    known = [step.seconds for step in plan.steps if step.seconds is not None]
    about = f"{counted(len(plan.keys), 'key')} in {counted(len(plan.steps), 'step')}, planned"
    said = f"; its scans and builds take about {sum(known):,.1f} s" if known else ""
    link = f' · <a href="../{SQL}" download>SQL</a>' if has_sql else ""
    rows = [
        (
            f"{key.child_name.label}({', '.join(key.columns)})",
            key.parent_name.label,
            key.on_delete.value,
            key.priority.value,
            ", ".join(
                f"{step.kind} {counted(step.orphans, 'orphan row')}" if step.orphans else step.kind
                for step in plan.steps
                if step.relationship == key.relationship and step.kind not in USUAL
            ),
        )
        for key in plan.keys[:SHOWN]
    ]
    columns = ("key", "refers to", "on delete", "priority", "beside add, validate, prove")
    keys = markup.table(columns, rows, "Keys of the plan, in their order")
    return (
        f"<p>{markup.text(about)} {markup.moment(plan.planned)} as {markup.text(folder.name)}"
        f"{markup.text(said)}.{link}</p>"
        + _kinds(plan.steps)
        + f"<details><summary>The keys, in their order</summary>{keys}"
        + f"{_more(len(plan.keys), 'plan.json')}</details>"
        + _left_out(plan)
    )


def _kinds(steps: Sequence[PlanStep]) -> str:
    """What each kind of step does, locks and waits for: the same for all of a kind."""
    rows = []
    for kind in StepKind:
        found = [step for step in steps if step.kind is kind]
        modes = dict.fromkeys(lock.mode for step in found for lock in step.locks)
        waits = dict.fromkeys(step.waits_for for step in found if step.waits_for)
        if found:
            rows.append((kind.value, len(found), ", ".join(modes), "; ".join([*waits][:2])))
    columns = ("step", "times", "locks", "waits for")
    return markup.table(columns, rows, "Steps by what they do")


def _left_out(plan: Plan) -> str:
    if not plan.left_out:
        return "<p>No relationship is left out.</p>"
    rows = [(item.relationship, item.state, item.reason) for item in plan.left_out[:SHOWN]]
    table = markup.table(("relationship", "key", "why"), rows, "Left out of the plan")
    return table + _more(len(plan.left_out), "plan.json")


def _more(number: int, file: str) -> str:
    left = number - SHOWN
    return f"<p>And {left:,} more in {file}.</p>" if left > 0 else ""


def _older(rehearsal: Rehearsal, plan: tuple[Path, Plan] | None) -> str:
    if plan is None or rehearsal.plan_digest == plan[1].digest:
        return ""
    return f"<p>{markup.state('stale')} It is of another plan than the newest one.</p>"


def _rehearsal(folder: Path, found: Rehearsal, plan: tuple[Path, Plan] | None) -> str:
    """The outcome, the timeline and the worst steps; all of them are in the notebook."""
    worst = sorted(
        (step for step in found.steps if step.stall_seconds or step.errors or step.undeclared),
        key=lambda step: -(step.stall_seconds or 0),
    )[:WORST]
    parts = [
        _older(found, plan),
        rehearsal_report.outcome(found),
        rehearsal_report.timeline(found),
        rehearsal_report.steps_table(worst, "The steps with the longest stalls of a writer"),
        rehearsal_report.surroundings(found),
    ]
    if (folder / NOTEBOOK).is_file():
        parts.append('<p>All of it is in the <a href="../rehearsal/">executed notebook</a>.</p>')
    return "\n".join(parts)


def _apply(log: ApplyLog) -> str:
    relies = (
        f"relies on the rehearsal {log.rehearsal}"
        if log.rehearsal
        else f"without a rehearsal: {log.unrehearsed}"
    )
    state = {0: "done", 1: "needs a person"}.get(log.exit_code, "cut short")
    outcomes = Counter(step.outcome for step in log.steps)
    counts = ", ".join(f"{number:,} {outcome}" for outcome, number in outcomes.items())
    told = [step for step in log.steps if step.message or step.attempts]
    rows = [
        (
            step.id,
            step.relationship,
            Html(markup.state(step.outcome)),
            step.waited,
            len(step.attempts),
            step.message,
        )
        for step in told[:SHOWN]
    ]
    columns = ("step", "relationship", "", "waited s", "failed attempts", "said")
    cut = f"<p>{markup.text(log.failure)}</p>" if log.failure else ""
    return (
        f"<p>{markup.state(state)} begun {markup.moment(log.started)}, plan"
        f" {markup.text(log.plan_id)}, {markup.text(relies)}. {markup.text(counts)};"
        f" {markup.text(counted(log.changed, 'step'))} changed the database.</p>{cut}"
        + (markup.table(columns, rows, "Steps that did not just succeed") if rows else "")
        + _more(len(told), "apply.json")
    )


def _remediations(settings: Settings, environment: str) -> str:
    found = [
        changes.read(folder, Kind.REMEDIATION, Remediation)
        for folder in changes.every(settings, environment, Kind.REMEDIATION)
    ]
    if not found:
        return _none("remediation", f"runbook remediate {environment} RELATIONSHIP")
    rows = [
        (
            item.id,
            Html(markup.state(item.state)),
            item.relationship,
            item.strategy.value,
            item.rows,
            item.left,
            item.kept_in,
            f"{item.login}: {item.reason}",
        )
        for item in found[:SHOWN]
    ]
    columns = ("id", "", "relationship", "strategy", "rows", "left", "kept in", "who and why")
    return markup.table(columns, rows, "Remediations, the newest first") + _more(
        len(found), "the folder of changes"
    )


def _monitoring(status: Status) -> str:
    reasons = "".join(f"<li>{markup.text(reason)}</li>" for reason in status.reasons)
    said = f"<p>{markup.state(status.standing)} schema {markup.text(status.schema_name)}</p>" + (
        f"<ul>{reasons}</ul>" if reasons else ""
    )
    if status.log is None:
        return said
    log = status.log
    wanted = [
        result for result in log.results if result.orphans or result.state is not AuditState.CLEAN
    ]
    rows = [
        (
            result.label,
            Html(markup.state(result.state)),
            result.orphans,
            result.threshold,
            result.trend,
            result.error or "",
        )
        for result in wanted[:SHOWN]
    ]
    columns = ("relationship", "rows", "orphan rows", "threshold", "trend", "why")
    clean = sum(result.state is AuditState.CLEAN for result in log.results)
    return (
        said
        + f"<p>Looked at {markup.moment(log.now)}: {clean:,} of"
        + f" {counted(len(log.results), 'relationship')} clean.</p>"
        + markup.table(columns, rows, "Everything else in the newest results of the log")
        + _more(len(wanted), "the log")
    )
