"""The servers and sessions that nothing is done with, and how they are told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing, suppress

import psycopg

from runbook.environment import Environment
from runbook.errors import IncompleteError
from runbook.server import ServerFacts, Session

OLDEST_SERVER = 150000
PROBE_SECONDS = 5.0
DIRECTLY = "connect to the server itself, or through a pool that keeps a session's backend"


def refuse(environment: Environment, facts: ServerFacts, *, writes: bool) -> None:
    """Raise :class:`IncompleteError` for a server or a role that the runbook does not work with."""
    where = f"environment {environment.name!r}"
    if facts.version_number < OLDEST_SERVER:
        raise IncompleteError(
            f"{where}: PostgreSQL {facts.version} is not supported, expected 15 or newer",
            "upgrade the server, or audit a copy of it on a newer one",
        )
    if facts.superuser and not environment.superuser:
        raise IncompleteError(
            f"{where}: {facts.role!r} is a superuser",
            f"connect as a role that may only read: runbook grants {environment.name} prints one",
        )
    if writes and facts.in_recovery:
        raise IncompleteError(
            f"{where}: the server is a standby, nothing can be written there",
            "let the owner's connection lead to the primary",
        )


def refuse_transaction_pooling(
    environment: Environment, session: Session, again: Callable[[], Session]
) -> None:
    """Raise :class:`IncompleteError` when a pooler may give each transaction another backend.

    There a setting or an advisory lock of ours would reach other clients. Told by trying: while
    ``session`` is idle, another one (``again``) opens a transaction. Under transaction pooling it
    gets the idle one's backend, or the idle one finds itself on another; in a session pool neither
    can happen (https://www.pgbouncer.org/features.html).
    """
    seen: list[str] = []

    def probe() -> None:
        with suppress(psycopg.Error, IncompleteError):  # then nothing is seen, which is refused
            own = _backend(session)
            with closing(again()) as other:
                other.execute("BEGIN")
                taken = _backend(other) == own or _backend(session) != own
                seen.append("transaction" if taken else "session")

    thread = threading.Thread(target=probe, daemon=True, name="pooler probe")
    thread.start()
    thread.join(PROBE_SECONDS)
    where = f"environment {environment.name!r}: a connection pooler"
    if seen == ["session"]:
        return
    if seen:
        raise IncompleteError(f"{where} in transaction mode is in between", DIRECTLY)
    raise IncompleteError(f"{where} is in between, and its mode cannot be told", DIRECTLY)


def _backend(session: Session) -> int:
    row = session.execute("SELECT pg_backend_pid()").fetchone()
    if row is None:
        raise psycopg.DataError("the server named no backend")
    return int(row[0])
