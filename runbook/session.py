"""Opens every connection, and sets on each what makes it safe on a live database.

Limits are set with ``SET LOCAL`` inside transactions, never on the session: behind a pooler in
transaction mode a session setting would reach other clients
(https://www.pgbouncer.org/features.html).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import IsolationLevel, sql
from psycopg.rows import TupleRow

from runbook.connection import Purpose, connection_string
from runbook.environment import Environment
from runbook.errors import IncompleteError, UsageError
from runbook.redaction import redact

APPLICATION_NAME = "fk-runbook"
OLDEST_SERVER = 150000

Session = psycopg.Connection[TupleRow]


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
    values = {
        "search_path": "pg_catalog",
        "row_security": "off",
        "statement_timeout": f"{int(limits.statement.total_seconds() * 1000)}ms",
        "lock_timeout": f"{int(limits.lock.total_seconds() * 1000)}ms",
        "idle_in_transaction_session_timeout": f"{int(limits.idle.total_seconds() * 1000)}ms",
    }
    set_local(session, **values)


def set_local(session: Session, **values: str) -> None:
    """Set these until the end of the transaction, in one round trip."""
    session.execute(
        "SELECT pg_catalog.set_config(name, value, true) FROM unnest(%s::text[], %s::text[])"
        " AS setting(name, value)",
        (list(values), list(values.values())),
    )


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
