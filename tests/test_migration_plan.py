"""What is planned for a relationship, in which order, and what is left out with why."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from runbook import census
from runbook.findings import Audit, AuditState
from runbook.migration import naming, planning, stepping
from runbook.migration.plan import Plan, PlannedKey
from runbook.migration.surroundings import Partition, Surroundings
from runbook.operators import Comparison, Comparisons
from runbook.relationships import Exemption, Priority, Relationship, Relationships
from runbook.schema import Action, Column, ForeignKey, Index, Match, Schema, Table, TableName
from runbook.server import ServerFacts
from tests.migrations import PLANNED

CUSTOMERS, ORDERS = TableName("public", "customers"), TableName("public", "orders")
SERVER = ServerFacts("18.6", 180006, "7", "shop", "owner", False, False, False)
EQUAL = Comparisons("customers_pkey", (Comparison("pg_catalog", "=", "", "", None),))


def index(name: str, *columns: str, unique: bool = False, **values: object) -> Index:
    known = {"primary": unique, "immediate": True, "valid": True, "partial": False}
    return Index(name, columns, unique, **{**known, "expressions": False, **values})  # type: ignore[arg-type]


def table(
    name: TableName, *columns: str, indexes: tuple[Index, ...] = (), **values: object
) -> Table:
    of = tuple(Column(c.rstrip("!"), "integer", c.endswith("!")) for c in columns)
    known: dict[str, object] = {"kind": "r", "columns": of, "indexes": indexes}
    return Table(name, **{**known, "estimated_rows": 2_800_000, **values})  # type: ignore[arg-type]


def schema(*keys: ForeignKey, child: Table | None = None, version: int = 180006) -> Schema:
    parent = table(CUSTOMERS, "id!", indexes=(index("customers_pkey", "id", unique=True),))
    child = child or table(ORDERS, "id!", "customer_id", "vendor_id")
    return Schema({CUSTOMERS: parent, child.name: child}, keys, (), version)


def relationship(column: str = "customer_id", **values: Any) -> Relationship:
    known: dict[str, Any] = {"on_delete": Action.RESTRICT, "why": "an order has a customer"}
    return Relationship(ORDERS, (column,), CUSTOMERS, ("id",), **{**known, **values})


def key(name: str = "there", **values: Any) -> ForeignKey:
    given = ForeignKey(
        name, ORDERS, ("customer_id",), CUSTOMERS, ("id",), Action.RESTRICT, Action.NO_ACTION,
        Match.SIMPLE, False, True, True, False, 0,
    )  # fmt: skip
    return replace(given, **values)


def plan(
    *items: Relationship,
    at: Schema | None = None,
    around: Surroundings | None = None,
    audits: tuple[Audit, ...] = (),
    exceptions: tuple[Exemption, ...] = (),
    compared: Comparisons = EQUAL,
) -> Plan:
    wanted = items or (relationship(),)
    read = at or schema()
    rows = census.take(Relationships(wanted, exceptions), read, [compared for _ in wanted])
    ground = planning.Ground(
        read,
        around or Surroundings(),
        {item.id: compared for item in wanted},
        {audit.relationship.id: audit for audit in audits},
    )
    return planning.plan(rows, ground, "staging", SERVER, PLANNED)


def audit(orphans: int, **values: object) -> Audit:
    state = AuditState.ORPHANS if orphans else AuditState.CLEAN
    known: dict[str, object] = {"orphans": orphans, "exact": True, "seconds": 0.5}
    return Audit(relationship(), state, **{**known, **values})  # type: ignore[arg-type]


def kinds(found: Plan) -> list[str]:
    return [step.kind.value for step in found.steps]


def left(found: Plan) -> list[tuple[str, str]]:
    return [(out.state, out.reason) for out in found.left_out]


# --- order and steps ----------------------------------------------------------------------------


def test_the_urgent_comes_first_whole() -> None:
    low = relationship("vendor_id", priority=Priority.LOW)
    high = relationship(priority=Priority.CRITICAL)
    found = plan(low, high, audits=(audit(0),))
    assert found.relationships == (high.id, low.id)
    assert [step.id for step in found.steps] == [
        "001-index", "002-add", "003-validate", "004-prove",
        "005-index", "006-add", "007-remediate", "008-validate", "009-prove",
    ]  # fmt: skip


def test_what_was_not_counted_is_not_called_clean() -> None:
    step = next(step for step in plan().steps if step.kind == "remediate")
    assert (step.orphans, step.seconds, step.title) == (
        None,
        None,
        "remediate the orphan rows of orders.customer_id: they were not counted",
    )


def test_an_estimate_is_not_taken_for_a_count() -> None:
    guess = replace(audit(1234), state=AuditState.ESTIMATED, exact=False)
    step = next(step for step in plan(audits=(guess,)).steps if step.kind == "remediate")
    assert (step.orphans, step.title) == (
        None,
        "remediate the orphan rows of orders.customer_id: about 1,234 were estimated",
    )


def test_times_come_from_the_audit_and_the_rows() -> None:
    found = {step.kind.value: step.seconds for step in plan(audits=(audit(0),)).steps}
    assert found == {"index": 4.02, "add": 0.02, "validate": 2.02, "prove": 0.5}
    slow = {s.kind.value: s.seconds for s in plan(audits=(audit(0, seconds=9.0),)).steps}
    assert (slow["validate"], slow["prove"]) == (9.0, 9.0)


def test_the_action_and_its_reason_are_in_the_step() -> None:
    step = next(step for step in plan().steps if step.kind == "add")
    assert (step.title, step.why) == (
        "add the key on orders(customer_id) to customers.id, on delete restrict, not valid",
        "an order has a customer",
    )


# --- the index ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "serving",
    [
        index("i", "customer_id"),
        index("i", "customer_id", "id"),
        index("i", "customer_id", partial=True, definition="… WHERE (customer_id IS NOT NULL)"),
    ],
)
def test_an_index_that_serves_is_enough(serving: Index) -> None:
    child = table(ORDERS, "id!", "customer_id", indexes=(serving,))
    assert "index" not in kinds(plan(at=schema(child=child)))


@pytest.mark.parametrize(
    "useless",
    [
        index("i", "id", "customer_id"),
        index("i", "customer_id", valid=False),
        index("i", "customer_id", method="gin"),
        index("i", "customer_id", partial=True, definition="… WHERE (id > 0)"),
    ],
)
def test_an_index_that_does_not_serve_is_not_enough(useless: Index) -> None:
    child = table(ORDERS, "id!", "customer_id", indexes=(useless,))
    assert kinds(plan(at=schema(child=child)))[0] == "index"


def test_two_keys_of_the_same_columns_share_an_index() -> None:
    vendors = TableName("public", "vendors")
    both = schema()
    parent = table(vendors, "id!", indexes=(index("vendors_pkey", "id", unique=True),))
    both = replace(both, tables={**both.tables, vendors: parent})
    found = plan(relationship(), replace(relationship(), parent=vendors), at=both)
    assert kinds(found).count("index") == 1


# --- what is left out ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "default", "why"),
    [
        (
            Action.SET_NULL,
            False,
            "column 'customer_id' is NOT NULL: every delete of a parent would fail (23502)",
        ),
        (
            Action.SET_DEFAULT,
            False,
            ("column 'customer_id' is NOT NULL and has no default: every delete of a parent would"
            " fail (23502)"),
        ),
        (Action.SET_DEFAULT, True, None),
        (Action.CASCADE, False, None),
    ],
)  # fmt: skip
def test_an_action_that_would_fail_at_every_delete(
    action: Action, default: bool, why: str | None
) -> None:
    at = schema(child=table(ORDERS, "id!", "customer_id!"))
    defaults = frozenset({(ORDERS, "customer_id")}) if default else frozenset()
    found = plan(relationship(on_delete=action), at=at, around=Surroundings(defaults=defaults))
    assert left(found) == ([("missing", why)] if why else [])
    assert bool(found.steps) == (why is None)


def test_what_is_enforced_impossible_or_excepted_is_left_out_with_why() -> None:
    assert left(plan(at=schema(key()))) == [("enforced", "enforced by 'there'")]
    nothing = Comparisons("", (), ("uuid", "integer"))
    assert left(plan(compared=nothing)) == [
        ("impossible", "no equality operator between uuid and integer")
    ]
    exempt = Exemption(relationship().source, "the DBA", "by policy", date(2026, 9, 1))
    assert left(plan(exceptions=(exempt,))) == [
        ("excepted", "by policy (the DBA, review by 2026-09-01)")
    ]


def test_a_key_with_period_is_left_as_it_is() -> None:
    assert left(plan(at=schema(key(temporal=True, validated=False)))) == [
        ("not valid", "a key with PERIOD is left as it is")
    ]


def test_a_key_to_another_table_is_not_replaced_by_an_impossible_one() -> None:
    other = key(parent=TableName("public", "users"))
    nothing = Comparisons("", (), ("uuid", "integer"))
    assert left(plan(at=schema(other), compared=nothing)) == [
        ("mismatched", "no equality operator between uuid and integer")
    ]


def test_two_keys_that_do_the_same_are_both_named() -> None:
    assert left(plan(at=schema(key("a"), key("b")))) == [("enforced", "enforced by 'a' and 'b'")]


def test_a_partition_that_can_hold_no_key() -> None:
    part = Partition(TableName("public", "orders_far"), "f")
    child = table(ORDERS, "id!", "customer_id", kind="p")
    found = plan(at=schema(child=child), around=Surroundings({ORDERS: (part,)}))
    assert left(found) == [
        ("missing", "the partition public.orders_far is no ordinary table and can hold no key")
    ]


def test_a_partitions_key_is_changed_at_its_table() -> None:
    """The key is none of the partition's own: nothing could be dropped there."""
    whole = TableName("public", "all_orders")
    child = replace(table(ORDERS, "id!", "customer_id"), partition_of=whole)
    found = plan(at=schema(key(child=whole, on_delete=Action.CASCADE), child=child))
    assert left(found) == [
        (
            "mismatched",
            "public.orders is a partition: public.all_orders has its key 'there', change that",
        )
    ]
    assert found.steps == ()


