"""How the monitoring is shown, and what its commands share."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from runbook import environment as environments
from runbook.errors import UsageError
from runbook.findings import AuditState, counted
from runbook.monitoring.log import Log, Standing, Status, spoken
from runbook.monitoring.schedules import Way
from runbook.terminal import out
from runbook.watching import Done

COLOURS = {Standing.UP_TO_DATE: "green", Standing.OUTDATED: "yellow"}
OPTIONS = {
    "run_every": "--every",
    "retention": "--retention",
    "relationship_limit": "--limit",
    "lock_limit": "--lock-limit",
}
Schema = Annotated[str, typer.Option(help="Schema of the monitoring.")]
Every = Annotated[
    str | None, typer.Option(help="How often it should run, as 1h or 24h; default: 24h.")
]
Retention = Annotated[
    str | None, typer.Option(help="How long its log is kept, as 30d; default: 90d.")
]
Limit = Annotated[
    str | None, typer.Option(help="How long one relationship may take, as 30s; default: 5m.")
]
LockLimit = Annotated[
    str | None, typer.Option(help="How long it waits for a lock, as 500ms; default: 2s.")
]
Critical = Annotated[
    int | None, typer.Option(min=0, help="Critical: over this many orphan rows; default: 0.")
]
Warning_ = Annotated[
    int | None, typer.Option(min=0, help="Warning: over this many orphan rows; default: 10.")
]
Reader = Annotated[
    list[str] | None, typer.Option(help="A role that may read the log; may be given again.")
]
Schedule = Annotated[
    Way | None,
    typer.Option(help="What calls it; default: pg_cron where the database has it, else none."),
]
At = Annotated[str, typer.Option(help="When: cron's minute, hour, day, month and weekday.")]
CronDatabase = Annotated[
    str | None, typer.Option(help="The database that has pg_cron, where it is another one.")
]
Service = Annotated[
    str, typer.Option(help="libpq service that the files name; default: the environment's.")
]
Output = Annotated[Path, typer.Option(help="Folder for the files of systemd, cron or Kubernetes.")]
Dry = Annotated[bool, typer.Option("--print", help="Print the statements and execute none.")]


def given(**values: Any) -> dict[str, Any]:
    """The options by their names, the times read; None for one that was not given."""
    for name, option in OPTIONS.items():
        if values[name] is not None:
            values[name] = duration(values[name], option)
    values["readers"] = tuple(values["readers"]) if values["readers"] else None
    values["schedule"] = values["schedule"] and values["schedule"].value
    return values


def duration(text: str, option: str) -> timedelta:
    """A length of time above zero; raises :class:`UsageError` that names the option."""
    try:
        value: timedelta = environments.duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}", f"write it as {option} 24h") from None
    if not value:
        raise UsageError(f"{option}: expected more than nothing, got {text!r}", "give a time")
    return value


def print_script(done: Done) -> None:
    """The statements as a script for psql; pg_cron's jobs are no part of it."""
    typer.echo("BEGIN;\nSET LOCAL search_path = pg_catalog;")
    for step, text in zip(done.steps, done.script, strict=True):
        typer.echo(f"-- {' '.join(step.what.split())}\n{text.strip()};")
    typer.echo("COMMIT;")
    if done.options.schedule == Way.PG_CRON:
        typer.echo("-- not in this script: the jobs in pg_cron")


def print_done(done: Done, schema: str) -> None:
    severities = Counter(entry.severity for entry in done.entries)
    parts = ", ".join(f"{severities[name]} {name}" for name in ("critical", "warning", "below"))
    said = f"{counted(len(done.steps), 'statement')}" if done.steps else "nothing to change"
    out.print(f"schema {schema} in {escape(done.database)}: {said}", soft_wrap=True)
    out.print(f"{counted(len(done.entries), 'relationship')}: {parts}", soft_wrap=True)
    for entry in done.entries:
        if entry.not_looked:
            out.print(f"not looked: {escape(entry.label)}: {escape(entry.not_looked)}")
    for role in done.strays:
        out.print(f"default privileges of {escape(role)} taken back", soft_wrap=True)
    for job in done.jobs:
        became = "scheduled" if done.options.schedule == Way.PG_CRON else "removed"
        out.print(f"pg_cron: {escape(job)}: {became}", soft_wrap=True)
    if done.options.schedule == Way.NONE:
        out.print("schedule: none; give one with --schedule systemd, cron or kubernetes")


def print_log(found: Log) -> None:
    """What matters of the newest results, and how many there are of each state."""
    if found.run is None:
        out.print("no audit has run yet")
        return
    for result in found.results:
        if result.orphans:
            over = f", over {result.threshold}" if result.over_threshold else ""
            rows = counted(result.orphans, "orphan row")
            said = f"{rows}{over}, {result.trend}"
        elif result.error:
            said = f"{result.state}: {result.error}"
        else:
            continue
        out.print(f"  {escape(result.label)} ({result.severity}): {escape(said)}", soft_wrap=True)
    numbers = Counter(result.state for result in found.results)
    parts = ", ".join(f"{numbers[state]} {state}" for state in AuditState if numbers[state])
    out.print(f"run {found.run}: {parts}", soft_wrap=True)


def print_status(found: Status) -> None:
    colour = COLOURS.get(found.standing, "red")
    place = f"{escape(found.environment)}, schema {found.schema_name} in {escape(found.database)}"
    out.print(f"[{colour}]{found.standing}[/{colour}]: {place}", soft_wrap=True)
    for reason in found.reasons:
        out.print(f"  {escape(reason)}", soft_wrap=True)
    if found.log is None:
        return
    print_log(found.log)
    log = found.log
    if log.finished_at:
        ago = spoken(log.now - log.finished_at)
        out.print(f"last run {ago} ago, expected every {spoken(log.run_every)}", soft_wrap=True)
