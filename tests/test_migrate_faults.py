"""What an apply does about every fault that a live database has for it."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import conninfo

from runbook.connection import OVERRIDE_OWNER, OVERRIDE_READER
from runbook.environment import Change
from runbook.errors import IncompleteError
from runbook.migration import execution
from runbook.migration.execution import Phase
from runbook.migration.log import StepOutcome
from runbook.migration.plan import Plan, PlanStep, StepKind
from runbook.relationships import Relationship
from runbook.schema import Action
from runbook.telecore import demo
from tests import migrations, pooler, proxy, standby
from tests.conftest import PASSWORDS, Connect
from tests.migration_project import TABLES, Shop
from tests.places import OWNER, Dsn, Place

pytestmark = pytest.mark.slow

BEFORE, AFTER = Phase.BEFORE, Phase.AFTER
Observe = Callable[[PlanStep, int, Phase], None]


@pytest.fixture
def orders(place: Place) -> Relationship:
    place.run(TABLES)
    return item(place)


def item(place: Place) -> Relationship:
    return place.relationship("orders", "customer_id", "customers", "id", on_delete=Action.RESTRICT)


def change(**values: Any) -> Change:
    given = Change.model_validate(values).model_dump(include=set(values))
    return migrations.QUICK.model_copy(update=given)


def at(kind: StepKind, number: int, phase: Phase, act: Callable[[], None]) -> Observe:
    """Do ``act`` the first time that a step of ``kind`` comes to this boundary."""
    left = [act]

    def observe(step: PlanStep, n: int, p: Phase) -> None:
        if left and (step.kind, n, p) == (kind, number, phase):
            left.pop()()

    return observe


@contextmanager
def holding(place: Place, *statements: str) -> Iterator[psycopg.Connection[Any]]:
    """Another session of the owner in a transaction that has done ``statements``."""
    with place.connect(place.database, OWNER) as other:
        other.execute(f'SET search_path = "{place.schema}"'.encode())
        other.execute("SET application_name = 'the application'")
        other.execute("BEGIN")
        for statement in statements:
            other.execute(statement.encode())
        yield other


def waiting(place: Place, condition: str = "wait_event_type = 'Lock'") -> int | None:
    """The backend of the apply, once ``condition`` of pg_stat_activity holds for it."""
    with place.connect(place.database, None) as admin:
        row = admin.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'fk-runbook'"
            f" AND datname = current_database() AND {condition}".encode()
        ).fetchone()
    return row[0] if row else None


def until_waiting(place: Place, begun: threading.Event) -> int:
    """The backend of the apply, once it waits for a lock after ``begun``."""
    assert begun.wait(60)
    end = time.monotonic() + 10
    while (pid := waiting(place)) is None:
        assert time.monotonic() < end, "the apply does not wait for a lock"
        time.sleep(0.01)
    return pid


@contextmanager
def beside(work: Callable[[], None]) -> Iterator[None]:
    """Do ``work`` in a thread, and wait for its end; its fault is the test's."""
    faults: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised below, in the test's own thread
            faults.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield
    thread.join(30)
    assert not thread.is_alive()
    if faults:
        raise faults[0]


INSERT = "INSERT INTO orders VALUES (9001, 1)"

# --- locks --------------------------------------------------------------------------------------


def test_a_long_writer_is_not_queued_behind_and_is_named(
    place: Place, orders: Relationship, connect: Connect
) -> None:
    plan = migrations.make_plan(place, orders)
    migrations.apply(place, migrations.make_plan(place, orders))
    place.run("ALTER TABLE orders DROP CONSTRAINT fk_orders_customer_id")
    before = migrations.catalog_of(connect, place)
    with holding(place, INSERT) as other:
        time.sleep(0.3)
        log = migrations.apply(place, plan)
        pid = other.info.backend_pid
    who = re.escape(
        f"backend {pid} (the application, idle in transaction, for AGE s)"
        f" holds ROW EXCLUSIVE on {place.schema}.orders"
    ).replace("AGE", "[0-9.]+")
    step = migrations.step_of(log, "add")
    assert [a.sqlstate for a in step.attempts] == [""] * 5
    assert step.outcome is StepOutcome.FAILED
    assert re.fullmatch(f"002-add: gave up after 5 attempts: {who}", log.failure)
    assert log.hint == (
        "end what blocks it or choose a quieter hour, and apply the same plan again"
    )
    assert log.exit_code == 3
    assert migrations.catalog_of(connect, place) == before


