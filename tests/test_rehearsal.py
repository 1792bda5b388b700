"""A rehearsal applies the plan to a copy under load, and says what the writers felt."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from bs4 import BeautifulSoup

from runbook import rehearsal_report
from runbook.errors import IncompleteError
from runbook.migration.execution import apply
from runbook.migration.log import StepOutcome
from runbook.migration.plan import StepKind
from runbook.rehearsal import kills, load, operations, rehearse, summary, watch
from runbook.rehearsal.load import Timed
from runbook.rehearsal.operations import Operation
from runbook.rehearsal.outcome import (
    HeldLock,
    Kill,
    LoadUsed,
    Quarantined,
    Rehearsal,
    RehearsedStep,
)
from runbook.schema import Action
from tests.conftest import Connect
from tests.copies import ORPHANS, TABLES, copied, held_up, rehearsed
from tests.migrations import QUICK, catalog_of, make_plan
from tests.places import HOSTILE, Place

pytestmark = pytest.mark.slow

SRE = "SHARE ROW EXCLUSIVE"


def step_of(found: Rehearsal, kind: StepKind) -> RehearsedStep:
    (step,) = [step for step in found.steps if step.kind == kind]
    return step


def test_a_plan_is_rehearsed_under_load(place: Place, admin_dsn: str, connect: Connect) -> None:
    place.run(TABLES)
    before = catalog_of(connect, place, oids=True)
    plan = make_plan(place, place.relationship("orders", "customer_id", "customers", "id"))
    with copied(place, admin_dsn) as copy:
        found = rehearsed(copy, plan)
    assert found.reasons == ()
    assert found.passed
    assert found.exit_code == 0
    assert found.plan_digest == plan.digest
    assert {step.outcome for step in found.steps} <= {StepOutcome.DONE, StepOutcome.ALREADY}
    assert [step.id for step in found.steps] == [step.id for step in plan.steps]
    assert found.longest_stall_seconds is not None
    assert found.longest_stall_seconds < 1
    add, validate = step_of(found, StepKind.ADD), step_of(found, StepKind.VALIDATE)
    tables = {f"{place.schema}.orders", f"{place.schema}.customers"}
    assert {lock.table for lock in add.locks if lock.mode == SRE} == tables
    assert {lock.mode for lock in validate.locks} >= {"SHARE UPDATE EXCLUSIVE", "ROW SHARE"}
    assert SRE not in {lock.mode for lock in validate.locks}
    assert found.load is not None
    assert set(found.load.operations) == {
        f"{what} {place.schema}.{table}"
        for what in ("insert", "update")
        for table in ("orders", "customers")
    } | {f"update {place.schema}.orders and {place.schema}.customers"}
    assert found.load.writes > 10
    assert found.load.writes_during > 0
    assert found.load.errors == {}
    assert found.quarantined == ()
    assert found.kills is None
    assert found.looks > 10
    assert Rehearsal.model_validate_json(found.model_dump_json()) == found
    assert catalog_of(connect, place, oids=True) == before  # the environment is only read


def test_orphan_rows_are_put_aside_and_the_key_is_validated(place: Place, admin_dsn: str) -> None:
    place.run(TABLES + ORPHANS)
    item = place.relationship("orders", "customer_id", "customers", "id")
    plan = make_plan(place, item)
    with copied(place, admin_dsn) as copy:
        found = rehearsed(copy, plan)
    assert found.reasons == ()
    assert found.quarantined == (Quarantined(relationship=item.id, rows=3),)
    assert step_of(found, StepKind.VALIDATE).outcome is StepOutcome.DONE
    assert step_of(found, StepKind.PROVE).outcome is StepOutcome.DONE
    html = rehearsal_report.html(found)
    assert "the orphan rows were put aside" in html
    with place.connect(place.database, None) as session:
        left = session.execute(f"SELECT count(*) FROM {place.schema}.orders").fetchone()
    assert left == (1003,)


def test_a_chain_of_orphans_is_put_aside_whole(place: Place, admin_dsn: str) -> None:
    place.run(
        TABLES + ORPHANS + "; CREATE TABLE lines (id int PRIMARY KEY, order_id int);"
        "INSERT INTO lines SELECT n, 5001 FROM generate_series(1, 4) n"
    )
    items = (
        place.relationship("lines", "order_id", "orders", "id"),
        place.relationship("orders", "customer_id", "customers", "id"),
    )
    plan = make_plan(place, *items)
    with copied(place, admin_dsn) as copy:
        found = rehearsed(copy, plan)
    assert found.reasons == ()
    assert {item.relationship: item.rows for item in found.quarantined} == {
        items[0].id: 4,
        items[1].id: 3,
    }


def test_a_lock_that_is_held_takes_attempts(place: Place, admin_dsn: str) -> None:
    """A writer's transaction goes on: the ADD is tried again, and the writers stand still."""
    place.run(TABLES + "; CREATE INDEX ON orders (customer_id)")
    plan = make_plan(place, place.relationship("orders", "customer_id", "customers", "id"))
    patient = QUICK.model_copy(update={"attempts": 50, "pause": timedelta(seconds=0.1)})
    holding = f"UPDATE {place.schema}.orders SET id = id WHERE id = 1"
    with copied(place, admin_dsn) as copy, held_up(copy, holding, 2.0):
        found = rehearsed(copy, plan, patient, before=0.1)
    assert step_of(found, StepKind.ADD).outcome is StepOutcome.DONE
    assert step_of(found, StepKind.ADD).attempts > 1


