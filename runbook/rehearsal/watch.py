"""Watches what locks a backend holds and who waits for it, from a session of its own.

Sampled every few milliseconds, and at every statement boundary, where nothing can be missed.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import LiteralString

import psycopg

from runbook.server import Session

EVERY = 0.005  # seconds between two looks

# Indexes are left out: one that is being made is locked exclusively, and nobody knows it yet.
LOCKS: LiteralString = """
    SELECT l.pid = ANY (%(ours)s), coalesce(n.nspname::text, ''), coalesce(c.relname::text, ''),
           l.mode, l.granted,
           coalesce(extract(epoch FROM clock_timestamp() - l.waitstart)::float, 0)
      FROM pg_catalog.pg_locks l
      LEFT JOIN pg_catalog.pg_class c ON c.oid = l.relation AND l.locktype = 'relation'
      LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE (l.pid = ANY (%(ours)s) AND c.relkind IN ('r', 'p')
            AND n.nspname NOT IN ('pg_catalog', 'pg_toast', 'information_schema'))
        OR (NOT l.granted AND NOT l.pid = ANY (%(ours)s)
            AND pg_catalog.pg_blocking_pids(l.pid) && %(ours)s::int[])
"""


@dataclass
class Held:
    """How long a lock of ours was held during one step, all attempts together, in seconds."""

    seconds: float = 0.0
    waited: float = 0.0
    since: float | None = None


Lock = tuple[str, str, str, str]
"""Step id, schema, table, mode in PostgreSQL's words."""


@dataclass
class Watch:
    """Looks at the backends in ``ours``; ``step`` is the step that is going on, or empty.

    ``held`` are the locks by step, ``blocked`` the longest wait of others for us in each step, in
    seconds, ``looks`` how often it looked, ``failure`` why it could not any more.
    """

    session: Session
    ours: list[int] = field(default_factory=list)
    step: str = ""
    held: dict[Lock, Held] = field(default_factory=dict)
    blocked: dict[str, float] = field(default_factory=dict)
    looks: int = 0
    failure: str = ""
    _open: set[Lock] = field(default_factory=set)
    _one: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def watching(self) -> Iterator[Watch]:
        thread = threading.Thread(target=self._run, daemon=True, name="lock watch")
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()

    def look(self) -> None:
        """Look now; called at every boundary too."""
        with self._one:
            try:
                rows = self.session.execute(LOCKS, {"ours": self.ours}).fetchall()
            except psycopg.Error as error:
                self.failure = self.failure or " ".join(str(error).split())
                return
            self.looks += 1
            now, step = time.monotonic(), self.step
            seen = set()
            for ours, schema, table, mode, granted, waiting in rows:
                if not ours:
                    self.blocked[step] = max(self.blocked.get(step, 0.0), waiting)
                    continue
                held = self.held.setdefault((step, schema, table, in_words(mode)), Held())
                held.waited = max(held.waited, waiting)
                if granted:
                    held.since = now if held.since is None else held.since
                    seen.add((step, schema, table, in_words(mode)))
            for lock in self._open - seen:
                self._close(lock, now)
            self._open = seen

    def _close(self, lock: Lock, now: float) -> None:
        held = self.held[lock]
        if held.since is not None:
            held.seconds += now - held.since
            held.since = None

    def _run(self) -> None:
        while not self._stop.wait(EVERY) and not self.failure:
            self.look()


def in_words(mode: str) -> str:
    """``ShareRowExclusiveLock`` as ``SHARE ROW EXCLUSIVE``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", mode.removesuffix("Lock")).upper()
