"""The commands ``runbook site build``, ``check`` and ``serve``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from runbook.errors import IncompleteError
from runbook.findings import counted
from runbook.progress import Progress
from runbook.settings import Settings
from runbook.settings import read as read_settings
from runbook.terminal import Folder, err, out

app = typer.Typer(help="Build and serve the documentation site.", no_args_is_help=True)


@app.command("build")
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
    Exit codes: 0 built, 2 wrong usage or settings, 3 the site does not build.
    \b
    Example:
      runbook site build
    """
    from runbook.site import build

    settings = read_settings(project)
    with Progress(err) as progress:
        task = progress.task("site", None)
        with task.waiting("waits for MkDocs, which builds all pages"):
            site = build.build(settings, output)
        task.done()
    out.print(f"site: {site}", soft_wrap=True)


@app.command("check")
def site_check(
    environment: Annotated[
        str | None,
        typer.Option(help="Environment whose server prepares the SQL blocks; default: the first."),
    ] = None,
    no_sql: Annotated[
        bool, typer.Option("--no-sql", help="Leave the SQL blocks out; no server is asked.")
    ] = False,
    project: Folder = None,
) -> None:
    """Look for what is wrong with the documents and the built site, and tell all of it.

    \b
    Figures in prose that are no facts, facts that are unknown or stale, SQL blocks that cannot be
    prepared (nothing is executed), and links that lead nowhere.
    Exit codes: 0 nothing is wrong, 1 something is, 2 wrong usage or settings, 3 no site is built
    or the server cannot be asked.
    \b
    Examples:
      runbook site check
      runbook site check --no-sql
    """
    from runbook import sql_blocks
    from runbook.site import check

    settings = read_settings(project)
    target = settings.environment(environment or next(iter(settings.environments)))
    site = settings.folder / "site"
    if not (site / "index.html").is_file():
        raise IncompleteError(f"{site}: there is no site", "build it: runbook site build")
    faults = [(fault.place, fault.said) for fault in check.everything(settings, site)]
    for page in () if no_sql else check.pages(settings):
        if page.is_file():
            place = check.name(settings, page)
            faults += [(f"{place}:{line}", said) for line, said in sql_blocks.faults(target, page)]
    for place, said in faults:
        out.print(f"{escape(place)}: {escape(said)}", soft_wrap=True)
    looked = "the SQL was left out" if no_sql else f"the SQL was held against {target.name}"
    out.print(f"{counted(len(faults), 'fault')} in {site}; {looked}", soft_wrap=True)
    raise typer.Exit(1 if faults else 0)


@app.command("serve")
def site_serve(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 8000,
    project: Folder = None,
) -> None:
    """Serve the built site on this machine.

    \b
    Exit codes: 0 ended with Ctrl-C, 2 there is no site, or the port is taken.
    \b
    Example:
      runbook site serve --port 8080
    """
    serve_site(read_settings(project), port)


def serve_site(settings: Settings, port: int) -> None:
    from runbook.site import serve

    server = serve.server(settings.folder / "site", port)
    out.print(f"serving on http://127.0.0.1:{server.server_port}/ (Ctrl-C ends it)")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        out.print("stopped")
    finally:
        server.server_close()
