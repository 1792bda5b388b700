"""The command ``runbook audit``: census and orphan rows without notebooks."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from runbook import auditing, connection
from runbook import environment as environments
from runbook.audit.engine import Options
from runbook.audit.strategy import Strategy
from runbook.audit.work import Limits
from runbook.auditing import Request
from runbook.commands.audit_output import show, write
from runbook.environment import Load
from runbook.errors import UsageError
from runbook.progress import Progress
from runbook.settings import read as read_settings
from runbook.terminal import Dsn, EnvironmentName, Folder, err, reaching


def audit(  # noqa: PLR0913, PLR0917 - the command's options
    environment: EnvironmentName,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Only relationships whose name holds this; may be given again."),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, max=64, help="Relationships at a time.")
    ] = None,
    budget: Annotated[
        str | None, typer.Option(help="Time for all of it, as 90s, 5m or 1h; the rest stays.")
    ] = None,
    strategy: Annotated[
        Strategy | None, typer.Option(help="Force a strategy where it is applicable.")
    ] = None,
    sample: Annotated[
        bool,
        typer.Option("--sample", help="Estimate what --budget has no time to count, or all."),
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="Show the clean relationships too.")] = False,
    keys: Annotated[int, typer.Option(min=0, help="Example keys of each relationship.")] = 5,
    column: Annotated[
        list[str] | None, typer.Option(help="Show this column's value beside each example key.")
    ] = None,
    lookalikes: Annotated[bool, typer.Option(help="Count what only looks like them.")] = True,
    max_load: Annotated[
        int | None, typer.Option(help="Wait while more sessions of others are active.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Do only what an interrupted audit left.")
    ] = False,
    json_: Annotated[Path | None, typer.Option("--json", help="Write JSON; - prints it.")] = None,
    sarif_: Annotated[Path | None, typer.Option("--sarif", help="Write SARIF.")] = None,
    junit_: Annotated[Path | None, typer.Option("--junit", help="Write JUnit XML.")] = None,
    dsn: Dsn = None,
    project: Folder = None,
) -> None:
    """Count the orphan rows of every relationship, exactly and politely.

    \b
    Reads only, in one snapshot, with every timeout set. Ctrl-C cancels the statements on the
    server, keeps what is finished and ends with exit code 3; --resume does the rest.
    Exit codes: 0 clean, 1 orphan rows, 2 wrong usage, 3 something was not looked at.
    \b
    Examples:
      runbook audit staging
      runbook audit production --only workflow --jobs 4
      runbook audit production --budget 5m --sample --json audit.json
    """
    settings = read_settings(project)
    target = settings.environment(environment)
    if dsn:
        os.environ[connection.OVERRIDE_READER] = dsn
    limits = _limits(target.load, jobs, _budget(budget), max_load)
    forced = Strategy.SAMPLE if sample and limits.budget is None else strategy
    request = Request(
        tuple(only or ()),
        Options(strategy=forced, samples=keys, columns=tuple(column or ()), estimate=sample),
        limits,
        resume,
        lookalikes,
    )
    with Progress(err) as progress:
        task = progress.task("audit", None)
        task.line(reaching(target))
        found = auditing.look(settings, target, request, task.of, task.line)
    if json_ != Path("-"):
        show(found, every)
    auditing.keep(settings, target, found)
    write(settings, found, json_, sarif_, junit_)
    raise typer.Exit(found.exit_code)


def _limits(load: Load, jobs: int | None, budget: timedelta | None, max_load: int | None) -> Limits:
    """What was asked for, and else what the environment says."""
    return Limits(
        jobs or load.jobs,
        load.budget if budget is None else budget,
        load.max_load if max_load is None else max_load,
    )


def _budget(text: str | None) -> timedelta | None:
    if text is None:
        return None
    try:
        value: timedelta = environments.duration(text)
    except ValueError as error:
        raise UsageError(f"--budget: {error}", "write it as --budget 5m") from None
    return value
