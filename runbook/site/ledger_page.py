"""The ledger as a page, and as files for machines.

The page holds the first rows as a plain table; a script replaces it by one that can be filtered,
sorted and linked to, from ledger.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from runbook import ledger, markup
from runbook.facts import Facts
from runbook.findings import counted
from runbook.ledger import Cell, Row
from runbook.markup import Html
from runbook.settings import Settings
from runbook.site import relationship_page

FOLDER = "results/ledger"
FILES = ("ledger.json", "ledger.csv")
PAGES = "results/relationships"
PLAIN_ROWS = 75  # beyond, the page would weigh more than a reader wants to load

Found = Sequence[tuple[Row, str]]
"""Every row of the ledger, and the URL of its page from the site's root."""


def documents(settings: Settings, found: Found) -> dict[str, str]:
    """The ledger's page, by its path in docs/."""
    return {f"{FOLDER}/index.md": _page(settings, [row for row, _ in found], links(found))}


def files(settings: Settings, found: Found) -> Iterator[tuple[str, str]]:
    """The same for machines: ``FILES``, by their path in the site."""
    rows = [row for row, _ in found]
    data = ledger.as_json(settings, rows, links(found))
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n"
    yield from zip((f"{FOLDER}/{name}" for name in FILES), (text, ledger.as_csv(rows)), strict=True)


def links(found: Found) -> dict[str, str]:
    """The pages of ``found`` by relationship id, as a page in a folder beside theirs links to."""
    return {row.relationship.id: f"../{url.removeprefix('results/')}" for row, url in found}


def all_rows(settings: Settings, facts: Facts) -> Found:
    """The ledger of the newest runs."""
    found = ledger.take(settings, settings.relationships(), facts.runs)
    return [(row, url(row)) for row in found]


def url(row: Row) -> str:
    """Where the page of a relationship is, from the site's root."""
    return f"{PAGES}/{relationship_page.slug(row.relationship.id)}.html"


def _page(settings: Settings, rows: Sequence[Row], links: dict[str, str]) -> str:
    disagree = sum(bool(row.disagreement) for row in rows)
    about = (
        f"{counted(len(rows), 'relationship')} in"
        f" {counted(len(settings.environments), 'environment')}, each with the state of its key and"
        f" its orphan rows by the newest run. Environments disagree about"
        f" {disagree:,} of them."
    )
    left = len(rows) - PLAIN_ROWS
    more = f"<p>And {left:,} more in the files.</p>" if left > 0 else ""
    files = '<a href="ledger.csv" download>CSV</a> · <a href="ledger.json" download>JSON</a>'
    return (
        f"---\nsearch:\n  exclude: true\nhide:\n  - toc\n---\n\n# Ledger\n\n{about}\n\n"
        f'<div id="rb-ledger" data-source="ledger.json">{table(settings, rows[:PLAIN_ROWS], links)}'
        f"{more}</div>\n\n<p>The same as {files}.</p>\n"
    )


def table(settings: Settings, rows: Sequence[Row], links: dict[str, str]) -> str:
    """Relationships × environments; ``links`` are the pages by relationship id."""
    lines = []
    for row in rows:
        item = row.relationship
        link = Html(f'<a href="{links[item.id]}">{markup.text(item.label)}</a>')
        cells = [_cell(cell) for cell in row.cells]
        lines.append((link, item.target, item.group, item.priority.value, *cells))
    titles = [environment.title for environment in settings.environments.values()]
    return markup.table(
        ("relationship", "refers to", "group", "priority", *titles),
        lines,
        "Every relationship in every environment: key and orphan rows",
    )


def _cell(cell: Cell) -> Html:
    rows = counted(cell.orphans, "orphan row") if cell.orphans else cell.rows
    return Html(f"{markup.state(cell.key)} <small>{markup.text(rows)}</small>")
