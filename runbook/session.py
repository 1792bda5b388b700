"""Opens every connection, and sets on each what makes it safe on a live database.

Limits are set with ``SET LOCAL`` inside transactions, never on the session: behind a pooler in
transaction mode a session setting would reach other clients
(https://www.pgbouncer.org/features.html).
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, LiteralString

import psycopg
from psycopg import IsolationLevel, conninfo, sql
from psycopg.rows import TupleRow

from runbook.embedded import EmbeddedServer
from runbook.environment import Connection, Environment
from runbook.errors import IncompleteError, UsageError
from runbook.redaction import redact

APPLICATION_NAME = "fk-runbook"
OLDEST_SERVER = 150000

OVERRIDE_READER = "RUNBOOK_READER_DSN"
OVERRIDE_OWNER = "RUNBOOK_OWNER_DSN"

Session = psycopg.Connection[TupleRow]

_server: EmbeddedServer | None = None


class Purpose(StrEnum):
    """Which of an environment's two roles a session needs."""

    READ = "reader"
    WRITE = "owner"


@dataclass(frozen=True)
class ServerFacts:
    """The server behind a session; ``system_identifier`` is empty where it may not be read."""

    version: str
    version_number: int
    system_identifier: str
    database: str
    role: str
    in_recovery: bool
    superuser: bool
    bypasses_row_security: bool


def embedded_server() -> EmbeddedServer:
    """The embedded server of this process, started on first use and let go at exit."""
    global _server  # noqa: PLW0603 - one per process; its life is the process's
    if _server is None:
        server = EmbeddedServer()
        server.start()
        atexit.register(server.close)
        _server = server
    return _server


def connection_string(environment: Environment, purpose: Purpose) -> str:
    """The libpq connection string for a role of ``environment``, without its password.

    Raises :class:`UsageError` when the environment does not name that role, or names only an
    environment variable that is not set.
    """
    override = os.environ.get(OVERRIDE_READER if purpose is Purpose.READ else OVERRIDE_OWNER)
    if override:
        return override
    way = environment.reader if purpose is Purpose.READ else environment.owner
    if way is None:
        raise UsageError(
            f"environment {environment.name!r} has no {purpose} connection",
            f"add [environments.{environment.name}.{purpose}] to runbook.toml",
        )
    return _from_way(environment.name, way)


def _from_way(name: str, way: Connection) -> str:
    if way.variable and os.environ.get(way.variable):
        return os.environ[way.variable]
    if way.service:
        return conninfo.make_conninfo(service=way.service)
    if way.embedded:
        return embedded_server().conninfo(way.embedded, way.role)
    raise UsageError(
        f"environment {name!r}: the environment variable {way.variable!r} is not set",
        f"export {way.variable}='host=… dbname=… user=…' (the password belongs into a passfile)",
    )


def source(environment: Environment, purpose: Purpose = Purpose.READ) -> str:
    """Where a role's connection comes from: dsn, variable, service or embedded; or empty."""
    reads = purpose is Purpose.READ
    if os.environ.get(OVERRIDE_READER if reads else OVERRIDE_OWNER):
        return "dsn"
    way = environment.reader if reads else environment.owner
    if way is None:
        return ""
    if way.variable and os.environ.get(way.variable):
        return "variable"
    return "service" if way.service else "embedded" if way.embedded else ""


def no_writing(environment: Environment) -> str:
    """Why nothing may be written, not even in a transaction that is rolled back; or empty.

    The owner has to come from where the reader comes from: with only one of the two replaced,
    a run would judge two databases as one.
    """
    if not environment.writes:
        return f"writing checks are not allowed in {environment.name}"
    reader, owner = source(environment), source(environment, Purpose.WRITE)
    if reader != owner:
        return f"the reader comes from {reader} and the owner from {owner or 'nowhere'}"
    return ""


def connect(environment: Environment, purpose: Purpose = Purpose.READ) -> Session:
    """Open a session as the role for ``purpose``; the caller closes it.

    Raises :class:`UsageError` for settings that name no connection, :class:`IncompleteError`
    when the server does not let us in, is a superuser's session, or has an unsupported version.
    """
    text = connection_string(environment, purpose)
    try:
        session = psycopg.connect(
            text,
            autocommit=True,
            prepare_threshold=None,  # prepared statements break behind transaction pooling
            application_name=APPLICATION_NAME,
            # whole seconds, and 0 would be no limit
            connect_timeout=max(1, int(environment.timeouts.connect.total_seconds())),
        )
    except psycopg.ProgrammingError as error:
        raise UsageError(
            f"environment {environment.name!r}: not a connection string:"
            f" {redact(' '.join(str(error).split()))}",
            "write it as 'host=… dbname=… user=…' or as a postgresql:// address",
        ) from None
    except psycopg.Error as error:
        raise IncompleteError(
            f"environment {environment.name!r}: cannot connect as {purpose}: "
            + redact(" ".join(str(error).split())),
            "check that the server runs and that host, database, role and passfile are right",
        ) from None
    try:
        _refuse(environment, session)
    except BaseException:
        session.close()
        raise
    return session