# --- keys that are there ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ({"validated": False}, ["index", "remediate", "validate", "prove"]),
        ({"on_delete": Action.CASCADE}, ["index", "add", "remediate", "validate", "drop", "prove"]),
        ({"enforced": False, "validated": False},
         ["index", "add", "remediate", "validate", "drop", "prove"]),
        ({"disabled_triggers": 2}, ["index", "add", "remediate", "validate", "drop", "prove"]),
        ({"validated": False, "on_delete": Action.CASCADE},
         ["index", "add", "remediate", "validate", "drop", "prove"]),
    ],
)  # fmt: skip
def test_the_steps_for_a_key_that_is_there(there: dict[str, Any], expected: list[str]) -> None:
    assert kinds(plan(at=schema(key(**there)))) == expected


def test_the_order_of_the_columns_makes_no_other_key() -> None:
    ends: dict[str, Any] = {"columns": ("a", "b"), "references": ("x", "y")}
    wanted = PlannedKey(
        relationship="r", child="public.orders", parent="public.customers",
        on_delete=Action.RESTRICT, columns=("b", "a"), references=("y", "x"),
    )  # fmt: skip
    assert wanted.is_that_of(key(**ends))
    assert not wanted.is_that_of(key(columns=("a", "b"), references=("y", "x")))


