"""A connection that notices when nothing comes from the server any more.

Keepalives end a connection whose peer is gone. They do not help where something in between, such
as a proxy or a load balancer, still answers for it: the server ends every statement at its
``statement_timeout``, but word of that never comes.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg
from psycopg.rows import TupleRow

MOST_BETWEEN_POLLS = 1.0  # a machine that slept has not listened meanwhile

T = TypeVar("T")


class Link(psycopg.Connection[TupleRow]):
    """A connection that is closed after ``silence`` seconds without an answer; None: never.

    Who waits then gets a :class:`psycopg.OperationalError`.
    """

    silence: float | None = None

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **options: Any) -> T:
        """What psycopg calls for every exchange with the server."""
        return super().wait(self._watched(gen), *args, **options)

    def _watched(self, gen: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        """``gen``, ended when psycopg has polled the socket in vain for too long."""
        silent, polled = 0.0, time.monotonic()
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                now = time.monotonic()
                silent = 0.0 if ready else silent + min(now - polled, MOST_BETWEEN_POLLS)
                polled = now
                if self.silence is not None and silent > self.silence:
                    self.pgconn.finish()
                    raise psycopg.OperationalError(
                        f"no answer from the server for {self.silence:g} s"
                    )
                wanted = gen.send(ready)
        except StopIteration as stop:
            value: T = stop.value
            return value
