"""How an audit's outcome is written to files and shown on a terminal."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from runbook import junit, record, sarif
from runbook.audit.outcome import Outcome
from runbook.findings import AuditState, counted
from runbook.settings import Settings

WIDE = 120  # columns; a narrower terminal leaves out how each relationship was counted
out = Console(highlight=False, width=None if sys.stdout.isatty() else 160)


def write(
    settings: Settings,
    found: Outcome,
    json_path: Path | None,
    sarif_path: Path | None,
    junit_path: Path | None,
) -> None:
    """Write the outcome in the formats that were asked for."""
    if json_path:
        _to(json_path, found.model_dump_json(indent=1) + "\n")
    if sarif_path:
        file = settings.project.relationships
        text = settings.path(file).read_text(encoding="utf-8")
        log = sarif.render(found, settings.relationships(), str(file), text)
        _to(sarif_path, json.dumps(log, indent=1, ensure_ascii=False) + "\n")
    if junit_path:
        _to(junit_path, junit.render_audits(found))


def _to(path: Path, text: str) -> None:
    if path == Path("-"):
        typer.echo(text, nl=False)
    else:
        record.write_atomically(path, text)


_COLOURS = {
    AuditState.CLEAN: "green",
    AuditState.ORPHANS: "red",
    AuditState.ESTIMATED: "yellow",
}


def show(found: Outcome, every: bool = False) -> None:
    """The outcome as a table of what is not clean, or of ``every`` relationship."""
    states = {row.relationship.id: row.state.value for row in found.census}
    wide = out.width >= WIDE
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("relationship", overflow="fold")
    how = ("counted by", "seconds") if wide else ()
    for heading in ("key", "result", "orphan rows", *how):
        table.add_column(heading, no_wrap=True)
    table.add_column("examples, or why not", overflow="fold")
    shown = [a for a in found.audits if every or a.state is not AuditState.CLEAN]
    for audit in shown:
        colour = _COLOURS.get(audit.state, "magenta")
        table.add_row(
            escape(audit.relationship.label),
            states[audit.relationship.id],
            f"[{colour}]{audit.state}[/{colour}]",
            "unknown" if audit.orphans is None else f"{audit.orphans:,}",
            *((audit.strategy, f"{audit.seconds:.3f}") if wide else ()),
            escape(audit.reason or ", ".join(audit.samples)),
        )
    if shown:
        out.print(table)
    seconds = (found.finished - found.started).total_seconds()
    again = f", {found.resumed} of them before" if found.resumed else ""
    part = "" if found.looked == len(found.audits) else " in what was looked at"
    said = f"{counted(found.orphans, 'orphan row')}{part}, {escape(found.scope)}{again}"
    out.print(
        f"{found.environment}: {said}; {seconds:.1f} s at {found.position}",
        soft_wrap=True,
    )
    _apart(found)
    if found.interrupted:
        out.print(f"interrupted: runbook audit {found.environment} --resume does the rest")


def _apart(found: Outcome) -> None:
    """What only looks like orphan rows: where there is some, and where nobody could look."""
    shown = [item for item in found.lookalikes if item.rows or item.reason]
    if not shown:
        return
    table = Table(box=None, padding=(0, 2, 0, 0), title_justify="left", title_style="")
    table.title = "apart from orphan rows, and counted in no verdict:"
    table.add_column("what it is")
    table.add_column("where", overflow="fold")
    table.add_column("rows", no_wrap=True)
    table.add_column("told by, or why not", overflow="fold")
    for item in shown:
        rows = "unknown" if item.rows is None else f"{item.rows:,}"
        table.add_row(
            item.kind.value, escape(item.label), rows, escape(item.reason or ", ".join(item.by))
        )
    out.print(table)
