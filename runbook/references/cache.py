"""Remembers rows that were found, for parents that nobody deletes."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from threading import Lock

from runbook.references.reference import Lookup, key_of


class Cache:
    """The rows found in ``tables``: at most ``most`` of them, each for at most ``seconds``.

    Only what exists is remembered: a row that is missing may be added at any time. A row that is
    deleted stays known for up to ``seconds``, so name tables whose rows are never deleted alone.
    Tables are compared as they are written. One cache serves one database; it is safe to share
    between threads. Raises ValueError for a bad table, and for bounds that are not positive.
    """

    def __init__(
        self,
        tables: Iterable[str],
        *,
        most: int = 10_000,
        seconds: float = 60,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if most < 1 or not seconds > 0:
            raise ValueError(
                f"expected a positive number of rows and of seconds, got {most!r} and {seconds!r}"
            )
        self._tables = frozenset(key_of(table, "id").table for table in tables)
        self._most, self._seconds, self._clock = most, seconds, clock
        self._until: OrderedDict[Lookup, float] = OrderedDict()  # the least recently used first
        self._lock = Lock()

    def knows(self, lookup: Lookup) -> bool:
        """Whether the row was found no longer ago than the cache's age."""
        with self._lock:
            until = self._until.get(lookup)
            if until is None:
                return False
            if until <= self._clock():
                del self._until[lookup]
                return False
            self._until.move_to_end(lookup)
            return True

    def add(self, found: Iterable[Lookup]) -> None:
        """Remember rows that were just found; of other tables than its own, none."""
        with self._lock:
            until = self._clock() + self._seconds
            for lookup in found:
                if lookup.key.table in self._tables:
                    self._until[lookup] = until
                    self._until.move_to_end(lookup)
            while len(self._until) > self._most:
                self._until.popitem(last=False)

    def forget(self) -> None:
        """Forget all of it, such as after a parent was deleted."""
        with self._lock:
            self._until.clear()

    def __len__(self) -> int:
        with self._lock:
            return len(self._until)
