"""Applying a plan: what is there afterwards, what it locked, and that again changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runbook.connection import OVERRIDE_OWNER, OVERRIDE_READER
from runbook.errors import IncompleteError
from runbook.migration import blockers
from runbook.migration.execution import Phase
from runbook.migration.log import StepOutcome
from runbook.migration.plan import Plan, PlanStep, StepKind
from runbook.relationships import Relationship
from runbook.schema import Action, Match
from runbook.session import fetch
from runbook.telecore import demo
from tests import migrations, standby
from tests.conftest import PASSWORDS, Connect
from tests.migration_project import TABLES
from tests.places import HOSTILE, OWNER, READER, Place

POSTGRES_15 = Path("/usr/lib/postgresql/15/bin")
DONE, ALREADY = StepOutcome.DONE, StepOutcome.ALREADY
STRONG = blockers.MODES[3:]  # what keeps anybody but readers and writers of rows waiting


def orders(place: Place, **values: object) -> Relationship:
    given: dict[str, object] = {"on_delete": Action.RESTRICT, **values}
    return place.relationship("orders", "customer_id", "customers", "id", **given)


def ids(plan: Plan) -> list[str]:
    return [step.id for step in plan.steps]


def keys(place: Place) -> list[tuple[str, str, bool]]:
    found = place.read().foreign_keys
    return [(key.name, key.on_delete.value, key.validated) for key in found]


def test_a_missing_key_is_added_validated_and_proven(place: Place) -> None:
    place.run(TABLES)
    plan = migrations.make_plan(place, orders(place))
    assert ids(plan) == ["001-index", "002-add", "003-validate", "004-prove"]
    log = migrations.apply(place, plan)
    assert set(migrations.outcomes(log).values()) == {DONE}
    assert (log.failure, log.exit_code, log.changed) == ("", 0, 3)
    assert keys(place) == [("fk_orders_customer_id", "restrict", True)]


def test_a_second_apply_changes_nothing(place: Place, connect: Connect) -> None:
    place.run(TABLES)
    plan = migrations.make_plan(place, orders(place))
    migrations.apply(place, plan)
    before = migrations.catalog_of(connect, place, oids=True)
    log = migrations.apply(place, plan)
    assert list(migrations.outcomes(log).values()) == [ALREADY, ALREADY, ALREADY, DONE]
    assert (log.changed, log.exit_code) == (0, 0)
    assert migrations.catalog_of(connect, place, oids=True) == before


# --- mismatched, not valid, not enforced --------------------------------------------------------


def test_a_key_with_another_action_is_replaced_under_another_name(place: Place) -> None:
    place.run(f"""{TABLES} CREATE INDEX ON orders (customer_id);
        ALTER TABLE orders ADD CONSTRAINT fk_orders_customer_id FOREIGN KEY (customer_id)
        REFERENCES customers ON DELETE CASCADE""")
    plan = migrations.make_plan(place, orders(place))
    assert ids(plan) == ["001-add", "002-validate", "003-drop", "004-prove"]
    drop = migrations.planned(plan, "drop")
    assert {lock.mode for lock in drop.locks} == {"ACCESS EXCLUSIVE"}
    assert migrations.apply(place, plan).exit_code == 0
    (key,) = keys(place)
    assert key[0].startswith("fk_orders_customer_id_")
    assert key[1:] == ("restrict", True)
    assert migrations.apply(place, plan).changed == 0
    assert migrations.make_plan(place, orders(place)).steps == ()
    place.run(drop.undo)
    assert ("fk_orders_customer_id", "cascade", False) in keys(place)


def test_what_nobody_decided_stays_as_the_replaced_key_had_it(place: Place) -> None:
    definition = (
        f"FOREIGN KEY (customer_id) REFERENCES {place.schema}.customers(id) MATCH FULL"
        " ON UPDATE CASCADE ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED"
    )
    place.run(f"""{TABLES} CREATE INDEX ON orders (customer_id);
        ALTER TABLE orders ADD CONSTRAINT old {definition}""")
    plan = migrations.make_plan(place, orders(place))
    assert (
        migrations.planned(plan, "add")
        .statements[1]
        .endswith(
            "MATCH FULL\n"
            "  ON DELETE RESTRICT ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED NOT VALID;"
        )
    )
    drop = migrations.planned(plan, "drop")
    assert drop.undo == (
        f"ALTER TABLE {place.schema}.orders ADD CONSTRAINT old {definition} NOT VALID;"
    )
    assert migrations.apply(place, plan).exit_code == 0
    key = place.key()
    assert (key.name, key.on_delete, key.on_update, key.match, key.deferrable) == (
        "fk_orders_customer_id", Action.RESTRICT, Action.CASCADE, Match.FULL, True,
    )  # fmt: skip
    assert migrations.make_plan(place, orders(place)).steps == ()


def test_the_old_key_stays_until_the_new_one_is_valid(place: Place) -> None:
    place.run(f"""{TABLES} CREATE INDEX ON orders (customer_id);
        ALTER TABLE orders ADD CONSTRAINT old FOREIGN KEY (customer_id)
        REFERENCES customers ON DELETE CASCADE""")
    plan = migrations.make_plan(place, orders(place))
    place.run("SET session_replication_role = replica; INSERT INTO orders VALUES (9001, 900)", None)
    log = migrations.apply(place, plan)
    assert list(migrations.outcomes(log).values()) == [
        DONE, StepOutcome.ORPHANS, StepOutcome.WAITING, StepOutcome.WAITING,
    ]  # fmt: skip
    assert log.exit_code == 1
    assert keys(place) == [
        ("fk_orders_customer_id", "restrict", False),
        ("old", "cascade", True),
    ]


def test_a_plan_made_between_goes_on_with_the_drop(place: Place) -> None:
    place.run(f"""{TABLES} CREATE INDEX ON orders (customer_id);
        ALTER TABLE orders ADD CONSTRAINT a FOREIGN KEY (customer_id)
        REFERENCES customers ON DELETE CASCADE;
        ALTER TABLE orders ADD CONSTRAINT b FOREIGN KEY (customer_id)
        REFERENCES customers ON DELETE RESTRICT""")
    plan = migrations.make_plan(place, orders(place))
    assert ids(plan) == ["001-drop", "002-prove"]
    assert migrations.apply(place, plan).exit_code == 0
    assert keys(place) == [("b", "restrict", True)]


def test_a_key_to_another_table_is_replaced(place: Place) -> None:
    place.run(f"""{TABLES} CREATE TABLE users (id int PRIMARY KEY);
        INSERT INTO users SELECT id FROM customers;
        CREATE INDEX ON orders (customer_id);
        ALTER TABLE orders ADD CONSTRAINT old FOREIGN KEY (customer_id) REFERENCES users""")
    plan = migrations.make_plan(place, orders(place))
    assert ids(plan) == ["001-add", "002-validate", "003-drop", "004-prove"]
    assert migrations.apply(place, plan).exit_code == 0
    assert [str(key.parent) for key in place.read().foreign_keys] == [f"{place.schema}.customers"]


def test_a_key_that_is_not_valid_is_only_validated(place: Place) -> None:
    place.run(f"""{TABLES} CREATE INDEX ON orders (customer_id);
        ALTER TABLE orders ADD CONSTRAINT mine FOREIGN KEY (customer_id)
        REFERENCES customers ON DELETE RESTRICT NOT VALID""")
    plan = migrations.make_plan(place, orders(place))
    assert ids(plan) == ["001-validate", "002-prove"]
    assert migrations.apply(place, plan).exit_code == 0
    assert keys(place) == [("mine", "restrict", True)]


def test_a_key_that_is_not_enforced_is_added_anew_and_dropped(place: Place) -> None:
    place.run(f"""{TABLES} CREATE INDEX ON orders (customer_id);
        ALTER TABLE orders ADD CONSTRAINT mine FOREIGN KEY (customer_id)
        REFERENCES customers ON DELETE RESTRICT NOT ENFORCED""")
    plan = migrations.make_plan(place, orders(place))
    assert ids(plan) == ["001-add", "002-validate", "003-drop", "004-prove"]
    assert not any(" ENFORCED" in sql for step in plan.steps for sql in step.statements)
    assert migrations.apply(place, plan).exit_code == 0
    assert keys(place) == [("fk_orders_customer_id", "restrict", True)]


def test_a_key_with_disabled_triggers_is_added_anew(place: Place) -> None:
    place.run(f"""{TABLES} CREATE INDEX ON orders (customer_id);
        ALTER TABLE orders ADD CONSTRAINT mine FOREIGN KEY (customer_id)
        REFERENCES customers ON DELETE RESTRICT""")
    place.run("ALTER TABLE orders DISABLE TRIGGER ALL", None)
    plan = migrations.make_plan(place, orders(place))
    assert ids(plan) == ["001-add", "002-validate", "003-drop", "004-prove"]
    assert migrations.apply(place, plan).exit_code == 0
    assert keys(place) == [("fk_orders_customer_id", "restrict", True)]


# --- remediation and proof ----------------------------------------------------------------------


def test_a_key_waits_for_its_orphan_rows_and_takes_no_new_ones(place: Place) -> None:
    place.run(f"{TABLES} INSERT INTO orders VALUES (5001, 700), (5002, 701)")
    plan = migrations.make_plan(place, orders(place))
    remediate = migrations.planned(plan, "remediate")
    assert (remediate.orphans, remediate.title) == (
        2,
        f"remediate the orphan rows of {place.schema}.orders.customer_id: 2 were counted",
    )
    log = migrations.apply(place, plan)
    assert migrations.step_of(log, "remediate").orphans == 2
    assert keys(place) == [("fk_orders_customer_id", "restrict", False)]
    place.run("UPDATE orders SET customer_id = NULL WHERE id > 5000")
    again = migrations.apply(place, plan)
    assert (again.exit_code, again.changed) == (0, 1)
    assert keys(place) == [("fk_orders_customer_id", "restrict", True)]


def test_rows_that_came_after_the_plan_are_reported_and_the_key_stays(place: Place) -> None:
    place.run(TABLES)
    plan = migrations.make_plan(place, orders(place))
    place.run("INSERT INTO orders VALUES (5001, 700)")
    log = migrations.apply(place, plan)
    step = migrations.step_of(log, "validate")
    assert (step.outcome, step.message) == (
        StepOutcome.ORPHANS,
        (
            'insert or update on table "orders" violates foreign key constraint'
            ' "fk_orders_customer_id" (23503)'
        ),
    )
    assert log.exit_code == 1
    assert keys(place) == [("fk_orders_customer_id", "restrict", False)]


def test_a_valid_key_with_an_orphan_row_is_not_proven(place: Place) -> None:
    place.run(TABLES)
    plan = migrations.make_plan(place, orders(place))

    def swallow(step: PlanStep, _number: int, phase: Phase) -> None:
        if (step.kind, phase) == (StepKind.PROVE, Phase.BEFORE):
            place.run(
                "SET session_replication_role = replica; INSERT INTO orders VALUES (1001, 900)",
                None,
            )

    log = migrations.apply(place, plan, observe=swallow)
    step = migrations.step_of(log, "prove")
    assert (step.outcome, step.message, step.orphans) == (
        StepOutcome.NOT_PROVEN,
        "1 orphan row though the key is there",
        1,
    )
    assert log.exit_code == 1


def test_disabled_triggers_are_not_proven(place: Place) -> None:
    place.run(TABLES)
    plan = migrations.make_plan(place, orders(place))

    def disable(step: PlanStep, _number: int, phase: Phase) -> None:
        if (step.kind, phase) == (StepKind.PROVE, Phase.BEFORE):
            place.run("ALTER TABLE orders DISABLE TRIGGER ALL", None)

    log = migrations.apply(place, plan, observe=disable)
    step = migrations.step_of(log, "prove")
    assert (step.outcome, step.message) == (
        StepOutcome.NOT_PROVEN,
        "2 triggers of the key 'fk_orders_customer_id' disabled",
    )


def test_row_security_that_would_hide_the_orphan_row_stops_it(place: Place) -> None:
    """A2: as this owner, VALIDATE alone would call the key valid."""
    place.run(f"""{TABLES} INSERT INTO orders VALUES (5001, 700);
        CREATE INDEX ON orders (customer_id);
        ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
        ALTER TABLE orders FORCE ROW LEVEL SECURITY;
        CREATE POLICY p ON orders USING (id < 5000)""")
    plan = migrations.make_plan(place, orders(place), audited=False)
    log = migrations.apply(place, plan)
    assert log.failure == (
        '002-remediate: query would be affected by row-level security policy for table "orders"'
        " (42501)"
    )
    assert (log.exit_code, keys(place)) == (3, [("fk_orders_customer_id", "restrict", False)])


# --- names, indexes, rights ---------------------------------------------------------------------


def test_a_name_that_was_taken_before_the_plan_is_not_used(place: Place) -> None:
    place.run(f"""{TABLES}
        ALTER TABLE orders ADD CONSTRAINT fk_orders_customer_id CHECK (id > 0);
        CREATE TABLE idx_orders_customer_id (id int)""")
    plan = migrations.make_plan(place, orders(place))
    assert migrations.planned(plan, "index").name == "idx_orders_customer_id_2"
    name = migrations.planned(plan, "add").name
    assert name.startswith("fk_orders_customer_id_")
    assert migrations.apply(place, plan).exit_code == 0
    assert keys(place) == [(name, "restrict", True)]


def test_a_name_that_was_taken_after_the_plan_stops_it(place: Place) -> None:
    place.run(f"{TABLES} CREATE INDEX ON orders (customer_id)")
    plan = migrations.make_plan(place, orders(place))
    place.run("ALTER TABLE orders ADD CONSTRAINT fk_orders_customer_id CHECK (id > 0)")
    log = migrations.apply(place, plan)
    assert (log.failure, log.hint) == (
        (
            f"001-add: the name 'fk_orders_customer_id' is taken on {place.schema}.orders"
            " by another constraint"
        ),
        "make a new plan: runbook migrate plan",
    )


def test_an_index_name_that_was_taken_after_the_plan_stops_it(place: Place) -> None:
    place.run(TABLES)
    plan = migrations.make_plan(place, orders(place))
    place.run("CREATE INDEX idx_orders_customer_id ON customers (name)")
    assert migrations.apply(place, plan).failure == (
        f"001-index: the name 'idx_orders_customer_id' is taken in schema {place.schema!r}"
    )


def test_an_invalid_index_that_was_left_over_is_built_anew(place: Place) -> None:
    place.run(TABLES)
    plan = migrations.make_plan(place, orders(place))
    place.run("CREATE INDEX idx_orders_customer_id ON orders (customer_id)")
    place.run(
        "UPDATE pg_index SET indisvalid = false"
        " WHERE indexrelid = 'idx_orders_customer_id'::regclass",
        None,
    )
    said: list[str] = []
    assert migrations.apply(place, plan, say=said.append).exit_code == 0
    assert (
        "001-index: drops the invalid index 'idx_orders_customer_id' of an earlier attempt" in said
    )
    index = place.table("orders").index_leading_with(("customer_id",))
    assert index is not None
    assert (index.name, index.valid) == ("idx_orders_customer_id", True)


def test_a_new_plan_takes_the_name_of_the_invalid_index_and_leaves_somebody_elses(
    place: Place,
) -> None:
    place.run(f"""{TABLES} CREATE INDEX idx_orders_customer_id ON orders (customer_id);
        CREATE UNIQUE INDEX somebody ON orders (customer_id, id)""")
    place.run(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid IN"
        " ('idx_orders_customer_id'::regclass, 'somebody'::regclass)",
        None,
    )
    plan = migrations.make_plan(place, orders(place))
    assert migrations.planned(plan, "index").name == "idx_orders_customer_id"
    assert migrations.apply(place, plan).exit_code == 0
    assert {index.name: index.valid for index in place.table("orders").indexes} == {
        "orders_pkey": True, "idx_orders_customer_id": True, "somebody": False,
    }  # fmt: skip


def test_an_index_whose_building_failed_is_dropped_and_built(place: Place) -> None:
    """The leftover is PostgreSQL's own: the attempt waits for a writer and gives up."""
    place.run(TABLES)
    plan = migrations.make_plan(place, orders(place))
    quick = migrations.QUICK.model_copy(update={"lock": migrations.QUICK.lock / 20})
    with place.connect(place.database, OWNER) as other:
        other.execute("BEGIN")
        other.execute(f'INSERT INTO "{place.schema}".orders VALUES (5001, 1)'.encode())

        def end(text: str) -> None:
            if "attempt 1 of" in text:
                assert not place.table("orders").indexes[-1].valid
                other.execute("COMMIT")

        log = migrations.apply(place, plan, quick, say=end)
    step = migrations.step_of(log, "index")
    assert ([a.sqlstate for a in step.attempts], step.outcome) == (["55P03"], DONE)
    assert all(index.valid for index in place.table("orders").indexes)


