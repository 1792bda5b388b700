"""The command ``runbook compare``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from runbook import comparison, completion, record, run_folders
from runbook.commands.audit_output import out
from runbook.errors import IncompleteError, UsageError
from runbook.findings import counted
from runbook.record import RunRecord
from runbook.settings import Settings
from runbook.settings import read as read_settings
from runbook.terminal import Folder


def compare_command(
    one: Annotated[
        str,
        typer.Argument(
            help="An environment, or ENVIRONMENT@RUN.", autocompletion=completion.environments
        ),
    ],
    other: Annotated[
        str | None,
        typer.Argument(
            help="What to compare it with; default: the run before the newest.",
            autocompletion=completion.environments,
        ),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    project: Folder = None,
) -> None:
    """Tell what changed between two runs, or what differs between two environments.

    \b
    Reads the run records alone; no database is asked. Exit codes:
      0  nothing differs
      1  something differs
      2  wrong usage or settings
      3  there is no such run, or its record cannot be read
    \b
    Examples:
      runbook compare production
      runbook compare staging production
      runbook compare staging@20261123T032347Z staging
    """
    settings = read_settings(project)
    after = _run(settings, other or one)
    before = _run(settings, one) if other else _before(settings, after)
    changes = comparison.compare(before, after)
    if json_:
        typer.echo(json.dumps([asdict(change) for change in changes], indent=1, ensure_ascii=False))
    else:
        _show(before, after, changes)
    raise typer.Exit(1 if changes else 0)


def _run(settings: Settings, text: str) -> RunRecord:
    """The run that ``ENVIRONMENT`` or ``ENVIRONMENT@RUN`` names."""
    name, _, run_id = text.partition("@")
    environment = settings.environment(name)
    folder = settings.runs / environment.name
    if not run_id:
        newest = run_folders.newest(settings.runs, environment.name)
        if newest is None:
            raise IncompleteError(f"no run of {name!r} is on record", f"run it: runbook run {name}")
        return record.read(newest)
    known = sorted(path.parent.name for path in folder.glob(f"*/{record.FILE_NAME}"))
    if run_id not in known:
        raise UsageError(
            f"no run {run_id!r} of {name!r}, expected one of: {', '.join(known[-5:]) or 'none'}",
            f"the runs are the folders of {folder}",
        )
    return record.read(folder / run_id)


def _before(settings: Settings, run: RunRecord) -> RunRecord:
    before = comparison.earlier(settings.runs / run.environment, run.run_id)
    if before is None:
        raise IncompleteError(
            f"there is no run of {run.environment!r} before {run.run_id}",
            f"name another environment: runbook compare {run.environment} OTHER",
        )
    return record.read(before)


def _show(before: RunRecord, after: RunRecord, changes: tuple[comparison.Change, ...]) -> None:
    names = [f"{run.environment} {run.run_id}" for run in (before, after)]
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("what", "name", *names):
        table.add_column(escape(heading), overflow="fold")
    for change in changes:
        values = (change.what, change.name, change.before, change.after)
        table.add_row(*(escape(value) for value in values))
    if changes:
        out.print(table)
    differences = counted(len(changes), "difference")
    out.print(f"{differences} between {escape(names[0])} and {escape(names[1])}", soft_wrap=True)
