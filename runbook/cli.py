"""The command ``runbook``: parse, call one function, map the outcome to an exit code.

Exit codes: 0 clean or GO; 1 findings, HOLD or NO-GO; 2 wrong usage or settings; 3 incomplete.
"""

from __future__ import annotations

import sys
from typing import Annotated

import psycopg
import typer
from rich.markup import escape

from runbook import __version__, session, site_command
from runbook.audit_command import audit
from runbook.demo_command import demo
from runbook.errors import RunbookError
from runbook.run_command import run_command
from runbook.terminal import err, out

app = typer.Typer(
    name="runbook",
    help="Documentation of a database's referential integrity that is executed, not written.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("run")(run_command)
app.command("audit")(audit)
app.command("demo")(demo)
app.add_typer(site_command.app, name="site")


@app.callback(invoke_without_command=True)
def _main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.")
    ] = False,
) -> None:
    if version:
        out.print(f"fk-runbook {__version__}")
        raise typer.Exit


def main() -> None:
    """Entry point; every expected error becomes its message, its hint and its exit code."""
    try:
        app()
    except RunbookError as error:
        err.print(f"[red]error:[/red] {escape(error.message)}", soft_wrap=True)
        if error.hint:
            err.print(f"hint: {escape(error.hint)}", soft_wrap=True)
        sys.exit(error.exit_code)
    except psycopg.Error as error:
        err.print(f"[red]error:[/red] the server: {escape(session.reason(error))}", soft_wrap=True)
        err.print("hint: nothing was decided from it: run the command again")
        sys.exit(3)
    except OSError as error:
        err.print(f"[red]error:[/red] {escape(str(error.filename))}: {error.strerror}")
        err.print("hint: check that the folder exists, has room and may be written")
        sys.exit(3)
