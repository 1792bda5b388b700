"""The commands ``runbook site build`` and ``runbook site serve``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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


@app.command("serve")
def site_serve(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 8000,
    project: Folder = None,
) -> None:
    """Serve the built site on this machine.

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
