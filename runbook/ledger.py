"""The ledger: every relationship in every environment, its counts from run to run, and why
environments disagree.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from runbook import markup, past_runs
from runbook.findings import Audit, CensusRow
from runbook.past_runs import NOT_LOOKED, Count
from runbook.record import RunRecord
from runbook.relationships import Relationship, Relationships
from runbook.settings import Settings

__all__ = [
    "NOT_LOOKED",
    "Cell",
    "Count",
    "Row",
    "as_csv",
    "as_json",
    "history",
    "leak",
    "take",
]


@dataclass(frozen=True)
class Cell:
    """A relationship in one environment, by its newest run; without one nothing was looked at."""

    environment: str
    census: CensusRow | None = None
    audit: Audit | None = None
    run_id: str = ""
    measured: datetime | None = None
    fresh_until: datetime | None = None

    @cached_property
    def key(self) -> str:
        return self.census.state.value if self.census else NOT_LOOKED

    @cached_property
    def rows(self) -> str:
        return self.audit.state.value if self.audit else NOT_LOOKED

    @property
    def orphans(self) -> int | None:
        return self.audit.orphans if self.audit else None


@dataclass(frozen=True)
class Row:
    """A relationship, its cells in the order of the environments, and why they disagree."""

    relationship: Relationship
    cells: tuple[Cell, ...]

    @cached_property
    def disagreement(self) -> str:
        """``schema``, ``data`` and ``never looked at`` in words; empty where all agree."""
        seen = [cell for cell in self.cells if cell.census]
        unseen = [cell.environment for cell in self.cells if not cell.census]
        parts = []
        if len({cell.key for cell in seen}) > 1:
            parts.append("schema: " + _by_value(seen, lambda cell: cell.key))
        audited = [cell for cell in seen if cell.rows in ("clean", "orphans")]
        if len({cell.rows for cell in audited}) > 1:
            parts.append("data: " + _by_value(audited, lambda cell: cell.rows))
        if unseen and seen:
            parts.append(f"never looked at in {', '.join(unseen)}")
        return "; ".join(parts)


def _by_value(cells: Sequence[Cell], value: Callable[[Cell], str]) -> str:
    """``enforced in development, missing in production and staging``."""
    found: dict[str, list[str]] = {}
    for cell in cells:
        found.setdefault(value(cell), []).append(cell.environment)
    return ", ".join(f"{word} in {' and '.join(names)}" for word, names in sorted(found.items()))


def take(
    settings: Settings, relationships: Relationships, runs: Mapping[str, RunRecord]
) -> tuple[Row, ...]:
    """A row for each relationship of the file, from the newest run of each environment."""
    cells = {
        name: _cells(runs[name], runs[name].as_of + environment.fresh_for)
        for name, environment in settings.environments.items()
        if name in runs
    }
    return tuple(
        Row(
            item,
            tuple(cells.get(name, {}).get(item.id, Cell(name)) for name in settings.environments),
        )
        for item in relationships
    )


def _cells(run: RunRecord, fresh_until: datetime) -> dict[str, Cell]:
    audits = {audit.relationship.id: audit for audit in run.audits}
    return {
        row.relationship.id: Cell(
            run.environment,
            row,
            audits.get(row.relationship.id),
            run.run_id,
            run.as_of,
            fresh_until,
        )
        for row in run.census
    }


def as_json(settings: Settings, rows: Sequence[Row], pages: Mapping[str, str]) -> dict[str, Any]:
    """The ledger for machines; ``pages`` are URLs by relationship id, relative to the ledger's.

    A cell is a list of what ``cell`` names, to save a third of the bytes. One that no run looked
    at has the key ``not looked``; the run of all others is told with their environment.
    """
    return {
        "format": 2,
        "cell": ["key", "rows", "orphans", "exact"],
        "environments": [
            _environment_json(name, environment.title, [row.cells[at] for row in rows])
            for at, (name, environment) in enumerate(settings.environments.items())
        ],
        "rows": [
            {
                "id": row.relationship.id,
                "label": row.relationship.label,
                "target": row.relationship.target,
                "group": row.relationship.group,
                "priority": row.relationship.priority.value,
                "alert": row.relationship.alert.value,
                "page": pages[row.relationship.id],
                "disagreement": row.disagreement,
                "cells": [_cell_json(cell) for cell in row.cells],
            }
            for row in rows
        ],
    }


def _environment_json(name: str, title: str, cells: Sequence[Cell]) -> dict[str, Any]:
    """All cells of an environment are from one run, its newest."""
    seen = next((cell for cell in cells if cell.measured), Cell(name))
    return {
        "name": name,
        "title": title,
        "run": seen.run_id,
        "measured": _stamp(seen.measured),
        "fresh_until": _stamp(seen.fresh_until),
    }


def _stamp(moment: datetime | None) -> str | None:
    return markup.stamp(moment) if moment else None


def _cell_json(cell: Cell) -> list[str | int | bool | None]:
    return [cell.key, cell.rows, cell.orphans, bool(cell.audit and cell.audit.exact)]


def as_csv(rows: Sequence[Row]) -> str:
    """A line for each relationship and environment.

    A value that a spreadsheet would take for a formula is led by an apostrophe
    (https://owasp.org/www-community/attacks/CSV_Injection).
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(
        (
            "relationship",
            "refers to",
            "environment",
            "key",
            "rows",
            "orphan rows",
            "run",
            "measured",
        )
    )
    for row in rows:
        for cell in row.cells:
            orphans = "" if cell.orphans is None else str(cell.orphans)
            texts = (row.relationship.label, row.relationship.target, cell.environment)
            rest = (cell.key, cell.rows, orphans, cell.run_id, _stamp(cell.measured) or "")
            writer.writerow([_plain(text) for text in (*texts, *rest)])
    return file.getvalue()


def _plain(text: str) -> str:
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def history(settings: Settings, environment: str) -> dict[str, tuple[Count, ...]]:
    """The counts of every run of ``environment`` by relationship id, the oldest first.

    A record that cannot be read raises :class:`IncompleteError`: a gap must not look like a change.
    """
    found: dict[str, list[Count]] = {}
    for run in past_runs.of(settings.runs, environment):
        for name, count in run.counts.items():
            found.setdefault(name, []).append(count)
    return {name: tuple(counts) for name, counts in found.items()}


def leak(counts: Sequence[Count]) -> tuple[int, float] | None:
    """New orphan rows since the count before the last, and how many that is a day.

    None without two exact counts; negative where rows were mended.
    """
    exact = [count for count in counts if count.orphans is not None]
    if len(exact) < 2:
        return None
    before, last = exact[-2:]
    new = (last.orphans or 0) - (before.orphans or 0)
    days = (last.measured - before.measured).total_seconds() / 86400
    return new, new / days if days > 0 else float(new)