def test_a_writer_that_stands_still_too_long_fails_the_rehearsal(
    place: Place, admin_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.run(TABLES)
    plan = make_plan(place, place.relationship("orders", "customer_id", "customers", "id"))

    def dawdling(*arguments: object, **options: object) -> object:
        observe = arguments[3]

        def observed(step: object, number: int, phase: object) -> None:
            observe(step, number, phase)  # type: ignore[operator]
            if step.kind is StepKind.ADD and number == 0 and phase == "after":  # type: ignore[attr-defined]
                time.sleep(0.6)  # with the lock held

        return apply(*arguments[:3], observed, *arguments[4:], **options)  # type: ignore[arg-type, call-arg]

    monkeypatch.setattr(rehearse, "apply", dawdling)
    with copied(place, admin_dsn) as copy:
        found = rehearsed(copy, plan, stall=0.3)
    add = step_of(found, StepKind.ADD)
    assert not found.passed
    assert found.exit_code == 1
    assert found.longest_stall_seconds is not None
    assert 0.3 < found.longest_stall_seconds < 5
    assert found.reasons == (
        f"a writer stood still for {found.longest_stall_seconds:.3f} s, expected at most 0.3 s",
    )
    assert add.stall_seconds == found.longest_stall_seconds
    assert add.stall_operation.startswith(("insert ", "update "))
    assert add.blocked_seconds > 0.3
    held = [lock.held_ms for lock in add.locks if lock.mode == SRE]
    assert min(held) > 500
    mark = BeautifulSoup(rehearsal_report.timeline(found), "html.parser").find_all("text")
    assert f"{1000 * add.stall_seconds:.0f} ms" in [text.get_text() for text in mark]


def test_a_plan_for_an_older_server_is_not_rehearsed_where_its_steps_are_others(
    place: Place, admin_dsn: str
) -> None:
    place.run("""CREATE TABLE customers (id int PRIMARY KEY);
        CREATE TABLE orders (id int, customer_id int) PARTITION BY RANGE (id)""")
    item = place.relationship("orders", "customer_id", "customers", "id")
    plan = make_plan(place, item, version=150018).model_copy(update={"server_version": 150018})
    with copied(place, admin_dsn) as copy, pytest.raises(IncompleteError) as caught:
        rehearsed(copy, plan)
    assert str(caught.value) == (
        "the plan is for PostgreSQL 15 and the copy is on PostgreSQL 18, where the key of the"
        f" partitioned table {place.schema}.orders takes other steps\n"
        "hint: give a server of PostgreSQL 15 with --into"
    )


def test_an_undeclared_access_exclusive_lock_is_found(place: Place, admin_dsn: str) -> None:
    place.run(TABLES)
    plan = make_plan(place, place.relationship("orders", "customer_id", "customers", "id"))
    steps = tuple(
        step.model_copy(
            update={"statements": (f"LOCK TABLE {place.schema}.orders", *step.statements)}
        )
        if step.kind is StepKind.ADD
        else step
        for step in plan.steps
    )
    with copied(place, admin_dsn) as copy:
        found = rehearsed(copy, plan.model_copy(update={"steps": steps}))
    assert step_of(found, StepKind.ADD).undeclared == (f"{place.schema}.orders",)
    said = f"ACCESS EXCLUSIVE on {place.schema}.orders, which the plan does not declare"
    assert found.reasons == (f"{step_of(found, StepKind.ADD).id}: {said}",)


def test_what_an_application_would_have_seen_is_counted(place: Place, admin_dsn: str) -> None:
    """A parent that cannot be copied is deleted and rolled back: the new key refuses that."""
    place.run(
        "CREATE TABLE kinds (kind bool PRIMARY KEY); INSERT INTO kinds VALUES (true), (false);"
        "CREATE TABLE things (id int PRIMARY KEY, kind bool);"
        "INSERT INTO things SELECT n, true FROM generate_series(1, 50) n"
    )
    item = place.relationship("things", "kind", "kinds", "kind", on_delete=Action.NO_ACTION)
    with copied(place, admin_dsn) as copy:
        found = rehearsed(copy, make_plan(place, item), before=0.5)
    assert found.load is not None
    assert f"delete {place.schema}.kinds" in found.load.operations
    assert found.load.errors == {}
    assert set(found.load.errors_during) <= {"23503"}


def test_what_the_load_cannot_write_is_said(place: Place, admin_dsn: str) -> None:
    place.run(
        "CREATE TABLE a (id int UNIQUE); INSERT INTO a VALUES (1);"
        "CREATE TABLE b (id int PRIMARY KEY, a int); CREATE TABLE c (id bool PRIMARY KEY, a int);"
        "INSERT INTO c VALUES (true, 1);"
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'never'; END $$;"
        "CREATE TRIGGER no BEFORE DELETE ON c FOR EACH ROW EXECUTE FUNCTION no()"
    )
    items = [place.relationship(child, "a", "a", "id") for child in "bc"]
    with copied(place, admin_dsn) as copy, copy.administer() as session:
        chosen, left_out = operations.of(session, copy.read(), items, {})
    s = place.schema
    assert [item.label for item in chosen] == [f"update {s}.c"]
    assert left_out == {
        f"write {s}.a": "no primary key",
        f"write {s}.b": "no rows",
        f"delete {s}.c": "never (P0001)",
    }


def test_hostile_names_are_written_to(place: Place, admin_dsn: str) -> None:
    items = []
    for name in HOSTILE[:12]:
        quoted = '"' + name.replace('"', '""') + '"'
        place.run(
            f"CREATE TABLE {quoted} ({quoted} int PRIMARY KEY, p int);"
            f"INSERT INTO {quoted} VALUES (1, 1), (2, 1)"
        )
        items.append(place.relationship("x", "p", "x", "x"))
        items[-1] = type(items[-1])(place.name(name), ("p",), place.name(name), (name,))
    with copied(place, admin_dsn) as copy, copy.administer() as session:
        chosen, left_out = operations.of(session, copy.read(), items, {})
    assert left_out == {}
    assert len(chosen) == 2 * 12


def test_the_load_goes_on_with_the_rows_that_are_left(place: Place, admin_dsn: str) -> None:
    place.run(TABLES)
    item = place.relationship("orders", "customer_id", "customers", "id")
    with copied(place, admin_dsn) as copy, copy.administer() as session:
        chosen, _ = operations.of(session, copy.read(), [item], {})
        session.execute(f"DELETE FROM {place.schema}.orders WHERE id > 10")
        kept = operations.still_there(session, chosen)
        assert [operation.label for operation in kept] == [item.label for item in chosen]
        assert {len(operation.rows.keys) for operation in kept if operation.rows.refers} == {10}
        session.execute(f"DELETE FROM {place.schema}.orders")
        kept = operations.still_there(session, chosen)
    assert [operation.label for operation in kept] == [
        f"insert {place.schema}.customers",
        f"update {place.schema}.customers",
    ]


def test_a_writer_that_lost_its_connection_connects_again(place: Place, admin_dsn: str) -> None:
    place.run(TABLES)
    item = place.relationship("orders", "customer_id", "customers", "id")
    with copied(place, admin_dsn) as copy, copy.administer() as session:
        chosen, _ = operations.of(session, copy.read(), [item], {})
        working = load.Load(chosen, copy.administer, 1)
        with working.running():
            time.sleep(0.2)
            session.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            time.sleep(0.5)
    states = [timed.sqlstate for timed in working.done]
    assert [state for state in states if state] in (["57P01"], [load.LOST])
    assert states[-1] == ""
    assert working.broken == []


def test_stalls_belong_to_the_step_that_they_overlapped_most() -> None:
    times = {"a": summary.Times(1.0, 2.0), "b": summary.Times(2.1, 4.0)}
    done = [
        Timed("x", 0.0, 0.5, ""), Timed("x", 1.5, 0.2, ""), Timed("x", 1.9, 1.0, ""),
        Timed("x", 3.9, 5.0, ""), Timed("x", 9.0, 1.0, ""),
    ]  # fmt: skip
    found = summary.attribute(done, times)
    assert found == {"": [done[0], done[4]], "a": [done[1]], "b": [done[2], done[3]]}


def test_a_stall_is_what_is_beyond_the_usual() -> None:
    usual = load.usual([Timed("x", 0, 0.1, ""), Timed("x", 0, 0.3, ""), Timed("y", 0, 0.2, "")])
    assert usual is not None
    assert usual.excess(Timed("x", 0, 1.2, "")) == pytest.approx(1.0)
    assert usual.excess(Timed("y", 0, 0.1, "")) == 0
    assert usual.excess(Timed("new", 0, 1.2, "")) == pytest.approx(1.0)
    assert load.usual([]) is None


def found(**values: object) -> Rehearsal:
    """A rehearsal with nothing against it but what ``values`` say."""
    return Rehearsal.model_validate(
        {
            "plan_id": "p",
            "plan_digest": "d",
            "finished": datetime(2026, 1, 2, tzinfo=UTC),
            "passed": False,
            "longest_stall_seconds": 0.1,
        }
        | values
    )


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"longest_stall_seconds": None}, "no writer was measured"),
        (
            {
                "longest_stall_seconds": None,
                "load": LoadUsed(writers=1, left_out={"write a": "no rows", "write b": "no rows"}),
            },
            "no writer was measured: write a: no rows; write b: no rows",
        ),
        ({"longest_stall_seconds": 1.5}, "a writer stood still for 1.500 s, expected at most 1 s"),
        ({"unseen": "gone"}, "the locks could not be looked at: gone"),
        (
            {"steps": (RehearsedStep(id="1-add", outcome=StepOutcome.FAILED, message="why"),)},
            "1-add: failed: why",
        ),
        ({"steps": (RehearsedStep(id="1-add"),)}, "1-add: not begun"),
        (
            {
                "steps": (
                    RehearsedStep(id="1-add", outcome=StepOutcome.DONE, undeclared=("public.t",)),
                )
            },
            "1-add: ACCESS EXCLUSIVE on public.t, which the plan does not declare",
        ),
        ({"load": LoadUsed(writers=1, broken=("writer 0 ended: x",))}, "writer 0 ended: x"),
        (
            {"quarantined": (Quarantined(relationship="r", rows=None, failure="no"),)},
            "r: its orphan rows could not be put aside: no",
        ),
        (
            {"kills": (Kill(step="1-add", statement=0, converged=False, message="no end"),)},
            "killed after statement 0 of 1-add: not the same catalog: no end",
        ),
    ],
)
def test_every_reason_fails_it(values: dict[str, object], reason: str) -> None:
    assert summary.judged(found(), "").passed
    judged = summary.judged(found(**values), "")
    assert (judged.passed, judged.reasons) == (False, (reason,))


