"""What of the site MkDocs does not make: files for machines, and the page of each relationship.

A build writes them in a process beside MkDocs, which would read and copy each of them several
times; MkDocs knows their names, so that pages can link to them.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from runbook import facts as all_facts
from runbook import judgement, ledger, record
from runbook.facts import Facts
from runbook.ledger import Row
from runbook.settings import Settings
from runbook.site import erd_page, ledger_page, relationship_page

# set for a MkDocs beside which another process writes these files
WRITTEN_ELSEWHERE = "RUNBOOK_WRITTEN_ELSEWHERE"
LARGEST_RECORD = 1_000_000  # bytes of a run.json that is published as it is
FOLDER = "results"


def names(settings: Settings, facts: Facts) -> tuple[str, ...]:
    """The files that pages may link to, as paths in the site."""
    pictures = erd_page.pictures(settings, len(settings.relationships()))
    return (
        *(f"{ledger_page.FOLDER}/{name}" for name in ledger_page.FILES),
        *(f"{erd_page.FOLDER}/{name}" for name in (erd_page.DATA, *pictures.values())),
        *_records(settings, facts),
    )


def write(settings: Settings, site: Path) -> None:
    """Write all files and pages into the folder ``site``, which may have others."""
    facts = all_facts.collect(settings)
    found = ledger_page.all_rows(settings, facts)
    rows = [row for row, _ in found]
    for name, text in chain(
        ledger_page.files(settings, found),
        erd_page.files(settings, found),
        _relationships(settings, facts, rows),
    ):
        _write(site / name, text.encode())
    for name, folder in _records(settings, facts).items():
        _write(site / name, published(folder))


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _relationships(
    settings: Settings, facts: Facts, rows: Sequence[Row]
) -> Iterator[tuple[str, str]]:
    """The page of every relationship, by its path in the site."""
    relationships = settings.relationships()
    histories = {name: ledger.history(settings, name) for name in settings.environments}
    naming = relationship_page.naming(facts.runs)
    today = judgement.now().date()
    for row in rows:
        exemption = relationships.exception_for(row.relationship)
        page = relationship_page.render(row, exemption, histories, naming, today)
        yield ledger_page.url(row), page


def _records(settings: Settings, facts: Facts) -> dict[str, Path]:
    """The folder of each environment's newest run, by the path of its record in the site."""
    folders = {name: settings.runs / name / run.run_id for name, run in facts.runs.items()}
    return {f"{FOLDER}/{name}/{record_file(path)}": path for name, path in folders.items()}


def record_file(folder: Path) -> str:
    """What the record of the run in ``folder`` is called on the site: a large one is compressed."""
    size = (folder / record.FILE_NAME).stat().st_size
    return record.FILE_NAME if size <= LARGEST_RECORD else f"{record.FILE_NAME}.gz"


def published(folder: Path) -> bytes:
    """The record of the run in ``folder`` as the site has it; the same bytes at every build."""
    content = (folder / record.FILE_NAME).read_bytes()
    return (
        gzip.compress(content, compresslevel=6, mtime=0)
        if len(content) > LARGEST_RECORD
        else content
    )
