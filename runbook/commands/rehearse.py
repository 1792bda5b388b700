"""The command ``runbook migrate rehearse``."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from runbook import changes, connection, disposable, migrating
from runbook import environment as environments
from runbook.changes import Kind
from runbook.disposable.rows import Reference
from runbook.environment import Change
from runbook.errors import UsageError
from runbook.findings import counted
from runbook.interruption import terminable
from runbook.migration.plan import Plan
from runbook.progress import Progress
from runbook.rehearsal.outcome import Rehearsal
from runbook.rehearsal.rehearse import Request
from runbook.settings import Settings
from runbook.settings import read as read_settings
from runbook.terminal import Dsn, EnvironmentName, Folder, OwnerDsn, err, out, reaching

Into = Annotated[
    str,
    typer.Option(
        "--into",
        help="Connection string of a server to make the copy on, in a database of its own;"
        " default: a private server.",
    ),
]
SampleRows = Annotated[
    int | None,
    typer.Option("--sample-rows", min=1, help="Copy about so many rows a table; default: all."),
]


def rehearse(  # noqa: PLR0913, PLR0917 - the command's options
    environment: EnvironmentName,
    plan_id: Annotated[
        str, typer.Option("--plan", help="Id of the plan, its folder's name; default: the newest.")
    ] = "",
    sample_rows: SampleRows = None,
    into: Into = "",
    writers: Annotated[int, typer.Option(min=1, max=64, help="Writers at a time.")] = 4,
    stall: Annotated[
        str, typer.Option(help="How long a writer may stand still, as 500ms or 1s.")
    ] = "1s",
    kill: Annotated[
        bool, typer.Option("--kill/--no-kill", help="Kill and rerun at every statement boundary.")
    ] = True,
    dsn: Dsn = None,
    owner_dsn: OwnerDsn = None,
    project: Folder = None,
) -> None:
    """Rehearse a plan on a disposable copy, while others write there.

    \b
    The environment is only read: pg_dump makes a copy on a private server that is removed
    afterwards. There the plan is applied exactly as it is, while writers insert, update and delete
    on the same tables. Orphan rows of the copy are put aside, so that every key can be validated.
    Then the program is killed at every statement boundary and started again. What came of it is
    kept in changes/ENVIRONMENT/rehearsal/ID/.
    \b
    Exit codes:
      0  passed
      1  not passed: a step was not done, a writer stood still too long, or a lock was not declared
      2  wrong usage or settings, nothing was started
      3  incomplete: the copy could not be made, or interrupted
    \b
    Examples:
      runbook migrate rehearse staging
      runbook migrate rehearse production --sample-rows 10000 --stall 500ms
      runbook migrate rehearse production --into "service=rehearsal" --no-kill
    """
    from runbook.rehearsal.rehearse import rehearse as rehearsed

    settings = read_settings(project)
    target = settings.environment(environment)
    given = {connection.OVERRIDE_READER: dsn, connection.OVERRIDE_OWNER: owner_dsn}
    os.environ.update({variable: value for variable, value in given.items() if value})
    request_stall = _seconds(stall)
    folder = migrating.plan_folder(settings, environment, plan_id)
    plan = changes.read(folder, Kind.PLAN, Plan)
    request = Request(
        plan_id=folder.name,
        change=target.change or Change(),
        writers=writers,
        stall=request_stall,
        kill=kill,
    )
    wanted = disposable.Wanted(sample_rows, into, references(settings), settings.project.schemas)
    with Progress(err) as progress, terminable():
        task = progress.task("rehearsal", None)
        task.line(reaching(target))
        with disposable.copied(target, wanted, task.line) as copy:
            found = rehearsed(plan, copy, request, task.line, task.of)
    kept = changes.new(settings, environment, Kind.REHEARSAL, found.started or datetime.now(UTC))
    path = changes.write(kept, Kind.REHEARSAL, found)
    _show(found)
    _notebook(kept)
    out.print(f"rehearsal: {path}", markup=False, soft_wrap=True)
    raise typer.Exit(found.exit_code)


def _notebook(folder: Path) -> None:
    """The same as a notebook, where Jupyter is installed."""
    if find_spec("papermill") is None:
        out.print("  no notebook of it: pip install 'fk-runbook[notebooks]'", markup=False)
        return
    from runbook import rehearsal_notebook

    rehearsal_notebook.write(folder)


def references(settings: Settings) -> tuple[Reference, ...]:
    """What the relationships say that rows refer to."""
    return tuple(
        Reference(item.child, item.columns, item.parent, item.references)
        for item in settings.relationships()
    )


def _seconds(text: str) -> float:
    try:
        value: float = environments.duration(text).total_seconds()
    except ValueError as error:
        raise UsageError(f"--stall: {error}", "write it as --stall 500ms") from None
    return value


def _show(found: Rehearsal) -> None:
    done = sum(step.seconds is not None for step in found.steps)
    verdict = "passed" if found.passed else "not passed"
    lines = [f"{found.environment}: {verdict}, {done} of {counted(len(found.steps), 'step')}"]
    stall = found.longest_stall_seconds
    if stall is not None:
        lines.append(
            f"  longest stall of a writer {1000 * stall:.0f} ms, allowed"
            f" {1000 * found.stall_limit_seconds:.0f} ms"
        )
    load = found.load
    if load:
        seen = ", ".join(f"{state} {n} times" for state, n in load.errors_during.items())
        lines.append(
            f"  {counted(load.writes_during, 'write')} during the migration,"
            f" errors: {seen or 'none'}"
        )
    rows = sum(item.rows or 0 for item in found.quarantined)
    if rows:
        lines.append(f"  {counted(rows, 'orphan row')} of the copy put aside before validating")
    if found.copy_used and found.copy_used.sampled is not None:
        lines.append("  on a sample of the rows: durations are not those of all rows")
    if found.kills is None:
        lines.append("  nothing was killed")
    else:
        same = sum(kill.converged for kill in found.kills)
        lines.append(
            f"  killed at {counted(len(found.kills), 'boundary', 'boundaries')}, {same} times to"
            " the same catalog"
        )
    lines += [f"  {reason}" for reason in found.reasons]
    for line in lines:
        out.print(line, markup=False, soft_wrap=True)