def test_an_apply_that_failed_is_the_reason() -> None:
    judged = summary.judged(found(steps=(RehearsedStep(id="1-add"),)), "1-add: no lock")
    assert judged.reasons == ("1-add: no lock",)


def test_modes_are_in_the_words_of_the_documentation() -> None:
    assert watch.in_words("ShareRowExclusiveLock") == SRE
    assert watch.in_words("AccessExclusiveLock") == summary.EXCLUSIVE


def test_the_page_has_a_table_for_all_and_no_style() -> None:
    step = RehearsedStep(
        id="1-add",
        seconds=0.5,
        kind=StepKind.ADD,
        relationship="public.<b>(id) -> public.a(id)",
        title="<script>alert(1)</script>",
        outcome=StepOutcome.DONE,
        began=1.0,
        locks=(HeldLock(table="public.a", mode=SRE, held_ms=3.5),),
        stall_seconds=0.25,
        stall_operation="insert a",
        errors={"40P01": 2},
    )
    kill = Kill(step="1-add", statement=1, converged=False, differences=("missing: x",))
    html = rehearsal_report.html(
        summary.judged(found(steps=(step,), kills=(kill,), load=LoadUsed(writers=2)), "")
    )
    page = BeautifulSoup(html, "html.parser")
    assert page.find("script") is None
    assert page.find(style=True) is None
    captions = [caption.get_text() for caption in page.find_all("caption")]
    assert captions == [
        "The steps",
        "The locks that writers or other changes can meet",
        "What the writers did",
        "Not the same catalog",
    ]
    for text in ("40P01: 2", "250 ms", SRE, "missing: x", "3.5"):
        assert text in page.get_text()


