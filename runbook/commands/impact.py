"""The command ``runbook impact``."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Annotated

import typer
from rich.table import Table

from runbook import changes, connection, disposable
from runbook.changes import Kind
from runbook.commands.rehearse import Into, SampleRows, references
from runbook.errors import UsageError
from runbook.findings import counted
from runbook.impact.outcome import ImpactFound
from runbook.interruption import terminable
from runbook.progress import Progress
from runbook.settings import Settings
from runbook.settings import read as read_settings
from runbook.terminal import Dsn, EnvironmentName, Folder, OwnerDsn, err, out, reaching

ACCEPTED, ROLL_BACK = "key_cost_accepted_ms", "key_cost_rollback_ms"
ESTIMATE = ("key_cost_estimate_from_ms", "key_cost_estimate_to_ms")


def impact_command(  # noqa: PLR0913, PLR0917 - the command's options
    environment: EnvironmentName,
    seconds: Annotated[
        float, typer.Option(min=0.1, max=600, help="Seconds of each series of writes.")
    ] = 2.0,
    sample_rows: SampleRows = None,
    into: Into = "",
    dsn: Dsn = None,
    owner_dsn: OwnerDsn = None,
    project: Folder = None,
) -> None:
    """Measure what the keys of the busiest table cost its writers, on a disposable copy.

    \b
    The environment is only read: pg_dump makes a copy on a private server that is removed
    afterwards. There insert, update, delete and COPY are timed with and without the keys, by one
    writer and by several, warm and cold; and the delete of a parent with and without an index on
    the child. What came of it is kept in changes/ENVIRONMENT/impact/ID/.
    \b
    Exit codes:
      0  the cost is within limits.key_cost_accepted_ms of runbook.toml
      1  it is above
      2  wrong usage or settings, nothing was started
      3  incomplete: the copy could not be made, interrupted, or no limit is declared
    \b
    Examples:
      runbook impact staging
      runbook impact production --sample-rows 10000 --seconds 5
    """
    from runbook.impact.measuring import Request, measure

    settings = read_settings(project)
    target = settings.environment(environment)
    given = {connection.OVERRIDE_READER: dsn, connection.OVERRIDE_OWNER: owner_dsn}
    os.environ.update({variable: value for variable, value in given.items() if value})
    low, high = (_limit(settings, name) for name in ESTIMATE)
    request = Request(
        environment,
        seconds,
        None if low is None or high is None else (low, high),
        _limit(settings, ACCEPTED),
        _limit(settings, ROLL_BACK),
    )
    core = [item for item in settings.relationships() if settings.is_core(item)]
    wanted = disposable.Wanted(sample_rows, into, references(settings), settings.project.schemas)
    with Progress(err) as progress, terminable():
        task = progress.task("impact", None)
        task.line(reaching(target))
        with disposable.copied(target, wanted, task.line) as copy:
            found = measure(copy, core, request, task.line)
    path = changes.write(
        changes.new(settings, environment, Kind.IMPACT, found.started), Kind.IMPACT, found
    )
    _show(found)
    out.print(f"impact: {path}", markup=False, soft_wrap=True)
    raise typer.Exit(found.exit_code)


def _limit(settings: Settings, name: str) -> float | None:
    """The limit of that name, None where there is none."""
    with suppress(UsageError):
        return settings.limit(name)
    return None


def _show(found: ImpactFound) -> None:
    table = Table(
        "operation", "writers", "", "without ms", "with ms", "cost ms", "p95 ms", "p99 ms"
    )
    for series in found.series:
        if series.keys:
            plain = found.of(series.operation, series.writers, series.temperature, keys=False)
            cost = found.cost_ms(series.operation, series.writers, series.temperature)
            table.add_row(
                series.operation,
                str(series.writers),
                series.temperature,
                f"{plain.p50_ms:.3f}" if plain else "not measured",
                f"{series.p50_ms:.3f}",
                f"{cost:+.3f}" if cost is not None else "not measured",
                f"{series.p95_ms:.3f}",
                f"{series.p99_ms:.3f}",
            )
    out.print(table)
    cost, keys = found.highest_cost_ms, counted(len(found.keys), "key")
    lines = [
        f"{found.environment}: {keys} of {found.table}: {found.judgement}",
        f"  at most {cost:+.3f} ms a write, median, warm"
        if cost is not None
        else "  nothing was measured",
    ]
    if found.accepted_ms is None:
        lines.append(f"  no limits.{ACCEPTED} in runbook.toml to judge by")
    if found.quarantined:
        lines.append(f"  {counted(found.quarantined, 'orphan row')} of the copy put aside first")
    missing = found.missing_index
    lines.append(
        f"  missing index on the child: not measured, {missing.reason}"
        if missing.reason
        else f"  parent's delete without an index on {missing.relationship}:"
        f" {missing.without_index_ms:.3f} ms, with one {missing.with_index_ms:.3f} ms"
    )
    for line in lines:
        out.print(line, markup=False, soft_wrap=True)
