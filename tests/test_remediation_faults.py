"""What befalls a remediation on a live server: others at work, locks, ends of either side."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql

from runbook import connection, lock, session
from runbook.connection import Purpose
from runbook.environment import Change
from runbook.errors import IncompleteError, UsageError
from runbook.remediation import preparation, quarantine
from runbook.remediation.batches import Batches
from runbook.remediation.preparation import Request
from runbook.remediation.remedy import Strategy
from runbook.remediation.survey import one
from runbook.settings import read as read_settings
from tests import project
from tests.remedies import Ward, ward

pytestmark = pytest.mark.slow

__all__ = ["ward"]  # a fixture

QUARANTINE = ("orders.customer_id", "--strategy", "quarantine")
PATIENT = 'batch = 2, attempts = 300, pause = "10ms", lock = "50ms"'
BEFORE = "the batches before are kept: the same command goes on, or --undo {0} takes them back"


@pytest.fixture
def keyed(ward: Ward) -> Ward:
    """With the relationship of orders and its key."""
    ward.relate("orders", "customer_id", "customers")
    ward.key()
    return ward


def on_delete(ward: Ward, body: str) -> None:
    """Do ``body`` before each delete of an order."""
    ward.place.run(
        f"CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body};"
        " RETURN old; END $$;"
        "CREATE TRIGGER fault BEFORE DELETE ON orders FOR EACH ROW EXECUTE FUNCTION fault()"
    )


@contextmanager
def in_flight(ward: Ward, statement: str) -> Iterator[psycopg.Connection[Any]]:
    """A transaction of the application that has done ``statement`` and not yet ended."""
    with ward.place.connect(ward.place.database, "telecore_owner") as other:
        other.execute(f'SET search_path TO "{ward.place.schema}"'.encode())
        other.execute("BEGIN")
        other.execute(statement.encode())
        yield other


def until(holds: Any, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


# --- races ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("commits", [True, False])
def test_a_parent_on_its_way_is_waited_for(keyed: Ward, commits: bool) -> None:
    """Without the lock the row would go while its parent comes."""
    keyed.settle(PATIENT)
    with in_flight(keyed, "INSERT INTO customers VALUES (4, 'late')") as other:
        ending = threading.Timer(0.5, other.execute, ("COMMIT" if commits else "ROLLBACK",))
        ending.start()
        keyed.apply(*QUARANTINE)
        ending.join()
    expected = [(1,), (2,), (4,)] if commits else [(1,), (2,)]
    assert keyed.ask("SELECT id FROM orders ORDER BY id") == expected
    assert (keyed.last().rows, keyed.last().left) == (7 - len(expected), 0)


@pytest.mark.parametrize("reference", ["REFERENCES orders ON DELETE CASCADE", ""])
def test_a_dependent_on_its_way_is_waited_for(keyed: Ward, reference: str) -> None:
    """Without a key it is the lock alone that keeps the line from becoming an orphan row."""
    keyed.place.run(f"CREATE TABLE lines (id int PRIMARY KEY, order_id int {reference})")
    keyed.relate("lines", "order_id", "orders")
    keyed.settle(PATIENT)
    with in_flight(keyed, "INSERT INTO lines VALUES (1, 4)") as other:
        ending = threading.Timer(0.5, other.execute, ("COMMIT",))
        ending.start()
        keyed.apply(*QUARANTINE, code=1)
        ending.join()
    assert keyed.ask("SELECT id FROM orders ORDER BY id") == [(1,), (2,), (4,)]
    assert keyed.ask("SELECT * FROM lines") == [(1, 4)]
    assert (keyed.last().rows, keyed.last().left) == (4, 1)


def test_a_row_that_is_mended_meanwhile_is_left_alone(keyed: Ward) -> None:
    keyed.settle(PATIENT)
    with in_flight(keyed, "UPDATE orders SET customer_id = 1, note = 'mine' WHERE id = 4") as other:
        ending = threading.Timer(0.5, other.execute, ("COMMIT",))
        ending.start()
        keyed.apply(*QUARANTINE)
        ending.join()
    assert keyed.ask("SELECT id, note FROM orders WHERE id > 2") == [(4, "mine")]
    assert keyed.last().rows == 4


def test_a_lock_that_is_never_let_go(keyed: Ward) -> None:
    with in_flight(keyed, "LOCK TABLE customers IN ROW EXCLUSIVE MODE") as other:
        code, said = keyed(*QUARANTINE, "--apply", "--reason", "a test")
        wanted = keyed.last().id
        assert (code, said) == (
            3,
            (
                f"remediation {wanted}: no lock in 3 attempts: canceling statement due to lock"
                " timeout (55P03)\n"
                "hint: see who holds one in pg_locks; the same command goes on with the rest"
            ),
        )
        assert (keyed.last().state, keyed.last().rows) == ("unfinished", 0)
        other.execute("ROLLBACK")
    assert keyed.apply(*QUARANTINE) == wanted
    assert (keyed.last().state, keyed.last().rows) == ("finished", 5)


def test_a_deadlock_is_ours_to_lose_and_tried_again(keyed: Ward) -> None:
    keyed.settle('batch = 5, attempts = 5, pause = "300ms", lock = "5s"')
    waiting = "SELECT FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted"
    with in_flight(keyed, "SELECT FROM orders WHERE id = 4 FOR UPDATE") as other:

        def crosses() -> None:
            # the remediation holds customers now, and waits for the order
            until(lambda: bool(keyed.ask(waiting)))
            other.execute("INSERT INTO customers VALUES (9, 'nine')")
            other.execute("COMMIT")

        crossing = threading.Thread(target=crosses)
        crossing.start()
        keyed.apply(*QUARANTINE)
        crossing.join()
    assert keyed.ask("SELECT id FROM customers ORDER BY id") == [(1,), (2,), (9,)]
    assert keyed.last().rows == 5
    assert keyed.ask(
        "SELECT deadlocks > 0 FROM pg_stat_database WHERE datname = current_database()"
    )


def test_only_one_at_a_time(keyed: Ward) -> None:
    environment = read_settings(keyed.folder).environment("shop")
    with lock.alone(environment):
        code, said = keyed(*QUARANTINE, "--apply", "--reason", "a test")
    assert (code, said.partition(": backend")[0]) == (
        3,
        (f"environment 'shop': another run is going on in database {keyed.place.database!r}"),
    )
    assert keyed.ask("SELECT count(*) FROM orders") == [(7,)]


@pytest.mark.slow
def test_writers_wait_for_a_batch_and_no_longer(keyed: Ward) -> None:
    keyed.settle("batch = 1000")
    keyed.place.run(
        "INSERT INTO customers SELECT n FROM generate_series(8, 20000) n;"
        "INSERT INTO orders SELECT n, CASE WHEN n % 10 = 0 THEN NULL ELSE 1 END"
        " FROM generate_series(8, 400000) n;"
        "ALTER TABLE orders DROP CONSTRAINT k;"
        "UPDATE orders SET customer_id = 100000 + id WHERE customer_id IS NULL"
    )
    keyed.key()
    stalls: list[float] = []
    done = threading.Event()

    def write() -> None:
        with in_flight(keyed, "COMMIT") as other:
            while not done.wait(0.001):
                begun = time.monotonic()
                other.execute("INSERT INTO customers SELECT max(id) + 1 FROM customers")
                other.execute("UPDATE orders SET note = 'mine' WHERE id = 1")
                stalls.append(time.monotonic() - begun)

    writer = threading.Thread(target=write)
    writer.start()
    keyed.apply(*QUARANTINE)
    done.set()
    writer.join()
    print(f"{keyed.last().rows:,} rows, {len(stalls)} writes, the longest {max(stalls):.3f} s")
    assert keyed.last().rows == 40_000 + 5
    assert max(stalls) < 1


def test_rows_that_are_written_all_the_time_are_mended_too(keyed: Ward) -> None:
    keyed.settle(PATIENT)
    done = threading.Event()

    def write() -> None:
        with in_flight(keyed, "COMMIT") as other:
            while not done.is_set():
                other.execute("UPDATE orders SET note = note WHERE customer_id > 2")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        keyed.apply("orders.customer_id", "--strategy", "reassign", "--to", "2")
    finally:
        done.set()
        writer.join()
    assert (keyed.last().rows, keyed.last().left) == (5, 0)


# --- ends ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "reason", "advice"),
    [
        (
            "IF old.id = 6 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF",
            "terminating connection due to administrator command (57P01)",
            "",
        ),
        (
            "IF old.id = 6 THEN RAISE EXCEPTION 'not this one'; END IF",
            "not this one (P0001)",
            "",
        ),
        (
            "IF old.id = 6 THEN PERFORM pg_sleep(9); END IF",
            "canceling statement due to statement timeout (57014)",
            "lower change.batch or raise change.statement; ",
        ),
    ],
)
def test_whole_batches_are_there_and_the_rest_follows(
    keyed: Ward, body: str, reason: str, advice: str
) -> None:
    keyed.settle('batch = 2, statement = "2s"')
    before = keyed.dump("orders")
    on_delete(keyed, body)
    code, said = keyed(*QUARANTINE, "--apply", "--reason", "a test")
    wanted = keyed.ask("SELECT id FROM runbook_quarantine.remediation")[0][0]
    assert (code, said) == (
        3,
        f"remediation {wanted}: {reason}\nhint: {advice}{BEFORE.format(wanted)}",
    )
    assert keyed.ask("SELECT rows, batches FROM runbook_quarantine.remediation") == [(2, 1)]
    assert keyed.ask("SELECT id FROM orders WHERE id > 2 ORDER BY id") == [(5,), (6,), (7,)]
    assert keyed("orders", "--strategy", "flag", "--apply", "--reason", "b") == (
        2,
        (
            f"remediation {wanted} (quarantine) of {keyed.last().relationship} is not finished\n"
            f"hint: go on with it by the same words, or take it back: --undo {wanted}"
        ),
    )
    keyed.place.run("DROP TRIGGER fault ON orders")
    assert keyed.apply(*QUARANTINE) == wanted
    done = keyed.last()
    assert (done.rows, done.batches, done.left) == (5, 3, 0)
    kept = f"SELECT runbook_row::int, id FROM {done.kept_in} ORDER BY 1"
    assert keyed.ask(kept) == [(1, 3), (2, 4), (3, 5), (4, 6), (5, 7)]
    keyed.place.run("ALTER TABLE orders DROP CONSTRAINT k")
    assert keyed.undo(wanted)[0] == 0
    assert keyed.dump("orders") == before


def test_half_a_remediation_can_be_taken_back(keyed: Ward) -> None:
    before = keyed.dump("orders")
    on_delete(keyed, "IF old.id = 6 THEN RAISE EXCEPTION 'not this one'; END IF")
    assert keyed(*QUARANTINE, "--apply", "--reason", "a test")[0] == 3
    keyed.place.run("ALTER TABLE orders DROP CONSTRAINT k")
    assert keyed.undo(keyed.last().id)[0] == 0
    assert keyed.dump("orders") == before


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_program_is_gone_on_with(keyed: Ward, number: signal.Signals) -> None:
    on_delete(keyed, "IF old.id = 6 THEN PERFORM pg_advisory_xact_lock(6); END IF")
    keyed.settle('batch = 2, attempts = 300, pause = "10ms", lock = "20s", statement = "30s"')
    waiting = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 6"
    with in_flight(keyed, "SELECT pg_advisory_xact_lock(6)") as other:
        program = subprocess.Popen(
            [
                *(sys.executable, "-m", "runbook", "remediate", "shop", *QUARANTINE),
                *("--apply", "--reason", "a test"),
            ],
            cwd=keyed.folder,
            env=os.environ | {"PYTHONPATH": str(project.ROOT)},
            stderr=subprocess.PIPE,
            text=True,
        )
        until(lambda: bool(keyed.ask(waiting)), 30)
        assert keyed.ask("SELECT batches FROM runbook_quarantine.remediation") == [(1,)]
        program.send_signal(number)
        said = program.communicate(timeout=20)[1]
        wanted = keyed.last().id
        if number is signal.SIGTERM:
            assert program.returncode == 3
            hint = BEFORE.format(wanted)
            assert f"error: remediation {wanted}: interrupted\nhint: {hint}" in said
        ending = threading.Timer(1, other.execute, ("COMMIT",))
        ending.start()
        assert keyed.apply(*QUARANTINE) == wanted  # what the server still does is waited for
        ending.join()
    assert (keyed.last().rows, keyed.last().left) == (5, 0)
    kept = f"SELECT id FROM {keyed.last().kept_in} ORDER BY id"
    assert keyed.ask(kept) == [(3,), (4,), (5,), (6,), (7,)]


def test_a_finished_remediation_is_not_gone_on_with(keyed: Ward) -> None:
    """Whoever held the lock before us may have finished it."""
    keyed.apply(*QUARANTINE)
    keyed.place.run("ALTER TABLE orders DROP CONSTRAINT k; INSERT INTO orders VALUES (8, 8)")
    settings = read_settings(keyed.folder)
    change = Change()
    owner = session.connect(settings.environment("shop"), Purpose.WRITE)
    try:
        with quarantine.changing(owner, change, change.scan):
            request = Request("orders", Strategy.QUARANTINE)
            remedy = preparation.remedy(owner, settings.relationships(), "r.toml", request)
        with pytest.raises(UsageError) as caught:
            Batches(owner, remedy, change, keyed.last(), lambda _said: None).apply()
        assert str(caught.value) == (
            f"remediation {keyed.last().id} is finished meanwhile\nhint: see --list and begin anew"
        )
        with pytest.raises(IncompleteError) as incomplete, owner.transaction():
            one(owner, sql.SQL("SELECT WHERE false").format())
        assert str(incomplete.value) == "a count returned no row\nhint: run it again"
    finally:
        owner.close()
    assert keyed.ask("SELECT count(*) FROM orders") == [(3,)]


def test_the_owner_is_needed(keyed: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(connection.OVERRIDE_OWNER)
    assert keyed(*QUARANTINE) == (
        2,
        (
            "environment 'shop': the environment variable 'SHOP_URL' is not set\n"
            "hint: export SHOP_URL='host=… dbname=… user=…' (the password belongs into a passfile)"
        ),
    )
