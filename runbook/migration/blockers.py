"""Who holds a lock that conflicts with one that we are about to ask for.

A lock that waits makes everyone behind it wait too, so nothing is asked for while an old
transaction would only let it time out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import LiteralString

from runbook.migration.plan import TableLock
from runbook.schema import TableName
from runbook.session import Session, fetch

# https://www.postgresql.org/docs/current/explicit-locking.html#TABLE-LOCK-COMPATIBILITY
MODES = (
    "ACCESS SHARE",
    "ROW SHARE",
    "ROW EXCLUSIVE",
    "SHARE UPDATE EXCLUSIVE",
    "SHARE",
    "SHARE ROW EXCLUSIVE",
    "EXCLUSIVE",
    "ACCESS EXCLUSIVE",
)
_CONFLICTS = {
    "ACCESS SHARE": MODES[7:],
    "ROW SHARE": MODES[6:],
    "ROW EXCLUSIVE": MODES[4:],
    "SHARE UPDATE EXCLUSIVE": MODES[3:],
    "SHARE": (MODES[2], MODES[3], *MODES[5:]),
    "SHARE ROW EXCLUSIVE": MODES[2:],
    "EXCLUSIVE": MODES[1:],
    "ACCESS EXCLUSIVE": MODES,
}
HOLDERS: LiteralString = """
    WITH RECURSIVE asked AS (
        SELECT c.oid, w.modes
          FROM unnest(%s::text[], %s::text[], %s::text[]) AS w(schema, name, modes)
          JOIN pg_namespace n ON n.nspname = w.schema
          JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
         UNION
        SELECT i.inhrelid, a.modes
          FROM asked a JOIN pg_inherits i ON i.inhparent = a.oid
          JOIN pg_class k ON k.oid = i.inhrelid AND k.relispartition
    )
    SELECT l.pid, n.nspname::text, c.relname::text, min(l.mode),
           min(coalesce(nullif(s.application_name, ''), nullif(s.backend_type, 'client backend'),
                        '')),
           min(coalesce(s.state, '')),
           max(extract(epoch FROM clock_timestamp() - s.xact_start))::float
      FROM asked a
      JOIN pg_locks l ON l.relation = a.oid AND l.locktype = 'relation' AND l.granted
           AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
           AND l.mode = ANY (string_to_array(a.modes, ','))
      JOIN pg_class c ON c.oid = a.oid
      JOIN pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_stat_activity s ON s.pid = l.pid
     WHERE l.pid IS DISTINCT FROM pg_backend_pid()
     GROUP BY l.pid, n.nspname, c.relname
     ORDER BY l.pid, n.nspname, c.relname
"""
# for which CREATE INDEX CONCURRENTLY waits before it ends, whatever tables they read
SNAPSHOTS: LiteralString = """
    SELECT s.pid, coalesce(s.application_name, ''), coalesce(s.state, ''),
           extract(epoch FROM clock_timestamp() - s.xact_start)::float
      FROM pg_stat_activity s
     WHERE s.datname = current_database() AND s.pid <> pg_backend_pid()
       AND s.backend_xmin IS NOT NULL AND s.backend_type <> 'autovacuum worker'
     ORDER BY s.xact_start
"""
HELD: LiteralString = """
    SELECT n.nspname::text, c.relname::text, l.mode
      FROM pg_locks l
      JOIN pg_class c ON c.oid = l.relation
      JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.granted
       AND c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
     ORDER BY 1, 2, 3
"""


@dataclass(frozen=True)
class Blocker:
    """A session that holds a conflicting lock, or without a ``table`` an old snapshot.

    ``seconds`` is the age of its transaction; None where it may not be seen, or has none.
    """

    pid: int | None
    table: str
    mode: str
    application: str
    state: str
    seconds: float | None

    def __str__(self) -> str:
        who = f"backend {self.pid}" if self.pid else "a prepared transaction"
        more = [self.application, self.state]
        more += [f"for {self.seconds:.1f} s"] if self.seconds is not None else []
        told = ", ".join(part for part in more if part)
        what = f"{self.mode} on {self.table}" if self.table else "a snapshot"
        return f"{who}{f' ({told})' if told else ''} holds {what}"


def holders(session: Session, locks: Sequence[TableLock]) -> tuple[Blocker, ...]:
    """The other sessions whose locks on these tables, or their partitions, conflict."""
    names = [TableName.parse(lock.table) for lock in locks]
    modes = [",".join(as_in_catalog(mode) for mode in _CONFLICTS[lock.mode]) for lock in locks]
    rows = fetch(session, HOLDERS, [n.schema for n in names], [n.table for n in names], modes)
    return oldest_first(
        Blocker(pid, str(TableName(schema, table)), as_in_sql(mode), application, state, seconds)
        for pid, schema, table, mode, application, state, seconds in rows
    )


def of_building(session: Session, locks: Sequence[TableLock]) -> tuple[Blocker, ...]:
    """The other sessions that an index built concurrently waits for, as far as may be seen.

    They are those that write to its table, and all of the database that hold a snapshot.
    """
    share = [lock.model_copy(update={"mode": "SHARE"}) for lock in locks]
    writers = holders(session, share)
    known = {found.pid for found in writers}
    readers = (Blocker(pid, "", "", *told) for pid, *told in fetch(session, SNAPSHOTS))
    return oldest_first((*writers, *(found for found in readers if found.pid not in known)))


def oldest_first(found: Iterable[Blocker]) -> tuple[Blocker, ...]:
    """Few are named: prepared transactions, then by age, and last those that may not be seen."""
    return tuple(sorted(found, key=lambda b: (b.pid is not None, -(b.seconds or 0))))


def held(session: Session) -> tuple[TableLock, ...]:
    """The locks on tables that this session's transaction holds now."""
    return tuple(
        TableLock(table=str(TableName(schema, table)), mode=as_in_sql(mode))
        for schema, table, mode in fetch(session, HELD)
    )


def as_in_catalog(mode: str) -> str:
    """``SHARE ROW EXCLUSIVE`` as pg_locks has it: ``ShareRowExclusiveLock``."""
    return "".join(word.capitalize() for word in mode.split()) + "Lock"


def as_in_sql(mode: str) -> str:
    return next((known for known in MODES if as_in_catalog(known) == mode), mode)
