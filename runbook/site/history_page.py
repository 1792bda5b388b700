"""The page of an environment's runs: what each found, and what changed from one to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from runbook import comparison, markup, past_runs
from runbook.comparison import Change
from runbook.environment import Environment
from runbook.findings import counted
from runbook.markup import Html
from runbook.past_runs import Past
from runbook.record import RunRecord
from runbook.settings import Settings

SHOWN_RUNS = 30
SHOWN_CHANGES = 150
OUT_OF_SEARCH = "---\nsearch:\n  exclude: true\n---\n"  # tables stay out of it


def render(settings: Settings, environment: Environment, runs: Mapping[str, RunRecord]) -> str:
    """Markdown; ``runs`` are the newest runs by environment."""
    run = runs[environment.name]
    folder = settings.runs / environment.name
    lines = [OUT_OF_SEARCH, f"# Runs of {markup.text(environment.title)}", "", _runs(folder), ""]
    before = comparison.earlier(folder, run.run_id)
    lines += ["## Since the run before", ""]
    lines += [_changes(past_runs.whole(before), run) if before else "There is none before it.", ""]
    for name, other in runs.items():
        if name != environment.name:
            title = markup.text(settings.environments[name].title)
            lines += [f"## Against {title}", "", _changes(other, run), ""]
    return "\n".join(lines)


def _runs(folder: Path) -> str:
    found = past_runs.of(folder.parent, folder.name)[::-1]
    rows = [_row(run) for run in found[:SHOWN_RUNS]]
    more = f"<p>And {len(found) - SHOWN_RUNS:,} older.</p>" if len(found) > SHOWN_RUNS else ""
    columns = ("run", "finished", "verdict", "steps", "relationships looked at", "orphan rows")
    return markup.table(columns, rows, "Runs, the newest first") + more


def _row(run: Past) -> tuple[str | int | Html, ...]:
    whole = run.audits and run.looked == run.audits
    return (
        run.run_id,
        Html(markup.moment(run.finished)),
        Html(markup.state(run.verdict)),
        f"{run.succeeded} of {run.steps}",
        f"{run.looked} of {run.audits}",
        run.orphans if whole else "unknown",
    )


def _changes(before: RunRecord, after: RunRecord) -> str:
    changes = comparison.compare(before, after)
    if not changes:
        return "Nothing differs."
    names = (f"{run.environment}, {run.run_id}" for run in (before, after))
    rows: Sequence[tuple[str, str, str, str]] = [
        (change.what, change.name, change.before, change.after)
        for change in changes[:SHOWN_CHANGES]
    ]
    left = len(changes) - SHOWN_CHANGES
    said = f"<p>And {left:,} more: runbook compare tells all.</p>" if left > 0 else ""
    title = f"{counted(len(changes), 'difference')}: {_kinds(changes)}"
    return markup.table(("what", "name", *names), rows, title) + said


def _kinds(changes: Sequence[Change]) -> str:
    kinds = dict.fromkeys(change.what for change in changes)
    return ", ".join(f"{sum(c.what == kind for c in changes)} {kind}" for kind in kinds)
