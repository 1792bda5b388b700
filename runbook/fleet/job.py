"""A database on its way: waiting, handed out, and what it came to."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from runbook.environment import Environment
from runbook.fleet.result import Result, State


@dataclass
class Job:
    """A database that waits for its look; ``attempt`` counts from 1."""

    name: str
    server: str
    environment: Environment
    attempt: int = 1
    lost: int = 0


@dataclass
class Flight:
    """A job that was handed out. ``began`` is None until a worker has said so."""

    job: Job
    future: Any
    began: float | None = None
    worker: str = ""
    said: bool = False


@dataclass(frozen=True)
class Standing:
    """How far a run is: databases ``done`` of ``total``, ``running``, and ``failed`` ones.

    ``left`` is the time that the rest will take at the pace so far; None before the first.
    """

    total: int
    done: int
    running: int
    failed: int
    left: timedelta | None


def counted(flight: Flight, result: Result) -> Result:
    """The result with how often it was tried, and where."""
    job = flight.job
    return result.model_copy(
        update={"attempts": job.attempt, "lost_workers": job.lost, "worker": flight.worker}
    )


def could_not_look(flight: Flight, reason: str) -> Result:
    """The result of a look that sent none."""
    ended = datetime.now(UTC)
    seconds = time.monotonic() - flight.began if flight.began is not None else 0.0
    found = Result(
        database=flight.job.name,
        state=State.COULD_NOT_LOOK,
        reason=reason,
        started=ended - timedelta(seconds=seconds),
        finished=ended,
        seconds=round(seconds, 3),
    )
    return counted(flight, found)