def test_a_key_somebody_added_meanwhile_is_taken_for_it(place: Place) -> None:
    place.run(f"{TABLES} CREATE INDEX ON orders (customer_id)")
    plan = migrations.make_plan(place, orders(place))
    place.run("""ALTER TABLE orders ADD CONSTRAINT theirs FOREIGN KEY (customer_id)
        REFERENCES customers ON DELETE RESTRICT""")
    log = migrations.apply(place, plan)
    assert [(step.outcome, step.message) for step in log.steps[:2]] == [
        (ALREADY, "by the key 'theirs'"),
        (ALREADY, "by the key 'theirs'"),
    ]
    assert keys(place) == [("theirs", "restrict", True)]


def test_what_the_role_may_not_do_is_told_before_anything_is_locked(place: Place) -> None:
    place.run(TABLES)
    plan = migrations.make_plan(place, orders(place))
    place.run(
        "ALTER TABLE customers OWNER TO CURRENT_USER; ALTER TABLE orders OWNER TO CURRENT_USER;"
        "GRANT SELECT ON orders, customers TO telecore_owner",
        None,
    )
    with pytest.raises(IncompleteError) as caught:
        migrations.apply(place, plan)
    assert str(caught.value) == (
        f"'telecore_owner' may not alter {place.schema}.orders, which 'postgres' owns;"
        f" nor refer to {place.schema}.customers (REFERENCES);"
        f" nor lock {place.schema}.customers (UPDATE, DELETE or TRUNCATE)\n"
        "hint: apply it as the tables' owner, or grant what is missing"
    )


