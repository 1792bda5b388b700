"""The commands ``runbook fleet run`` and ``runbook fleet show``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from runbook.errors import IncompleteError
from runbook.findings import counted
from runbook.progress import Progress
from runbook.settings import read as read_settings
from runbook.terminal import Folder, err

if TYPE_CHECKING:
    from runbook.fleet.job import Standing
    from runbook.fleet.ledger import FleetRecord

MOST_SHOWN = 20
out = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
_COLOURS = {"orphans": "red", "clean": "green"}

app = typer.Typer(help="Audit many databases at once.", no_args_is_help=True)


@app.command("run")
def fleet_run(  # noqa: PLR0913, PLR0917 - the command's options
    inventory: Annotated[Path, typer.Option(help="The file that lists the databases.")] = Path(
        "fleet.toml"
    ),
    scheduler: Annotated[
        str,
        typer.Option(
            help="Address of a Dask scheduler, as tcp://host:8786; default: workers here."
        ),
    ] = "",
    workers: Annotated[
        int, typer.Option(min=0, help="Worker processes on this machine; 0: one for each core.")
    ] = 0,
    jobs_per_server: Annotated[
        int | None, typer.Option(min=1, help="Databases of one server at a time, for all servers.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Do only what the newest run did not look at.")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="Show the clean databases too.")] = False,
    project: Folder = None,
) -> None:
    """Take the census and count the orphan rows of many databases.

    \b
    Reads only. Every result is kept in runs/fleet/RUN/results.jsonl as it comes, and fleet.json
    there is written at the end. A database whose worker is lost is looked at again. Ctrl-C keeps
    what is finished and ends with exit code 3; --resume does the rest.
    \b
    Exit codes:
      0  every database is clean
      1  orphan rows in at least one
      2  wrong usage, settings or inventory; nothing was started
      3  a database was not looked at, or the run was cut short
    \b
    Examples:
      runbook fleet run --inventory fleet.toml
      runbook fleet run --inventory fleet.toml --workers 4 --jobs-per-server 8
      runbook fleet run --inventory fleet.toml --scheduler tcp://scheduler:8786
      runbook fleet run --inventory fleet.toml --resume
    """
    from runbook.fleet import inventory as inventories
    from runbook.fleet import run  # Dask takes a while to import

    settings = read_settings(project)
    fleet = inventories.read(inventory, settings)
    wishes = run.Wishes(scheduler, workers, jobs_per_server, resume)
    with Progress(err) as progress:
        task = progress.task("fleet", None)
        task.line(f"{counted(len(fleet.database), 'database')}, starting workers")

        def say(standing: Standing, text: str, ended: bool) -> None:
            if ended:
                task.of(standing.total, f"{text}; {_how_far(standing)}")
            else:
                task.line(text)

        found = run.execute(settings, fleet, wishes, say)
    show(found, every)
    if found.interrupted:
        raise IncompleteError(
            f"interrupted: {counted(len(found.missing), 'database')} not looked at",
            f"do the rest: runbook fleet run --inventory {inventory} --resume",
        )
    raise typer.Exit(found.exit_code)


@app.command("show")
def fleet_show(
    every: Annotated[bool, typer.Option("--all", help="Show the clean databases too.")] = False,
    project: Folder = None,
) -> None:
    """Show the newest run over the fleet, worst first.

    \b
    No database is asked. The exit code is that of the run, as runbook fleet run --help says.
    \b
    Examples:
      runbook fleet show
      runbook fleet show --all
    """
    from runbook.fleet import ledger

    settings = read_settings(project)
    folder = ledger.newest(settings.runs)
    if folder is None:
        raise IncompleteError(
            f"no run of a fleet in {settings.runs}",
            "make one: runbook fleet run --inventory fleet.toml",
        )
    found = ledger.read(folder)
    show(found, every)
    raise typer.Exit(found.exit_code)


def _how_far(standing: Standing) -> str:
    left = "" if standing.left is None or not standing.left else f", {standing.left} left"
    failed = f", {standing.failed} not looked at" if standing.failed else ""
    return f"{standing.done} of {standing.total}, {standing.running} running{failed}{left}"


def show(found: FleetRecord, every: bool = False) -> None:
    """The databases worst first, then the counts and what differs."""
    from runbook.fleet import summary
    from runbook.fleet.result import State

    told = summary.of(found)
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in (
        "database",
        "server",
        "result",
        "orphan rows",
        "looked at",
        "where, or why not",
    ):
        table.add_column(heading, overflow="fold")
    servers = {entry.name: entry.server for entry in found.databases}
    shown = [result for result in told.worst if every or result.state is not State.CLEAN]
    most = len(shown) if every else MOST_SHOWN
    for result in shown[:most]:
        colour = _COLOURS.get(result.state.value, "magenta")
        where = ", ".join(f"{label}: {rows:,}" for label, rows in result.worst)
        table.add_row(
            escape(result.database),
            escape(servers[result.database]),
            f"[{colour}]{result.state}[/{colour}]",
            f"{result.orphan_rows:,}" if result.looked else "unknown",
            f"{result.looked} of {result.relationships}",
            escape(where or result.reason),
        )
    if shown:
        out.print(table)
    if len(shown) > most:
        out.print(f"and {len(shown) - most} more: --all shows them")
    counts = ", ".join(f"{state} {number}" for state, number in told.states.items() if number)
    out.print(f"{counted(told.databases, 'database')}: {counts}", soft_wrap=True)
    out.print(f"{counted(told.orphan_rows, 'orphan row')} in all", soft_wrap=True)
    for schema in told.outliers:
        names = escape(", ".join(schema.databases[:5]))
        number = counted(len(schema.databases), "database")
        out.print(
            f"another schema than most, {schema.structure}: {number}, {names}", soft_wrap=True
        )
    if told.keys_differ:
        names = escape(", ".join(told.keys_differ[:5]))
        number = counted(len(told.keys_differ), "database")
        out.print(f"the common schema with other keys than most: {number}, {names}", soft_wrap=True)
    if found.finished is None:
        out.print("the run still goes on, or was killed: --resume does the rest", soft_wrap=True)
