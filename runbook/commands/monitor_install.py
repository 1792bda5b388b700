"""The commands ``runbook monitor install``, ``upgrade`` and ``uninstall``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from runbook import connection, record, watching
from runbook.commands.monitor_output import (
    At,
    Critical,
    CronDatabase,
    Dry,
    Every,
    Limit,
    LockLimit,
    Output,
    Reader,
    Retention,
    Schedule,
    Schema,
    Service,
    Warning_,
    given,
    print_done,
    print_script,
)
from runbook.consent import allowed_change, permit_change
from runbook.environment import Environment
from runbook.monitoring import calendar, installation, schedules
from runbook.monitoring.options import SCHEMA
from runbook.monitoring.pg_cron import DAILY
from runbook.monitoring.schedules import Job, Way
from runbook.monitoring.schedules import schema_name as schemas
from runbook.session import Session
from runbook.settings import Settings
from runbook.settings import read as read_settings
from runbook.terminal import Confirm, EnvironmentName, Folder, OwnerDsn, out
from runbook.watching import Request


def install(  # noqa: PLR0913, PLR0917 - the command's options
    environment: EnvironmentName,
    schema: Schema = SCHEMA,
    every: Every = None,
    retention: Retention = None,
    limit: Limit = None,
    lock_limit: LockLimit = None,
    critical_above: Critical = None,
    warning_above: Warning_ = None,
    reader: Reader = None,
    schedule: Schedule = None,
    at: At = DAILY,
    cron_database: CronDatabase = None,
    service: Service = "",
    output: Output = Path("monitor-schedule"),
    dry: Dry = False,
    owner_dsn: OwnerDsn = None,
    confirm: Confirm = "",
    project: Folder = None,
) -> None:
    """Install the log, the function that counts, its views and its schedule.

    \b
    All in one transaction as the owner, in a schema of its own that nobody else may use; a role
    named with --reader may read it. No table outside that schema is changed.
    Exit codes: 0 installed, 2 wrong usage, or the environment allows no changes, 3 the server
    refused.
    \b
    Examples:
      runbook monitor install staging
      runbook monitor install production --reader grafana --confirm production
      runbook monitor install staging --schedule systemd --at "30 1 * * *"
      runbook monitor install staging --print
    """
    values = given(
        run_every=every,
        retention=retention,
        relationship_limit=limit,
        lock_limit=lock_limit,
        critical_above=critical_above,
        warning_above=warning_above,
        readers=reader,
        schedule=schedule,
        cron_database=cron_database,
    )
    request = Request(schemas(schema), True, values, str(calendar.parse(at)), dry)
    _apply(project, environment, request, (owner_dsn, confirm, service, output))


def upgrade(  # noqa: PLR0913, PLR0917 - the command's options
    environment: EnvironmentName,
    schema: Schema = SCHEMA,
    every: Every = None,
    retention: Retention = None,
    limit: Limit = None,
    lock_limit: LockLimit = None,
    critical_above: Critical = None,
    warning_above: Warning_ = None,
    reader: Reader = None,
    schedule: Schedule = None,
    at: At = "",
    cron_database: CronDatabase = None,
    service: Service = "",
    output: Output = Path("monitor-schedule"),
    dry: Dry = False,
    owner_dsn: OwnerDsn = None,
    confirm: Confirm = "",
    project: Folder = None,
) -> None:
    """Bring an installation up to this version and to relationships.toml; the log stays.

    \b
    Only what differs is done: a second upgrade changes nothing. Options that are not given stay as
    they are; --reader replaces the readers that are kept, and takes no right back.
    Exit codes: 0 up to date, 2 wrong usage, or it is not installed, 3 the server refused.
    \b
    Examples:
      runbook monitor upgrade staging
      runbook monitor upgrade production --warning-above 0 --confirm production
    """
    values = given(
        run_every=every,
        retention=retention,
        relationship_limit=limit,
        lock_limit=lock_limit,
        critical_above=critical_above,
        warning_above=warning_above,
        readers=reader,
        schedule=schedule,
        cron_database=cron_database,
    )
    moments = str(calendar.parse(at or DAILY)) if at or schedule else ""
    request = Request(schemas(schema), False, values, moments, dry)
    _apply(project, environment, request, (owner_dsn, confirm, service, output))


def _apply(
    project: Path | None,
    environment: str,
    request: Request,
    how: tuple[str | None, str, str, Path],
) -> None:
    """Install or upgrade, print what was done, and write the schedule's files."""
    owner_dsn, confirm, service, output = how
    target, settings = owner_target(project, environment, owner_dsn)
    allowed_change(target)
    if not request.dry:
        permit_change(target, confirm)
    named = service or (target.owner.service if target.owner else "") or environment
    job = Job(
        environment,
        request.schema,
        schedules.service_name(named),
        calendar.parse(request.at or DAILY),
    )
    done = watching.apply(settings, target, request)
    if request.dry:
        print_script(done)
        return
    print_done(done, request.schema)
    for name, text in (
        schedules.files(Way(done.options.schedule), job).items() if request.at else ()
    ):
        output.mkdir(parents=True, exist_ok=True)
        record.write_atomically(output / name, text)
        out.print(f"schedule: {escape(str(output / name))}", soft_wrap=True)


def owner_target(
    project: Path | None, name: str, owner_dsn: str | None
) -> tuple[Environment, Settings]:
    settings = read_settings(project)
    if owner_dsn:
        os.environ[connection.OVERRIDE_OWNER] = owner_dsn
    return settings.environment(name), settings


def uninstall(  # noqa: PLR0913, PLR0917 - the command's options
    environment: EnvironmentName,
    schema: Schema = SCHEMA,
    keep_log: Annotated[
        Path | None, typer.Option(help="Write the log to this CSV file first.")
    ] = None,
    owner_dsn: OwnerDsn = None,
    confirm: Confirm = "",
    project: Folder = None,
) -> None:
    """Remove the monitoring with its log and its schedule.

    \b
    What others have built on it makes the server refuse, and then nothing is removed. A schema that
    was there before the installation stays, empty.
    Exit codes: 0 removed, 2 wrong usage, or it is not installed, 3 the server refused.
    \b
    Examples:
      runbook monitor uninstall staging
      runbook monitor uninstall production --keep-log log.csv --confirm production
    """
    target, _ = owner_target(project, environment, owner_dsn)
    name = schemas(schema)
    allowed_change(target)
    permit_change(target, confirm)

    def keep(own: Session) -> None:
        if keep_log is not None:
            temporary = keep_log.with_name(f".{keep_log.name}.tmp")
            with temporary.open("wb") as file:
                installation.export(own, name, file.write)
            temporary.replace(keep_log)

    jobs = watching.remove(target, name, keep if keep_log else None)
    out.print(f"the monitoring in schema {name}: removed", soft_wrap=True)
    for job in jobs:
        out.print(f"pg_cron: {escape(job)}: removed", soft_wrap=True)
    if keep_log:
        out.print(f"the log: {escape(str(keep_log))}", soft_wrap=True)