# --- what the plan presupposes ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (
            "ALTER TABLE orders ALTER customer_id SET NOT NULL",
            (
                "expected 'column S.orders.customer_id: integer';"
                " got 'column S.orders.customer_id: integer not null'"
            ),
        ),
        (
            "ALTER TABLE customers DROP CONSTRAINT customers_pkey",
            (
                "expected 'S.orders(customer_id) -> S.customers(id): compared by pg_catalog.=';"
                " got 'S.orders(customer_id) -> S.customers(id): compared by nothing'"
            ),
        ),
        (
            "ALTER TABLE orders ADD CONSTRAINT x FOREIGN KEY (customer_id) REFERENCES customers",
            (
                "got \"key 'x' on S.orders: S.orders(customer_id) -> S.customers(id),"
                ' on delete no action, not as decided"'
            ),
        ),
        ("DROP TABLE orders", None),
    ],
)
def test_another_schema_is_refused_and_told(place: Place, change: str, what: str | None) -> None:
    place.run(TABLES)
    plan = migrations.make_plan(place, orders(place))
    place.run(change)
    with pytest.raises(IncompleteError) as caught:
        migrations.apply(place, plan)
    assert caught.value.hint == "make a new plan: runbook migrate plan scratch"
    told = caught.value.message.replace(place.schema, "S")
    before = "the database is not as the plan presupposes: "
    assert told.startswith(before)
    assert what is None or told.removeprefix(before) == what


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE orders ADD COLUMN note text",
        "CREATE TABLE other (id int)",
        "INSERT INTO orders VALUES (7001, 1)",
        "CREATE INDEX ON orders (customer_id)",
    ],
)
def test_what_does_not_concern_the_plan_is_not_refused(place: Place, change: str) -> None:
    place.run(TABLES)
    plan = migrations.make_plan(place, orders(place))
    place.run(change)
    assert migrations.apply(place, plan).exit_code == 0


