"""The page of an environment's runs: what each found, and what changed from one to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from runbook import comparison, markup, past_runs
from runbook.comparison import Change, Values
from runbook.environment import Environment
from runbook.findings import counted
from runbook.markup import Html
from runbook.past_runs import Past
from runbook.record import RunRecord
from runbook.settings import Settings

SHOWN_RUNS = 30
SHOWN_CHANGES = 75  # of each comparison; there is one with every environment
OUT_OF_SEARCH = "---\nsearch:\n  exclude: true\n---\n"  # tables stay out of it


def documents(settings: Settings, runs: Mapping[str, RunRecord]) -> dict[str, str]:
    """The page of each environment that has a run, by its path in docs/results.

    ``runs`` are the newest runs by environment.
    """
    found = {
        name: comparison.kept_values(settings.runs / name / run.run_id)
        for name, run in runs.items()
    }
    return {
        f"{name}/history.md": _page(settings, settings.environments[name], runs, found)
        for name in runs
    }


def _page(
    settings: Settings,
    environment: Environment,
    runs: Mapping[str, RunRecord],
    found: Mapping[str, Values],
) -> str:
    name, run = environment.name, runs[environment.name]
    folder = settings.runs / name
    lines = [OUT_OF_SEARCH, f"# Runs of {markup.text(environment.title)}", "", _runs(folder), ""]
    lines += ["## Since the run before", ""]
    before = comparison.earlier(folder, run.run_id)
    if before:
        earlier = comparison.kept_values(before)
        lines += [_changes((f"{name}, {before.name}", earlier), (_said(run), found[name])), ""]
    else:
        lines += ["There is none before it.", ""]
    for other in runs:
        if other != name:
            title = markup.text(settings.environments[other].title)
            pair = (_said(runs[other]), found[other]), (_said(run), found[name])
            lines += [f"## Against {title}", "", _changes(*pair), ""]
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


def _said(run: RunRecord) -> str:
    return f"{run.environment}, {run.run_id}"


def _changes(before: tuple[str, Values], after: tuple[str, Values]) -> str:
    changes = comparison.differences(before[1], after[1])
    if not changes:
        return "Nothing differs."
    rows: Sequence[tuple[str, str, str, str]] = [
        (change.what, change.name, change.before, change.after)
        for change in changes[:SHOWN_CHANGES]
    ]
    left = len(changes) - SHOWN_CHANGES
    said = f"<p>And {left:,} more: runbook compare tells all.</p>" if left > 0 else ""
    title = f"{counted(len(changes), 'difference')}: {_kinds(changes)}"
    return markup.table(("what", "name", before[0], after[0]), rows, title) + said


def _kinds(changes: Sequence[Change]) -> str:
    kinds = dict.fromkeys(change.what for change in changes)
    return ", ".join(f"{sum(c.what == kind for c in changes)} {kind}" for kind in kinds)
