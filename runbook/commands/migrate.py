"""The commands ``runbook migrate plan`` and ``apply``."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from runbook import changes, connection, lock, migrating
from runbook import session as sessions
from runbook.changes import Kind
from runbook.commands.rehearse import rehearse
from runbook.connection import Purpose
from runbook.consent import allowed_change, permit_change
from runbook.environment import Change, Environment
from runbook.errors import IncompleteError
from runbook.findings import counted
from runbook.interruption import terminable
from runbook.migration import execution, writing
from runbook.migration.log import NEEDS_A_PERSON, ApplyLog
from runbook.migration.plan import Plan, StepKind
from runbook.progress import Progress
from runbook.redaction import redact
from runbook.session import Session
from runbook.settings import Settings
from runbook.settings import read as read_settings
from runbook.terminal import Confirm, Dsn, EnvironmentName, Folder, OwnerDsn, err, out, reaching

app = typer.Typer(help="Plan and apply the migration to the decided keys.", no_args_is_help=True)
app.command("rehearse")(rehearse)

PlanFolder = Annotated[
    str, typer.Option("--plan", help="Id of the plan, its folder's name; default: the newest.")
]


@app.command("plan")
def plan(
    environment: EnvironmentName,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Only relationships whose name holds this; may be given again."),
    ] = None,
    count: Annotated[
        bool, typer.Option("--count/--no-count", help="Count the orphan rows first.")
    ] = True,
    dsn: Dsn = None,
    project: Folder = None,
) -> None:
    """Plan the migration to the decided keys; nothing is changed.

    \b
    Reads the catalog and counts the orphan rows. The plan is kept in
    changes/ENVIRONMENT/plan/ID/: plan.json, plan.sql to read and to run with psql, a file of each
    step in psql/, and migrations for Prisma in prisma/.
    Exit codes: 0 planned, 1 planned, and orphan rows need a person's decision, 2 wrong usage or
    settings, 3 incomplete: something could not be counted.
    \b
    Examples:
      runbook migrate plan staging
      runbook migrate plan production --only workflow
    """
    settings = read_settings(project)
    target = settings.environment(environment)
    if dsn:
        os.environ[connection.OVERRIDE_READER] = dsn
    with Progress(err) as progress:
        task = progress.task("plan", None)
        with task.waiting(reaching(target)):
            found = migrating.look(settings, target, tuple(only or ()), count, task.line)
        task.done()
    folder = changes.new(settings, environment, Kind.PLAN, found.plan.planned)
    written = writing.files(found.plan, target.change or Change())
    for name, text in written.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(redact(text), encoding="utf-8")
    changes.write(folder, Kind.PLAN, found.plan)
    _show_plan(found.plan)
    for label, why in found.unknown:
        err.print(f"could not count {label}: {why}", markup=False, soft_wrap=True)
    out.print(f"plan: {folder}", markup=False, soft_wrap=True)
    waiting = any(s.kind is StepKind.REMEDIATE and s.orphans for s in found.plan.steps)
    raise typer.Exit(3 if found.unknown else 1 if waiting else 0)


@app.command("apply")
def apply(  # noqa: PLR0913, PLR0917 - the command's options
    environment: EnvironmentName,
    plan_id: PlanFolder = "",
    no_rehearsal: Annotated[
        str,
        typer.Option("--no-rehearsal", help="Why no rehearsal is needed; kept in the log."),
    ] = "",
    confirm: Confirm = "",
    dsn: Dsn = None,
    owner_dsn: OwnerDsn = None,
    project: Folder = None,
) -> None:
    """Apply a plan, as the owner, one short lock at a time.

    \b
    Only where runbook.toml gives the environment a change, the database is as the plan presupposes,
    and a rehearsal of this plan passed lately. What is done already is left alone, so that an apply
    that was cut short is simply started again. The log is kept in changes/ENVIRONMENT/apply/ID/.
    \b
    Exit codes:
      0  all done, or nothing was left to do
      1  something needs a person: orphan rows, or a key that is not proven
      2  wrong usage or settings, nothing was started
      3  incomplete: a lock was not to be had, interrupted, or the server failed
    \b
    Examples:
      runbook migrate apply staging
      runbook migrate apply production --confirm production
      runbook migrate apply staging --no-rehearsal "an empty database"
    """
    settings = read_settings(project)
    target = settings.environment(environment)
    given = {connection.OVERRIDE_READER: dsn, connection.OVERRIDE_OWNER: owner_dsn}
    os.environ.update({variable: value for variable, value in given.items() if value})
    change = allowed_change(target)
    no_rehearsal = no_rehearsal.strip()
    folder = migrating.plan_folder(settings, environment, plan_id)
    wanted = changes.read(folder, Kind.PLAN, Plan)
    rehearsal = ""
    if not no_rehearsal:
        within = change.rehearsed_within
        rehearsal = migrating.rehearsal_of(settings, environment, folder.name, wanted, within)
    permit_change(target, confirm)
    log = execution.begun(wanted).model_copy(
        update={"plan_id": folder.name, "rehearsal": rehearsal, "unrehearsed": no_rehearsal}
    )
    done, kept = _applied(settings, target, change, wanted, log)
    _show_log(done)
    out.print(f"log: {kept}", markup=False, soft_wrap=True)
    if done.failure:
        raise IncompleteError(f"environment {environment!r}: {done.failure}", done.hint)
    raise typer.Exit(done.exit_code)


def _applied(
    settings: Settings, target: Environment, change: Change, wanted: Plan, log: ApplyLog
) -> tuple[ApplyLog, Path]:
    """Apply while holding the lock of a run; the log is written after every step."""
    folder: list[Path] = []

    def keep(now: ApplyLog) -> None:
        if not folder:
            folder.append(changes.new(settings, target.name, Kind.APPLY, datetime.now(UTC)))
        changes.write(folder[0], Kind.APPLY, now)

    with Progress(err) as progress:
        task = progress.task("apply", len(wanted.steps))
        task.line(f"connects as the owner of {target.name}")
        with lock.alone(target), terminable():
            done = execution.apply(
                wanted, _connecting(target, wanted), change, say=task.line, keep=keep, log=log
            )
    return done, folder[0]


def _connecting(target: Environment, wanted: Plan) -> Callable[[], Session]:
    """Opens the owner's session, in the database that the plan is of."""

    def connect() -> Session:
        session = sessions.connect(target, Purpose.WRITE)
        try:
            migrating.same_database(wanted, sessions.server_facts(session))
        except BaseException:
            session.close()
            raise
        return session

    return connect