@pytest.mark.parametrize(
    ("decided", "there", "same"),
    [
        ({}, {"on_update": Action.CASCADE, "match": Match.FULL}, True),
        ({"on_update": Action.CASCADE}, {"on_update": Action.CASCADE}, True),
        ({"on_update": Action.CASCADE}, {}, False),
        ({"match": Match.FULL}, {}, False),
    ],
)
def test_what_nobody_decided_may_be_anything(
    decided: dict[str, Any], there: dict[str, Any], same: bool
) -> None:
    found = plan(relationship(**decided), at=schema(key(**there)))
    assert (found.steps == ()) == same


# --- names --------------------------------------------------------------------------------------


def test_a_taken_name_gets_a_digest_and_then_a_number() -> None:
    taken = {(ORDERS, "fk_orders_customer_id")}
    first = plan(around=Surroundings(constraints=frozenset(taken))).keys[0].name
    assert first == naming.constraint_name(relationship(), alone=False)
    taken.add((ORDERS, first))
    assert plan(around=Surroundings(constraints=frozenset(taken))).keys[0].name == f"{first}_2"


def test_long_names_stay_whole() -> None:
    long = TableName("public", "ö" * 31)
    child = table(long, "id!", "customer_id")
    item = Relationship(long, ("customer_id",), CUSTOMERS, ("id",), Action.RESTRICT)
    for around in (
        Surroundings(),
        Surroundings(relations=frozenset({("public", naming.cut("idx_" + "ö" * 31, "x"))})),
    ):
        found = plan(item, at=schema(child=child), around=around)
        names = [step.name for step in found.steps if step.name]
        assert all(len(name.encode()) <= naming.LONGEST_NAME for name in names)
        assert len(set(names)) == 2  # the index and the key


# --- by version ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (170000, ["add", "add", "remediate", "validate", "validate", "attach", "prove"]),
        (180000, ["add", "remediate", "validate", "prove"]),
    ],
)
def test_a_partitioned_child_by_version(version: int, expected: list[str]) -> None:
    names = [TableName("public", f"orders_{n}") for n in (1, 2)]
    around = Surroundings({ORDERS: tuple(Partition(name, "r") for name in names)})
    serving = (index("i", "customer_id"),)
    child = table(ORDERS, "id!", "customer_id", kind="p", indexes=serving)
    found = plan(at=schema(child=child, version=version), around=around)
    assert kinds(found) == expected
    exclusive = {
        (step.kind.value, lock.table)
        for step in found.steps
        for lock in step.locks
        if lock.mode == stepping.AE
    }
    assert exclusive == ({("attach", "public.customers")} if version < 180000 else set())
