"""The owner's session of an apply: one at a time in a database, opened again when it is lost."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import LiteralString, NoReturn

import psycopg

from runbook import session as sessions
from runbook.environment import Change
from runbook.errors import IncompleteError
from runbook.link import Link
from runbook.session import Session, fetch, set_local

KEY = int.from_bytes(hashlib.sha256(b"fk-runbook: a migration").digest()[:8], "big", signed=True)
LONGER = 50  # times change.lock, for a lock whose waiting makes no reader and no writer wait
GRACE = timedelta(seconds=15)  # for the server to end a statement by itself before we give it up
HOLDER: LiteralString = """
    SELECT l.pid FROM pg_locks l
     WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND l.classid::bigint = %s AND l.objid::bigint = %s
"""


def milliseconds(value: timedelta) -> str:
    """As PostgreSQL reads it; never 0, which would be no limit."""
    return f"{max(1, round(value.total_seconds() * 1000))}ms"


class Owner:
    """The session of an apply and the lock that keeps a second one out.

    ``reconnects`` counts how often the connection was lost and made again.
    """

    def __init__(
        self, connect: Callable[[], Session], change: Change, say: Callable[[str], None]
    ) -> None:
        self._connect = connect
        self._change = change
        self._say = say
        self._session: Session | None = None
        self.reconnects = 0

    def session(self) -> Session:
        """The open session; a lost one is opened again, ``change.attempts`` times at most.

        Raises :class:`IncompleteError` when that is not to be had, or when another apply is going
        on: after a loss that may be our own old backend, which still works.
        """
        if self._session is None:
            self._session = self._opened()
        elif self._session.closed:
            self._session = self._again()
            self.reconnects += 1
        return self._session

    def close(self) -> None:
        if self._session is not None:
            self._session.close()

    def pause(self) -> None:
        """Sleep around ``change.pause``, so that those who wait get through first."""
        time.sleep(self._change.pause.total_seconds() * random.uniform(0.5, 1.5))  # noqa: S311

    def _again(self) -> Session:
        for attempt in range(1, self._change.attempts + 1):
            try:
                return self._opened()
            except IncompleteError as error:
                if attempt == self._change.attempts:
                    raise
                self._say(f"{error.message}; tries again")
                self.pause()
        raise AssertionError("attempts is at least 1")

    def _opened(self) -> Session:
        session = self._connect()
        try:
            session.execute("SET idle_session_timeout = 0")
            ((taken,),) = fetch(session, "SELECT pg_try_advisory_lock(%s)", KEY)
            if not taken:
                _refuse(session)
        except psycopg.Error as error:
            session.close()
            raise IncompleteError(
                f"the session of the migration broke as it began: {sessions.reason(error)}",
                "look at the server's log, and apply it again",
            ) from None
        except BaseException:
            session.close()
            raise
        return session


def _refuse(session: Session) -> NoReturn:
    backend = fetch(session, HOLDER, KEY % 2**64 // 2**32, KEY % 2**32)
    who = f": backend {backend[0][0]}" if backend else ""
    raise IncompleteError(
        f"another migration is going on in database {session.info.dbname!r}{who}",
        "wait until it has ended, or end it where it was started",
    )


@contextmanager
def limited(session: Session, statement: timedelta) -> Iterator[None]:
    """While this lasts, the connection is given up only well after ``statement``."""
    if not isinstance(session, Link):
        yield
        return
    before, session.silence = session.silence, (statement + GRACE).total_seconds()
    try:
        yield
    finally:
        session.silence = before


def begin(session: Session, lock: timedelta, statement: timedelta) -> None:
    """Begin a transaction with the limits; row security raises 42501 instead of hiding rows."""
    session.execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
    set_local(
        session,
        search_path="pg_catalog",
        row_security="off",
        lock_timeout=milliseconds(lock),
        statement_timeout=milliseconds(statement),
    )


def roll_back(session: Session) -> None:
    """End the transaction if there is one; a lost connection has none."""
    if not session.closed and session.info.transaction_status != _IDLE:
        session.execute("ROLLBACK")


_IDLE = psycopg.pq.TransactionStatus.IDLE
