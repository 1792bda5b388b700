"""The command ``runbook audit``: census and orphan rows without notebooks."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import psycopg
import typer
from rich.console import Console

from runbook import census, operators, record, replica, session, steps
from runbook import environment as environments
from runbook.audit import outcome as outcomes
from runbook.audit import parallel
from runbook.audit.engine import Options
from runbook.audit.outcome import Outcome
from runbook.audit.strategy import Strategy
from runbook.audit.work import Limits
from runbook.audit_output import show, write
from runbook.checks import Context
from runbook.environment import Environment
from runbook.errors import IncompleteError, UsageError
from runbook.findings import Audit
from runbook.interruption import terminable
from runbook.progress import Progress, Task
from runbook.relationships import Relationship, Relationships
from runbook.settings import Settings
from runbook.settings import read as read_settings

SEES_OTHERS = """
    SELECT current_user::text, pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')
"""


err = Console(stderr=True, highlight=False)


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line."""

    only: tuple[str, ...] = ()
    options: Options = field(default_factory=Options)
    limits: Limits = field(default_factory=Limits)
    resume: bool = False


def audit(  # noqa: PLR0913, PLR0917 - the command's options
    environment: Annotated[str, typer.Argument(help="Name of an environment in runbook.toml.")],
    only: Annotated[
        list[str] | None,
        typer.Option(help="Only relationships whose name holds this; may be given again."),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Relationships at a time.")] = 2,
    budget: Annotated[
        str | None, typer.Option(help="Time for all of it, as 90s, 5m or 1h; the rest stays.")
    ] = None,
    strategy: Annotated[
        Strategy | None, typer.Option(help="Force a strategy where it is applicable.")
    ] = None,
    sample: Annotated[
        bool, typer.Option("--sample", help="Estimate from a sample of the pages; never a GO.")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="Show the clean relationships too.")] = False,
    keys: Annotated[int, typer.Option(min=0, help="Example keys of each relationship.")] = 5,
    max_load: Annotated[
        int | None, typer.Option(help="Wait while more sessions of others are active.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Do only what an interrupted audit left.")
    ] = False,
    json_: Annotated[Path | None, typer.Option("--json", help="Write JSON; - prints it.")] = None,
    sarif_: Annotated[Path | None, typer.Option("--sarif", help="Write SARIF.")] = None,
    junit_: Annotated[Path | None, typer.Option("--junit", help="Write JUnit XML.")] = None,
    dsn: Annotated[str | None, typer.Option(help="Connection string to use instead.")] = None,
    project: Annotated[Path | None, typer.Option(help="Folder of runbook.toml.")] = None,
) -> None:
    """Count the orphan rows of every relationship, exactly and politely.

    \b
    Reads only, in one snapshot, with every timeout set. Ctrl-C cancels the statements on the
    server, keeps what is finished and ends with exit code 3; --resume does the rest.
    Exit codes: 0 clean, 1 orphan rows, 2 wrong usage, 3 something was not looked at.
    \b
    Examples:
      runbook audit staging
      runbook audit production --only workflow --jobs 4
      runbook audit production --budget 5m --json audit.json
    """
    settings = read_settings(project)
    target = settings.environment(environment)
    if dsn:
        os.environ[session.OVERRIDE_READER] = dsn
    request = Request(
        tuple(only or ()),
        Options(strategy=Strategy.SAMPLE if sample else strategy, samples=keys),
        Limits(jobs, _budget(budget), max_load),
        resume,
    )
    with Progress(err) as progress:
        found = look(settings, target, request, progress)
    write(settings, found, json_, sarif_, junit_)
    if json_ != Path("-"):
        show(found, every)
    raise typer.Exit(found.exit_code)


def _budget(text: str | None) -> timedelta | None:
    if text is None:
        return None
    try:
        value: timedelta = environments.duration(text)
    except ValueError as error:
        raise UsageError(f"--budget: {error}", "write it as --budget 5m") from None
    return value


