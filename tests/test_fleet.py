"""``runbook fleet run`` on two hundred databases: lost workers, limits, interruptions, secrets."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from runbook.fleet import ledger
from runbook.fleet.result import State
from tests import fleet
from tests.conftest import Connect
from tests.fleet import FleetProject, entry

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

NAMES = tuple(f"tenant_{number:03}" for number in range(200))
ORPHANED, LOCKED = NAMES[7], (NAMES[80], NAMES[81])
OTHER_TABLE, OTHER_KEYS, WITHOUT_TABLES = NAMES[20], NAMES[30], NAMES[40]


@pytest.fixture(scope="module")
def two_hundred(connect: Connect) -> Iterator[tuple[str, ...]]:
    with fleet.databases(connect, NAMES):
        changes = {
            ORPHANED: "INSERT INTO orders VALUES (1000, 999), (1001, 999), (1002, 998)",
            OTHER_TABLE: "CREATE TABLE notes (id int PRIMARY KEY)",
            OTHER_KEYS: "ALTER TABLE lines DROP CONSTRAINT lines_order_id_fkey",
            WITHOUT_TABLES: "DROP TABLE lines; DROP TABLE orders",
        }
        for name, statement in changes.items():
            with connect(name, None) as admin:
                admin.execute(statement.encode())
        yield NAMES


@pytest.fixture
def project(tmp_path: Path, admin_dsn: str, two_hundred: tuple[str, ...]) -> FleetProject:
    assert two_hundred
    return fleet.project(tmp_path, admin_dsn)


def wait_until(true: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


@contextmanager
def locked(connect: Connect, names: Sequence[str]) -> Iterator[None]:
    """Looks at these databases wait for a lock as long as this lasts."""
    with ExitStack() as stack:
        for name in names:
            admin = stack.enter_context(connect(name, None))
            stack.enter_context(admin.transaction())
            admin.execute("LOCK TABLE customers IN ACCESS EXCLUSIVE MODE")
        yield


def waiting(connect: Connect) -> set[str]:
    """The databases whose look waits for a lock."""
    with connect("postgres", None) as admin:
        rows = admin.execute(
            "SELECT datname FROM pg_stat_activity"
            " WHERE application_name = 'fk-runbook' AND wait_event_type = 'Lock'"
        ).fetchall()
    return {row[0] for row in rows}


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    children = psutil.Process(process.pid).children(recursive=True)
    alive = (child for child in children if child.status() != psutil.STATUS_ZOMBIE)
    return [child for child in alive if "spawn_main" in " ".join(child.cmdline())]


def test_a_killed_worker_loses_no_database(project: FleetProject, connect: Connect) -> None:
    project.write([*(entry(name) for name in NAMES), entry("gone")])
    with locked(connect, LOCKED):  # both workers are looking when one is killed
        process = project.start("run", "--workers", "2")
        wait_until(lambda: waiting(connect) == set(LOCKED))
        workers = workers_of(process)
        assert len(workers) == 2
        environ = workers[0].environ()
        workers[0].send_signal(signal.SIGKILL)
        wait_until(lambda: len(workers_of(process)) == 2)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1, err

    # exactly one result each
    assert sorted(project.lines()) == sorted([*NAMES, "gone"])
    found = {result.database: result for result in project.found().results}
    assert len(found) == 201
    (lost,) = [result for result in found.values() if result.lost_workers]
    assert lost.database in LOCKED
    assert lost.worker.startswith("tls://127.0.0.1:")
    assert (lost.state, lost.lost_workers, lost.attempts) == (State.CLEAN, 1, 1)
    assert f"fleet: {lost.database}: looked at again, its worker was lost\n" in err

    # each is what it is
    states = {name: result.state for name, result in found.items()}
    apart = {ORPHANED: "orphans", WITHOUT_TABLES: "could not look", "gone": "could not look"}
    assert {name: state for name, state in states.items() if state != "clean"} == apart
    assert found[ORPHANED].worst == (("orders.customer_id", 3),)
    assert found["gone"].attempts == 3
    assert found["gone"].reason.endswith('database "gone" does not exist')
    assert "no table 'public.orders'" in found[WITHOUT_TABLES].reason
    assert "201 databases: orphans 1, could not look 2, clean 198\n3 orphan rows in all\n" in out
    for name in (OTHER_TABLE, WITHOUT_TABLES):
        assert f": 1 database, {name}\n" in out
    assert f"the common schema with other keys than most: 1 database, {OTHER_KEYS}\n" in out

    # no secret that is not needed
    assert environ[fleet.VARIABLE] == project.variables[fleet.VARIABLE]
    assert fleet.OWNER_VARIABLE not in environ
    kept = [path.read_text(encoding="utf-8") for path in project.run_folder.iterdir()]
    assert len(kept) == 2
    assert not any(fleet.PASSWORD in text for text in (*kept, out, err))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_an_interrupted_run_left_is_done_once(
    project: FleetProject, connect: Connect, number: signal.Signals
) -> None:
    names = NAMES[80:92]
    project.write([entry(name) for name in names])
    with locked(connect, names[4:6]):
        process = project.start("run", "--workers", "2")
        wait_until(lambda: len(waiting(connect)) == 2)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    before = project.found()
    assert set(before.missing) >= set(names[4:6])
    assert before.results
    if number != signal.SIGKILL:
        assert process.returncode == 3
        left = len(before.missing)
        assert err.endswith(
            f"error: interrupted: {left} databases not looked at\n"
            "hint: do the rest: runbook fleet run --inventory fleet.toml --resume\n"
        )
        assert before.interrupted
        assert before.exit_code == 3
    else:
        assert before.finished is None
        shown = project("show")
        assert shown.returncode == 3
        assert "the run still goes on, or was killed: --resume does the rest\n" in shown.stdout
        with (project.run_folder / ledger.LINES).open("a") as file:
            file.write('{"format": 1, "datab')  # cut off in the middle of a line
    wait_until(lambda: not waiting(connect))  # the workers of a killed client end by themselves

    again = project("run", "--workers", "2", "--resume")
    assert again.returncode == 0, again.stderr
    assert sorted(project.lines()) == sorted(names)
    after = project.found()
    assert after.missing == ()
    assert not after.interrupted
    kept = {result.database: result for result in before.results}
    assert {r.database: r for r in after.results if r.database in kept} == kept


def test_a_server_is_not_worked_harder_than_it_may_be(
    project: FleetProject, connect: Connect
) -> None:
    one, three = NAMES[100:108], NAMES[108:132]
    project.write(
        [*(entry(name, "small") for name in one), *(entry(name, "big") for name in three)],
        "jobs_per_server = 3\n[servers.small]\njobs = 1",
    )
    process = project.start("run", "--workers", "6")
    most = {"small": 0, "big": 0}
    with connect("postgres", None) as admin:
        while process.poll() is None:
            rows = admin.execute(
                "SELECT DISTINCT datname FROM pg_stat_activity"
                " WHERE application_name = 'fk-runbook'"
                " AND state IN ('active', 'idle in transaction')"
            ).fetchall()
            now = {row[0] for row in rows}
            most["small"] = max(most["small"], len(now & set(one)))
            most["big"] = max(most["big"], len(now & set(three)))
    assert process.communicate()[1] is not None
    assert process.returncode == 0
    assert most == {"small": 1, "big": 3}


def test_what_does_not_answer_is_given_up_and_the_rest_goes_on(project: FleetProject) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        project.variables["SILENT_URL"] = f"host=127.0.0.1 port={port} user=x dbname=x"
        reader = 'reader = { variable = "SILENT_URL" }'
        project.write(
            [entry("silent", "two", "x", reader), *(entry(name) for name in NAMES[110:130])],
            'slow_after = "500ms"\ngive_up_after = "2s"',
        )
        found = project("run", "--workers", "2")
    assert found.returncode == 3
    assert "fleet: silent: still looking after 0.5 s\n" in found.stderr
    results = {result.database: result for result in project.found().results}
    assert results["silent"].state is State.COULD_NOT_LOOK
    assert results["silent"].reason == "no answer in 2 s"
    assert len(results) == len(project.lines()) == 21
    assert {r.state for n, r in results.items() if n != "silent"} == {State.CLEAN}


# --- a scheduler of somebody else's ------------------------------------------------------------


@contextmanager
def scheduler(project: FleetProject) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A Dask scheduler without workers: its address and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
    with dask(project, *words) as process:
        wait_until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
        yield f"tcp://127.0.0.1:{port}", process


@contextmanager
def dask(project: FleetProject, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", f"distributed.cli.dask_{words[0]}", *words[1:]],
        env=project.variables,
        cwd=project.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_a_given_scheduler_whose_workers_alone_know_the_password(project: FleetProject) -> None:
    project.write([entry(name) for name in NAMES[100:120]])
    with (
        scheduler(project) as (address, _),
        dask(project, "worker", address, "--nthreads", "2", "--no-dashboard"),
    ):
        for name in ("PGPASSFILE", fleet.VARIABLE):  # the client cannot connect to any database
            project.variables.pop(name)
        wait_for_workers(project, address)
        found = project("run", "--scheduler", address)
        assert found.returncode == 0, found.stderr
        assert len(project.lines()) == 20


def wait_for_workers(project: FleetProject, address: str) -> None:
    code = f"from distributed import Client; Client({address!r}).wait_for_workers(1, 30)"
    subprocess.run([sys.executable, "-c", code], check=True, env=project.variables, timeout=60)


@pytest.mark.parametrize("ends", ["worker", "scheduler"])
def test_a_cluster_that_ends_is_incomplete_and_can_be_resumed(
    project: FleetProject, connect: Connect, ends: str
) -> None:
    names = NAMES[80:90]
    project.write([entry(name) for name in names], 'wait_for_workers = "4s"')
    with (
        scheduler(project) as (address, head),
        dask(project, "worker", address, "--nthreads", "2", "--no-dashboard") as worker,
    ):
        wait_for_workers(project, address)
        with locked(connect, names[4:6]):
            process = project.start("run", "--scheduler", address)
            wait_until(lambda: len(waiting(connect)) == 2)
            (worker if ends == "worker" else head).terminate()
            _, err = process.communicate(timeout=100)
    assert process.returncode == 3
    assert project.found().interrupted
    missing = project.found().missing
    left = len(missing)
    assert {*names[4:6]} <= {*missing} == {*names} - {*project.lines()}
    assert err.endswith(
        f"error: no worker for 4 s: {left} databases were not looked at\n"
        "hint: start workers, then do the rest with --resume\n"
    )
    again = project("run", "--resume")
    assert again.returncode == 0, again.stderr
    assert sorted(project.lines()) == sorted(names)


def test_what_is_wrong_with_a_scheduler_is_said(project: FleetProject) -> None:
    project.write([entry(NAMES[100])], 'wait_for_workers = "3s"')
    found = project("run", "--scheduler", "tcp://127.0.0.1:9")
    assert found.returncode == 3
    assert found.stderr.endswith(
        "error: no Dask scheduler answers at 'tcp://127.0.0.1:9' within 10 s\n"
        "hint: start one with dask scheduler, or leave --scheduler out for workers of this"
        " machine\n"
    )
    (project.folder / "older.py").write_text("import runbook\nrunbook.__version__ = '0.0.1'\n")
    with scheduler(project) as (address, _):
        found = project("run", "--scheduler", address)
        assert found.returncode == 3
        assert found.stderr.endswith(
            f"error: the scheduler at '{address}' has no worker after 3 s\n"
            f"hint: start some: dask worker {address}\n"
        )
        with dask(
            project, "worker", address, "--no-dashboard", "--no-nanny", "--preload", "older.py"
        ):
            wait_for_workers(project, address)
            found = project("run", "--scheduler", address)
    assert found.returncode == 3
    assert " has fk-runbook 0.0.1, expected " in found.stderr
    assert found.stderr.endswith("hint: install the same versions on all machines\n")
    (project.folder / "without.py").write_text("import sys\nsys.modules['runbook'] = None\n")
    with (
        scheduler(project) as (address, _),
        dask(project, "worker", address, "--no-dashboard", "--no-nanny", "--preload", "without.py"),
    ):
        wait_for_workers(project, address)
        found = project("run", "--scheduler", address)
    assert found.returncode == 3
    assert " cannot import fk-runbook: " in found.stderr
    assert found.stderr.endswith("hint: on that machine: pip install 'fk-runbook[fleet]'\n")
    assert not (project.folder / "runs").exists()


def test_a_variable_that_would_make_all_databases_one_is_refused(project: FleetProject) -> None:
    project.write([entry(NAMES[100])])
    project.variables["RUNBOOK_READER_DSN"] = os.environ.get("HOME", "x")
    found = project("run")
    assert found.returncode == 2
    assert found.stderr.endswith(
        "error: RUNBOOK_READER_DSN is set: every database of the fleet would be the same one\n"
        "hint: unset RUNBOOK_READER_DSN; fleet.toml says how each database is reached\n"
    )