def _show_plan(found: Plan) -> None:
    kinds = [step.kind for step in found.steps]
    steps = ", ".join(f"{kinds.count(kind)} {kind}" for kind in StepKind if kind in kinds)
    out.print(
        f"{found.environment}: {counted(len(found.keys), 'relationship')},"
        f" {counted(len(kinds), 'step')}{f': {steps}' if steps else ': nothing to do'}",
        markup=False,
        soft_wrap=True,
    )
    for step in found.steps:
        if step.kind is StepKind.REMEDIATE:
            out.print(f"  {step.id}  {step.title}", markup=False, soft_wrap=True)
    for left in found.left_out:
        if left.state != "enforced":
            text = f"  left out, {left.state}: {left.relationship}: {left.reason}"
            out.print(text, markup=False, soft_wrap=True)


def _show_log(log: ApplyLog) -> None:
    done = counted(log.changed, "step")
    said = f"{done} changed the database" if log.changed else "nothing was left to change"
    if log.failure and not log.changed:
        said = "nothing was changed"
    out.print(f"{log.environment}: {said}", markup=False, soft_wrap=True)
    for step in log.steps:
        if step.outcome in NEEDS_A_PERSON:
            text = f"  {step.id}  {step.relationship}: {step.outcome}"
            more = f", {step.message}" if step.message else ""
            out.print(text + more, markup=False, soft_wrap=True)
