"""The monitoring of an environment: opens the sessions and reads what should hold.

What is installed and read there is in :mod:`runbook.monitoring`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import psycopg
from psycopg import conninfo, sql

from runbook import connection, session
from runbook import context as contexts
from runbook.environment import Environment
from runbook.errors import IncompleteError, UsageError
from runbook.monitoring import audit_function, changing, entries, installation, installed, pg_cron
from runbook.monitoring import log as logs
from runbook.monitoring.entries import Entry
from runbook.monitoring.installation import Statement
from runbook.monitoring.installed import Installed
from runbook.monitoring.log import Log, Status
from runbook.monitoring.options import Options
from runbook.monitoring.schedules import Way
from runbook.session import Session
from runbook.settings import Settings


@dataclass(frozen=True)
class Request:
    """What was asked for: the schema, and the options that were ``given``.

    ``new``: it must not be there yet, else it must be. ``dry``: only say what would be done.
    """

    schema: str
    new: bool
    given: Mapping[str, Any] = field(default_factory=dict)
    at: str = ""
    dry: bool = False


@dataclass(frozen=True)
class Done:
    """What was done, or with a dry request would be.

    ``script`` has the statements as text, ``strays`` are roles whose default privileges were taken
    back, ``jobs`` of pg_cron were scheduled, or removed where something else calls the audit now.
    """

    database: str
    options: Options
    entries: tuple[Entry, ...]
    steps: tuple[Statement, ...]
    script: tuple[str, ...]
    strays: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()


def apply(settings: Settings, environment: Environment, request: Request) -> Done:
    """Install or upgrade, all in one transaction; then the schedule."""
    with changing.owning(environment) as own:
        database = str(own.info.dbname)
        with changing.changing(own, environment):
            installation.alone(own, request.schema)
            found = installed.read(own, request.schema)
            _expected(found, request, environment.name)
            wanted = _entries(settings, environment, own, request.schema)
            options = _options(found, request, own, database)
            steps = installation.statements(found, request.schema, wanted, options)
            rights = tuple(installation.grants(found, request.schema, options))
            strays: tuple[str, ...] = ()
            if not request.dry:
                installation.execute(own, steps)
                if request.new:
                    strays = installation.close_to_strays(own, request.schema)
                installation.execute(own, rights)
        script = tuple(step.text.as_string(own) for step in (*steps, *rights))
        jobs: Sequence[str] = ()
        if options.cron_database and not request.dry:
            jobs = _schedule(environment, own, request, options)
        return Done(database, options, wanted, (*steps, *rights), script, strays, tuple(jobs))


def _expected(found: Installed, request: Request, name: str) -> None:
    if request.new and not found.missing:
        raise UsageError(
            f"the monitoring is installed already in schema {request.schema!r}",
            f"bring it up to date: runbook monitor upgrade {name}",
        )
    if not request.new and found.missing:
        raise UsageError(
            f"the monitoring is not installed in schema {request.schema!r}",
            f"install it: runbook monitor install {name}",
        )


def _entries(
    settings: Settings, environment: Environment, reader: Session, schema: str
) -> tuple[Entry, ...]:
    """What should hold, and the keys that nobody declared: all that an audit counts."""
    context = contexts.with_undeclared(contexts.look(settings, environment, reader))
    if not len(context.relationships):
        raise UsageError(
            f"{settings.project.relationships} declares no relationship, and the database has no"
            " foreign key",
            "declare what should hold: a log of nothing would look clean",
        )
    return entries.make(
        reader, schema, context.relationships.items, context.schema, context.comparisons
    )


def _options(found: Installed, request: Request, own: Session, database: str) -> Options:
    """What was given, else what is installed, else the defaults; pg_cron where it is at hand."""
    kept = dict(found.options or Options())
    given = {name: value for name, value in request.given.items() if value is not None}
    options = Options.model_validate(kept | given)
    local = pg_cron.present(own)
    asked = "cron_database" in given or (found.options is None and local)
    if "schedule" not in given and asked:
        options = options.model_copy(update={"schedule": Way.PG_CRON.value})
    if options.schedule == Way.PG_CRON and local:
        return options.model_copy(update={"cron_database": database})
    if options.schedule == Way.PG_CRON and not options.cron_database:
        raise UsageError(
            f"pg_cron is not in database {database!r}",
            "say where it is with --cron-database, or choose another --schedule",
        )
    return options


def _schedule(
    environment: Environment, own: Session, request: Request, options: Options
) -> list[str]:
    """The jobs in pg_cron that were changed; they are taken back when something else calls it."""
    where, database = options.cron_database, str(own.info.dbname)
    try:
        with _cron(environment, own, where) as there, changing.changing(there, environment):
            if options.schedule != Way.PG_CRON:
                return pg_cron.unschedule(there, database, request.schema)
            at = request.at or pg_cron.scheduled_at(there, database, request.schema)
            jobs = pg_cron.wanted(database, request.schema, at, options.retention, where)
            return pg_cron.schedule(there, jobs, where)
    except psycopg.Error as error:
        role = own.info.user
        raise IncompleteError(
            f"installed, but not scheduled in database {where!r}: {session.reason(error)}",
            f"there an administrator runs: GRANT USAGE ON SCHEMA cron TO {role}; GRANT EXECUTE ON"
            f" FUNCTION cron.schedule_in_database TO {role}; then: runbook monitor upgrade"
            f" {environment.name} --at '{request.at or pg_cron.DAILY}'",
        ) from None


@contextmanager
def _cron(environment: Environment, own: Session, database: str) -> Iterator[Session]:
    """The owner's session in pg_cron's database, which may be the same."""
    if database == own.info.dbname:
        yield own
        return
    text = os.environ.get(connection.OVERRIDE_OWNER)
    elsewhere = environment
    if text:
        os.environ[connection.OVERRIDE_OWNER] = conninfo.make_conninfo(text, dbname=database)
    elif environment.owner:
        owner = environment.owner.model_copy(update={"dbname": database})
        elsewhere = environment.model_copy(update={"owner": owner})
    try:
        with changing.opened(elsewhere) as there:
            yield there
    finally:
        if text:
            os.environ[connection.OVERRIDE_OWNER] = text


def remove(
    environment: Environment, schema: str, keep: Callable[[Session], None] | None
) -> tuple[str, ...]:
    """Take the schedule back, hand the log to ``keep``, and remove all; the names of the jobs."""
    with changing.owning(environment) as own:
        jobs: list[str] = []
        with changing.changing(own, environment):
            installation.alone(own, schema)
            found = installed.read(own, schema)
            steps = installation.removal(found, schema, environment.name)
            if keep:
                keep(own)
            installation.execute(own, steps)
            where = found.options.cron_database if found.options else ""
            if where:
                with (
                    _cron(environment, own, where) as there,
                    changing.changing(there, environment),
                ):
                    jobs = pg_cron.unschedule(there, str(own.info.dbname), schema)
        return tuple(jobs)


def audit(environment: Environment, schema: str) -> Log:
    """Call the function, as the schedule does, and read what it logged."""
    with changing.owning(environment) as own:
        with changing.changing(own, environment):
            # first of all whose it is: what another role made there would run with our rights
            limit = installed.read(own, schema).options or Options()
            found = _present(logs.read(own, schema), schema, environment.name)
        most = limit.relationship_limit * len(found.results) + timedelta(minutes=1)
        with changing.changing(own, environment, most):
            function = sql.Identifier(schema, audit_function.NAME)
            row = own.execute(sql.SQL("SELECT outcome FROM {}()").format(function)).fetchone()
            if row != (audit_function.DONE,):
                raise IncompleteError(
                    f"schema {schema!r}: an audit is running already",
                    "wait until it has ended: runbook monitor status says when",
                )
            return _present(logs.read(own, schema), schema, environment.name)


def _present(found: Log | None, schema: str, name: str) -> Log:
    if found is None:
        raise UsageError(
            f"the monitoring is not installed in schema {schema!r}",
            f"install it: runbook monitor install {name}",
        )
    return found


def read(environment: Environment, schema: str) -> Log | None:
    """The log, by the reader; None where nothing is installed."""
    with _reading(environment, schema) as reader:
        return logs.read(reader, schema)


def look(settings: Settings, environment: Environment, schema: str) -> Status:
    """The log, and whether what is installed is what should be."""
    with _reading(environment, schema) as reader:
        found = logs.read(reader, schema)
        outdated: tuple[str, ...] = ()
        if found:
            wanted = _entries(settings, environment, reader, schema)
            there = installed.read(reader, schema, to_change=False)
            outdated = installation.outdated(there, schema, wanted)
        return logs.status(environment.name, str(reader.info.dbname), schema, found, outdated)


@contextmanager
def _reading(environment: Environment, schema: str) -> Iterator[Session]:
    reader = session.connect(environment)
    try:
        with session.reading(reader, environment):
            yield reader
    except psycopg.Error as error:
        raise IncompleteError(
            f"environment {environment.name!r}: the log in schema {schema!r} cannot be read:"
            f" {session.reason(error)}",
            f"let the reader in: runbook monitor upgrade {environment.name}"
            f" --reader {reader.info.user}",
        ) from None
    finally:
        reader.close()
