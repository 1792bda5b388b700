"""The command ``runbook run``."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from runbook import connection
from runbook.errors import IncompleteError
from runbook.progress import Progress
from runbook.settings import read as read_settings
from runbook.terminal import Dsn, Folder, err, print_run
from runbook.verdict import State


def run_command(
    environment: Annotated[str, typer.Argument(help="Name of an environment in runbook.toml.")],
    dsn: Dsn = None,
    owner_dsn: Annotated[
        str | None,
        typer.Option("--owner-dsn", help="The same for the role that the writing checks use."),
    ] = None,
    project: Folder = None,
) -> None:
    """Run the runbook against an environment and keep the run record.

    \b
    Every step is a notebook; the executed notebooks, run.json and junit.xml are kept in
    runs/ENVIRONMENT/RUN/. The exit code is that of the environment's gate:
      0  GO
      1  HOLD or NO-GO
      2  wrong usage or settings, nothing was started
      3  UNKNOWN or STALE: something could not be looked at
    \b
    Examples:
      runbook run staging
      runbook run production --dsn "service=production"
    """
    from runbook import run  # papermill takes a while to import

    settings = read_settings(project)
    target = settings.environment(environment)
    given = {connection.OVERRIDE_READER: dsn, connection.OVERRIDE_OWNER: owner_dsn}
    os.environ.update({variable: value for variable, value in given.items() if value})
    with Progress(err) as progress:
        task = progress.task(environment, len(settings.step))
        try:
            record = run.execute(settings, target, task.step)
        except KeyboardInterrupt:
            folder = settings.runs / environment
            raise IncompleteError(
                f"interrupted; the record in {folder} says what was finished",
                f"run it again: runbook run {environment}",
            ) from None
    print_run(settings, record)
    verdict = record.verdict(record.gate)
    raise typer.Exit(verdict.state.exit_code if verdict else State.UNKNOWN.exit_code)
