"""What several commands share: their options, the terminals, and how a run is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from runbook import completion, connection, messages
from runbook.environment import Environment
from runbook.record import RunRecord
from runbook.settings import Settings
from runbook.verdict import State

out = Console(highlight=False)
err = messages.err

EnvironmentName = Annotated[
    str,
    typer.Argument(
        metavar="ENVIRONMENT",
        help="Name of an environment in runbook.toml.",
        autocompletion=completion.environments,
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option("--project", help="Folder of runbook.toml; default: here or the nearest above."),
]
Dsn = Annotated[
    str | None,
    typer.Option(
        "--dsn",
        help="Connection string to use instead of the environment's own reader connection."
        " Keep the password in a passfile.",
    ),
]
OwnerDsn = Annotated[
    str | None,
    typer.Option("--owner-dsn", help="The same for the role that the writing checks use."),
]
Confirm = Annotated[
    str,
    typer.Option("--confirm", help="The environment's name again: to write where it is protected."),
]

COLOURS = {State.GO: "green", State.HOLD: "yellow", State.NO_GO: "red"}


def reaching(environment: Environment) -> str:
    """What a command waits for before it has connected."""
    source = connection.source(environment)
    if source == "embedded":
        return "waits for the embedded server, then connects and reads the catalog"
    return f"connects{f' ({source})' if source else ''} and reads the catalog"


def print_run(settings: Settings, record: RunRecord) -> None:
    titles = {gate.name: gate.title for gate in settings.gate}
    for verdict in record.verdicts:
        colour = COLOURS.get(verdict.state, "magenta")
        out.print(
            f"[bold]{record.environment}[/bold]  {titles[verdict.gate]}:"
            f" [{colour}]{verdict.state}[/{colour}]"
        )
        for reason in verdict.reasons[:3]:
            out.print(f"  {escape(reason)}", soft_wrap=True)
        if len(verdict.reasons) > 3:
            out.print(f"  and {len(verdict.reasons) - 3} more reasons in the run record")
