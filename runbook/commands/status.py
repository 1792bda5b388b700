"""The command ``runbook status``."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from runbook import completion, status
from runbook.commands.audit_output import WIDE, out
from runbook.settings import read as read_settings
from runbook.status import Standing
from runbook.terminal import COLOURS, Folder


def status_command(
    environments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ENVIRONMENT]...",
            help="Names of environments in runbook.toml; default: all of them.",
            autocompletion=completion.environments,
        ),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    project: Folder = None,
) -> None:
    """Show the last run of every environment: its verdict, its age, and what it looked at.

    \b
    Reads the run records alone; no database is asked. An environment without a run is UNKNOWN,
    never clean; a run that is older than the environment's fresh_for is STALE, whatever it said.
    The exit code is the worst, and a known failure outweighs what is unknown, as in a verdict:
      0  every environment is GO
      1  one is HOLD or NO-GO
      2  wrong usage or settings
      3  one is UNKNOWN or STALE, and none is known to fail
    \b
    Examples:
      runbook status
      runbook status production
      runbook status --json
    """
    settings = read_settings(project)
    wanted = [settings.environment(name) for name in environments or settings.environments]
    now = datetime.now(UTC)
    standings = [status.of(settings, environment, now) for environment in wanted]
    if json_:
        values = [standing.model_dump(mode="json") for standing in standings]
        typer.echo(json.dumps(values, indent=1, ensure_ascii=False))
    else:
        _show(standings)
    raise typer.Exit(status.exit_code(standings))


def _show(standings: list[Standing]) -> None:
    wide = out.width >= WIDE
    table = Table(box=None, padding=(0, 2, 0, 0))
    looked = ("steps", "relationships", "database") if wide else ()
    for heading in ("environment", "gate", "verdict", "last run", "age", *looked):
        table.add_column(heading, no_wrap=True)
    for standing in standings:
        colour = COLOURS.get(standing.state, "magenta")
        table.add_row(
            escape(standing.environment),
            escape(standing.gate),
            f"[{colour}]{standing.state}[/{colour}]",
            standing.run or "none",
            _age(standing),
            *(_looked(standing) if wide else ()),
        )
    out.print(table)
    for standing in standings:
        for note in _notes(standing):
            out.print(f"{escape(standing.environment)}: {escape(note)}", soft_wrap=True)


def _age(standing: Standing) -> str:
    if standing.age_seconds is None:
        return ""
    age = status.spoken(timedelta(seconds=standing.age_seconds))
    return f"{age}, {'fresh' if standing.fresh else 'stale'}"


def _looked(standing: Standing) -> tuple[str, str, str]:
    """What of the runbook was done, what was looked at, and where."""
    steps, relationships = standing.steps, standing.relationships_looked_at
    if steps is None or relationships is None:
        return "", "", ""
    looked = f"{relationships} looked at" if relationships.total else "not looked at"
    place = f"{standing.database} ({standing.source})" if standing.database else "unknown"
    return str(steps), looked, escape(place)


def _notes(standing: Standing) -> list[str]:
    """What the table has no room for: why it is so, what failed, what came later."""
    notes = [standing.reason] if standing.reason else []
    if standing.steps_failed:
        notes.append(f"did not succeed: {', '.join(standing.steps_failed)}")
    notes += [f"run {later}" for later in standing.later]
    if standing.run == "":
        notes.append(f"run it: runbook run {standing.environment}")
    return notes
