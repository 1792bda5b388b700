"""Hands databases out to the workers and keeps exactly one result of each.

The limit on a server is kept here and not by Dask: a worker's resources count on that worker alone,
and its semaphores hold a worker's thread while they wait
(https://distributed.dask.org/en/stable/resources.html). So a database is only submitted when its
server has a place free, and no more are submitted than the workers can take.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import queue
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from runbook.environment import Environment
from runbook.errors import IncompleteError
from runbook.fleet import work
from runbook.fleet.cluster import Cluster
from runbook.fleet.inventory import FleetSettings
from runbook.fleet.job import Flight, Job, Standing, could_not_look, counted
from runbook.fleet.result import Result, State
from runbook.fleet.work import Answer, Order
from runbook.redaction import redact

TICK = 0.25  # seconds between looks at the clock
COUNT_WORKERS = 2.0  # seconds between questions how many workers there are
AHEAD = 0.25  # submitted beyond what can run at once, so that no worker waits for us
FETCH = 10.0  # seconds for the answers to arrive once the tasks have ended
ENDED = "ended"
BACKOFF = 1.0  # seconds before the second try, twice as many before each further one


Keep = Callable[[Result], None]
Say = Callable[[Standing, str, bool], None]
"""Called with the standing, a sentence, and whether that ends a database."""


@dataclass
class Execution:
    """One run over ``jobs``: ``task`` is done for each on a worker.

    ``places`` says how many databases of a server at a time.
    """

    cluster: Cluster
    order: Order
    fleet: FleetSettings
    places: Mapping[str, int]
    keep: Keep
    say: Say
    task: Callable[[Order, str, Environment], Answer] = work.look_at
    _waiting: dict[str, deque[Job]] = field(default_factory=dict)
    _later: list[tuple[float, int, Job]] = field(default_factory=list)
    _flying: dict[str, Flight] = field(default_factory=dict)
    _busy: Counter[str] = field(default_factory=Counter)
    _heard: queue.SimpleQueue[tuple[str, str]] = field(default_factory=queue.SimpleQueue)
    _number: Any = field(default_factory=itertools.count)
    _total: int = 0
    _done: int = 0
    _failed: int = 0
    _counted: float = float("-inf")
    _seen: float = 0.0
    _began: float = 0.0

    def run(self, jobs: Iterable[Job]) -> None:
        """Look at all of them; every result goes to ``keep`` as it comes, once for each job.

        Raises :class:`IncompleteError` when there is no worker for too long. On any way out what
        was handed out is taken back.
        """
        for job in jobs:
            self._waiting.setdefault(job.server, deque()).append(job)
            self._total += 1
        self._began = self._seen = time.monotonic()
        self.cluster.client.subscribe_topic(self.order.topic, self._on_begin)
        try:
            while self._done < self._total:
                self._count_workers()
                self._hand_out()
                self._listen()
                self._watch_the_clock()
        finally:
            self._take_back()

    # --- handing out -----------------------------------------------------------------------------

    def _count_workers(self) -> None:
        now = time.monotonic()
        if now - self._counted < COUNT_WORKERS:
            return
        if self.cluster.count_threads():
            self._seen = time.monotonic()
        elif now - self._seen > (patience := self.fleet.wait_for_workers.total_seconds()):
            raise IncompleteError(
                f"no worker for {patience:g} s: {self._total - self._done} databases were"
                " not looked at",
                "start workers, then do the rest with --resume",
            )
        self._counted = time.monotonic()

    def _hand_out(self) -> None:
        while self._later and self._later[0][0] <= time.monotonic():
            job = heapq.heappop(self._later)[2]
            self._waiting.setdefault(job.server, deque()).append(job)
        most = self.cluster.threads + max(1, int(self.cluster.threads * AHEAD))
        chosen: list[Job] = []
        while self.cluster.threads and len(self._flying) + len(chosen) < most:
            free = [
                server
                for server, jobs in self._waiting.items()
                if jobs and self._busy[server] < self.places[server]
            ]
            if not free:
                break
            # the server with most left to do goes first: it would be the last to end
            fullest = max(free, key=lambda server: len(self._waiting[server]))
            self._busy[fullest] += 1
            chosen.append(self._waiting[fullest].popleft())
        if chosen:
            self._submit(chosen)

    def _submit(self, jobs: list[Job]) -> None:
        """Hand these out together: a graph of many tasks costs little more than one of one."""
        keys = [f"{self.order.topic}-{next(self._number)}" for _ in jobs]
        environments = [job.environment for job in jobs]
        orders = [self.order] * len(jobs)
        futures = self.cluster.client.map(
            self.task, orders, keys, environments, key=keys, pure=False
        )
        for key, job, future in zip(keys, jobs, futures, strict=True):
            self._flying[key] = Flight(job, future)
            self._watch(key)

    def _watch(self, key: str) -> None:
        put = self._heard.put
        self._flying[key].future.add_done_callback(lambda _future: put((ENDED, key)))

    # --- hearing ---------------------------------------------------------------------------------

    def _on_begin(self, event: tuple[float, dict[str, str]]) -> None:
        """Called by Dask, in a thread of its own, when a worker begins."""
        self._heard.put((event[1]["at"], event[1]["key"]))

    def _listen(self) -> None:
        """Wait for the next news, take in all that there is, and fetch the answers together."""
        ended: dict[str, None] = {}
        with suppress(queue.Empty):
            what, key = self._heard.get(timeout=TICK)
            while True:
                if key in self._flying and what == ENDED:
                    ended[key] = None
                elif key in self._flying:
                    self._begins(self._flying[key], what)
                what, key = self._heard.get_nowait()
        finished = [key for key in ended if self._flying[key].future.status == "finished"]
        answers = self._fetch(finished)
        for key in ended:
            if key not in answers:
                self._ended_without(key)
            elif (answer := answers[key]) is None:
                self._watch(key)  # its worker ended before it could hand it over: done again
            else:
                self._answered(key, answer)

    def _begins(self, flight: Flight, worker: str) -> None:
        if flight.began is not None:
            flight.job.lost += 1
            self._tell(f"{flight.job.name}: looked at again, its worker was lost")
        flight.began, flight.worker = time.monotonic(), worker

    def _fetch(self, keys: list[str]) -> dict[str, Answer | None]:
        """The answers of finished tasks in one round trip; None where its worker took it along."""
        if not keys:
            return {}
        client = self.cluster.client
        futures = {key: self._flying[key].future for key in keys}
        asked = client.gather(futures, errors="skip", asynchronous=True)
        fetched = asyncio.run_coroutine_threadsafe(asked, client.loop.asyncio_loop)
        try:
            return dict(fetched.result(timeout=FETCH))
        except (TimeoutError, CancelledError, OSError):
            fetched.cancel()
            return dict.fromkeys(keys)

    def _ended_without(self, key: str) -> None:
        """A task that ended without an answer: forgotten by the scheduler, or failed."""
        flight = self._land(key)
        error = flight.future.exception() if flight.future.status == "error" else None
        if error is None:
            self._waiting[flight.job.server].appendleft(flight.job)
        else:
            reason = f"{type(error).__name__}: {redact(' '.join(str(error).split()))}"
            self._keep(could_not_look(flight, reason))

    def _answered(self, key: str, answer: Answer) -> None:
        flight = self._land(key)
        if answer.passing and flight.job.attempt <= self.fleet.retries:
            self._again(flight.job, answer.result.reason)
        else:
            self._keep(counted(flight, answer.result))

    def _again(self, job: Job, reason: str) -> None:
        wait = BACKOFF * 2 ** (job.attempt - 1)
        job.attempt += 1
        heapq.heappush(self._later, (time.monotonic() + wait, next(self._number), job))
        self._tell(f"{reason}; tried again in {wait:.0f} s")

    def _land(self, key: str) -> Flight:
        flight = self._flying.pop(key)
        self._busy[flight.job.server] -= 1
        return flight

    def _keep(self, result: Result) -> None:
        self.keep(result)
        self._done += 1
        self._failed += result.state in (State.COULD_NOT_LOOK, State.NOT_LOOKED)
        said = f"{result.database}: {result.state}"
        self._tell(said if result.state is State.CLEAN else f"{said}, {_why(result)}", ended=True)

    def _tell(self, text: str, ended: bool = False) -> None:
        running = sum(flight.began is not None for flight in self._flying.values())
        left = None
        if self._done:
            pace = (time.monotonic() - self._began) / self._done
            left = timedelta(seconds=round(pace * (self._total - self._done)))
        self.say(Standing(self._total, self._done, running, self._failed, left), text, ended)

    # --- the clock -------------------------------------------------------------------------------

    def _watch_the_clock(self) -> None:
        slow, most = self.fleet.slow_after.total_seconds(), self.fleet.give_up_after.total_seconds()
        now = time.monotonic()
        for key, flight in list(self._flying.items()):
            if flight.began is None:
                continue
            if now - flight.began > most:
                self._give_up(key, flight, most)
            elif now - flight.began > slow and not flight.said:
                flight.said = True
                self._tell(f"{flight.job.name}: still looking after {slow:g} s")

    def _give_up(self, key: str, flight: Flight, most: float) -> None:
        flight.future.cancel(force=True)
        self._land(key)
        self._keep(could_not_look(flight, f"no answer in {most:g} s"))
        self.cluster.end_worker(flight.worker)

    def _take_back(self) -> None:
        client = self.cluster.client
        if not self.cluster.reached():  # then nobody is there to take anything back from
            return
        with suppress(OSError):  # it may end just now
            client.unsubscribe_topic(self.order.topic)
            client.cancel([flight.future for flight in self._flying.values()], force=True)


def _why(result: Result) -> str:
    return result.reason if result.state is not State.ORPHANS else f"{result.orphan_rows:,} rows"
