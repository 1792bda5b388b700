"""The page of the schema by itself, under the strictest policy: no theme, no other host."""

from __future__ import annotations

import shutil
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import markdown  # type: ignore[import-untyped]  # ships none

from runbook import record
from runbook.facts import Facts
from runbook.record import RunRecord
from runbook.relationships import Relationship, Relationships
from runbook.settings import Settings
from runbook.settings import read as read_settings
from runbook.site import erd_page, ledger_page
from tests import project

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self';"
    " img-src 'self' data:; base-uri 'none'; form-action 'none'"
)


def settings_of(folder: Path, items: tuple[Relationship, ...]) -> Settings:
    """This project's settings with other relationships, and runs in ``folder``."""

    class Given(Settings):
        def relationships(self) -> Relationships:
            return Relationships(items)

    values = read_settings(project.ROOT).__dict__ | {"folder": folder}
    return Given.model_construct(**values)


def documents(folder: Path, items: tuple[Relationship, ...], *runs: RunRecord) -> dict[str, str]:
    """The page and its files, by their name; the last run of an environment is its newest."""
    for number, run in enumerate(runs):
        place = folder / "runs" / run.environment / f"2026-{number:03}"
        place.mkdir(parents=True)
        record.write(place, run.model_copy(update={"run_id": place.name}))
    newest = {run.environment: run for run in runs}
    settings = settings_of(folder, items)
    rows = ledger_page.all_rows(settings, Facts({}, newest))
    found = erd_page.documents(settings, rows) | dict(erd_page.files(settings, rows))
    return {path.removeprefix(f"{erd_page.FOLDER}/"): text for path, text in found.items()}


def write(folder: Path, items: tuple[Relationship, ...], *runs: RunRecord) -> Path:
    """Write the page and what it loads below ``folder``; returns the folder to serve."""
    site = folder / "served"
    home = site / erd_page.FOLDER
    home.mkdir(parents=True)
    shutil.copytree(project.ROOT / "docs" / "assets", site / "assets")
    for name, text in documents(folder, items, *runs).items():
        (home / name).write_text(text, encoding="utf-8")
    _, _, body = (home / "index.md").read_text(encoding="utf-8").split("---\n", 2)
    html = markdown.markdown(body, extensions=["attr_list", "md_in_html", "tables"])
    sheets = "".join(
        f'<link rel="stylesheet" href="../../assets/{name}.css">' for name in ("light", "runbook")
    )
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Schema</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,">{sheets}<script src="../../assets/light.js"></script>'
        f'</head><body class="rb-light md-typeset"><main>{html}</main></body></html>'
    )
    (home / "index.html").write_text(page, encoding="utf-8")
    return site


class Strict(SimpleHTTPRequestHandler):
    """Serves with the policy as a header, and says nothing."""

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", POLICY)
        super().end_headers()

    def log_message(self, format: str, *values: object) -> None:  # noqa: A002 - its name there
        """A line a request would bury the results."""


def handler(site: Path) -> partial[Strict]:
    return partial(Strict, directory=str(site))
