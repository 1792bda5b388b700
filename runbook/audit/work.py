"""The queue that the workers of an audit share, its limits, and how it is stopped."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

import psycopg

from runbook.audit.engine import Options
from runbook.audit.target import Target
from runbook.environment import Environment
from runbook.findings import Audit
from runbook.session import Session


@dataclass(frozen=True)
class Limits:
    """How hard to work: workers, seconds for all, active sessions of others to wait for."""

    jobs: int = 2
    budget: timedelta | None = None
    max_load: int | None = None


@dataclass
class Work:
    """The queue that the workers share, and how to stop them.

    ``progress`` hears of every audit that is done, ``waits`` what the work waits for.
    """

    environment: Environment
    exporter: Session
    snapshot: str
    options: Options
    limits: Limits
    progress: Callable[[Audit], None]
    queue: deque[Target]
    waits: Callable[[str], None] = lambda _why: None
    done: dict[str, Audit] = field(default_factory=dict)
    stopped: threading.Event = field(default_factory=threading.Event)
    open: set[Session] = field(default_factory=set)
    standby: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)
    started: float = field(default_factory=time.monotonic)

    def next(self) -> Target | None:
        with self.lock:
            return self.queue.popleft() if self.queue and not self.stopped.is_set() else None

    def keep(self, audit: Audit) -> None:
        with self.lock:
            self.done[audit.relationship.id] = audit
            self.progress(audit)

    def left(self, kept: float = 0.0) -> float | None:
        """Seconds of the budget that are left, but for a share ``kept``; None without a budget."""
        if self.limits.budget is None:
            return None
        budget = self.limits.budget.total_seconds() * (1 - kept)
        return budget - (time.monotonic() - self.started)

    def stop(self) -> None:
        """Hand out no more work and cancel what the server is doing for us, at once."""
        self.stopped.set()
        with self.lock:
            working = list(self.open)
        for session in working:
            with suppress(psycopg.Error):  # it may be gone already; then there is nothing to end
                session.cancel_safe(timeout=5)