# --- locks --------------------------------------------------------------------------------------


def strong_locks(session_locks: object) -> set[tuple[str, str]]:
    assert isinstance(session_locks, tuple)
    return {(lock.table, lock.mode) for lock in session_locks if lock.mode in STRONG}


def assert_no_other_lock(place: Place, plan: Plan) -> None:
    """Another session looks at pg_locks right before every COMMIT; the log says the same."""
    seen: dict[str, set[tuple[str, str]]] = {}

    def look(step: PlanStep, _number: int, phase: Phase) -> None:
        if phase is Phase.AFTER:
            return
        with place.connect(place.database, None) as admin:
            rows = admin.execute(
                "SELECT n.nspname, c.relname, l.mode FROM pg_locks l"
                " JOIN pg_stat_activity a ON a.pid = l.pid"
                " JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n"
                " ON n.oid = c.relnamespace WHERE a.application_name = 'fk-runbook'"
                " AND l.granted AND n.nspname = %s AND c.relkind IN ('r', 'p')",
                [place.schema],
            ).fetchall()
        found = {(f"{s}.{t}", blockers.as_in_sql(mode)) for s, t, mode in rows}
        seen.setdefault(step.id, set()).update(lock for lock in found if lock[1] in STRONG)

    log = migrations.apply(place, plan, observe=look)
    assert log.exit_code == 0, log
    for step, done in zip(plan.steps, log.steps, strict=True):
        declared = {(lock.table, lock.mode) for lock in step.locks}
        for table, mode in seen[step.id] | strong_locks(done.locks):
            weaker = blockers.MODES[: blockers.MODES.index(mode)]
            assert any(t == table and m not in weaker for t, m in declared), (step.id, table, mode)
        if step.kind in (StepKind.ADD, StepKind.DROP, StepKind.ATTACH):
            assert seen[step.id] >= strong_locks(step.locks), step.id


