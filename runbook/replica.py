"""What a replica knows of its primary: whether it streams, and how old its data may be.

Not from ``pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()``, which also holds on a replica
that was cut off: it has replayed all it ever received.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, LiteralString

from runbook.environment import Environment
from runbook.errors import IncompleteError
from runbook.session import Session, fetch

CUT_OFF = "no WAL receiver runs: the replica is cut off from its primary"
HIDDEN = "the role may not see the state of the WAL receiver, grant it pg_read_all_stats"
PAUSED = "the replay of WAL is paused"

# Caught up: replayed to where the primary's last message said that its WAL ends. Then the data are
# as old as that message, else as old as the last transaction that was replayed.
REPLICA: LiteralString = """
SELECT r.recovery, w.pid IS NOT NULL, w.status,
       CASE WHEN r.recovery THEN pg_is_wal_replay_paused() ELSE false END,
       extract(epoch FROM clock_timestamp() - CASE
           WHEN r.replayed >= w.latest_end_lsn THEN w.last_msg_receipt_time
           ELSE pg_last_xact_replay_timestamp() END)::float8,
       r.replayed::text
  FROM (SELECT pg_is_in_recovery() AS recovery,
               CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                    ELSE pg_current_wal_lsn() END AS replayed) r
  LEFT JOIN pg_stat_wal_receiver w ON true
"""


@dataclass(frozen=True)
class Replica:
    """Where a server stands in its replication; a primary is not ``in_recovery``.

    ``lag_seconds`` is how old the data may be (0 on a primary), None where nobody knows.
    ``replay_lsn`` is the position in the WAL of what can be read. ``reason`` says why the replica
    is not to be trusted however small its lag looks, and is empty otherwise.
    """

    in_recovery: bool
    streaming: bool
    lag_seconds: float | None
    replay_lsn: str
    reason: str = ""

    def doubt(self, limit: timedelta) -> str:
        """Why the data are not as fresh as ``limit``; empty where they are."""
        if not self.in_recovery:
            return ""
        if self.reason:
            return self.reason
        if not self.streaming or self.lag_seconds is None:
            return CUT_OFF
        seconds = limit.total_seconds()
        if self.lag_seconds > seconds:
            return f"the replica is {self.lag_seconds:.0f} s behind, expected at most {seconds:g} s"
        return ""

    def trustworthy(self, limit: timedelta) -> bool:
        """Whether its data are known to be at most ``limit`` old; a primary's always are."""
        return not self.doubt(limit)


def refuse(environment: Environment, session: Session) -> None:
    """Raise :class:`IncompleteError` on a standby whose data may be older than is accepted."""
    doubt = read(session).doubt(environment.replica_lag)
    if doubt:
        raise IncompleteError(
            f"environment {environment.name!r}: {doubt}",
            "let the standby catch up, or connect to the primary",
        )


def read(session: Session) -> Replica:
    """Ask the server; before counting and after it, as a replica may be cut off in between."""
    (row,) = fetch(session, REPLICA)
    return from_row(row)


def from_row(row: Sequence[Any]) -> Replica:
    recovery, receives, status, paused, lag, replayed = row
    if not recovery:
        return Replica(False, False, 0.0, replayed or "")
    streaming = status == "streaming"
    if paused:
        reason = PAUSED
    elif not receives:
        reason = CUT_OFF
    elif status is None:
        reason = HIDDEN
    elif not streaming:
        reason = f"the WAL receiver is {status}, expected streaming"
    else:
        reason = ""
    # a clock that runs ahead on the primary makes it negative
    return Replica(True, streaming, None if lag is None else max(0.0, lag), replayed or "", reason)