def look(
    settings: Settings, environment: Environment, request: Request, progress: Progress
) -> Outcome:
    """Take the census and count; an interruption ends in an outcome that says so."""
    kept = settings.runs / environment.name / outcomes.FILE_NAME
    before = outcomes.read(kept) if request.resume else None
    found: Outcome | None = None
    reader = session.connect(environment)
    try:
        with session.reading(reader, environment):
            context = _with_undeclared(steps.look(settings, environment, reader))
            if not len(context.relationships):
                raise UsageError(
                    f"{settings.project.relationships} declares no relationship, and the database"
                    " has no foreign key",
                    "declare what should hold: an audit of nothing would look clean",
                )
            context = _narrowed(context, request.only)
            if request.limits.max_load is not None:
                _must_see_others(reader)
            found = _counted(context, request, before, progress)
    except psycopg.Error as error:
        if found is None:
            raise IncompleteError(
                f"environment {environment.name!r}: {session.reason(error)}", "run the audit again"
            ) from None
        # the snapshot's session died at the end: each audit says for itself what came of it
    finally:
        reader.close()
    kept.parent.mkdir(parents=True, exist_ok=True)
    record.write_atomically(kept, found.model_dump_json(indent=1) + "\n")
    return found


def _counted(
    context: Context, request: Request, before: Outcome | None, progress: Progress
) -> Outcome:
    started = datetime.now(UTC)
    fingerprint = context.schema.fingerprint
    kept = outcomes.finished_before(before, fingerprint) if before else {}
    server = session.server_facts(context.session)
    position = replica.read(context.session).replay_lsn
    task = progress.task("audit", len(context.relationships))
    audits, interrupted = _count(context, request, kept, task)
    return Outcome(
        environment=context.environment.name,
        database=server.database,
        server_version=server.version,
        fingerprint=fingerprint,
        position=position,
        started=started,
        finished=datetime.now(UTC),
        interrupted=interrupted,
        resumed=len(kept),
        census=context.census,
        audits=audits,
    )


def _must_see_others(reader: session.Session) -> None:
    """Without pg_read_all_stats the others' sessions look idle, and nobody would ever wait."""
    role, sees = session.fetch(reader, SEES_OTHERS)[0]
    if not sees:
        raise UsageError(
            f"--max-load: {role!r} may not see what other sessions do",
            f"GRANT pg_read_all_stats TO {role}, or leave the option out",
        )


def _with_undeclared(context: Context) -> Context:
    """The context with the keys that no relationship mentions: they can be broken too."""
    keys = census.undeclared(context.relationships, context.schema)
    if not keys:
        return context
    found = tuple(
        Relationship(
            child=key.child,
            columns=key.columns,
            parent=key.parent,
            references=key.references,
            on_delete=key.on_delete,
            why="a foreign key of the database that relationships.toml does not mention",
        )
        for key in keys
    )
    extra = Relationships(tuple({item.id: item for item in found}.values()))
    comparisons = operators.read(context.session, extra.items)
    return replace(
        context,
        relationships=replace(
            context.relationships, items=(*context.relationships.items, *extra.items)
        ),
        comparisons=(*context.comparisons, *comparisons),
        census=(*context.census, *census.take(extra, context.schema, comparisons)),
    )


def _narrowed(context: Context, only: tuple[str, ...]) -> Context:
    """The context of the relationships that ``only`` names; all of them without one."""
    if not only:
        return context
    chosen = [
        number
        for number, item in enumerate(context.relationships)
        if any(part in item.id or part in item.label for part in only)
    ]
    if not chosen:
        raise UsageError(
            f"no relationship whose name holds {' or '.join(map(repr, only))}",
            "names look like orders.customer_id; runbook audit without --only lists them",
        )
    items = tuple(context.relationships.items[number] for number in chosen)
    return replace(
        context,
        relationships=Relationships(items, context.relationships.exceptions),
        comparisons=tuple(context.comparisons[number] for number in chosen),
        census=tuple(context.census[number] for number in chosen),
    )


def _count(
    context: Context, request: Request, before: dict[str, Audit], task: Task
) -> tuple[tuple[Audit, ...], bool]:
    def done(audit: Audit) -> None:
        task.advance(f"{audit.relationship.label}: {audit.state}")

    work = parallel.prepare(context.session, context, request.options, request.limits, done)
    work.done.update(before)
    left = [target for target in work.queue if target.relationship.id not in before]
    work.queue = parallel.order(left)
    interrupted = False
    with terminable():
        try:
            parallel.run(work)
        except KeyboardInterrupt:
            interrupted = True
    ordered = sorted(context.relationships, key=lambda item: (item.alert.rank, item.id))
    return tuple(work.done[item.id] for item in ordered), interrupted
