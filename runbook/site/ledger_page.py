"""The ledger as a page, and as files for machines; and a page for every relationship in it.

The page holds the first rows as a plain table; a script replaces it by one that can be filtered,
sorted and linked to, from ledger.json.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from runbook import facts as all_facts
from runbook import judgement, ledger, markup
from runbook.facts import Facts
from runbook.findings import counted
from runbook.ledger import Cell, Row
from runbook.markup import Html
from runbook.settings import Settings
from runbook.site import relationship_page

FOLDER = "results/ledger"
PAGES = "results/relationships"
# set for a MkDocs beside which another process writes the pages of the relationships
WRITTEN_ELSEWHERE = "RUNBOOK_RELATIONSHIPS_ELSEWHERE"
PLAIN_ROWS = 75  # beyond, the page would weigh more than a reader wants to load


def documents(settings: Settings, facts: Facts) -> dict[str, str]:
    """The ledger's page and files, by their path in docs/."""
    rows = [row for row, _ in all_rows(settings, facts)]
    links = {row.relationship.id: f"../relationships/{_file(row)}" for row in rows}
    found = ledger.as_json(settings, rows, links)
    return {
        f"{FOLDER}/index.md": _page(settings, rows, links),
        f"{FOLDER}/ledger.json": json.dumps(found, ensure_ascii=False, separators=(",", ":"))
        + "\n",
        f"{FOLDER}/ledger.csv": ledger.as_csv(rows),
    }


def all_rows(settings: Settings, facts: Facts) -> list[tuple[Row, str]]:
    """Every row of the ledger, and the URL of its page from the site's root."""
    found = ledger.take(settings, settings.relationships(), facts.runs)
    return [(row, f"{PAGES}/{_file(row)}") for row in found]


def _file(row: Row) -> str:
    return f"{relationship_page.slug(row.relationship.id)}.html"


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


def write_relationships(settings: Settings, site: Path) -> int:
    """Write the page of every relationship into the built ``site``; returns how many."""
    facts = all_facts.collect(settings)
    relationships = settings.relationships()
    histories = {name: ledger.history(settings, name) for name in settings.environments}
    naming = relationship_page.naming(facts.runs)
    today = judgement.now().date()
    folder = site / PAGES
    folder.mkdir(parents=True, exist_ok=True)
    for row in ledger.take(settings, relationships, facts.runs):
        exemption = relationships.exception_for(row.relationship)
        page = relationship_page.render(row, exemption, histories, naming, today)
        (folder / _file(row)).write_text(page, encoding="utf-8")
    return len(relationships)
