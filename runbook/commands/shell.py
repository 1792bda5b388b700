"""The command ``runbook shell``."""

from __future__ import annotations

import os
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from runbook import connection, session
from runbook.commands.run import permit
from runbook.connection import Purpose
from runbook.errors import IncompleteError
from runbook.interruption import terminable
from runbook.progress import Progress
from runbook.settings import PROJECT_VARIABLE
from runbook.settings import read as read_settings
from runbook.terminal import Confirm, Dsn, EnvironmentName, Folder, OwnerDsn, err, out, reaching

if TYPE_CHECKING:
    from runbook.by_hand import Desk


def shell_command(  # noqa: PLR0913, PLR0917 - the command's options
    environment: EnvironmentName,
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Port on 127.0.0.1; default: the first free from 8888."
        ),
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Open no browser; print the address only.")
    ] = False,
    dsn: Dsn = None,
    owner_dsn: OwnerDsn = None,
    confirm: Confirm = "",
    project: Folder = None,
) -> None:
    """Open JupyterLab on the notebooks, with the environment chosen.

    \b
    Works on copies in runs/ENVIRONMENT/by-hand/TIME/, so that no output lands in the committed
    notebooks. A run by hand shows results, records nothing and counts towards no verdict. Copies
    that nobody changed are removed at the end; what was saved stays.
    JupyterLab listens on 127.0.0.1 alone and asks for a token, which is part of the printed
    address. Ctrl-C ends it, kernels included.
    Exit codes: 0 ended, 2 wrong usage or settings, 3 unreachable, or JupyterLab did not start.
    \b
    Examples:
      runbook shell staging
      runbook shell production --no-browser --port 9000
    """
    from runbook import by_hand, jupyter

    settings = read_settings(project)
    target = settings.environment(environment)
    given = {connection.OVERRIDE_READER: dsn, connection.OVERRIDE_OWNER: owner_dsn}
    os.environ.update({variable: value for variable, value in given.items() if value})
    permit(target, confirm, "shell")
    os.environ[PROJECT_VARIABLE] = str(settings.folder)  # the kernels look at the same project
    try:
        with terminable(), ExitStack() as resources:
            with Progress(err) as progress:
                task = progress.task(environment, None)
                with task.waiting(reaching(target)):
                    session.connect(target, Purpose.READ).close()
                desk = by_hand.lay_out(settings, target, datetime.now(UTC))
                resources.callback(_clear, desk)
                with task.waiting("waits for JupyterLab to answer"):
                    lab = resources.enter_context(
                        jupyter.started(desk.folder, settings.folder, port, not no_browser)
                    )
                task.done()
            out.print(
                f"JupyterLab on {environment} (Ctrl-C ends it): {lab.url}",
                markup=False,
                soft_wrap=True,
            )
            code = lab.wait()
    except KeyboardInterrupt:
        out.print("stopped")
        return
    if code:
        raise IncompleteError(
            f"JupyterLab ended with exit code {code}",
            f"start it again: runbook shell {environment}",
        )


def _clear(desk: Desk) -> None:
    if not desk.clear():
        out.print(f"what was saved is in {desk.folder}", markup=False, soft_wrap=True)
