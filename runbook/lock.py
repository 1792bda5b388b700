"""One run at a time in a database: an advisory lock there, held by a session of its own.

It ends with that session, so a run that was killed leaves nothing behind. A standby has locks of
its own: a run there and one on the primary do not see each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import LiteralString

import psycopg

from runbook import session
from runbook.environment import Environment
from runbook.errors import IncompleteError
from runbook.session import Session, fetch

KEY = int.from_bytes(hashlib.sha256(b"fk-runbook: a run").digest()[:8], "big", signed=True)
HALF = 2**32

# The session is idle for as long as the run lasts; and the server lets go of the lock of a machine
# that vanished as soon as we would notice a server that did.
HELD: LiteralString = """
    SET idle_session_timeout = 0;
    SET tcp_keepalives_idle = 10;
    SET tcp_keepalives_interval = 10;
    SET tcp_keepalives_count = 3;
    SET tcp_user_timeout = '40s'
"""
HOLDER: LiteralString = """
    SELECT l.pid, coalesce(to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), '')
      FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
     WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
       AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
       AND l.classid::bigint = %s AND l.objid::bigint = %s
"""


@contextmanager
def alone(environment: Environment) -> Iterator[None]:
    """Hold the lock of ``environment``'s database; raises :class:`IncompleteError` when taken."""
    own = session.connect(environment)
    try:
        try:
            own.execute(HELD)
            ((taken,),) = fetch(own, "SELECT pg_try_advisory_lock(%s)", KEY)
            if not taken:
                raise IncompleteError(
                    f"environment {environment.name!r}: another run is going on in database"
                    f" {own.info.dbname!r}: {holder(own)}",
                    "wait until it has ended, or end it where it was started",
                )
        except psycopg.Error as error:
            raise IncompleteError(
                f"environment {environment.name!r}: the lock of a run cannot be taken:"
                f" {session.reason(error)}",
                "run it again",
            ) from None
        yield
    finally:
        own.close()


def holder(looking: Session) -> str:
    """Who holds the lock of the session's database, as a backend and since when; or empty."""
    rows = fetch(looking, HOLDER, KEY % HALF**2 // HALF, KEY % HALF)
    if not rows:
        return ""
    pid, since = rows[0]
    return f"backend {pid} since {since} UTC" if since else f"backend {pid}"