SHAPES = {
    "plain": TABLES,
    "mismatched": f"""{TABLES} ALTER TABLE orders ADD CONSTRAINT old FOREIGN KEY (customer_id)
        REFERENCES customers ON DELETE CASCADE""",
    "inherited": f"{TABLES} CREATE TABLE old_orders () INHERITS (orders)",
    "partitioned child": """
        CREATE TABLE customers (id int PRIMARY KEY);
        CREATE TABLE orders (id int, customer_id int) PARTITION BY RANGE (id);
        CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM (0) TO (500);
        CREATE TABLE orders_2 PARTITION OF orders FOR VALUES FROM (500) TO (5000)
            PARTITION BY RANGE (id);
        CREATE TABLE orders_2a PARTITION OF orders_2 FOR VALUES FROM (500) TO (5000);
        INSERT INTO customers SELECT n FROM generate_series(1, 100) n;
        INSERT INTO orders SELECT n, 1 + n % 100 FROM generate_series(1, 1000) n""",
    "partitioned parent": """
        CREATE TABLE customers (id int PRIMARY KEY) PARTITION BY RANGE (id);
        CREATE TABLE customers_1 PARTITION OF customers FOR VALUES FROM (0) TO (500);
        CREATE TABLE orders (id int PRIMARY KEY, customer_id int);
        INSERT INTO customers SELECT n FROM generate_series(1, 100) n;
        INSERT INTO orders SELECT n, 1 + n % 100 FROM generate_series(1, 1000) n""",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_is_locked_but_what_the_plan_declares(place: Place, shape: str) -> None:
    place.run(SHAPES[shape])
    assert_no_other_lock(place, migrations.make_plan(place, orders(place)))
    assert [valid for _, _, valid in keys(place)] == [True]


def test_a_table_that_refers_to_itself(place: Place) -> None:
    place.run("CREATE TABLE nodes (id int PRIMARY KEY, up int); INSERT INTO nodes VALUES (1, 1)")
    item = place.relationship("nodes", "up", "nodes", "id", on_delete=Action.CASCADE)
    assert_no_other_lock(place, migrations.make_plan(place, item))


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_applied(place: Place, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    place.run(f"CREATE TABLE {quoted} ({quoted} int PRIMARY KEY);"
              f"CREATE TABLE child ({quoted} int); INSERT INTO child VALUES (NULL)")  # fmt: skip
    item = place.relationship("child", "x", "x", "x")
    item = Relationship(item.child, (name,), place.name(name), (name,), Action.CASCADE)
    log = migrations.apply(place, migrations.make_plan(place, item))
    assert log.exit_code == 0, log
    assert place.key().validated


# --- by version ---------------------------------------------------------------------------------


def test_from_18_on_the_key_goes_on_the_partitioned_table(place: Place) -> None:
    place.run(SHAPES["partitioned child"])
    plan = migrations.make_plan(place, orders(place))
    assert ids(plan) == [
        "001-index", "002-index", "003-index", "004-add", "005-validate", "006-prove",
    ]  # fmt: skip
    assert migrations.apply(place, plan).exit_code == 0
    assert migrations.apply(place, plan).changed == 0
    assert migrations.make_plan(place, orders(place)).steps == ()


BOTH_PARTITIONED = """
    CREATE TABLE orders (shop int, id int, PRIMARY KEY (shop, id)) PARTITION BY RANGE (shop);
    CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM (0) TO (10);
    CREATE TABLE orders_2 PARTITION OF orders DEFAULT;
    CREATE TABLE lines (id int, order_id int, shop int) PARTITION BY RANGE (id);
    CREATE TABLE lines_1 PARTITION OF lines FOR VALUES FROM (0) TO (10);
    CREATE TABLE lines_2 PARTITION OF lines DEFAULT;
    INSERT INTO orders VALUES (1, 2), (20, 3);
    INSERT INTO lines VALUES (1, 2, 1), (20, 3, 20), (21, NULL, NULL)
"""


def lines(place: Place) -> Relationship:
    return place.relationship(
        "lines", "order_id shop", "orders", "id shop", match=Match.FULL, on_delete=Action.CASCADE
    )


def test_both_are_partitioned_and_the_key_is_composite_and_full(place: Place) -> None:
    place.run(BOTH_PARTITIONED)
    assert_no_other_lock(place, migrations.make_plan(place, lines(place)))
    assert migrations.make_plan(place, lines(place)).steps == ()


LEAF = "CREATE INDEX mine ON orders_1 (customer_id, id)"


def assert_the_root_builds_no_index(place: Place) -> None:
    """What the root's index takes over was built before, while others wrote."""
    place.run(f"{SHAPES['partitioned child']}; {LEAF}")
    plan = migrations.make_plan(place, orders(place))
    indexed = [step.table for step in plan.steps if step.kind is StepKind.INDEX]
    assert indexed == ["orders_1", "orders_2a", "orders"]
    log = migrations.apply(place, plan)
    assert log.exit_code == 0, log
    assert {index.name for index in place.table("orders_1").indexes} == {
        "mine", "idx_orders_1_customer_id",
    }  # fmt: skip
    assert migrations.apply(place, plan).changed == 0


def test_a_partition_with_another_index_gets_the_one_that_the_root_takes_over(
    place: Place,
) -> None:
    assert_the_root_builds_no_index(place)


def test_a_partition_with_the_very_index_gets_no_other(place: Place) -> None:
    place.run(f"{SHAPES['partitioned child']}; CREATE INDEX mine ON orders_1 (customer_id)")
    plan = migrations.make_plan(place, orders(place))
    indexed = [step.table for step in plan.steps if step.kind is StepKind.INDEX]
    assert indexed == ["orders_2a", "orders"]
    assert migrations.apply(place, plan).exit_code == 0
    assert [index.name for index in place.table("orders_1").indexes] == ["mine"]


@pytest.fixture(scope="module")
def postgres_15() -> Iterator[standby.Server]:
    with standby.single(POSTGRES_15) as server:
        demo.prepare(server.connect, PASSWORDS, ())
        with server.connect("postgres") as admin:
            admin.execute("CREATE DATABASE old OWNER telecore_owner")
        yield server


@pytest.fixture
def old(postgres_15: standby.Server, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A place on PostgreSQL 15."""
    monkeypatch.setenv(OVERRIDE_READER, postgres_15.dsn("old", READER))
    monkeypatch.setenv(OVERRIDE_OWNER, postgres_15.dsn("old", OWNER))
    return Place(postgres_15.connect, "old")


@pytest.mark.slow
@pytest.mark.postgres15
@pytest.mark.skipif(not POSTGRES_15.exists(), reason="no PostgreSQL 15 on this machine")
class TestOnPostgres15:
    """Before 18: each partition gets a key of its own, and the root takes them over."""

    def test_the_key_goes_on_each_partition_first(self, old: Place) -> None:
        old.run(SHAPES["partitioned child"])
        plan = migrations.make_plan(old, orders(old))
        assert [step.split("-")[1] for step in ids(plan)] == [
            *("index", "index", "index"), *("add", "add"), *("validate", "validate"),
            "attach", "prove",
        ]  # fmt: skip
        attach = migrations.planned(plan, "attach")
        assert f"{old.schema}.customers" in {
            lock.table for lock in attach.locks if lock.mode == "ACCESS EXCLUSIVE"
        }
        assert_no_other_lock(old, plan)
        assert migrations.apply(old, plan).changed == 0
        assert migrations.make_plan(old, orders(old)).steps == ()

    def test_a_partition_with_another_index(self, old: Place) -> None:
        assert_the_root_builds_no_index(old)

    @pytest.mark.parametrize(
        ("ending", "expected"),
        [
            ("NOT VALID", [("add", "orders_2a"), ("validate", "orders_1"),
                           ("validate", "orders_2a")]),
            ("", [("add", "orders_2a"), ("validate", "orders_2a")]),
            # the root's key would not take this one over, but scan under ACCESS EXCLUSIVE
            ("ON UPDATE CASCADE", [("add", "orders_1"), ("add", "orders_2a"),
                                   ("validate", "orders_1"), ("validate", "orders_2a")]),
            ("DEFERRABLE", [("add", "orders_1"), ("add", "orders_2a"),
                            ("validate", "orders_1"), ("validate", "orders_2a")]),
        ],
    )  # fmt: skip
    def test_a_partition_that_has_a_key_of_its_own(
        self, old: Place, ending: str, expected: list[tuple[str, str]]
    ) -> None:
        old.run(f"""{SHAPES["partitioned child"]}; ALTER TABLE orders_1 ADD CONSTRAINT mine
            FOREIGN KEY (customer_id) REFERENCES customers ON DELETE RESTRICT {ending}""")
        plan = migrations.make_plan(old, orders(old))
        kinds = (StepKind.ADD, StepKind.VALIDATE)
        steps = [(step.kind.value, step.table) for step in plan.steps if step.kind in kinds]
        assert steps == expected
        log = migrations.apply(old, plan)
        assert log.exit_code == 0, log
        with old.reading() as session:
            ((taken_over,),) = fetch(
                session,
                "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conparentid <> 0"
                " AND conrelid = %s::regclass",
                f"{old.schema}.orders_1",
            )
        assert taken_over == 1
        assert migrations.make_plan(old, orders(old)).steps == ()

    def test_a_partitioned_childs_key_is_replaced_and_can_be_had_again(self, old: Place) -> None:
        old.run(f"""{SHAPES["partitioned child"]}; ALTER TABLE orders ADD CONSTRAINT mine
            FOREIGN KEY (customer_id) REFERENCES customers ON DELETE CASCADE""")
        plan = migrations.make_plan(old, orders(old))
        assert migrations.apply(old, plan).exit_code == 0
        assert [action for _, action, _ in keys(old)] == ["restrict"]
        old.run(migrations.planned(plan, "drop").undo)
        assert ("mine", "cascade", True) in keys(old)

    def test_orphan_rows_keep_it_from_the_root(self, old: Place) -> None:
        old.run(f"{SHAPES['partitioned child']}; INSERT INTO orders VALUES (700, 900)")
        plan = migrations.make_plan(old, orders(old))
        log = migrations.apply(old, plan)
        assert log.exit_code == 1
        assert migrations.step_of(log, "attach").outcome is StepOutcome.WAITING
        assert old.read().tables[old.name("orders")] is not None
        old.run("DELETE FROM orders WHERE id = 700 AND customer_id = 900")
        assert migrations.apply(old, plan).exit_code == 0

    def test_a_partitioned_parent_locks_the_childs_partitions_too(self, old: Place) -> None:
        old.run(BOTH_PARTITIONED)
        plan = migrations.make_plan(old, lines(old))
        attach = migrations.planned(plan, "attach")
        assert {lock.mode for lock in attach.locks} == {"ACCESS EXCLUSIVE"}
        assert_no_other_lock(old, plan)
        assert migrations.make_plan(old, lines(old)).steps == ()

    def test_a_partition_that_came_after_the_plan_is_told(self, old: Place) -> None:
        old.run(SHAPES["partitioned child"])
        plan = migrations.make_plan(old, orders(old))
        old.run("CREATE TABLE orders_3 PARTITION OF orders FOR VALUES FROM (5000) TO (6000)")
        with pytest.raises(IncompleteError) as caught:
            migrations.apply(old, plan)
        assert caught.value.message == (
            "the database is not as the plan presupposes:"
            f" got 'partition {old.schema}.orders_3 of {old.schema}.orders'"
        )

    @pytest.mark.parametrize("shape", ["plain", "mismatched", "partitioned parent"])
    def test_the_other_shapes(self, old: Place, shape: str) -> None:
        old.run(SHAPES[shape])
        assert_no_other_lock(old, migrations.make_plan(old, orders(old)))