def test_a_lock_that_comes_between_is_asked_for_again(place: Place, orders: Relationship) -> None:
    plan = migrations.make_plan(place, orders)
    with place.connect(place.database, OWNER) as other:
        other.execute(f'SET search_path = "{place.schema}"'.encode())

        def lock() -> None:
            other.execute("BEGIN")
            other.execute(INSERT)
            threading.Timer(0.25, lambda: other.execute("COMMIT")).start()

        log = migrations.apply(place, plan, observe=at(StepKind.ADD, 0, BEFORE, lock))
    step = migrations.step_of(log, "add")
    assert step.outcome is StepOutcome.DONE
    assert step.attempts[0].sqlstate == "55P03"
    assert step.attempts[0].blockers != ()
    assert step.waited >= 0.1
    assert place.key().validated


def test_a_key_that_comes_right_before_the_lock_is_not_added_twice(
    place: Place, orders: Relationship
) -> None:
    plan = migrations.make_plan(place, orders)
    add = """ALTER TABLE orders ADD CONSTRAINT mine FOREIGN KEY (customer_id)
        REFERENCES customers ON DELETE RESTRICT"""
    log = migrations.apply(place, plan, observe=at(StepKind.ADD, 0, BEFORE, lambda: place.run(add)))
    step = migrations.step_of(log, "add")
    assert (step.outcome, step.message) == (StepOutcome.ALREADY, "by the key 'mine'")
    assert log.exit_code == 0, log
    assert place.key().name == "mine"


def test_a_long_reader_keeps_nobody_waiting(place: Place, orders: Relationship) -> None:
    migrations.apply(place, migrations.make_plan(place, orders))
    place.run("ALTER TABLE orders DROP CONSTRAINT fk_orders_customer_id")
    plan = migrations.make_plan(place, orders)
    with holding(place, "SELECT * FROM orders, customers LIMIT 1"):
        time.sleep(0.3)
        log = migrations.apply(place, plan)
    assert [step.attempts for step in log.steps] == [(), (), ()]
    assert place.key().validated


def test_an_old_snapshot_is_named_and_the_index_is_not_built_in_vain_again(
    place: Place, orders: Relationship
) -> None:
    """CREATE INDEX CONCURRENTLY ends only when all snapshots from before it are gone."""
    plan = migrations.make_plan(place, orders)
    said: list[str] = []
    with holding(place) as other:
        other.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        other.execute("SELECT 1")

        def end(text: str) -> None:
            said.append(text)
            if "attempt 3 of" in text:
                other.execute("COMMIT")

        log = migrations.apply(place, plan, change(lock="10ms"), say=end)
        pid = other.info.backend_pid
    step = migrations.step_of(log, "index")
    assert [(a.sqlstate, a.reason) for a in step.attempts] == [
        ("55P03", "canceling statement due to lock timeout (55P03)"),
        ("", "an old transaction holds a snapshot"),
        ("", "an old transaction holds a snapshot"),
    ]
    who = rf"backend {pid} \(the application, idle in transaction, for [0-9.]+ s\) holds a snapshot"
    for number in (1, 2, 3):
        assert re.fullmatch(rf"001-index: attempt {number} of 5: {who}", said[number])
    assert log.exit_code == 0, log


def test_an_old_transaction_that_may_not_be_seen_is_looked_for_elsewhere(
    place: Place, orders: Relationship, connect: Connect
) -> None:
    plan = migrations.make_plan(place, orders)
    with connect(place.database, None) as other, other.transaction():
        other.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        other.execute("SELECT 1")
        log = migrations.apply(place, plan, change(lock="10ms", attempts=1))
    assert log.failure == (
        "001-index: gave up after 1 attempt: canceling statement due to lock timeout (55P03)"
    )
    assert log.hint == (
        "look for old transactions in pg_stat_activity, as a role of pg_read_all_stats, and apply"
        " the same plan again"
    )


