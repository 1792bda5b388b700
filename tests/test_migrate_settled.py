"""What a step finds in the catalog that is neither its work nor its end, and says in words."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from runbook.errors import IncompleteError
from runbook.migration import execution
from runbook.migration.blockers import Blocker, oldest_first
from runbook.migration.execution import Phase
from runbook.migration.log import ApplyLog, StepOutcome
from runbook.migration.owner import Owner
from runbook.migration.plan import Plan, PlanStep, StepKind
from runbook.relationships import Relationship
from runbook.schema import Action
from runbook.session import Session
from tests import migrations
from tests.migration_project import TABLES
from tests.places import OWNER, Place

AGAIN = "make a new plan: runbook migrate plan"
ADDED = "ALTER TABLE orders ADD CONSTRAINT {} FOREIGN KEY (customer_id) REFERENCES customers"


@pytest.fixture
def orders(place: Place) -> Relationship:
    place.run(f"{TABLES} CREATE INDEX ON orders (customer_id)")
    ends = ("orders", "customer_id", "customers", "id")
    return place.relationship(*ends, on_delete=Action.RESTRICT)


def meanwhile(
    place: Place, plan: Plan, kind: StepKind, script: str, role: str | None = OWNER
) -> ApplyLog:
    """Apply, and run ``script`` when the step before one of ``kind`` has ended."""
    step = migrations.planned(plan, kind.value)
    left = [script]

    def say(text: str) -> None:
        if left and text.startswith(f"{step.id}: "):
            place.run(left.pop(), role)

    return migrations.apply(place, plan, say=say)


def test_a_key_that_is_gone_before_it_is_validated(place: Place, orders: Relationship) -> None:
    plan = migrations.make_plan(place, orders)
    log = meanwhile(
        place, plan, StepKind.VALIDATE, "ALTER TABLE orders DROP CONSTRAINT fk_orders_customer_id"
    )
    assert (log.failure, log.hint, log.exit_code) == (
        f"002-validate: no key 'fk_orders_customer_id' on {place.schema}.orders that is as decided",
        AGAIN,
        3,
    )
    assert [step.outcome for step in log.steps] == [
        StepOutcome.DONE,
        StepOutcome.FAILED,
        StepOutcome.NOT_BEGUN,
    ]


@pytest.fixture
def mismatched(place: Place, orders: Relationship) -> Plan:
    place.run(f"{ADDED.format('old')} ON DELETE CASCADE")
    return migrations.make_plan(place, orders)


def test_a_key_that_became_right_is_not_dropped(place: Place, mismatched: Plan) -> None:
    script = f"ALTER TABLE orders DROP CONSTRAINT old; {ADDED.format('old')} ON DELETE RESTRICT"
    log = meanwhile(place, mismatched, StepKind.DROP, script)
    assert (log.failure, log.hint) == (
        (
            f"003-drop: the key 'old' on {place.schema}.orders is as decided now,"
            " and the plan would drop it"
        ),
        AGAIN,
    )


def test_a_key_without_its_successor_is_not_dropped(place: Place, mismatched: Plan) -> None:
    script = "ALTER TABLE orders DROP CONSTRAINT fk_orders_customer_id"
    log = meanwhile(place, mismatched, StepKind.DROP, script)
    assert (log.failure, log.hint) == (
        f"003-drop: the key 'old' on {place.schema}.orders is not replaced by a valid one yet",
        "apply the same plan again",
    )
    assert [key.name for key in place.read().foreign_keys] == ["old"]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("ALTER TABLE orders DROP CONSTRAINT {0}", "the key is not there"),
        (
            "ALTER TABLE orders DROP CONSTRAINT {0}; {1} ON DELETE RESTRICT NOT VALID",
            "the key is not valid",
        ),
        (
            "ALTER TABLE orders DROP CONSTRAINT {0}; {1} ON DELETE RESTRICT NOT ENFORCED",
            "the key 'other' is declared NOT ENFORCED",
        ),
        (
            "ALTER TABLE orders DROP CONSTRAINT {0}; {1} ON DELETE CASCADE",
            "the key 'other' is not as decided",
        ),
    ],
)
def test_what_is_not_so_is_not_proven(
    place: Place, orders: Relationship, script: str, said: str
) -> None:
    plan = migrations.make_plan(place, orders)
    script = script.format("fk_orders_customer_id", ADDED.format("other"))
    log = meanwhile(place, plan, StepKind.PROVE, script)
    step = migrations.step_of(log, "prove")
    assert (step.outcome, step.message, log.exit_code) == (StepOutcome.NOT_PROVEN, said, 1)


def test_a_role_without_a_right_that_was_taken_meanwhile(
    place: Place, orders: Relationship
) -> None:
    plan = migrations.make_plan(place, orders)
    script = "ALTER TABLE orders OWNER TO CURRENT_USER"
    log = meanwhile(place, plan, StepKind.ADD, script, None)
    assert (log.failure, log.hint) == (
        "001-add: permission denied for table orders (42501)",
        "mend what the server names, and apply the same plan again",
    )


def test_a_session_that_breaks_as_it_begins(place: Place, orders: Relationship) -> None:
    plan = migrations.make_plan(place, orders)
    connect = migrations.owner(place)

    def broken() -> Session:
        session = connect()
        with place.connect(place.database, None) as admin:
            admin.execute("SELECT pg_terminate_backend(%s, 5000)", [session.info.backend_pid])
        return session

    with pytest.raises(IncompleteError) as caught:
        execution.apply(plan, broken, migrations.QUICK)
    assert str(caught.value) == (
        "the session of the migration broke as it began: terminating connection due to"
        " administrator command (57P01)\n"
        "hint: look at the server's log, and apply it again"
    )


def test_the_oldest_transaction_is_named_first() -> None:
    ages = {7: 0.1, None: None, 8: None, 9: 4.0}
    found = [Blocker(pid, "t", "SHARE", "", "", age) for pid, age in ages.items()]
    assert [blocker.pid for blocker in oldest_first(found)] == [None, 9, 7, 8]


def test_pauses_are_never_alike(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that were refused the same lock would else ask for it together again."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    owner = Owner(migrations.owner(place), migrations.QUICK, print)
    for _ in range(20):
        owner.pause()
    usual = migrations.QUICK.pause.total_seconds()
    assert all(usual * 0.5 <= pause <= usual * 1.5 for pause in slept)
    assert len(set(slept)) == len(slept) == 20


def test_a_catalog_that_cannot_be_read(place: Place, orders: Relationship) -> None:
    """Printing the definition of an index waits for whoever holds its table exclusively."""
    plan = migrations.make_plan(place, orders)
    quick = migrations.QUICK.model_copy(update={"lock": migrations.QUICK.lock / 50})
    with place.connect(place.database, OWNER) as other:
        other.execute("BEGIN")
        other.execute(f'LOCK TABLE "{place.schema}".orders'.encode())
        with pytest.raises(IncompleteError) as caught:
            migrations.apply(place, plan, quick)
    assert str(caught.value) == (
        "the catalog cannot be read: canceling statement due to lock timeout (55P03)\n"
        "hint: somebody may be changing the schema: try again"
    )


def test_what_looks_on_may_end_it(place: Place, orders: Relationship) -> None:
    """An error of the observer comes out, and the transaction is rolled back."""
    plan = migrations.make_plan(place, orders)

    def stop(step: PlanStep, number: int, phase: Phase) -> None:
        if (step.kind, number, phase) == (StepKind.ADD, 2, Phase.BEFORE):
            raise ZeroDivisionError

    kept: list[ApplyLog] = []
    with pytest.raises(ZeroDivisionError):
        migrations.apply(place, plan, observe=stop, keep=kept.append)
    assert place.read().foreign_keys == ()
    assert (kept[-1].finished, kept[-1].exit_code) == (None, 3)


def test_the_log_is_kept_after_every_step(place: Place, orders: Relationship) -> None:
    kept: list[ApplyLog] = []
    keep: Callable[[ApplyLog], None] = kept.append
    log = migrations.apply(place, migrations.make_plan(place, orders), keep=keep)
    assert [len(each.steps) for each in kept] == [0, 1, 2, 3, 3]
    assert kept[-1] == log
