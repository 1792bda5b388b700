"""The command ``runbook run``."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from runbook import connection
from runbook.environment import Environment
from runbook.errors import IncompleteError, UsageError
from runbook.progress import Progress
from runbook.settings import read as read_settings
from runbook.terminal import (
    Confirm,
    Dsn,
    EnvironmentName,
    Folder,
    OwnerDsn,
    err,
    print_run,
    reaching,
)
from runbook.verdict import State


def run_command(  # noqa: PLR0913, PLR0917 - the command's options
    environment: EnvironmentName,
    dsn: Dsn = None,
    owner_dsn: OwnerDsn = None,
    confirm: Confirm = "",
    resume: Annotated[
        bool, typer.Option("--resume", help="Do only what the newest run left to do.")
    ] = False,
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
    Ctrl-C and SIGTERM end it with exit code 3; a second Ctrl-C does not wait for the server.
    --resume makes a new run that takes over what the newest one finished, where the server, the
    schema, the settings and the notebook are the same and the result is fresh. The record says
    which steps those are, and why the others were run again.
    \b
    Examples:
      runbook run staging
      runbook run staging --resume
      runbook run production --dsn "service=production"
    """
    from runbook import run  # papermill takes a while to import

    settings = read_settings(project)
    target = settings.environment(environment)
    given = {connection.OVERRIDE_READER: dsn, connection.OVERRIDE_OWNER: owner_dsn}
    os.environ.update({variable: value for variable, value in given.items() if value})
    permit(target, confirm)
    with Progress(err) as progress:
        task = progress.task(environment, len(settings.step))
        task.line(reaching(target))
        try:
            record = run.execute(settings, target, task.step, resume=resume)
        except KeyboardInterrupt:  # before the first step, or again and again
            raise IncompleteError(
                "interrupted; no record was written",
                f"run it again: runbook run {environment}, with --resume where steps had finished",
            ) from None
    print_run(settings, record)
    verdict = record.verdict(record.gate)
    raise typer.Exit(verdict.state.exit_code if verdict else State.UNKNOWN.exit_code)


def permit(environment: Environment, confirmed: str, command: str = "run") -> None:
    """Refuse to write in a protected environment without its name."""
    name = environment.name
    if confirmed and confirmed != name:
        raise UsageError(
            f"--confirm {confirmed!r} is not the environment, expected {name!r}",
            "confirm the environment that you mean",
        )
    if environment.protected and not connection.no_writing(environment) and not confirmed:
        raise UsageError(
            f"environment {name!r} is protected, and checks that write are allowed in it",
            f"with the consent of {environment.confirms}:"
            f" runbook {command} {name} --confirm {name}",
        )