def test_a_deadlock_is_tried_again_and_the_application_goes_on(
    place: Place, orders: Relationship
) -> None:
    plan, begun = migrations.make_plan(place, orders), threading.Event()
    with place.connect(place.database, OWNER) as other:
        other.execute(f'SET search_path = "{place.schema}"'.encode())

        def child_first() -> None:
            other.execute("BEGIN")
            other.execute(INSERT)
            begun.set()

        def then_the_parent() -> None:
            until_waiting(place, begun)
            other.execute("INSERT INTO customers VALUES (9001)")
            other.execute("COMMIT")

        with beside(then_the_parent):
            log = migrations.apply(
                place,
                plan,
                change(lock="5s", statement="10s"),
                observe=at(StepKind.ADD, 0, BEFORE, child_first),
            )
    step = migrations.step_of(log, "add")
    assert [a.sqlstate for a in step.attempts] == ["40P01"]
    assert step.outcome is StepOutcome.DONE
    assert place.key().validated


# --- limits -------------------------------------------------------------------------------------


def test_a_short_statement_that_took_too_long_is_tried_again(
    place: Place, orders: Relationship
) -> None:
    plan = migrations.make_plan(place, orders)
    with place.connect(place.database, OWNER) as other:
        other.execute(f'SET search_path = "{place.schema}"'.encode())

        def lock() -> None:
            other.execute("BEGIN")
            other.execute(INSERT)
            threading.Timer(0.5, lambda: other.execute("COMMIT")).start()

        log = migrations.apply(
            place,
            plan,
            change(lock="5s", statement="300ms"),
            observe=at(StepKind.ADD, 0, BEFORE, lock),
        )
    step = migrations.step_of(log, "add")
    assert (step.outcome, step.attempts[0].sqlstate) == (StepOutcome.DONE, "57014")


def test_a_validation_that_takes_too_long_leaves_the_key_not_valid(
    place: Place, orders: Relationship
) -> None:
    plan = migrations.make_plan(place, orders)
    with place.connect(place.database, OWNER) as other:
        other.execute(f'SET search_path = "{place.schema}"'.encode())

        def lock() -> None:
            other.execute("BEGIN")
            other.execute("LOCK TABLE orders IN SHARE UPDATE EXCLUSIVE MODE")

        observe = at(StepKind.VALIDATE, 0, BEFORE, lock)
        log = migrations.apply(place, plan, change(scan="500ms"), observe=observe)
    assert (log.failure, log.hint) == (
        "003-validate: canceling statement due to statement timeout (57014)",
        "raise change.scan in runbook.toml, and apply the same plan again",
    )
    assert not place.key().validated
    assert migrations.apply(place, plan).exit_code == 0
    assert place.key().validated


def test_what_somebody_cancels_is_not_tried_again(place: Place, orders: Relationship) -> None:
    plan, begun = migrations.make_plan(place, orders), threading.Event()
    with place.connect(place.database, OWNER) as other, place.connect(place.database, None) as dba:
        other.execute(f'SET search_path = "{place.schema}"'.encode())

        def lock() -> None:
            other.execute("BEGIN")
            other.execute("LOCK TABLE orders IN SHARE UPDATE EXCLUSIVE MODE")
            begun.set()

        def cancel() -> None:
            dba.execute("SELECT pg_cancel_backend(%s)", [until_waiting(place, begun)])

        with beside(cancel):
            observe = at(StepKind.VALIDATE, 0, BEFORE, lock)
            log = migrations.apply(place, plan, observe=observe)
    assert (log.failure, log.hint) == (
        "003-validate: canceling statement due to user request (57014)",
        "somebody canceled it: ask who, and apply the same plan again",
    )


# --- what is lost -------------------------------------------------------------------------------


def test_a_backend_that_is_killed_while_it_validates(place: Place, orders: Relationship) -> None:
    plan, begun = migrations.make_plan(place, orders), threading.Event()
    with place.connect(place.database, OWNER) as other, place.connect(place.database, None) as dba:
        other.execute(f'SET search_path = "{place.schema}"'.encode())

        def lock() -> None:
            other.execute("BEGIN")
            other.execute("LOCK TABLE orders IN SHARE UPDATE EXCLUSIVE MODE")
            begun.set()

        def kill() -> None:
            dba.execute("SELECT pg_terminate_backend(%s, 5000)", [until_waiting(place, begun)])
            other.execute("COMMIT")

        with beside(kill):
            observe = at(StepKind.VALIDATE, 0, BEFORE, lock)
            log = migrations.apply(place, plan, observe=observe)
    step = migrations.step_of(log, "validate")
    assert [a.reason for a in step.attempts] == ["the connection was lost"]
    assert (step.outcome, log.reconnects, log.exit_code) == (StepOutcome.DONE, 1, 0)
    assert place.key().validated


