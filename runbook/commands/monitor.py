"""The commands ``runbook monitor``: ``run`` and ``status`` here, the others beside this."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Annotated

import typer

from runbook import changes, connection, record, watching
from runbook.changes import Kind
from runbook.commands import monitor_install as setup
from runbook.commands import monitor_watch as watch
from runbook.commands.monitor_output import (
    Schema,
    print_log,
    print_status,
)
from runbook.consent import allowed_change
from runbook.findings import AuditState
from runbook.monitoring.options import SCHEMA
from runbook.monitoring.schedules import schema_name as schemas
from runbook.settings import read as read_settings
from runbook.terminal import Dsn, EnvironmentName, Folder, OwnerDsn

app = typer.Typer(help="Watch orphan rows from inside the database.", no_args_is_help=True)
app.command("install")(setup.install)
app.command("upgrade")(setup.upgrade)
app.command("uninstall")(setup.uninstall)
app.command("serve")(watch.serve)
app.command("textfile")(watch.textfile)
app.command("rules")(watch.rules)
app.command("alert")(watch.alert)


@app.command("run")
def run_audit(
    environment: EnvironmentName,
    schema: Schema = SCHEMA,
    owner_dsn: OwnerDsn = None,
    project: Folder = None,
) -> None:
    """Call the audit in the database now, as its schedule does.

    \b
    Exit codes: 0 nothing over its threshold, 1 orphan rows over it, 2 wrong usage, 3 something
    could not be looked at, or an audit is running already.
    \b
    Example:
      runbook monitor run staging
    """
    target, _ = setup.owner_target(project, environment, owner_dsn)
    allowed_change(target)
    found = watching.audit(target, schemas(schema))
    print_log(found)
    if any(result.over_threshold for result in found.results):
        raise typer.Exit(1)
    raise typer.Exit(3 if found.of(AuditState.COULD_NOT_LOOK) else 0)


@app.command("status")
def status(  # noqa: PLR0913, PLR0917 - the command's options
    environment: EnvironmentName,
    schema: Schema = SCHEMA,
    json_: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep it in the project's folder of changes.")
    ] = False,
    dsn: Dsn = None,
    project: Folder = None,
) -> None:
    """Say whether it is installed, up to date and running, and what it found last.

    \b
    Reads the log as the reader and counts nothing. A stale heartbeat is an alert: no audit could
    look at everything for more than twice the time that is between them.
    Exit codes: 0 all is well, 1 missing, outdated, stale, or orphan rows over a threshold, 2 wrong
    usage, 3 something could not be looked at.
    \b
    Examples:
      runbook monitor status staging
      runbook monitor status production --json
    """
    settings = read_settings(project)
    target = settings.environment(environment)
    if dsn:
        os.environ[connection.OVERRIDE_READER] = dsn
    found = watching.look(settings, target, schemas(schema))
    if json_:
        typer.echo(record.as_json(found.model_dump(mode="json")), nl=False)
    else:
        print_status(found)
    if keep:
        folder = changes.new(settings, environment, Kind.MONITOR, datetime.now(UTC))
        changes.write(folder, Kind.MONITOR, found)
    raise typer.Exit(found.exit_code)
