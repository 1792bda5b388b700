"""One run over a fleet: plan it or take it up again, hand it out, keep the results."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from runbook import __version__, connection
from runbook.errors import IncompleteError, UsageError
from runbook.fleet import cluster, inventory, ledger, work
from runbook.fleet.cluster import Cluster
from runbook.fleet.execution import Execution, Say
from runbook.fleet.inventory import FOLDER, Inventory
from runbook.fleet.job import Job
from runbook.fleet.ledger import FleetRecord, Ledger
from runbook.fleet.result import Result, State
from runbook.interruption import terminable
from runbook.settings import Settings

LOOKED = (State.CLEAN, State.ORPHANS)  # what --resume takes over


@dataclass(frozen=True)
class Wishes:
    """What was asked for on the command line."""

    scheduler: str = ""
    workers: int = 0
    jobs_per_server: int | None = None
    resume: bool = False


def execute(settings: Settings, fleet: Inventory, wishes: Wishes, say: Say) -> FleetRecord:
    """Look at every database of ``fleet``; the record says what came of each.

    An interruption by Ctrl-C or SIGTERM ends in a record that says so. Raises
    :class:`UsageError` before anything is started, :class:`IncompleteError` when there are no
    workers; what was found until then is kept.
    """
    for name in (connection.OVERRIDE_READER, connection.OVERRIDE_OWNER):
        if os.environ.get(name):
            raise UsageError(
                f"{name} is set: every database of the fleet would be the same one",
                f"unset {name}; fleet.toml says how each database is reached",
            )
    if wishes.scheduler and wishes.workers:
        raise UsageError(
            f"--workers {wishes.workers} is for workers of this machine, and --scheduler has its"
            " own",
            "leave one of the two out",
        )
    planned, folder = _taken_up(settings, fleet) if wishes.resume else _planned(settings, fleet)
    order = work.order(settings, fleet.fleet, planned.run_id)
    kept = {result.database: result for result in planned.results}
    jobs = _jobs(settings, fleet, kept)
    interrupted = False
    with terminable():
        try:
            with _cluster(settings, fleet, wishes) as opened:
                folder.mkdir(parents=True, exist_ok=wishes.resume)
                ledger.write(folder, planned)
                book = Ledger(folder)
                try:
                    servers = {job.server for job in jobs}
                    places = {name: fleet.jobs(name, wishes.jobs_per_server) for name in servers}
                    keep = _keeper(book, kept)
                    Execution(opened, order, fleet.fleet, places, keep, say).run(jobs)
                finally:
                    book.close()
        except KeyboardInterrupt:
            interrupted = True
        except IncompleteError:
            _ended(folder, planned, kept, interrupted=True)
            raise
    return _ended(folder, planned, kept, interrupted)


def _cluster(
    settings: Settings, fleet: Inventory, wishes: Wishes
) -> AbstractContextManager[Cluster]:
    if wishes.scheduler:
        return cluster.remote(wishes.scheduler, fleet.fleet.wait_for_workers.total_seconds())
    return cluster.local(wishes.workers or os.cpu_count() or 1, hidden(settings))


def hidden(settings: Settings) -> frozenset[str]:
    """The variables that workers of this machine do not inherit: connections that can write."""
    owners = (item.owner for item in settings.environments.values())
    names = {owner.variable for owner in owners if owner and owner.variable}
    readers = {item.reader.variable for item in settings.environments.values()}
    return frozenset((names - readers) | {connection.OVERRIDE_OWNER})


def _planned(settings: Settings, fleet: Inventory) -> tuple[FleetRecord, Path]:
    started = datetime.now(UTC)
    run_id = f"{started:%Y%m%dT%H%M%SZ}"
    planned = FleetRecord(
        run_id=run_id,
        tool_version=__version__,
        environment=fleet.fleet.environment,
        started=started,
        databases=fleet.database,
    )
    return planned, settings.runs / FOLDER / run_id


def _taken_up(settings: Settings, fleet: Inventory) -> tuple[FleetRecord, Path]:
    """The newest run, with the results of the databases that are the same as they were then."""
    folder = ledger.newest(settings.runs)
    if folder is None:
        raise UsageError(
            f"no run of a fleet in {settings.runs / FOLDER}",
            "there is nothing to resume: leave --resume out",
        )
    before = ledger.read(folder)
    known = {entry.name: entry for entry in before.databases}
    same = {entry.name for entry in fleet.database if known.get(entry.name) == entry}
    results = tuple(r for r in before.results if r.database in same and r.state in LOOKED)
    update = {
        "environment": fleet.fleet.environment,
        "databases": fleet.database,
        "results": results,
        "finished": None,
        "interrupted": False,
    }
    return before.model_copy(update=update), folder


def _jobs(settings: Settings, fleet: Inventory, kept: dict[str, Result]) -> list[Job]:
    template = settings.environment(fleet.fleet.environment)
    return [
        Job(entry.name, entry.server, inventory.environment_of(entry, template))
        for entry in fleet.database
        if entry.name not in kept
    ]


def _keeper(book: Ledger, kept: dict[str, Result]) -> Callable[[Result], None]:
    def keep(result: Result) -> None:
        if result.database in kept:
            raise IncompleteError(
                f"{result.database!r} has two results", "report it: this must not happen"
            )
        kept[result.database] = result  # first: what is on disk must not be missed by the record
        book.append(result)

    return keep


def _ended(
    folder: Path, planned: FleetRecord, kept: dict[str, Result], interrupted: bool
) -> FleetRecord:
    names = (entry.name for entry in planned.databases)
    update = {
        "finished": datetime.now(UTC),
        "interrupted": interrupted,
        "results": tuple(kept[name] for name in names if name in kept),
    }
    found = planned.model_copy(update=update)
    if folder.is_dir():  # it was interrupted before the first worker otherwise
        ledger.write(folder, found)
    return found
