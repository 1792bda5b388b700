"""The diagram and the states of all environments as JSON, for the page's script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runbook import markup
from runbook.erd import states
from runbook.erd.diagram import Diagram, Line, Table
from runbook.erd.picture import Pages, ledger_url
from runbook.ledger import Cell, Row
from runbook.settings import Settings


def as_json(
    settings: Settings, diagram: Diagram, rows: Sequence[Row], pages: Pages
) -> dict[str, Any]:
    """``rows`` are those of the ledger, in the order of the diagram's lines.

    A cell is the state of the key, that of the rows, the orphan rows or null, the mark and the
    words for it; a line names its cells, in the order of the environments, by their number.
    """
    cells: dict[tuple[str | int | None, ...], int] = {}
    for row in rows:
        for cell in row.cells:
            cells.setdefault(_cell(cell), len(cells))
    return {
        "format": 1,
        "width": diagram.width,
        "height": diagram.height,
        "detailed": diagram.detailed,
        "environments": _environments(settings, rows),
        "keys": [
            {"name": name, "dash": dash, "tone": states.TONE_OF[name]}
            for name, dash in states.DASHES.items()
        ],
        "rows": [
            {"name": name, "mark": mark, "tone": states.TONE_OF[name]}
            for name, mark in states.MARKS.items()
        ],
        "tables": [_table(table) for table in diagram.tables],
        "frames": [
            {"title": states.shown(f.title), "box": [f.x, f.y, f.width, f.height]}
            for f in diagram.frames
        ],
        "cells": [list(cell) for cell in cells],
        "lines": [
            _line(line, pages[row.relationship.id], [cells[_cell(cell)] for cell in row.cells])
            for line, row in zip(diagram.lines, rows, strict=True)
        ],
    }


def _environments(settings: Settings, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Each with the time its newest run is as of and until when that is fresh, if there is one."""
    found = []
    for at, (name, environment) in enumerate(settings.environments.items()):
        seen = next((row.cells[at] for row in rows if row.cells[at].measured), None)
        moments = (seen.measured, seen.fresh_until) if seen else (None, None)
        measured, until = (markup.stamp(m) if m else None for m in moments)
        found.append(
            {"name": name, "title": environment.title, "measured": measured, "fresh_until": until}
        )
    return found


def _table(table: Table) -> dict[str, Any]:
    return {
        "id": str(table.name),
        "label": states.shown(table.name.label),
        "ledger": ledger_url(table),
        "box": [table.x, table.y, table.width, table.height],
        "keys": [[states.shown(", ".join(key)), int(key in table.referred)] for key in table.keys],
    }


def _cell(cell: Cell) -> tuple[str | int | None, ...]:
    return cell.key, cell.rows, cell.orphans, states.mark(cell), states.said(cell)


def _line(line: Line, page: str, cells: list[int]) -> dict[str, Any]:
    item = line.relationship
    return {
        "label": states.shown(f"{item.label} → {item.target}"),
        "columns": states.shown(", ".join(item.columns)),
        "references": states.shown(", ".join(item.references)),
        "child": line.child,
        "parent": line.parent,
        "page": page,
        "path": line.path,
        "mark": [*line.mark, int(line.left)],
        "near": int(line.near),
        "cells": cells,
    }
