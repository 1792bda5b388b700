"""The command ``runbook demo``."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from runbook import embedded
from runbook.commands.site import serve_site
from runbook.errors import IncompleteError
from runbook.progress import Progress
from runbook.settings import Settings
from runbook.settings import read as read_settings
from runbook.terminal import Folder, err, out, print_run

if TYPE_CHECKING:
    from runbook.demo import Result


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
        print_run(settings, result.run)
    if site:
        where = f" --project {shlex.quote(str(project))}" if project else ""
        serving = f"serve it: {program_from_here()} site serve{where}"
        out.print(f"site: {site}\n{serving}", markup=False, soft_wrap=True)
    wrong = [f"{result.run.environment}: {fault}" for result in results for fault in result.faults]
    if wrong:
        err.print("\n".join(f"[red]not as planted[/red] {escape(line)}" for line in wrong))
        raise typer.Exit(3)
    out.print("every run found exactly the defects that were planted")
    if serve:
        serve_site(settings, 8000)


def program_from_here() -> str:
    """How this program can be called again: a virtual environment need not be active."""
    called, module = sys.argv[0], ""
    if Path(called).name == "__main__.py":
        called, module = sys.executable, " -m runbook"
    path = Path(called).absolute()  # not resolved: an environment's Python is a link
    found = shutil.which(path.name)
    if found and Path(found).absolute() == path:
        return path.name + module
    if Path.cwd() in path.parents:
        near = str(path.relative_to(Path.cwd()))
        return shlex.quote(near if "/" in near else f"./{near}") + module
    return shlex.quote(str(path)) + module


def _run_demo(
    settings: Settings, dsn: str | None, *, with_site: bool
) -> tuple[tuple[Result, ...], Path | None]:
    from runbook import demo as demos
    from runbook.site import build

    with Progress(err) as progress:
        task = progress.task("databases", None)
        with task.waiting("makes the demo's databases where they are missing"):
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
        with task.waiting("waits for MkDocs, which builds all pages"):
            site = build.build(settings)
        task.done()
    return results, site
