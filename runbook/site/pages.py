"""Writes the result pages of every environment into docs/results, from its newest run record.

A file is only written when its content changes, so that nothing is rendered twice.
"""

from __future__ import annotations

from pathlib import Path

from runbook import junit, markup, record, report
from runbook.environment import Environment
from runbook.facts import Facts
from runbook.findings import CensusRow, Status
from runbook.markup import Html
from runbook.record import RunRecord
from runbook.settings import Settings
from runbook.site import (
    aside,
    badge,
    beside,
    changes_page,
    erd_page,
    fleet,
    history_page,
    ledger_page,
)
from runbook.verdict import CriterionState, State, Tier, Verdict

MOST_REASONS = 4
FOLDER = "results"
PLAIN_ROWS = 100  # of a table; beyond, the page would weigh more than a reader wants to load


def write(settings: Settings, facts: Facts) -> dict[str, tuple[str, ...]]:
    """Write all result pages; files of earlier builds that no run accounts for are removed.

    Returns the tables that are set aside from each page, by its path in docs/.
    """
    docs = settings.path(settings.project.docs)
    pages = {
        f"{FOLDER}/index.md": overview(settings, facts),
        f"{FOLDER}/run.schema.json": record.as_json(record.json_schema()),
    }
    for environment in settings.environments.values():
        run = facts.runs.get(environment.name)
        home = f"{FOLDER}/{environment.name}"
        pages[f"{home}/index.md"] = environment_page(settings, environment, run)
        pages[f"{home}/badge.svg"] = badge.svg(environment, run)
        changed = changes_page.documents(settings, environment)
        pages |= {f"{home}/{name}": text for name, text in changed.items()}
        if run is None:
            continue
        folder = settings.runs / environment.name / run.run_id
        pages[f"{home}/relationships.md"] = relationships_page(environment, run)
        if (folder / junit.FILE_NAME).exists():
            pages[f"{home}/junit.xml"] = (folder / junit.FILE_NAME).read_text(encoding="utf-8")
        for step in run.steps:
            notebook = folder / step.notebook
            if notebook.exists():
                pages[f"{home}/{step.name}.ipynb"] = notebook.read_text(encoding="utf-8")
    for written in (fleet.pages(settings), history_page.documents(settings, facts.runs)):
        pages |= {f"{FOLDER}/{name}": text for name, text in written.items()}
    found = ledger_page.all_rows(settings, facts)
    pages |= ledger_page.documents(settings, found)
    pages |= erd_page.documents(settings, found)
    tables = {}
    for name, content in pages.items():
        text, tables[name] = _SET_ASIDE.get(Path(name).suffix, _as_it_is)(content)
        _write(docs / name, text)
    _remove_others(docs, set(pages))
    return tables


def _as_it_is(text: str) -> tuple[str, tuple[str, ...]]:
    return text, ()


_SET_ASIDE = {".md": aside.take, ".ipynb": aside.take_from_notebook}


def _write(path: Path, text: str) -> None:
    content = text.encode()
    if path.exists() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    record.write_atomically(path, content)


def _remove_others(docs: Path, wanted: set[str]) -> None:
    folder = docs / FOLDER
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.relative_to(docs).as_posix() not in wanted:
            path.unlink()


def overview(settings: Settings, facts: Facts) -> str:
    """The start of the results: the verdicts, and every relationship in every environment."""
    lines = ["# Results", "", "## The newest runs", "", panel(settings, facts, f"{FOLDER}/"), ""]
    lines += ["Every relationship in every environment is in the [ledger](ledger/index.md).", ""]
    lines += [_schema_line(), ""]
    return "\n".join(lines)


def _schema_line() -> str:
    return "The format of the run records is published as a [JSON Schema](run.schema.json)."


def panel(settings: Settings, facts: Facts, base: str = "") -> str:
    """A card for each environment: verdict, reasons, age. ``base`` is the page's own URL."""
    cards = []
    for environment in settings.environments.values():
        run = facts.runs.get(environment.name)
        to_root = "../" * base.count("/")
        link = f"{to_root}{FOLDER}/{environment.name}/"
        title = f'<a href="{link}">{markup.text(environment.title)}</a>'
        about = f"<p>{markup.text(environment.description)}</p>"
        if run is None:
            state = markup.state("UNKNOWN")
            body = f"<p>{state} no run yet</p>"
        else:
            body = "".join(_verdict_lines(settings, environment, run))
        cards.append(f'<div class="rb-card"><h3>{title}</h3>{about}{body}</div>')
    return f'<div class="rb-panel">{"".join(cards)}</div>'


def _verdict_lines(settings: Settings, environment: Environment, run: RunRecord) -> list[str]:
    until = run.as_of + environment.fresh_for
    lines = []
    gates = {entry.name: entry.title for entry in settings.gate}
    for verdict in run.verdicts:
        badge = markup.state(verdict.state)
        lines.append(
            f'<p class="rb-verdict" data-fresh-until="{markup.stamp(until)}">'
            f"{markup.text(gates.get(verdict.gate, verdict.gate))}: {badge}</p>"
        )
        reasons = _because(run, verdict)
        if len(reasons) > MOST_REASONS:
            more = f"<li>and {len(reasons) - MOST_REASONS} more</li>"
            reasons = [*reasons[:MOST_REASONS], more]
        if reasons:
            lines.append(f"<ul>{''.join(reasons)}</ul>")
    source = "embedded demo database" if run.server and run.server.source == "embedded" else ""
    where = f", {source}" if source else ""
    lines.append(
        f'<p class="rb-age">run {markup.moment(run.finished)}{where}; holds until'
        f" {markup.moment(until)}</p>"
    )
    return lines


