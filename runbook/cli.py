"""The command ``runbook``: parse, call one function, map the outcome to an exit code.

Exit codes: 0 clean or GO; 1 findings, HOLD or NO-GO; 2 wrong usage or settings; 3 incomplete.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import psycopg
import typer
from rich.console import Console
from rich.markup import escape

from runbook import __version__, embedded, session
from runbook.audit_command import audit
from runbook.errors import IncompleteError, RunbookError
from runbook.progress import Progress
from runbook.record import RunRecord
from runbook.settings import Settings
from runbook.settings import read as read_settings
from runbook.verdict import State

if TYPE_CHECKING:
    from runbook.demo import Result

app = typer.Typer(
    name="runbook",
    help="Documentation of a database's referential integrity that is executed, not written.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
site_app = typer.Typer(help="Build and serve the documentation site.", no_args_is_help=True)
app.add_typer(site_app, name="site")
app.command("audit")(audit)

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

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

_COLOURS = {State.GO: "green", State.HOLD: "yellow", State.NO_GO: "red"}


@app.callback(invoke_without_command=True)
def _main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.")
    ] = False,
) -> None:
    if version:
        out.print(f"fk-runbook {__version__}")
        raise typer.Exit


@app.command("run")
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
    for variable, value in ((session.OVERRIDE_READER, dsn), (session.OVERRIDE_OWNER, owner_dsn)):
        if value:
            os.environ[variable] = value
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
    _print_run(settings, record)
    verdict = record.verdict(record.gate)
    raise typer.Exit(verdict.state.exit_code if verdict else State.UNKNOWN.exit_code)


@app.command()
def demo(
    serve: Annotated[
        bool, typer.Option("--serve", help="Serve the site when it is built.")
    ] = False,
    reset: Annotated[
        bool, typer.Option("--reset", help="Remove the demo's server and databases, and leave.")
    ] = False,
    no_site: Annotated[bool, typer.Option("--no-site", help="Run only, build no site.")] = False,
    dsn: Annotated[
        str | None,
        typer.Option(
            "--dsn",
            help="An administrator's connection string: make the demo's databases on that server"
            " instead of the embedded one.",
        ),
    ] = None,
    project: Folder = None,
) -> None:
    """Run the case that ships on three environments and build the site.

    \b
    Exit code 0 when every run found exactly the defects that were planted in its database,
    whatever the verdicts are; 3 when it did not.
    \b
    Examples:
      runbook demo
      runbook demo --serve
      runbook demo --reset
    """
    if reset:
        removed = embedded.reset()
        out.print("removed the embedded server" if removed else "there was no embedded server")
        return
    settings = read_settings(project)
    results, site = _run_demo(settings, dsn, with_site=not no_site)
    for result in results:
        _print_run(settings, result.run)
    if site:
        out.print(f"site: {site}\nserve it: runbook site serve", soft_wrap=True)
    wrong = [f"{result.run.environment}: {fault}" for result in results for fault in result.faults]
    if wrong:
        err.print("\n".join(f"[red]not as planted[/red] {escape(line)}" for line in wrong))
        raise typer.Exit(3)
    out.print("every run found exactly the defects that were planted")
    if serve:
        _serve(settings, 8000)


def _run_demo(
    settings: Settings, dsn: str | None, *, with_site: bool
) -> tuple[tuple[Result, ...], Path | None]:
    from runbook import demo as demos
    from runbook.site import build

    with Progress(err) as progress:
        task = progress.task("databases", None)
        demos.prepare(settings, dsn, task.line)
        task.done()
        # the first one last: its look at the documents then sees a run of every other
        names = list(reversed(settings.environments))
        tasks = {name: progress.task(name, len(settings.step)) for name in names}
        try:
            results = demos.execute(settings, names, lambda name, *step: tasks[name].step(*step))
        except KeyboardInterrupt:
            raise IncompleteError(
                "interrupted; the run records say what was finished", "run it again: runbook demo"
            ) from None
        if not with_site:
            return results, None
        task = progress.task("site", None)
        task.line("building")
        site = build.build(settings)
        task.done()
    return results, site


@site_app.command("build")
def site_build(
    output: Annotated[
        Path | None, typer.Option(help="Folder to build into; default: site/.")
    ] = None,
    project: Folder = None,
) -> None:
    """Build the site from the run records in runs/, strictly.

    \b
    No database is asked. A fact that no run has measured, a figure that is no fact or a dead link
    fails the build, and the site of the last good build stays.
    \b
    Example:
      runbook site build
    """
    from runbook.site import build

    settings = read_settings(project)
    with Progress(err) as progress:
        task = progress.task("site", None)
        task.line("building")
        site = build.build(settings, output)
        task.done()
    out.print(f"site: {site}", soft_wrap=True)


@site_app.command("serve")
def site_serve(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 8000,
    project: Folder = None,
) -> None:
    """Serve the built site on this machine.

    \b
    Example:
      runbook site serve --port 8080
    """
    _serve(read_settings(project), port)


def _serve(settings: Settings, port: int) -> None:
    from runbook.site import serve

    server = serve.server(settings.folder / "site", port)
    out.print(f"serving on http://127.0.0.1:{server.server_port}/ (Ctrl-C ends it)")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        out.print("stopped")
    finally:
        server.server_close()


def _print_run(settings: Settings, record: RunRecord) -> None:
    titles = {gate.name: gate.title for gate in settings.gate}
    for verdict in record.verdicts:
        colour = _COLOURS.get(verdict.state, "magenta")
        out.print(
            f"[bold]{record.environment}[/bold]  {titles[verdict.gate]}:"
            f" [{colour}]{verdict.state}[/{colour}]"
        )
        for reason in verdict.reasons[:3]:
            out.print(f"  {escape(reason)}", soft_wrap=True)
        if len(verdict.reasons) > 3:
            out.print(f"  and {len(verdict.reasons) - 3} more reasons in the run record")


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
