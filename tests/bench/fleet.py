"""How a fleet scales: ``python -m tests.bench.fleet --help``.

First what one database costs is measured, and runs over real databases with one and two workers.
Then ten thousand databases of those costs are handed out by the real scheduler and the real
:class:`Execution` to more and more workers, whose looks sleep instead of asking a server: that is
the time to hand out and to collect, with as many servers as it takes.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
from distributed import Client, LocalCluster, get_worker
from rich.console import Console

from runbook.embedded import EmbeddedServer, reset
from runbook.environment import Connection, Environment
from runbook.fleet import inventory, run, work
from runbook.fleet.cluster import Cluster
from runbook.fleet.execution import Execution
from runbook.fleet.inventory import FleetSettings
from runbook.fleet.job import Job, Standing
from runbook.fleet.result import Result, State
from runbook.fleet.work import Answer, Order
from tests import fleet
from tests.bench import results

DATABASES = 10_000
WORKERS = (25, 50, 100, 200, 400)
REAL = 60  # databases of the runs that the model is held against
SERVERS = 100  # that the sleeping databases are on, without a limit of their own
LARGE_SHARE = 0.1
LARGE_TABLES, LARGE_ROWS = 20, 20_000
ROUNDS = 9
SEED = 20251229
PROCESSES = 2  # that the sleeping workers share: one for each core


def large() -> Iterator[str]:
    """More tables with keys that nobody declared; they are audited too."""
    for number in range(LARGE_TABLES):
        name = f"part_{number}"
        yield f"CREATE TABLE {name} (id int PRIMARY KEY, customer_id int REFERENCES customers)"
        yield f"INSERT INTO {name} SELECT n, 1 + n % 20 FROM generate_series(1, {LARGE_ROWS}) n"
    yield "VACUUM (ANALYZE)"


@contextmanager
def project(folder: Path, count: int) -> Iterator[fleet.FleetProject]:
    """A fleet of ``count`` small databases on a server of its own, and one large one."""
    folder.chmod(0o755)  # root's server runs as an account that has to reach it
    names = [f"tenant_{number}" for number in range(count)]
    with EmbeddedServer(folder / "server") as server:

        def connect(database: str, _role: str | None = None) -> psycopg.Connection[Any]:
            return psycopg.connect(server.conninfo(database), autocommit=True)

        with fleet.databases(connect, [*names, "large"]):
            with connect("large") as admin:
                for statement in large():
                    admin.execute(statement.encode())
            found = fleet.project(folder, server.conninfo())
            found.write([fleet.entry(name) for name in names])
            os.environ.update(found.variables)
            yield found
    reset(folder / "server")


def cost(found: fleet.FleetProject, name: str) -> float:
    """Median seconds of a look at one database: connect, census, audit."""
    listed = inventory.Database(name=name, server="one", dbname=name)
    environment = inventory.environment_of(listed, found.settings.environments["production"])
    order = work.order(found.settings, found.inventory.fleet, "bench")
    answers = [work.examine(order, environment).result for _ in range(ROUNDS)]
    if any(answer.state is not State.CLEAN for answer in answers):
        raise SystemExit(f"{name}: {answers[0].state}, {answers[0].reason}")
    return median(answer.seconds for answer in answers)


def quiet(_standing: Standing, _text: str, _ended: bool) -> None:
    """The benchmark shows its own lines."""


def real(found: fleet.FleetProject, workers: int) -> float:
    """Databases a second of a real run, its workers' start left out."""
    took = run.execute(
        found.settings, found.inventory, run.Wishes(workers=workers, jobs_per_server=workers), quiet
    )
    if took.exit_code:
        raise SystemExit(f"the run with {workers} workers ended with {took.exit_code}")
    began = min(result.started for result in took.results)
    ended = max(result.finished for result in took.results)
    return len(took.results) / (ended - began).total_seconds()


def nap(order: Order, key: str, environment: Environment) -> Answer:
    """The task of the simulation: it says that it begins, and takes the time that it is told."""
    worker = get_worker()
    worker.log_event(order.topic, {"key": key, "at": worker.address})
    seconds = float(environment.title)
    time.sleep(seconds)
    now = datetime.now(UTC)
    found = Result(
        database=environment.name, state=State.CLEAN, started=now, finished=now, seconds=seconds
    )
    return Answer(found)


@dataclass(frozen=True)
class Simulated:
    """``workers`` that looked at all databases in ``seconds``; ``least`` with no overhead."""

    workers: int
    seconds: float
    least: float

    @property
    def efficiency(self) -> float:
        return self.least / self.seconds


