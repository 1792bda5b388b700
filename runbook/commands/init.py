"""The command ``runbook init``."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from psycopg import conninfo
from rich.markup import escape

from runbook import connection
from runbook.discovery.proposal import Tier
from runbook.environment import Connection, Environment
from runbook.errors import UsageError
from runbook.findings import counted
from runbook.progress import Progress
from runbook.starting.files import Start
from runbook.starting.looking import Seen
from runbook.terminal import err, out

NAME = "staging"


def init_command(  # noqa: PLR0913, PLR0917 - the command's options
    folder: Annotated[Path, typer.Argument(help="Folder of the new project.")] = Path(),
    dsn: Annotated[
        str | None,
        typer.Option(
            "--dsn",
            help="Connection string of a role that may only read; it is not written anywhere."
            " Keep the password in a passfile.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help=f"Name of the environment; default: {NAME}.")
    ] = None,
    title: Annotated[
        str | None, typer.Option("--title", help="Title of the site; default: the database's name.")
    ] = None,
    schema: Annotated[
        list[str] | None,
        typer.Option("--schema", help="Only this schema; may be given again. Default: all."),
    ] = None,
    prisma: Annotated[
        Path | None,
        typer.Option("--prisma", help="The application's schema.prisma, or the folder of it."),
    ] = None,
    superuser: Annotated[
        bool,
        typer.Option("--superuser", help="Allow a superuser's connection, and write that down."),
    ] = False,
    rows: Annotated[bool, typer.Option(help="Look at statistics, rows and statements.")] = True,
) -> None:
    """Make a project for a database: settings, relationships, notebooks, pages, a workflow.

    \b
    Reads only, in one snapshot, proposes which relationships should hold, and writes the files of
    a project into a folder. Rows are counted, and no value of one is written. On a terminal it
    asks for what is not given. A file that is there already is never overwritten: then nothing is
    written at all. The password is written nowhere. Exit codes:
      0  the project is written
      2  wrong usage, or files are in the way; nothing was written
      3  the database could not be looked at; nothing was written
    \b
    Examples:
      runbook init --dsn "host=db.example.org dbname=shop user=reader"
      runbook init shop --name production --schema public --schema billing
      runbook init --prisma prisma/schema.prisma
      runbook init --no-rows
    """
    from runbook import prisma as prismas
    from runbook import starting

    _refuse_existing(folder, starting.existing(folder))
    chosen = name or _ask("name of the environment", NAME)
    start = Start(chosen, title or "Database", tuple(schema) if schema else None, superuser)
    given = _connect_with(start.variable, dsn)
    environment = Environment(
        name=start.environment,
        reader=Connection(variable=start.variable),
        gate="ready",
        superuser=superuser,
    )
    declared = prismas.read(prisma) if prisma else None
    with Progress(err) as progress:
        task = progress.task("init", None)
        task.line("connects and reads the catalog")
        seen = starting.look(environment, start.schemas, declared, task.line, rows=rows)
        task.done()
    if title is None:
        start = Start(chosen, _title(seen), start.schemas, superuser)
    content = starting.content(start, seen.schema, seen.looked.found)
    _refuse_existing(folder, starting.existing(folder))
    written = starting.write(folder, content)
    _tell(seen)
    _tell_files(folder, written, content)
    _tell_next(start, folder, given)


def _refuse_existing(folder: Path, existing: tuple[str, ...]) -> None:
    if existing:
        raise UsageError(
            f"in {str(folder)!r} there are already: {', '.join(existing)}",
            "go to an empty folder, or name a new one: runbook init FOLDER",
        )


def _ask(question: str, default: str | None) -> str:
    """The answer of a person, or the default where nobody can be asked."""
    if not sys.stdin.isatty():
        return default or ""
    answer: str = typer.prompt(question, default=default, err=True)
    return answer


def _connect_with(variable: str, dsn: str | None) -> str:
    """The connection string that was given here; empty where the environment already has it."""
    if not dsn and (os.environ.get(connection.OVERRIDE_READER) or os.environ.get(variable)):
        return ""
    given = dsn or _ask("connection string (host=… dbname=… user=…)", None)
    if not given:
        raise UsageError(
            "no connection string is given",
            f"runbook init --dsn 'host=… dbname=… user=…', or export {variable}",
        )
    os.environ[connection.OVERRIDE_READER] = given
    return given


def _title(seen: Seen) -> str:
    from runbook.starting.files import plain_title

    return plain_title(seen.server.database)


def _tell(seen: Seen) -> None:
    from runbook.starting import declaring

    found = seen.looked.found
    for sentence in seen.sentences():
        out.print(escape(sentence), soft_wrap=True)
    taken = len(declaring.of_keys(seen.schema)), len(declaring.accepted(seen.schema, found))
    likely, possible = len(found.of(Tier.LIKELY)), len(found.of(Tier.POSSIBLE))
    out.print(
        f"{counted(sum(taken), 'relationship')}: {taken[0]:,} from foreign keys, {taken[1]:,}"
        f" proposed and taken; {likely:,} likely as comments, {possible:,} possible left out",
        soft_wrap=True,
    )


def _tell_files(folder: Path, written: tuple[str, ...], content: Mapping[str, bytes]) -> None:
    from runbook import starting

    tops = list(dict.fromkeys(_top(name) for name in written))
    out.print(
        f"wrote {counted(len(written), 'file')} in {escape(str(folder.resolve()))}:"
        f" {', '.join(tops)}",
        soft_wrap=True,
    )
    missing = starting.unignored(folder, content) if starting.IGNORED not in written else ()
    if missing:
        out.print(f"add to {starting.IGNORED}: {' '.join(missing)}", soft_wrap=True)


def _top(name: str) -> str:
    head, _, rest = name.partition("/")
    return f"{head}/" if rest and head != ".github" else name


def _tell_next(start: Start, folder: Path, given: str) -> None:
    out.print("next:")
    lines = [f"cd {shlex.quote(str(folder))}"] if folder != Path() else []
    if given:
        lines.append(f"export {start.variable}={shlex.quote(without_password(given))}")
    lines += [f"runbook run {start.environment}", "runbook site build"]
    for line in lines:
        out.print(f"  {escape(line)}", soft_wrap=True)
    if given and without_password(given, "x") != without_password(given):
        out.print("the password belongs into libpq's passfile, or into PGPASSWORD", soft_wrap=True)


def without_password(dsn: str, instead: str = "") -> str:
    """A connection string without its passwords; they are replaced where ``instead`` is given."""
    values = conninfo.conninfo_to_dict(dsn)
    for key in ("password", "sslpassword"):
        if values.pop(key, None) is not None and instead:
            values[key] = instead
    return conninfo.make_conninfo("", **values)
