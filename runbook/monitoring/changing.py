"""The transactions in which the monitoring is installed, called and removed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import psycopg
from psycopg import IsolationLevel

from runbook import session as sessions
from runbook.connection import Purpose
from runbook.environment import Environment
from runbook.errors import IncompleteError
from runbook.link import Link
from runbook.session import Session


@contextmanager
def opened(environment: Environment) -> Iterator[Session]:
    """The owner's session, closed at the end."""
    own = sessions.connect(environment, Purpose.WRITE)
    own.isolation_level = IsolationLevel.READ_COMMITTED
    own.read_only = False
    try:
        yield own
    finally:
        own.close()


@contextmanager
def owning(environment: Environment) -> Iterator[Session]:
    """The same; what the server refuses ends as :class:`IncompleteError`."""
    with opened(environment) as own:
        try:
            yield own
        except psycopg.Error as error:
            raise IncompleteError(
                f"environment {environment.name!r}: {sessions.reason(error)}",
                f"mend the cause and run it again; what is there: runbook monitor status"
                f" {environment.name}",
            ) from None


@contextmanager
def changing(
    own: Session, environment: Environment, most: timedelta | None = None
) -> Iterator[None]:
    """A writing transaction with all limits set; ``most`` is how long a statement may take."""
    limits = environment.timeouts
    longest = most or limits.statement
    if isinstance(own, Link):
        own.silence = (longest + limits.connect).total_seconds()
    with own.transaction():
        sessions.set_local(
            own,
            search_path="pg_catalog",
            row_security="off",
            lock_timeout=_milliseconds(limits.lock),
            statement_timeout=_milliseconds(longest),
            idle_in_transaction_session_timeout=_milliseconds(limits.idle),
        )
        yield


def _milliseconds(length: timedelta) -> str:
    return f"{int(length.total_seconds() * 1000)}ms"
