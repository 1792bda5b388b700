"""A load of concurrent writers, every operation timed.

Each writer has a connection of its own and does one operation after the other, half of them on
the tables that the migration is working on.
"""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import psycopg

from runbook.errors import RunbookError
from runbook.rehearsal.operations import Operation
from runbook.schema import TableName
from runbook.server import Session

PAUSE = 0.002  # seconds between two operations of a writer
LONGEST = "60s"  # of a statement: who waits longer has been measured enough
LOST = "connection lost"


class Timed(NamedTuple):
    """One operation: its label, when it began (``time.monotonic``), seconds, SQLSTATE or empty."""

    operation: str
    began: float
    seconds: float
    sqlstate: str

    @property
    def ended(self) -> float:
        return self.began + self.seconds


@dataclass
class Load:
    """Writers at work on ``operations``; ``done`` is what they did, in no order."""

    operations: tuple[Operation, ...]
    connect: Callable[[], Session]
    writers: int
    done: list[Timed] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    _focus: tuple[int, ...] = ()
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[Load]:
        """Let the writers work while this lasts."""
        threads = [
            threading.Thread(
                target=self._write, args=(number,), daemon=True, name=f"writer {number}"
            )
            for number in range(self.writers if self.operations else 0)
        ]
        self._stop.clear()
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def go_on_with(self, operations: tuple[Operation, ...]) -> None:
        """Change the operations; not while the writers work."""
        self.operations = operations
        self._focus = ()

    def focus(self, tables: frozenset[TableName]) -> None:
        """From now on every second operation is on one of these tables."""
        self._focus = tuple(
            number for number, item in enumerate(self.operations) if item.tables & tables
        )

    def _write(self, number: int) -> None:
        chance = random.Random(number)  # noqa: S311 - the same load each time
        session: Session | None = None
        try:
            while not self._stop.is_set():
                if session is None or session.closed:
                    session = self.connect()
                    session.execute(f"SET statement_timeout = '{LONGEST}'")
                self.done.append(self._once(session, chance))
                time.sleep(PAUSE)
        except (psycopg.Error, RunbookError) as error:
            self.broken.append(f"writer {number} ended: {' '.join(str(error).split())}")
        finally:
            if session is not None:
                session.close()

    def _once(self, session: Session, chance: random.Random) -> Timed:
        focus = self._focus
        some: Sequence[int] = (
            focus if focus and chance.random() < 0.5 else range(len(self.operations))
        )
        chosen = chance.choice(some)
        began, state = time.monotonic(), ""
        try:
            self.operations[chosen].run(session, chance)
        except psycopg.Error as error:
            state = error.sqlstate or (LOST if session.closed else type(error).__name__)
        return Timed(self.operations[chosen].label, began, time.monotonic() - began, state)


@dataclass(frozen=True)
class Usual:
    """What operations take without a migration: the median seconds of each, and of all."""

    medians: dict[str, float]
    overall: float
    operations: int
    errors: dict[str, int]

    def excess(self, timed: Timed) -> float:
        """Seconds above the usual, at least 0."""
        return max(0.0, timed.seconds - self.medians.get(timed.operation, self.overall))


def usual(done: Sequence[Timed]) -> Usual | None:
    """The usual times of what was ``done``; None where nothing was."""
    if not done:
        return None
    by_operation: dict[str, list[float]] = {}
    for timed in done:
        by_operation.setdefault(timed.operation, []).append(timed.seconds)
    return Usual(
        {label: statistics.median(values) for label, values in by_operation.items()},
        statistics.median(timed.seconds for timed in done),
        len(done),
        errors(done),
    )


def errors(done: Sequence[Timed]) -> dict[str, int]:
    """How often each SQLSTATE was seen, the most frequent first."""
    return dict(Counter(timed.sqlstate for timed in done if timed.sqlstate).most_common())
