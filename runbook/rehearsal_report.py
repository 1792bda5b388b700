"""A rehearsal as HTML: verdict, timeline, and tables of its steps, locks, writes and kills."""

from __future__ import annotations

from collections.abc import Sequence

from runbook import charts, markup
from runbook.charts import Mark, Span
from runbook.findings import counted
from runbook.markup import Html
from runbook.migration.log import StepOutcome
from runbook.rehearsal.outcome import Rehearsal, RehearsedStep

LOCKING_OUT = ("SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE")
LABEL = 26  # characters that fit left of the timeline
MARKED = 0.1  # of the limit: a shorter stall is in the table alone


def html(found: Rehearsal) -> str:
    """All of it, as HTML without styles or scripts of its own."""
    return "\n".join((outcome(found), timeline(found), steps(found), surroundings(found)))


def outcome(found: Rehearsal) -> str:
    """Whether it passed, and on what copy."""
    return f"{_verdict(found)}\n{_copy(found)}"


def steps(found: Rehearsal) -> str:
    """A table of the steps, and one of their locks."""
    return f"{steps_table(found.steps, 'The steps')}\n{_locks(found.steps)}"


def surroundings(found: Rehearsal) -> str:
    """The load, the orphan rows that were put aside, and the kills."""
    return "\n".join((_load(found), _quarantined(found), _kills(found)))


def _verdict(found: Rehearsal) -> str:
    stall = found.longest_stall_seconds
    said = (
        "no writer was measured"
        if stall is None
        else f"the longest stall of a writer was {1000 * stall:.0f} ms,"
        f" allowed are {1000 * found.stall_limit_seconds:.0f} ms"
    )
    reasons = "".join(f"<li>{markup.text(reason)}</li>" for reason in found.reasons)
    return (
        f"<p>{markup.state('passed' if found.passed else 'failed')}"
        f" plan {markup.text(found.plan_id)}, {markup.moment(found.finished)}:"
        f" {markup.text(said)}</p>" + (f"<ul>{reasons}</ul>" if reasons else "")
    )


def _copy(found: Rehearsal) -> str:
    used = found.copy_used
    if used is None:
        return ""
    rows = (
        "all rows"
        if used.sampled is None
        else f"a sample of {sum(used.sampled.values()):,} rows; the times are not those of all rows"
    )
    return (
        f"<p>On {markup.text(used.where)} (PostgreSQL {used.server_version // 10_000}),"
        f" {markup.text(rows)}, copied in {used.seconds:.1f} s and removed afterwards.</p>"
    )


def _tone(step: RehearsedStep) -> str:
    if step.outcome not in (StepOutcome.DONE, StepOutcome.ALREADY):
        return "bad"
    return "warn" if any(lock.mode in LOCKING_OUT for lock in step.locks) else "good"


def timeline(found: Rehearsal) -> str:
    """A row for each relationship, a span for each step; stalls of note are marked."""
    rows = []
    for relationship in dict.fromkeys(step.relationship for step in found.steps):
        run = [s for s in found.steps if s.relationship == relationship and s.began is not None]
        spans = [Span(_tone(step), step.began or 0, step.seconds or 0) for step in run]
        marks = [
            Mark((step.began or 0) + (step.seconds or 0), f"{1000 * step.stall_seconds:.0f} ms")
            for step in run
            if step.stall_seconds and step.stall_seconds >= MARKED * found.stall_limit_seconds
        ]
        name = relationship.partition(" -> ")[0].removeprefix("public.")
        rows.append((name if len(name) <= LABEL else f"{name[: LABEL - 1]}…", spans, marks))
    legend = (
        "<p>A span is a step: <em>warn</em> where it locks writers out, <em>bad</em> where it was"
        " not done, else <em>good</em>. A line marks a writer's stall.</p>"
    )
    return charts.timeline("When each step ran, and when a writer stood still", "s", rows) + legend


def steps_table(steps: Sequence[RehearsedStep], caption: str) -> str:
    """A row for each of these steps."""
    columns = (
        "step", "what", "outcome", "began s", "took ms", "attempts", "writes",
        "longest stall ms", "in", "waited for its lock ms", "errors",
    )  # fmt: skip
    rows = [
        (
            step.id,
            step.title,
            Html(markup.state(step.outcome)),
            step.began,
            None if step.seconds is None else round(1000 * step.seconds, 1),
            step.attempts,
            step.writes,
            Html("") if step.stall_seconds is None else round(1000 * step.stall_seconds, 1),
            step.stall_operation,
            round(1000 * step.blocked_seconds, 1),
            _errors(step.errors),
        )
        for step in steps
    ]
    return markup.table(columns, rows, caption)


def _errors(found: dict[str, int]) -> str:
    return ", ".join(f"{state}: {count}" for state, count in found.items())


def _locks(steps: Sequence[RehearsedStep]) -> str:
    rows = [
        (
            step.id,
            lock.table,
            lock.mode,
            lock.held_ms,
            lock.waited_ms,
            "not declared" if lock.table in step.undeclared else "",
        )
        for step in steps
        for lock in step.locks
        if lock.mode not in ("ACCESS SHARE", "ROW SHARE")
    ]
    columns = ("step", "table", "lock", "held ms", "waited for ms", "")
    return markup.table(columns, rows, "The locks that writers or other changes can meet")


def _load(found: Rehearsal) -> str:
    load = found.load
    if load is None:
        return ""
    rows = [(label, load.usual_ms.get(label)) for label in load.operations]
    out = [(label, why) for label, why in load.left_out.items()]
    said = (
        f"{counted(load.writers, 'writer')}: {load.writes:,} writes without the migration,"
        f" {load.writes_during:,} during it. Errors without it:"
        f" {_errors(load.errors) or 'none'}; during it: {_errors(load.errors_during) or 'none'}."
    )
    parts = [
        f"<p>{markup.text(said)}</p>",
        markup.table(("operation", "usual ms"), rows, "What the writers did"),
    ]
    if out:
        parts.append(markup.table(("operation", "why"), out, "What they did not do"))
    return "\n".join(parts)


def _quarantined(found: Rehearsal) -> str:
    if not found.quarantined:
        return "<p>No orphan rows were put aside.</p>"
    rows = [(item.relationship, item.rows, item.failure) for item in found.quarantined]
    return (
        "<p>In the copy the orphan rows were put aside, in place of the remediation that a person"
        " decides on; so the keys could be validated there.</p>"
        + markup.table(("relationship", "rows", "failure"), rows, "Put aside in the copy")
    )


def _kills(found: Rehearsal) -> str:
    if found.kills is None:
        return "<p>Nothing was killed: --no-kill.</p>"
    same = sum(kill.converged for kill in found.kills)
    others = [
        (kill.step, kill.statement, kill.message, "; ".join(kill.differences))
        for kill in found.kills
        if not kill.converged
    ]
    said = (
        f"<p>The program was killed at {len(found.kills):,} statement boundaries, on copies of the"
        f" schema without rows; after {same:,} of them another run came to the same catalog.</p>"
    )
    columns = ("step", "after statement", "", "differences")
    return said + (markup.table(columns, others, "Not the same catalog") if others else "")
