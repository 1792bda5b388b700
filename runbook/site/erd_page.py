"""The schema as a picture: tables, relationships and their state in each environment.

The page holds a picture that needs no script; the script draws the same from erd.json, to pan,
zoom, search and look at one table with its neighbours.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from runbook import charts, erd, markup, past_runs
from runbook.erd import Diagram, states
from runbook.findings import counted
from runbook.ledger import Cell, Row
from runbook.markup import Html
from runbook.past_runs import Past
from runbook.settings import Settings
from runbook.site import ledger_page
from runbook.site.ledger_page import Found

FOLDER = "results/schema"
DATA = "erd.json"
PLAIN_ROWS = 50  # beyond, the page would weigh more than a reader wants to load
LARGEST = 40_000  # bytes of a picture inside the page; beyond, the page has an overview
SHOWN_RUNS = 30  # of an environment
MOST_RUNS = 60  # of all environments together


def documents(settings: Settings, found: Found) -> dict[str, str]:
    """The page, by its path in docs/; ``found`` are all rows of the ledger."""
    rows = [row for row, _ in found]
    diagram = erd.draw([row.relationship for row in rows])
    page = _page(settings, rows, diagram, ledger_page.links(found))
    return {f"{FOLDER}/index.md": page}


def files(settings: Settings, found: Found) -> Iterator[tuple[str, str]]:
    """What the page loads and links to, by its path in the site: ``DATA`` and the pictures."""
    rows = [row for row, _ in found]
    pages = ledger_page.links(found)
    diagram = erd.draw([row.relationship for row in rows])
    data = erd.as_json(settings, diagram, rows, pages)
    yield f"{FOLDER}/{DATA}", json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n"
    files = pictures(settings, len(rows))
    for at, (name, environment) in enumerate(settings.environments.items()):
        if name in files:
            title = _title(diagram, environment.title)
            picture = erd.svg(diagram, _cells(rows, at), pages, title, alone=True)
            yield f"{FOLDER}/{files[name]}", picture + "\n"


def pictures(settings: Settings, relationships: int) -> dict[str, str]:
    """The picture's file of each environment that has one: of a large schema the first alone.

    ``erd.svg`` is of the environment that the page shows first.
    """
    first, *others = settings.environments
    drawn = others if relationships <= erd.LINKED else ()
    return {first: "erd.svg"} | {name: f"erd-{name}.svg" for name in drawn}


def _cells(rows: Sequence[Row], at: int) -> dict[str, Cell]:
    return {row.relationship.id: row.cells[at] for row in rows}


def _title(diagram: Diagram, environment: str) -> str:
    tables = counted(len(diagram.tables), "table")
    return f"{tables} and {counted(len(diagram.lines), 'relationship')} in {environment}"


def _page(
    settings: Settings,
    rows: Sequence[Row],
    diagram: Diagram,
    pages: Mapping[str, str],
) -> str:
    about = (
        f"{counted(len(diagram.tables), 'table')} and"
        f" {counted(len(rows), 'relationship')}, each line from the table that refers to the one"
        " that it refers to. Colour and pattern say what the database enforces, the mark beside"
        " a line what an audit of its rows came to. A table without a relationship is not shown."
    )
    lines = [
        "---\nsearch:\n  exclude: true\nhide:\n  - toc\n---\n\n# Schema\n",
        '<link rel="stylesheet" href="../../assets/erd.css">\n',
        f"{about}\n",
        _ages(settings, rows),
        _picture(settings, rows, diagram, pages),
        '<script src="../../assets/erd.js" defer></script>\n',
        f"## Relationships\n\n{_table(settings, rows, pages)}\n",
        f"## Coverage\n\n{_coverage(settings, rows)}\n",
        f"## Orphan rows over time\n\n{_trend(settings)}\n",
    ]
    return "\n".join(lines)


def _ages(settings: Settings, rows: Sequence[Row]) -> str:
    """When each environment was looked at, and its picture as a file."""
    items = []
    files = pictures(settings, len(rows))
    for at, (name, environment) in enumerate(settings.environments.items()):
        seen = next((row.cells[at] for row in rows if row.cells[at].measured), None)
        said = "no run yet"
        if seen and seen.measured and seen.fresh_until:
            said = markup.moment(seen.measured, seen.fresh_until)
        link = f' · <a href="{files[name]}">SVG</a>' if name in files else ""
        items.append(f"<li>{markup.text(environment.title)}: {said}{link}</li>")
    return f'<ul class="rb-erd-ages">{"".join(items)}</ul>\n'


def _picture(
    settings: Settings, rows: Sequence[Row], diagram: Diagram, pages: Mapping[str, str]
) -> str:
    if not rows:
        return "<p>No relationship is declared, so there is nothing to draw.</p>\n"
    title = _title(diagram, next(iter(settings.environments.values())).title)
    cells = _cells(rows, 0)
    picture = erd.svg(diagram, cells, pages, title)
    note = ""
    if len(picture.encode()) > LARGEST:
        picture = erd.overview(diagram, cells, title)
        note = (
            "<p>A card for each group of related tables: its keys, the relationships with orphan"
            " rows, and with a question mark those not counted. The whole picture is in the SVG"
            " file.</p>"
        )
    name = markup.text(title)
    return (
        f'<div id="rb-erd" data-source="{DATA}"><figure class="rb-erd-static">'
        f'<div class="rb-erd-scroll" tabindex="0" role="region" aria-label="{name}">{picture}</div>'
        f"<figcaption>{name}</figcaption></figure>{note}</div>\n"
    )


def _table(settings: Settings, rows: Sequence[Row], pages: Mapping[str, str]) -> str:
    lines = [
        (
            Html(
                f'<a href="{pages[row.relationship.id]}">{markup.text(row.relationship.label)}</a>'
            ),
            row.relationship.target,
            *(states.said(cell) for cell in row.cells),
        )
        for row in rows[:PLAIN_ROWS]
    ]
    titles = [environment.title for environment in settings.environments.values()]
    shown = markup.table(("relationship", "refers to", *titles), lines, "Every line of the picture")
    left = len(rows) - PLAIN_ROWS
    more = f'<p>And {left:,} more in the <a href="../ledger/">ledger</a>.</p>' if left > 0 else ""
    return shown + more


def _coverage(settings: Settings, rows: Sequence[Row]) -> str:
    """Relationships by the state of their key, and by what an audit came to."""
    titles = [environment.title for environment in settings.environments.values()]
    keys = [[row.cells[at].key for row in rows] for at in range(len(titles))]
    audits = [[row.cells[at].rows for row in rows] for at in range(len(titles))]
    return "\n\n".join(
        charts.stacked(
            title,
            "environment",
            titles,
            [
                charts.Part(state, states.TONE_OF[state], tuple(f.count(state) for f in found))
                for state in order
                if any(state in f for f in found)
            ],
        )
        for title, found, order in (
            ("Relationships by their key", keys, [*states.DASHES][1:] + [*states.DASHES][:1]),
            ("Relationships by the audit of their rows", audits, list(states.MARKS)),
        )
    )


def _trend(settings: Settings) -> str:
    """All orphan rows of each run; unknown where one relationship was not counted exactly."""
    series: list[tuple[str, list[float | None]]] = []
    rows = []
    shown = min(SHOWN_RUNS, MOST_RUNS // len(settings.environments) or 1)
    for name, environment in settings.environments.items():
        runs = list(_totals(past_runs.of(settings.runs, name)))[-shown:]
        if runs:
            series.append((environment.title, [total for _, total, _, _ in runs]))
        for measured, total, sum_of, known in reversed(runs):
            value = "unknown" if total is None else total
            rows.append((environment.title, Html(markup.moment(measured)), value, sum_of, known))
    if not series:
        return "<p>No run is on record.</p>"
    columns = ("environment", "run", "orphan rows", "in those counted", "relationships counted")
    return (
        charts.steps(
            "Orphan rows of all relationships, the newest run to the right", "rows", series
        )
        + "<p>A run that did not count every relationship exactly leaves a gap.</p>"
        + markup.table(columns, rows, "Orphan rows by run")
    )


def _totals(runs: Sequence[Past]) -> Iterator[tuple[datetime, int | None, int, str]]:
    """For each run, the oldest first: when, the total if known, the sum so far, and of how many."""
    for run in runs:
        if run.relationships:
            total = run.exact_orphans if run.exact == run.relationships else None
            known = f"{run.exact:,} of {run.relationships:,}"
            yield run.started, total, run.exact_orphans, known
