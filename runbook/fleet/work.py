"""What one task does on a worker: the census and the audit of one database.

A task carries the project's settings and relationships as data, so that a worker needs no file of
the project. It carries no password: the worker's own libpq has them, from its passfile, service
file or environment.
"""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
from distributed import get_worker

from runbook import __version__, auditing, catalog, connection, session
from runbook.audit.work import Limits
from runbook.auditing import Request
from runbook.environment import Environment
from runbook.errors import RunbookError, UsageError
from runbook.fleet import result
from runbook.fleet.inventory import FleetSettings
from runbook.fleet.result import Result, State
from runbook.redaction import redact
from runbook.relationships import Relationships
from runbook.settings import Settings

SHARE = 0.9  # of the time until a look is given up; in the rest it says what it found


class CarriedSettings(Settings):
    """The settings that a look needs, with their relationships instead of the file's path."""

    carried: Relationships

    def relationships(self) -> Relationships:
        return self.carried


@dataclass(frozen=True)
class Order:
    """What is the same for all databases of a run; sent with every task.

    ``topic`` is where a worker says that it begins; ``budget`` is the time for one database.
    """

    settings: CarriedSettings
    topic: str
    budget: timedelta
    version: str = __version__


@dataclass(frozen=True)
class Answer:
    """What a worker sends back. ``passing``: nobody could connect, another try may help."""

    result: Result
    passing: bool = False


def order(settings: Settings, fleet: FleetSettings, run_id: str) -> Order:
    """What the workers need of ``settings``: neither other environments nor any connection."""
    carried = CarriedSettings.model_construct(
        project=settings.project, environments={}, carried=settings.relationships()
    )
    # never the same again: a scheduler takes tasks of one name for one task, and a resumed run's
    # earlier ones may still be there
    topic = f"fk-runbook-fleet-{run_id}-{secrets.token_hex(4)}"
    return Order(carried, topic, fleet.give_up_after * SHARE)


def look_at(order: Order, key: str, environment: Environment) -> Answer:
    """The task: say that it begins, then look. Runs on a worker."""
    worker = get_worker()
    worker.log_event(order.topic, {"key": key, "at": worker.address})
    return examine(order, environment)


def examine(order: Order, environment: Environment) -> Answer:
    """Look at one database; every expected error is ``could not look`` with its reason."""
    started, clock = datetime.now(UTC), time.monotonic()

    def failed(reason: str, passing: bool = False, structure: str = "") -> Answer:
        found = Result(
            database=environment.name,
            state=State.COULD_NOT_LOOK,
            reason=redact(reason),
            structure=structure,
            started=started,
            finished=datetime.now(UTC),
            seconds=round(time.monotonic() - clock, 3),
        )
        return Answer(found, passing)

    if order.version != __version__:
        return failed(f"the worker has fk-runbook {__version__}, expected {order.version}")
    if os.environ.get(connection.OVERRIDE_READER):
        return failed(
            f"{connection.OVERRIDE_READER} is set on the worker: every database would be the same"
        )
    try:
        found = auditing.look(order.settings, environment, _request(order, environment), _silent)
    except UsageError as error:  # its tables are not those of the relationships: an outlier
        return failed(error.message, structure=_structure(order, environment))
    except RunbookError as error:
        cause = error.__context__
        return failed(error.message, isinstance(cause, psycopg.OperationalError))
    wanted = environment.reader.dbname
    if wanted not in ("", found.database):  # a pooler's alias, or a service that goes elsewhere
        return failed(f"connected to database {found.database!r}, expected {wanted!r}")
    whole = {"started": started, "seconds": round(time.monotonic() - clock, 3)}
    return Answer(result.of_outcome(environment.name, found).model_copy(update=whole))


def _request(order: Order, environment: Environment) -> Request:
    """One relationship at a time, so that a look takes two sessions of its server and no more."""
    own = environment.load.budget
    budget = order.budget if own is None else min(own, order.budget)
    return Request(limits=Limits(1, budget, environment.load.max_load), lookalikes=False)


def _silent(_total: int, _text: str) -> None:
    """A worker has no terminal; the client says what it hears."""


def _structure(order: Order, environment: Environment) -> str:
    """The schema's fingerprint without its keys; empty when the catalog cannot be read either."""
    try:
        reader = session.connect(environment)
        try:
            with session.reading(reader, environment):
                found = catalog.read(reader, order.settings.project.schemas)
                return found.structure_fingerprint
        finally:
            reader.close()
    except (RunbookError, psycopg.Error):  # why is already the result's reason, or comes again
        return ""