def _because(run: RunRecord, verdict: Verdict) -> list[str]:
    """A list item for each criterion that decides the verdict, in words for a first reader."""
    deciding = {
        State.GO: CriterionState.ACCEPTED,
        State.UNKNOWN: CriterionState.UNKNOWN,
    }.get(verdict.state, CriterionState.FAILED)
    statuses = (
        (Status.NOT_LOOKED, Status.COULD_NOT_LOOK)
        if deciding is CriterionState.UNKNOWN
        else (Status.FAILED,)
    )
    items = []
    for result in verdict.criteria:
        if result.state is not deciding or result.criterion.tier is Tier.NICE:
            continue
        messages = [
            check.message
            for check in run.checks
            if check.criterion == result.criterion.id and check.status in statuses
        ]
        word = f"{markup.state(result.state)} " if deciding is CriterionState.ACCEPTED else ""
        title = f"{word}<strong>{markup.text(result.criterion.title)}</strong>"
        items.append(f"<li>{title}: {markup.text('; '.join(messages))}</li>")
    return items


def environment_page(settings: Settings, environment: Environment, run: RunRecord | None) -> str:
    """The results section's start page of one environment."""
    lines = [f"# {environment.title}", "", markup.text(environment.description), ""]
    if run is None:
        lines += [
            f"No run of this environment is on record. `runbook run {environment.name}` makes one.",
            "",
        ]
        return "\n".join(lines)
    lines += _provenance(environment, run)
    for verdict in run.verdicts:
        title = next((g.title for g in settings.gate if g.name == verdict.gate), verdict.gate)
        lines += [f"## {title}", "", report.show(verdict).content, ""]
    lines += ["## Self-test", "", _self_test(run), "", "## Steps", "", _steps(run), ""]
    lines += ["## Checks", "", _checks(run), ""]
    name = beside.record_file(settings.runs / environment.name / run.run_id)
    files = (f"[{name}]({name})", "[junit.xml](junit.xml)", "[badge](badge.svg)")
    lines += [" · ".join(("[Relationships and orphan rows](relationships.md)", *files)), ""]
    return "\n".join(lines)


def _provenance(environment: Environment, run: RunRecord) -> list[str]:
    server = run.server
    rows: list[tuple[str, str | Html]] = [
        ("run", run.run_id),
        ("finished", Html(markup.moment(run.finished))),
        ("fresh until", Html(markup.moment(run.as_of + environment.fresh_for))),
        ("schema fingerprint", run.fingerprint or "unknown"),
        ("fk-runbook", run.tool_version),
    ]
    if server:
        rows.insert(1, ("server", f"PostgreSQL {server.version}, database {server.database}"))
        rows.insert(2, ("connected", f"as {server.role}, from {server.source}"))
    if run.resumes:
        rows.insert(1, ("resumes", f"run {run.resumes}"))
    return [markup.table(("", "of this run"), rows, "Where these results come from"), ""]


def _self_test(run: RunRecord) -> str:
    values = {name: value for step in run.steps for name, value in step.facts.items()}
    if not values.get("self_test.available"):
        return f"<p>{markup.state('not looked')} no record of planted defects in this database</p>"
    names = ("planted", "found", "missed", "invented")
    numbers = [values.get(f"self_test.{name}") for name in names]
    right = numbers[2] == 0 and numbers[3] == 0
    return f"<p>{markup.state('passed' if right else 'failed')}</p>" + markup.table(
        names, [numbers], "Defects planted in the demo database, and what this run made of them"
    )


def _steps(run: RunRecord) -> str:
    rows = []
    for step in run.steps:
        link = Html(f'<a href="{step.name}/">{markup.text(step.title)}</a>')
        if step.status == "failed" and step.failed_cell is not None:
            link = Html(
                f'<a href="{step.name}/#papermill-error-cell">{markup.text(step.title)}</a>'
            )
        seconds = (
            round((step.finished - step.started).total_seconds(), 1)
            if step.started and step.finished
            else None
        )
        taken = f"taken over from run {step.taken_from}" if step.taken_from else ""
        rows.append((link, Html(markup.state(step.status)), seconds, step.failure or taken))
    return markup.table(("step", "status", "seconds", "why"), rows, "Steps of the run")


def _checks(run: RunRecord) -> str:
    owner = {check: step.name for step in run.steps for check in step.checks}
    rows = []
    for check in run.checks:
        title = markup.text(check.title)
        link = (
            Html(f'<a href="{owner[check.check]}/">{title}</a>') if check.check in owner else title
        )
        rows.append((check.criterion, link, Html(markup.state(check.status)), check.message))
    return markup.table(("criterion", "check", "state", "found"), rows, "Checks of the run")


def _left(rows: int) -> str:
    left = rows - PLAIN_ROWS
    return (
        f'\n<p>And {left:,} more in the <a href="../../ledger/">ledger</a>.</p>' if left > 0 else ""
    )


def relationships_page(environment: Environment, run: RunRecord) -> str:
    """Census and audits of one environment as tables."""
    census: tuple[CensusRow, ...] = run.census
    title = f"# Relationships in {environment.name}"
    lines = [history_page.OUT_OF_SEARCH, title, "", report.census_table(census[:PLAIN_ROWS])]
    lines += [_left(len(census)), "", "## Orphan rows", ""]
    lines += [report.audit_table(run.audits[:PLAIN_ROWS]), _left(len(run.audits)), ""]
    if run.lookalikes:
        lines += ["## Not orphan rows", "", report.lookalike_table(run.lookalikes), ""]
    return "\n".join(lines)
