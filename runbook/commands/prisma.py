"""The command ``runbook prisma compare``."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import psycopg
import typer
from rich.markup import escape
from rich.table import Table

from runbook import catalog, connection, prisma, session
from runbook.environment import Environment
from runbook.errors import IncompleteError
from runbook.findings import counted
from runbook.prisma import Difference, Kind
from runbook.progress import Progress
from runbook.schema import Schema
from runbook.settings import read as read_settings
from runbook.terminal import Dsn, EnvironmentName, Folder, err, out, reaching

app = typer.Typer(help="What an application's schema.prisma declares.", no_args_is_help=True)

SchemaPath = Annotated[
    Path, typer.Option("--schema", help="schema.prisma, or the folder of its files.")
]
DefaultSchema = Annotated[
    str, typer.Option("--default-schema", help="Schema of the models that name none.")
]


@app.callback()
def _prisma() -> None:
    """What an application's schema.prisma declares."""


@app.command("compare")
def prisma_compare(  # noqa: PLR0913, PLR0917 - the command's options
    environment: EnvironmentName,
    schema: SchemaPath,
    default_schema: DefaultSchema = "public",
    json_: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    dsn: Dsn = None,
    project: Folder = None,
) -> None:
    """Compare schema.prisma with the database, in both directions.

    \b
    Tells which relations have no foreign key and which foreign keys no relation, which actions
    on delete and on update differ, and which columns are missing or have another type or
    nullability. Reads the catalog only, no rows. Tables that no model maps are told through
    their foreign keys alone. Exit codes:
      0  nothing differs
      1  something differs
      2  wrong usage, or schema.prisma cannot be read: the message has line and column
      3  the database could not be looked at
    \b
    Examples:
      runbook prisma compare staging --schema prisma/schema.prisma
      runbook prisma compare staging --schema prisma --json
    """
    settings = read_settings(project)
    target = settings.environment(environment)
    if dsn:
        os.environ[connection.OVERRIDE_READER] = dsn
    declared = prisma.read(schema, default_schema)
    prisma.relations(declared)  # what is wrong in the file is told before anything is asked
    with Progress(err) as progress:
        task = progress.task("prisma", None)
        task.line(reaching(target))
        found = prisma.differences(declared, _read(target, settings.project.schemas))
        task.done()
    if json_:
        typer.echo(json.dumps([_plain(one) for one in found], indent=1, ensure_ascii=False))
    else:
        _show(found)
        keys = counted(len(prisma.relations(declared)), "relation")
        models = counted(len(declared.models), "model")
        said = counted(len(found), "difference")
        out.print(f"{keys} of {models} compared: {said}", soft_wrap=True)
    raise typer.Exit(1 if found else 0)


def _read(environment: Environment, schemas: Sequence[str] | None) -> Schema:
    reader = session.connect(environment)
    try:
        with session.reading(reader, environment):
            return catalog.read(reader, schemas)
    except psycopg.Error as error:
        raise IncompleteError(
            f"environment {environment.name!r}: the catalog cannot be read:"
            f" {session.reason(error)}",
            "somebody may be changing the schema: try again, or raise timeouts.lock",
        ) from None
    finally:
        reader.close()


def _plain(found: Difference) -> dict[str, str | None]:
    return {
        "kind": found.kind.value,
        "subject": found.subject,
        "prisma": found.prisma,
        "database": found.database,
        "place": str(found.place) if found.place else None,
    }


def _show(found: Sequence[Difference]) -> None:
    for kind in Kind:
        some = [one for one in found if one.kind is kind]
        if not some:
            continue
        out.print(f"[bold]{kind.value}[/bold] ({len(some):,})")
        table = Table(box=None, padding=(0, 2, 0, 2))
        for heading in ("what", "schema.prisma", "database", "line"):
            table.add_column(heading, overflow="fold")
        for one in some:
            line = str(one.place.line) if one.place else ""
            table.add_row(*(escape(text) for text in (one.subject, one.prisma, one.database, line)))
        out.print(table)
