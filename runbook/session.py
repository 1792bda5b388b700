"""Opens every connection, and sets on each what makes it safe on a live database.

Limits are set with ``SET LOCAL`` inside transactions, never on the session: behind a pooler in
transaction mode a session setting would reach other clients
(https://www.pgbouncer.org/features.html).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from psycopg import IsolationLevel, sql
from psycopg.rows import TupleRow

from runbook import credentials, refusals
from runbook.connection import Purpose, assumed, connection_string, parameters
from runbook.environment import Environment
from runbook.errors import IncompleteError, UsageError
from runbook.link import Link
from runbook.redaction import redact
from runbook.server import ServerFacts as ServerFacts
from runbook.server import Session as Session
from runbook.server import server_facts as server_facts

APPLICATION_NAME = "fk-runbook"

# A peer that vanished without a word is noticed after about 40 s, not after the hours that TCP
# waits by itself: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-KEEPALIVES
NETWORK = {
    "keepalives_idle": 10,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 40_000,
}


def connect(environment: Environment, purpose: Purpose = Purpose.READ) -> Session:
    """Open a session as the role for ``purpose``; the caller closes it.

    Raises :class:`UsageError` for settings that name no connection, :class:`IncompleteError`
    when the server does not let us in or is one that :mod:`runbook.refusals` refuses.
    """
    session = _opened(environment, purpose)
    try:
        role = assumed(environment, purpose)
        if role:
            _assume(environment, session, role)
        facts = server_facts(session)
        refusals.refuse(environment, facts, writes=purpose is Purpose.WRITE)
        if facts.pooled:
            refusals.refuse_transaction_pooling(
                environment, session, lambda: _opened(environment, purpose)
            )
    except psycopg.Error as error:
        session.close()
        raise IncompleteError(
            f"environment {environment.name!r}: the session broke as it began: {reason(error)}",
            "look at the server's log",
        ) from None
    except BaseException:
        session.close()
        raise
    return session


def _opened(environment: Environment, purpose: Purpose) -> Session:
    text, limits = connection_string(environment, purpose), environment.timeouts
    own: dict[str, Any] = {**NETWORK, **parameters(environment, purpose)}
    credentials.remember(text, own.get("password", ""))  # so that redaction knows them
    try:
        session = Link.connect(
            text,
            autocommit=True,
            prepare_threshold=None,  # prepared statements break behind transaction pooling
            application_name=APPLICATION_NAME,
            client_encoding="UTF8",  # whatever the database's own is, and the environment's
            # whole seconds, and 0 would be no limit
            connect_timeout=max(1, int(limits.connect.total_seconds())),
            **own,
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
    session.silence = (limits.statement + limits.connect).total_seconds()
    return session


def _assume(environment: Environment, session: Session, role: str) -> None:
    try:
        session.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
    except psycopg.Error as error:
        raise IncompleteError(
            f"environment {environment.name!r}: cannot assume the role {role!r}: {reason(error)}",
            f"GRANT {role} TO {session.info.user}, or leave assume out",
        ) from None


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


def fetch(session: Session, query: LiteralString, *values: Any) -> list[TupleRow]:
    """All rows of a query; ``values`` are its parameters."""
    return session.execute(query, values or None).fetchall()


def reason(error: psycopg.Error) -> str:
    """What the server said, with its SQLSTATE; without the excerpt of the statement."""
    text = error.diag.message_primary or str(error)
    return f"{redact(' '.join(text.split()))} ({error.sqlstate or 'connection lost'})"