def _refuse(environment: Environment, session: Session) -> None:
    facts = server_facts(session)
    if facts.version_number < OLDEST_SERVER:
        raise IncompleteError(
            f"environment {environment.name!r}: PostgreSQL {facts.version} is not supported,"
            " expected 15 or newer",
            "upgrade the server, or audit a copy of it on a newer one",
        )
    if facts.superuser:
        raise IncompleteError(
            f"environment {environment.name!r}: {facts.role!r} is a superuser",
            "connect as a role that may only read, one that has pg_read_all_data",
        )


def same_database(reader: Session, owner: Session) -> None:
    """Raise :class:`IncompleteError` when two sessions look at different databases."""
    names = [
        (facts.system_identifier, facts.database)
        for facts in (server_facts(reader), server_facts(owner))
    ]
    if names[0] != names[1]:
        raise IncompleteError(
            f"the reader is connected to {names[0][1]!r} and the owner to {names[1][1]!r}",
            "give both the same database",
        )


@contextmanager
def reading(session: Session, environment: Environment, snapshot: str = "") -> Iterator[Session]:
    """A read-only transaction with one snapshot, all limits set and row security refused.

    ``snapshot`` is the name of another session's exported snapshot to look at. With
    ``row_security = off`` PostgreSQL raises 42501 where a policy would have hidden rows.
    """
    session.isolation_level = IsolationLevel.REPEATABLE_READ
    session.read_only = True
    with session.transaction():
        if snapshot:  # has to be the first statement
            session.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot)))
        _set_limits(session, environment)
        yield session


@contextmanager
def trying(session: Session, environment: Environment) -> Iterator[Session]:
    """A writing transaction that is always rolled back, whatever happens in it."""
    session.isolation_level = IsolationLevel.READ_COMMITTED
    session.read_only = False
    with session.transaction(force_rollback=True):
        _set_limits(session, environment)
        yield session


def _set_limits(session: Session, environment: Environment) -> None:
    limits = environment.timeouts
    for name, value in (
        ("search_path", "pg_catalog"),
        ("row_security", "off"),
        ("statement_timeout", f"{int(limits.statement.total_seconds() * 1000)}ms"),
        ("lock_timeout", f"{int(limits.lock.total_seconds() * 1000)}ms"),
        ("idle_in_transaction_session_timeout", f"{int(limits.idle.total_seconds() * 1000)}ms"),
    ):
        session.execute("SELECT set_config(%s, %s, true)", (name, value))


SERVER_FACTS: LiteralString = """
    SELECT current_setting('server_version'), current_setting('server_version_num')::int,
           current_database()::text, current_user::text, pg_is_in_recovery(),
           rolsuper, rolbypassrls OR rolsuper
      FROM pg_catalog.pg_roles WHERE rolname = current_user
"""
MAY_READ_CONTROL: LiteralString = (
    "SELECT has_function_privilege('pg_catalog.pg_control_system()', 'execute')"
)
SYSTEM_IDENTIFIER: LiteralString = (
    "SELECT system_identifier::text FROM pg_catalog.pg_control_system()"
)


def server_facts(session: Session) -> ServerFacts:
    """Ask the server who it is and who we are to it."""
    row = session.execute(SERVER_FACTS).fetchone()
    if row is None:
        raise IncompleteError("the server does not know the role of this session", "reconnect")
    # asked first, and not in the same statement: PostgreSQL checks before it filters
    may_read = session.execute(MAY_READ_CONTROL).fetchone()
    identifier = session.execute(SYSTEM_IDENTIFIER).fetchone() if may_read == (True,) else None
    version, number, database, role, recovery, superuser, bypass = row
    return ServerFacts(
        version=version,
        version_number=number,
        system_identifier=str(identifier[0]) if identifier else "",
        database=database,
        role=role,
        in_recovery=recovery,
        superuser=superuser,
        bypasses_row_security=bypass,
    )


def fetch(session: Session, query: LiteralString, *values: Any) -> list[TupleRow]:
    """All rows of a query; ``values`` are its parameters."""
    return session.execute(query, values or None).fetchall()


def reason(error: psycopg.Error) -> str:
    """What the server said, with its SQLSTATE; without the excerpt of the statement."""
    text = error.diag.message_primary or str(error)
    return f"{redact(' '.join(text.split()))} ({error.sqlstate or 'connection lost'})"
