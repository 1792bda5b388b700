"""The command ``runbook discover``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from runbook import catalog, connection, session
from runbook.commands import discover_output
from runbook.errors import UsageError
from runbook.progress import Progress
from runbook.record import write_atomically
from runbook.relationships import Rejected, Relationships
from runbook.schema import Schema, TableName
from runbook.settings import Settings
from runbook.settings import read as read_settings
from runbook.terminal import Dsn, EnvironmentName, Folder, err, reaching

if TYPE_CHECKING:
    from runbook.discovery.proposal import Proposal


def discover_command(  # noqa: PLR0913, PLR0917 - the command's options
    environment: EnvironmentName,
    write: Annotated[
        bool, typer.Option("--write", help="Add the accepted tier to relationships.toml.")
    ] = False,
    accept: Annotated[
        list[str] | None,
        typer.Option(help="Add this proposal too, as child.column; may be given again."),
    ] = None,
    reject: Annotated[
        list[str] | None,
        typer.Option(help="Never propose this again, as child.column; may be given again."),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why: kept with what is rejected.")] = "",
    explain: Annotated[
        str | None, typer.Option(metavar="CHILD.COLUMN", help="Tell why a column was matched.")
    ] = None,
    rows: Annotated[bool, typer.Option(help="Look at statistics, rows and statements.")] = True,
    json_: Annotated[Path | None, typer.Option("--json", help="Write JSON; - prints it.")] = None,
    dsn: Dsn = None,
    project: Folder = None,
) -> None:
    """Propose relationships that nobody has declared, each with its evidence.

    \b
    Reads only, in one snapshot. What relationships.toml already has, or a person rejected in it,
    is not proposed.
    Exit codes:
      0  nothing is left to decide
      1  there are proposals that were not written
      2  wrong usage or settings
      3  incomplete: something could not be looked at
    \b
    Examples:
      runbook discover staging
      runbook discover staging --write
      runbook discover staging --explain orders.customer_id
      runbook discover staging --reject events.session_id --reason "another system's id"
    """
    from runbook import discovering
    from runbook.discovery.proposal import Tier

    settings = read_settings(project)
    target = settings.environment(environment)
    if dsn:
        os.environ[connection.OVERRIDE_READER] = dsn
    known = settings.relationships()
    with Progress(err) as progress:
        task = progress.task("discover", None)
        task.line(reaching(target))
        reader = session.connect(target)
        try:
            with session.reading(reader, target):
                schema = catalog.read(reader, settings.project.schemas)
                looked = discovering.look(reader, schema, say=task.line, rows=rows)
        finally:
            reader.close()
    if explain is not None:
        discover_output.explain(schema, looked, known, *_column(schema, explain))
        raise typer.Exit(3 if looked.unread else 0)
    left = tuple(item for item in looked.found.proposals if _is_new(known, item))
    chosen = [item for item in left if write and item.tier is Tier.ACCEPTED]
    chosen += [item for each in accept or () for item in [_named(left, each)] if item not in chosen]
    refused = [_refused(schema, each, reason) for each in reject or ()]
    if chosen or refused:
        _write(settings, chosen, refused)
    rest = [item for item in left if item not in chosen]
    rest = [i for i in rest if not any(r.covers(i.child, i.columns, i.parent) for r in refused)]
    discover_output.show(looked, chosen, rest, json_)
    raise typer.Exit(3 if looked.unread else 1 if rest else 0)


def _is_new(known: Relationships, item: Proposal) -> bool:
    """Whether nobody has decided about it: not declared, not rejected, its columns still free."""
    if any(each.covers(item.child, item.columns, item.parent) for each in known.rejected):
        return False
    return item.shape not in known.shapes


def _column(schema: Schema, text: str) -> tuple[TableName, str]:
    """``orders.customer_id`` or ``sales.orders.customer_id``; raises :class:`UsageError`."""
    table, _, column = text.rpartition(".")
    try:
        name = TableName.parse(table)
    except ValueError:
        name = TableName("public", table)
    found = schema.tables.get(name)
    if found is None or found.column(column) is None:
        near = schema.nearest(name) if found is None else None
        hint = f"did you mean {near!r}?" if near else "write it as orders.customer_id"
        raise UsageError(f"no column {text!r} in the database", hint)
    return name, column


def _named(left: tuple[Proposal, ...], text: str) -> Proposal:
    for item in left:
        if text in (item.relationship.label, item.relationship.source, item.relationship.id):
            return item
    raise UsageError(
        f"no proposal {text!r}", "write it as the list of proposals does: orders.customer_id"
    )


def _refused(schema: Schema, text: str, reason: str) -> Rejected:
    table, column = _column(schema, text)
    return Rejected(table, (column,), None, reason)


def _write(settings: Settings, chosen: list[Proposal], refused: list[Rejected]) -> None:
    from runbook.discovery import writing

    path = settings.path(settings.project.relationships)
    text = path.read_text(encoding="utf-8")
    write_atomically(path, writing.rejected(writing.added(text, chosen), refused))
    for item in chosen:
        err.print(f"written: {escape(item.relationship.id)}", soft_wrap=True)
    for each in refused:
        err.print(f"rejected: {escape(str(each.child))}({', '.join(each.columns)})", soft_wrap=True)