def test_a_commit_whose_answer_was_lost_is_not_done_twice(
    place: Place, orders: Relationship, dsn: Dsn, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = migrations.make_plan(place, orders)
    text = dsn(place.database, OWNER)
    parts = conninfo.conninfo_to_dict(text)
    with proxy.proxy(_socket(parts)) as between:
        through = conninfo.make_conninfo(
            text, host="127.0.0.1", hostaddr="127.0.0.1", port=str(between.port), sslmode="disable"
        )
        monkeypatch.setenv(OVERRIDE_OWNER, through)

        def lose() -> None:
            between.silence()
            threading.Timer(0.5, between.mend).start()

        log = migrations.apply(place, plan, observe=at(StepKind.ADD, 2, BEFORE, lose))
    step = migrations.step_of(log, "add")
    assert (step.outcome, step.message) == (
        StepOutcome.DONE,
        "it had been committed when the connection was lost",
    )
    assert (log.reconnects, log.exit_code, len(place.read().foreign_keys)) == (1, 0, 1)


def _socket(parts: Any) -> Path:
    return Path(str(parts["host"])) / f".s.PGSQL.{parts['port']}"


BOUNDARIES = [
    (kind, number, phase)
    for kind, last in (
        (StepKind.INDEX, 0), (StepKind.ADD, 2), (StepKind.VALIDATE, 1), (StepKind.PROVE, 0),
    )
    for number in range(last + 1)
    for phase in (BEFORE, AFTER)
]  # fmt: skip


@pytest.mark.parametrize("boundary", BOUNDARIES, ids=lambda b: f"{b[2]} {b[1]} of {b[0]}")
def test_a_program_that_is_killed_is_started_again_to_the_same_catalog(
    place: Place, orders: Relationship, connect: Connect, boundary: tuple[StepKind, int, Phase]
) -> None:
    plan = migrations.make_plan(place, orders)
    _killed_at(place, plan, *boundary)
    assert _applied_again(place, plan).exit_code == 0
    found = migrations.catalog_of(connect, place)
    undisturbed = Place(connect, place.database)
    undisturbed.run(TABLES)
    migrations.apply(undisturbed, migrations.make_plan(undisturbed, item(undisturbed)))
    expected = migrations.catalog_of(connect, undisturbed)
    assert str(found).replace(place.schema, "S") == str(expected).replace(undisturbed.schema, "S")


def _killed_at(place: Place, plan: Plan, kind: StepKind, number: int, phase: Phase) -> None:
    """Apply in a process of its own that kills itself at the boundary."""
    child = os.fork()
    if child == 0:
        kill = at(kind, number, phase, lambda: os.kill(os.getpid(), signal.SIGKILL))
        try:
            migrations.apply(place, plan, observe=kill)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the boundary was not reached"


def _applied_again(place: Place, plan: Plan) -> Any:
    """Apply once the server has noticed that the first program is gone."""
    end = time.monotonic() + 10
    while waiting(place, "true"):
        assert time.monotonic() < end
        time.sleep(0.02)
    return migrations.apply(place, plan)


@pytest.mark.slow
@pytest.mark.parametrize("whole", [False, True], ids=["a backend", "the server"])
def test_a_server_that_is_killed_with_9_goes_on_after_its_recovery(
    whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with standby.single(fsync="on") as server:
        demo.prepare(server.connect, PASSWORDS, ())
        with server.connect("postgres") as admin:
            admin.execute("CREATE DATABASE shop OWNER telecore_owner")
        monkeypatch.setenv(OVERRIDE_READER, server.dsn("shop", "telecore_reader"))
        monkeypatch.setenv(OVERRIDE_OWNER, server.dsn("shop", OWNER))
        place = Place(server.connect, "shop")
        place.run(TABLES)
        plan = migrations.make_plan(place, item(place))

        def kill() -> None:
            pid = waiting(place, "true")
            assert pid is not None
            if not whole:
                os.kill(pid, signal.SIGKILL)
                return
            os.kill(pid, signal.SIGSTOP)  # so that it cannot commit before its end
            main = int((server.data / "postmaster.pid").read_text().split()[0])
            os.kill(main, signal.SIGKILL)
            os.kill(pid, signal.SIGKILL)
            threading.Thread(target=start_again, daemon=True).start()

        def start_again() -> None:
            for _ in range(20):  # not before the last of its processes has ended
                time.sleep(0.5)
                server.start()
                with suppress(psycopg.OperationalError):
                    server.connect("shop").close()
                    return

        patient = change(attempts=40, pause="300ms")
        observe = at(StepKind.ADD, 2, BEFORE, kill)
        log = migrations.apply(place, plan, patient, observe=observe)
        assert (log.exit_code, log.reconnects) == (0, 1), log.failure
        assert migrations.step_of(log, "add").outcome is StepOutcome.DONE
        assert place.key().validated


# --- where nothing is applied -------------------------------------------------------------------


def test_two_applies_at_once(place: Place, orders: Relationship) -> None:
    plan = migrations.make_plan(place, orders)
    said: list[str] = []

    def second() -> None:
        with pytest.raises(IncompleteError) as caught:
            migrations.apply(place, plan)
        said.append(str(caught.value))

    log = migrations.apply(place, plan, observe=at(StepKind.ADD, 0, BEFORE, second))
    assert log.exit_code == 0
    (told,) = said
    pid = told.partition("backend ")[2].partition("\n")[0]
    assert pid.isdigit()
    assert told == (
        f"another migration is going on in database {place.database!r}: backend {pid}\n"
        "hint: wait until it has ended, or end it where it was started"
    )


@pytest.mark.skipif(not pooler.IS_THERE, reason="no pgbouncer on this machine")
def test_a_transaction_pooler_is_refused(
    place: Place, orders: Relationship, dsn: Dsn, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = migrations.make_plan(place, orders)
    with pooler.pooler(dsn(place.database, OWNER), "transaction") as through:
        monkeypatch.setenv(OVERRIDE_OWNER, through)
        with pytest.raises(IncompleteError) as caught:
            migrations.apply(place, plan)
    assert str(caught.value) == (
        "environment 'scratch': a connection pooler in transaction mode is in between\n"
        "hint: connect to the server itself, or through a pool that keeps a session's backend"
    )
    assert place.read().foreign_keys == ()


@pytest.mark.slow
def test_a_standby_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with standby.replication() as pair:
        demo.prepare(pair.primary.connect, PASSWORDS, ())
        with pair.primary.connect("postgres") as admin:
            admin.execute("CREATE DATABASE shop OWNER telecore_owner")
        monkeypatch.setenv(OVERRIDE_READER, pair.primary.dsn("shop", "telecore_reader"))
        place = Place(pair.primary.connect, "shop")
        place.run(TABLES)
        plan = migrations.make_plan(place, item(place))
        pair.catch_up()
        monkeypatch.setenv(OVERRIDE_OWNER, pair.replica.dsn("shop", OWNER))
        with pytest.raises(IncompleteError) as caught:
            execution.apply(plan, migrations.owner(place), migrations.QUICK)
    assert str(caught.value) == (
        "environment 'scratch': the server is a standby, nothing can be written there\n"
        "hint: let the owner's connection lead to the primary"
    )


@pytest.mark.slow
def test_an_interrupted_apply_says_so_and_goes_on(place: Place, dsn: Dsn, tmp_path: Path) -> None:
    place.run(TABLES)
    place.run("CREATE INDEX ON orders (customer_id)")  # to build it would wait for the writer
    shop = Shop(tmp_path, place, dsn)
    shop.write('change = { lock = "100ms", attempts = 300, pause = "100ms" }')
    assert shop.migrate("plan", "shop").returncode == 0
    with holding(place, INSERT):
        process = shop.start("apply", "shop", "--no-rehearsal", "a test")
        assert process.stderr is not None
        for line in process.stderr:
            if "attempt 2 of 300" in line:
                break
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=30)
    assert process.returncode == 3
    assert errors.endswith(
        "error: environment 'shop': interrupted\nhint: apply the same plan again: it goes on\n"
    ), errors
    log = shop.document("apply")
    assert (log["failure"], log["steps"][-1]["outcome"]) == ("interrupted", "not begun")
    assert "log: " in output
    assert shop.migrate("apply", "shop", "--no-rehearsal", "a test").returncode == 0
