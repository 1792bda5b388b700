"""The commands ``runbook doctor`` and ``runbook grants``."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from runbook import connection, doctor, grants
from runbook.doctor import Point, State
from runbook.progress import Progress
from runbook.settings import read as read_settings
from runbook.terminal import Dsn, EnvironmentName, Folder, err, out, reaching

_COLOURS = {
    State.WORKS: "green",
    State.LIMITED: "yellow",
    State.SKIPPED: "magenta",
    State.FAILS: "red",
}


def doctor_command(
    environment: EnvironmentName,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    dsn: Dsn = None,
    project: Folder = None,
) -> None:
    """Tell what works in an environment, what will be skipped, and why.

    \b
    Only looks. Whatever is missing comes with the statement or the command that mends it.
    Exit codes: 0 all that is wanted works, 2 wrong settings, 3 something does not work.
    \b
    Examples:
      runbook doctor staging
      runbook doctor production --json
    """
    settings = read_settings(project)
    target = settings.environment(environment)
    if dsn:
        os.environ[connection.OVERRIDE_READER] = dsn
    with Progress(err) as progress, progress.task("doctor", None).waiting(reaching(target)):
        points = doctor.examine(settings, target)
    if json_:
        typer.echo(json.dumps([asdict(point) for point in points], indent=1, ensure_ascii=False))
    else:
        _show(points)
    raise typer.Exit(3 if any(point.state is State.FAILS for point in points) else 0)


def _show(points: tuple[Point, ...]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for point in points:
        colour = _COLOURS[point.state]
        remedy = f"\n-> {escape(point.remedy)}" if point.remedy else ""
        table.add_row(
            escape(point.about),
            f"[{colour}]{point.state}[/{colour}]",
            escape(point.said) + remedy,
        )
    out.print(table)


def grants_command(  # noqa: PLR0913, PLR0917 - the command's options
    environment: EnvironmentName,
    role: Annotated[str, typer.Option(help="Name of the role.")] = grants.ROLE,
    declared: Annotated[
        bool, typer.Option("--declared", help="Only the tables of the relationships.")
    ] = False,
    bypass: Annotated[
        bool, typer.Option("--bypass-rls", help="Let the role see behind row security.")
    ] = False,
    schema: Annotated[
        list[str] | None, typer.Option(help="A schema that the project's own checks read too.")
    ] = None,
    project: Folder = None,
) -> None:
    """Print the SQL that makes the least privileged role for an environment's reader.

    \b
    Connects to nothing: it is made from relationships.toml. An administrator runs it with psql.
    Exit codes: 0 printed, 2 wrong usage or settings.
    \b
    Examples:
      runbook grants production
      runbook grants production --role auditor --declared > grants.sql
    """
    settings = read_settings(project)
    target = settings.environment(environment)
    wanted = grants.Wanted(role, declared, bypass, tuple(schema or ()))
    typer.echo(grants.script(target.name, settings.relationships(), wanted), nl=False)