@pytest.mark.slow
def test_killed_at_every_boundary_it_comes_to_the_same_catalog(
    place: Place, admin_dsn: str, connect: Connect
) -> None:
    place.run(TABLES + ORPHANS)
    plan = make_plan(place, place.relationship("orders", "customer_id", "customers", "id"))
    before = {
        row[0] for row in connect("postgres", None).execute("SELECT datname FROM pg_database")
    }
    with copied(place, admin_dsn) as copy:
        killed = kills.rehearse_kills(copy, plan, QUICK, lambda _n, _text: None)
    statements = [step for step in plan.steps for _ in step.statements]
    assert len(killed) > len(statements)
    assert killed[0].statement == kills.BEFORE_ALL
    assert {kill.step for kill in killed} >= {step.id for step in statements}
    assert [kill for kill in killed if not kill.converged] == []
    after = {row[0] for row in connect("postgres", None).execute("SELECT datname FROM pg_database")}
    assert after == before


@pytest.mark.slow
def test_a_catalog_that_differs_after_a_kill_is_told(place: Place, admin_dsn: str) -> None:
    place.run(TABLES)
    plan = make_plan(place, place.relationship("orders", "customer_id", "customers", "id"))
    with copied(place, admin_dsn) as copy:
        expected = kills.Expected(plan, QUICK, frozenset({"index x"}))
        (first, *_) = plan.steps
        kill = kills._killed(copy, expected, (first.id, 0))
        never = kills._killed(copy, expected, ("999-add", 0))
        gone = kills.Expected(plan.model_copy(update={"fingerprint": "0"}), QUICK, frozenset())
        refused = kills._killed(copy, gone, (first.id, 0))
    assert not kill.converged
    assert kill.message == ""
    assert "missing: index x" in kill.differences
    assert any(line.startswith("too much: constraint ") for line in kill.differences)
    assert never.message == "the run ended before it: all steps were done"
    assert refused.message.startswith("the run ended before it: ")


def test_an_operation_says_what_it_does(place: Place, admin_dsn: str) -> None:
    place.run(TABLES)
    item = place.relationship("orders", "customer_id", "customers", "id")
    with copied(place, admin_dsn) as copy, copy.administer() as session:
        chosen, _ = operations.of(session, copy.read(), [item], {})
    assert {type(operation) for operation in chosen} == {Operation}
    assert chosen[-1].tables == {place.name("orders"), place.name("customers")}