def simulate(order: Order, workers: int, seconds: list[float]) -> Simulated:
    """Hand out one sleeping look for each of ``seconds`` to ``workers`` threads."""
    reader = Connection(variable="NOBODY")
    jobs = [
        Job(
            f"tenant_{number:05}",
            f"server_{number % SERVERS:03}",
            Environment(name=f"tenant_{number:05}", title=f"{each}", reader=reader, gate="clean"),
        )
        for number, each in enumerate(seconds)
    ]
    places = {job.server: len(jobs) for job in jobs}
    kept: list[Result] = []
    threads = max(1, workers // PROCESSES)
    with (
        LocalCluster(
            n_workers=min(workers, PROCESSES),
            threads_per_worker=threads,
            dashboard_address=None,
            memory_limit=0,
        ) as local,
        Client(local) as client,
    ):
        begun = time.monotonic()
        execution = Execution(
            Cluster(client, own=True),
            order,
            FleetSettings(environment="production"),
            places,
            kept.append,
            quiet,
            nap,
        )
        execution.run(jobs)
        took = time.monotonic() - begun
    if len(kept) != len(jobs):
        raise SystemExit(f"{len(kept)} results, expected {len(jobs)}")
    return Simulated(workers, took, max(sum(seconds) / workers, *seconds))


def costs(small: float, large_: float, count: int) -> list[float]:
    """A tenth of the databases is large, in an order that is the same every time."""
    many = round(count * LARGE_SHARE)
    seconds = [large_] * many + [small] * (count - many)
    random.Random(SEED).shuffle(seconds)  # noqa: S311 - an order, no secret
    return seconds


def at_best(count: int, points: list[Simulated]) -> dict[str, results.Value]:
    """What handing out and collecting costs where more workers no longer help."""
    best = min(point.seconds for point in points)
    return {
        "fleet.floor_ms": results.rounded(best / count * 1000),
        "fleet.most_a_second": round(count / best),
    }


def measure(folder: Path, count: int, say: Console) -> dict[str, results.Value]:
    with project(folder, REAL) as found:
        small, large_ = cost(found, "tenant_0"), cost(found, "large")
        say.print(f"one database: small {small:.3f} s, large {large_:.3f} s")
        pace = {workers: real(found, workers) for workers in (1, 2)}
        say.print(f"databases a second: {pace}")
        order = work.order(found.settings, found.inventory.fleet, "bench")
    empty = simulate(order, PROCESSES, [0.0] * 2_000)
    overhead = empty.seconds / 2_000
    say.print(f"a task without work: {overhead * 1000:.2f} ms")
    seconds = costs(small, large_, count)
    load = f"{os.getloadavg()[0]:.1f}"
    facts: dict[str, results.Value] = {
        "fleet.databases": count,
        "fleet.load": load,
        "fleet.real": REAL,
        "fleet.large_percent": round(LARGE_SHARE * 100),
        "fleet.large_relationships": LARGE_TABLES + 2,
        "fleet.small_relationships": 2,
        "fleet.small_ms": results.rounded(small * 1000),
        "fleet.large_ms": results.rounded(large_ * 1000),
        "fleet.overhead_ms": results.rounded(overhead * 1000),
        "fleet.work_seconds": results.rounded(sum(seconds)),
        "fleet.expected.1": results.rounded(1 / small),
    }
    for workers, a_second in pace.items():
        facts[f"fleet.real.{workers}"] = results.rounded(a_second)
    points = [simulate(order, workers, seconds) for workers in WORKERS]
    facts |= at_best(count, points)
    for workers, point in zip(WORKERS, points, strict=True):
        say.print(f"{workers} workers: {point.seconds:.1f} s, at least {point.least:.1f} s")
        facts[f"fleet.{workers}.workers"] = workers
        facts[f"fleet.{workers}.seconds"] = results.rounded(point.seconds)
        facts[f"fleet.{workers}.least"] = results.rounded(point.least)
        facts[f"fleet.{workers}.percent"] = round(point.efficiency * 100)
    return facts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--databases", type=int, default=DATABASES, help="that are simulated")
    parser.add_argument("--save", type=Path, help="JSON file whose facts the site quotes")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fkr-fleet-") as folder:
        facts = measure(Path(folder), given.databases, Console(width=140))
    if given.save:
        results.save(given.save, "fleet", results.conditions("18"), facts)


if __name__ == "__main__":
    main()
