"""The commands ``runbook monitor serve``, ``textfile``, ``rules`` and ``alert``."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.markup import escape

from runbook import connection, credentials, messages, record, watching
from runbook.commands.monitor_output import Schema, duration
from runbook.environment import Environment
from runbook.errors import IncompleteError, RunbookError, UsageError
from runbook.messages import Level
from runbook.monitoring import alerts, webhook
from runbook.monitoring import rules as alert_rules
from runbook.monitoring.alerts import Escalation, Memory, Notice
from runbook.monitoring.log import Log
from runbook.monitoring.options import SCHEMA
from runbook.monitoring.schedules import schema_name
from runbook.relationships import Alert
from runbook.settings import Settings
from runbook.settings import read as read_settings
from runbook.terminal import Dsn, EnvironmentName, Folder, err, out

SCRAPE = timedelta(seconds=10)  # Prometheus gives up on a scrape after as long
MEMORY = "alerts.json"


class Reading:
    """Reads the log of an environment, one reader at a time; says why where it cannot."""

    def __init__(self, environment: Environment, schema: str) -> None:
        limits = environment.timeouts
        statement = min(limits.statement, SCRAPE)
        self._environment = environment.model_copy(
            update={"timeouts": limits.model_copy(update={"statement": statement})}
        )
        self._schema = schema
        self._lock = threading.Lock()
        self.failed = ""

    def __call__(self) -> Log | None:
        with self._lock:
            try:
                found = watching.read(self._environment, self._schema)
            except RunbookError as error:
                self.failed = error.message
                found = None
            else:
                missing = f"nothing is installed in schema {self._schema!r}"
                self.failed = "" if found else missing
        if self.failed and not messages.emit(Level.WARNING, self.failed):
            err.print(f"[yellow]warning:[/yellow] {escape(self.failed)}", soft_wrap=True)
        return found


def serve(  # noqa: PLR0913, PLR0917 - the command's options
    environment: EnvironmentName,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 9187,
    address: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    schema: Schema = SCHEMA,
    dsn: Dsn = None,
    project: Folder = None,
) -> None:
    """Serve the log as Prometheus metrics, on this machine alone unless --address says otherwise.

    \b
    A scrape reads the log as the reader and counts no orphan rows. While it cannot be read,
    fk_runbook_up is 0 and everything else is absent.
    Exit codes: 0 ended with Ctrl-C, 2 wrong usage, or the port is taken.
    \b
    Example:
      runbook monitor serve production --port 9187
    """
    from prometheus_client import start_http_server

    from runbook.monitoring import metrics

    read = Reading(_target(project, environment, dsn)[0], schema_name(schema))
    try:
        server, thread = start_http_server(port, address, metrics.registry(environment, read))
    except OSError as error:
        raise UsageError(
            f"cannot listen on {address!r}, port {port}: {error.strerror}", "choose another --port"
        ) from None
    out.print(f"metrics on http://{address}:{server.server_port}/metrics (Ctrl-C ends it)")
    try:
        thread.join()
    except KeyboardInterrupt:
        out.print("stopped")
    finally:
        server.shutdown()
        server.server_close()


def textfile(
    environment: EnvironmentName,
    path: Annotated[Path, typer.Argument(help="File of node_exporter's textfile collector.")],
    schema: Schema = SCHEMA,
    dsn: Dsn = None,
    project: Folder = None,
) -> None:
    """Write the log as metrics to a file, all of it or nothing, for node_exporter.

    \b
    Where the log cannot be read the file says fk_runbook_up 0, and the exit code is 3.
    Exit codes: 0 written, 2 wrong usage, 3 the log could not be read.
    \b
    Example:
      runbook monitor textfile production /var/lib/node_exporter/fk_runbook.prom
    """
    from runbook.monitoring import metrics

    if path.suffix != ".prom":
        raise UsageError(
            f"{str(path)!r}: expected a name that ends in .prom, got {path.suffix!r}",
            "node_exporter reads no other files",
        )
    read = Reading(_target(project, environment, dsn)[0], schema_name(schema))
    found = read()
    record.write_atomically(path, metrics.text(environment, found))
    raise typer.Exit(0 if found else 3)


def rules(
    output: Annotated[
        Path | None, typer.Option(help="File to write; default: standard output.")
    ] = None,
) -> None:
    """Print alert rules for Prometheus; thresholds and the interval come with the metrics.

    \b
    Exit codes: 0 printed, 3 the file cannot be written.
    \b
    Example:
      runbook monitor rules --output fk-runbook.rules.yml
    """
    if output:
        record.write_atomically(output, alert_rules.text())
    else:
        typer.echo(alert_rules.text(), nl=False)


def alert(  # noqa: PLR0913, PLR0917 - the command's options
    environment: EnvironmentName,
    webhook_variable: Annotated[
        str, typer.Option(help="Environment variable that holds the webhook's address.")
    ],
    schema: Schema = SCHEMA,
    escalate_critical: Annotated[
        str, typer.Option(help="When to tell a critical alert again.")
    ] = "4h",
    escalate_warning: Annotated[str, typer.Option(help="When to tell a warning again.")] = "24h",
    escalate: Annotated[
        list[str] | None,
        typer.Option(help="The time of one relationship, as orders.customer_id=1h; repeatable."),
    ] = None,
    dry: Annotated[bool, typer.Option("--print", help="Print the message, send nothing.")] = False,
    dsn: Dsn = None,
    project: Folder = None,
) -> None:
    """Send what is new, overdue or ended to a webhook that takes Slack's JSON.

    \b
    Nothing is sent while nothing has changed. What was told is kept in the project's folder of
    changes. The webhook's address is a secret: it is printed nowhere and kept nowhere.
    Exit codes: 0 nothing is wrong, 1 something is, and it was told, 2 wrong usage, 3 it could not
    be delivered, and is tried again the next time.
    \b
    Example:
      runbook monitor alert production --webhook-variable ALERT_WEBHOOK
    """
    target, settings = _target(project, environment, dsn)
    escalation = _escalation(escalate_critical, escalate_warning, escalate or ())
    url = "" if dry else webhook.address(webhook_variable, os.environ)
    credentials.remember("", url)
    read = Reading(target, schema_name(schema))
    found = read()
    current = alerts.notices(found) if found else alerts.unreadable(read.failed)
    labels = {result.relationship: result.label for result in found.results} if found else {}
    path = settings.path(settings.project.changes) / environment / "monitor" / MEMORY
    memory = _remembered(path)
    message, after = alerts.decide(current, memory, datetime.now(UTC), escalation, labels)
    if message and dry:
        typer.echo(alerts.slack(environment, message)["text"])
    elif message:
        webhook.send(url, webhook_variable, alerts.slack(environment, message))
        path.parent.mkdir(parents=True, exist_ok=True)
        record.write_atomically(path, record.as_json(after.model_dump(mode="json")))
    _said(current, sent=bool(message) and not dry)
    raise typer.Exit(1 if current else 0)


def _said(current: Sequence[Notice], *, sent: bool) -> None:
    critical = sum(notice.severity is Alert.CRITICAL for notice in current)
    told = "sent" if sent else "nothing sent"
    out.print(f"{critical} critical, {len(current) - critical} warnings: {told}", soft_wrap=True)


def _remembered(path: Path) -> Memory:
    try:
        return Memory.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Memory()
    except (OSError, ValidationError) as error:
        raise IncompleteError(
            f"{path}: cannot be read: {' '.join(str(error).split())[:200]}",
            "remove it: then everything is told anew",
        ) from None


def _escalation(critical: str, warning: str, own: Sequence[str]) -> Escalation:
    times = {}
    for item in own:
        name, equals, text = item.rpartition("=")
        if not equals or not name:
            raise UsageError(
                f"--escalate: expected RELATIONSHIP=TIME, got {item!r}",
                "write it as --escalate orders.customer_id=1h",
            )
        times[name] = duration(text, "--escalate")
    return Escalation(
        duration(critical, "--escalate-critical"), duration(warning, "--escalate-warning"), times
    )


def _target(project: Path | None, name: str, dsn: str | None) -> tuple[Environment, Settings]:
    settings = read_settings(project)
    if dsn:
        os.environ[connection.OVERRIDE_READER] = dsn
    return settings.environment(name), settings
