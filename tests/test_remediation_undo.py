"""What stands against an undo: each is refused in full, and nothing was changed."""

from __future__ import annotations

import pytest

from tests.remedies import Ward, ward

pytestmark = pytest.mark.slow

__all__ = ["ward"]  # a fixture

ORDERS = ("orders.customer_id", "--strategy")
KEYLESS = ("--without-key", "a test")


def refused(ward: Ward, wanted: str, message: str, hint: str, table: str = "orders") -> None:
    before = ward.dump(table)
    assert ward.undo(wanted) == (
        2,
        f"remediation {wanted} {message}\nhint: {hint}",
    )
    assert ward.dump(table) == before
    assert wanted in ward("--list")[1]
    assert f"{wanted}  undone" not in ward("--list")[1]


@pytest.fixture
def taken(ward: Ward) -> tuple[Ward, str]:
    """Five orders in quarantine, and no key."""
    ward.relate("orders", "customer_id", "customers", "set null")
    return ward, ward.apply(*ORDERS, "quarantine", *KEYLESS)


def kept(wanted: str) -> str:
    return f"runbook_quarantine.orders_{wanted.lower().replace('-', '_')}"


def test_twice(taken: tuple[Ward, str]) -> None:
    ward, wanted = taken
    assert ward.undo(wanted)[0] == 0
    moment = ward.last().undone
    assert moment is not None
    assert ward.undo(wanted) == (
        2,
        (
            f"remediation {wanted} was undone at {moment:%Y-%m-%d %H:%M} UTC\n"
            "hint: there is nothing more to bring back"
        ),
    )
    assert ward.ask("SELECT count(*) FROM orders") == [(7,)]


def test_the_key_is_there_now(taken: tuple[Ward, str]) -> None:
    ward, wanted = taken
    ward.key(more="")
    refused(
        ward,
        wanted,
        "cannot be undone: 5 of its rows still have no parent, and the key 'k' refuses them",
        f'restore the parents first, or ALTER TABLE "{ward.place.schema}"."orders"'
        ' DROP CONSTRAINT "k"',
    )
    ward.place.run("INSERT INTO customers SELECT n, 'back' FROM generate_series(3, 7) n")
    assert ward.undo(wanted)[0] == 0
    assert ward.ask("SELECT count(*) FROM orders") == [(7,)]


def test_the_rows_exist_again(taken: tuple[Ward, str]) -> None:
    ward, wanted = taken
    ward.place.run("INSERT INTO orders (id) VALUES (3), (5)")
    refused(
        ward,
        wanted,
        f"cannot be undone: 2 rows of {ward.place.schema}.orders exist again: (id) = 3; 5",
        f"nothing was changed; the rows are in {kept(wanted)}",
    )


def test_more_rows_than_are_shown_exist_again(ward: Ward) -> None:
    ward.place.run("INSERT INTO orders (id, customer_id) SELECT n, n FROM generate_series(8, 9) n")
    ward.relate("orders", "customer_id", "customers")
    wanted = ward.apply(*ORDERS, "quarantine", *KEYLESS)
    ward.place.run("INSERT INTO orders (id) SELECT n FROM generate_series(3, 9) n")
    refused(
        ward,
        wanted,
        f"cannot be undone: 7 rows of {ward.place.schema}.orders exist again:"
        " (id) = 3; 4; 5; 6; 7; …",
        f"nothing was changed; the rows are in {kept(wanted)}",
    )


def test_another_unique_key_stands_against_it(taken: tuple[Ward, str]) -> None:
    ward, wanted = taken
    ward.place.run(
        "ALTER TABLE orders ADD UNIQUE (note); UPDATE orders SET note = 'note 3' WHERE id = 1"
    )
    refused(
        ward,
        wanted,
        "cannot be undone: duplicate key value violates unique constraint"
        ' "orders_note_key" (23505)',
        "what is in the database now stands against it: nothing was changed",
    )


def test_the_columns_changed(taken: tuple[Ward, str]) -> None:
    ward, wanted = taken
    ward.place.run("ALTER TABLE orders ADD size int, ALTER note TYPE varchar(99)")
    refused(
        ward,
        wanted,
        f"cannot be undone: columns of {ward.place.schema}.orders changed since: note, size",
        f"the rows are in {kept(wanted)}: bring them back by hand",
    )


def test_the_quarantine_is_gone(taken: tuple[Ward, str]) -> None:
    ward, wanted = taken
    ward.place.run(f"DROP TABLE {kept(wanted)}")
    refused(
        ward,
        wanted,
        f"cannot be undone: its table '{kept(wanted)}' is gone",
        "bring that table back from a backup",
    )


def test_a_trigger_that_changes_rows_on_their_way_back(taken: tuple[Ward, str]) -> None:
    ward, wanted = taken
    ward.place.run(
        """
        CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          IF new.id = 4 THEN RETURN NULL; END IF;
          IF new.id > 5 THEN new.note := 'touched'; END IF;
          RETURN new;
        END $$;
        CREATE TRIGGER touches BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION touch();
        """
    )
    refused(
        ward,
        wanted,
        "cannot be undone: 4 of 5 rows came back, 2 of them different: a trigger of"
        f" {ward.place.schema}.orders stands against it",
        "disable the trigger for as long as it takes: nothing was changed",
    )
    ward.place.run("ALTER TABLE orders DISABLE TRIGGER touches")
    assert ward.undo(wanted)[0] == 0


def test_a_trigger_that_changes_the_last_bit_of_a_float(ward: Ward) -> None:
    """Whatever digits the role wants to see."""
    digits = f'ALTER ROLE telecore_owner IN DATABASE "{ward.place.database}"'
    ward.place.run(
        """
        CREATE TABLE rates (customer_id int, rate float8);
        INSERT INTO rates VALUES (9, 0.1), (9, 0.1);
        CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
          'BEGIN new.rate := 0.10000000000000002; RETURN new; END';
        """
    )
    ward.relate("rates", "customer_id", "customers")
    wanted = ward.apply("rates.customer_id", "--strategy", "quarantine", *KEYLESS)
    ward.place.run("CREATE TRIGGER t BEFORE INSERT ON rates FOR EACH ROW EXECUTE FUNCTION touch()")
    ward.place.run(f"{digits} SET extra_float_digits = 0", role=None)
    try:
        refused(
            ward,
            wanted,
            "cannot be undone: 2 of 2 rows came back, 2 of them different: a trigger of"
            f" {ward.place.schema}.rates stands against it",
            "disable the trigger for as long as it takes: nothing was changed",
            "rates",
        )
    finally:
        ward.place.run(f"{digits} RESET extra_float_digits", role=None)


def test_changed_rows_that_somebody_changed_since(ward: Ward) -> None:
    ward.relate("orders", "customer_id", "customers", "set null")
    wanted = ward.apply(*ORDERS, "set-null", *KEYLESS)
    ward.place.run("UPDATE orders SET note = 'mine' WHERE id = 3; DELETE FROM orders WHERE id = 4")
    refused(
        ward,
        wanted,
        f"cannot be undone: 2 rows of {ward.place.schema}.orders were changed since: (id) = 3; 4",
        f"nothing was changed; the rows are in {kept(wanted)}",
    )


def test_what_a_trigger_changed_with_them_comes_back_too(ward: Ward) -> None:
    ward.place.run(
        """
        CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
          'BEGIN new.created_at := now(); new.note := new.note || ''!''; RETURN new; END';
        CREATE TRIGGER touches BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION touch();
        """
    )
    ward.relate("orders", "customer_id", "customers", "set null")
    before = ward.dump("orders")
    wanted = ward.apply(*ORDERS, "set-null", *KEYLESS)
    assert ward.ask("SELECT note FROM orders WHERE id = 3") == [("note 3!",)]
    refused(
        ward,
        wanted,
        "cannot be undone: 5 of 5 rows became what they were, 5 of them different: a trigger of"
        f" {ward.place.schema}.orders stands against it",
        "disable the trigger for as long as it takes: nothing was changed",
    )
    ward.place.run("ALTER TABLE orders DISABLE TRIGGER touches")
    assert ward.undo(wanted)[0] == 0
    assert ward.dump("orders") == before


@pytest.fixture
def restored(ward: Ward) -> tuple[Ward, str]:
    """Two customers that came back from a table, and no key."""
    ward.place.run("CREATE TABLE backup AS SELECT n AS id, 'b' AS name FROM generate_series(3,4) n")
    ward.relate("orders", "customer_id", "customers")
    source = ("--from-table", f"{ward.place.schema}.backup")
    return ward, ward.apply(*ORDERS, "restore", *source, *KEYLESS, code=1)


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL", "NO ACTION"])
def test_parents_that_a_key_refers_to_stay(restored: tuple[Ward, str], action: str) -> None:
    ward, wanted = restored
    ward.key(action)
    name = ward.place.schema
    refused(
        ward,
        wanted,
        f"cannot be undone: 2 rows of {name}.customers are referred to by"
        f" {name}.orders(customer_id) through the key 'k': (id) = 3; 4",
        f"nothing was changed; the rows are in {kept(wanted).replace('orders', 'customers')}",
        "customers",
    )


def test_parents_that_a_key_to_their_partition_refers_to_stay(ward: Ward) -> None:
    ward.place.run(
        """
        CREATE TABLE firms (id int PRIMARY KEY, name text) PARTITION BY RANGE (id);
        CREATE TABLE firms_1 PARTITION OF firms FOR VALUES FROM (0) TO (100);
        CREATE TABLE jobs (id int PRIMARY KEY, firm_id int);
        CREATE TABLE notes (id int PRIMARY KEY, firm_id int);
        CREATE TABLE backup AS SELECT 3 AS id, 'three' AS name;
        INSERT INTO jobs VALUES (1, 3);
        """
    )
    ward.relate("jobs", "firm_id", "firms")
    source = ("--from-table", f"{ward.place.schema}.backup")
    wanted = ward.apply("jobs.firm_id", "--strategy", "restore", *source, *KEYLESS)
    ward.place.run(
        "INSERT INTO notes VALUES (1, 3); ALTER TABLE notes ADD CONSTRAINT n"
        " FOREIGN KEY (firm_id) REFERENCES firms_1 ON DELETE CASCADE"
    )
    name = ward.place.schema
    refused(
        ward,
        wanted,
        f"cannot be undone: 1 rows of {name}.firms are referred to by {name}.notes(firm_id)"
        " through the key 'n': (id) = 3",
        f"nothing was changed; the rows are in {kept(wanted).replace('orders', 'firms')}",
        "notes",
    )


def test_parents_that_somebody_changed_stay(restored: tuple[Ward, str]) -> None:
    ward, wanted = restored
    ward.place.run("UPDATE customers SET name = 'mine' WHERE id = 4")
    refused(
        ward,
        wanted,
        f"cannot be undone: 1 rows of {ward.place.schema}.customers were changed since: (id) = 4",
        f"nothing was changed; the rows are in {kept(wanted).replace('orders', 'customers')}",
        "customers",
    )


def test_a_writer_that_holds_the_table_is_not_waited_for(restored: tuple[Ward, str]) -> None:
    ward, wanted = restored
    ward.key()
    with ward.place.connect(ward.place.database, None) as other, other.transaction():
        other.execute(f'LOCK TABLE "{ward.place.schema}".orders IN EXCLUSIVE MODE'.encode())
        assert ward.undo(wanted) == (
            3,
            (
                f"remediation {wanted}: canceling statement due to lock timeout (55P03)\n"
                "hint: nothing was undone: try again"
            ),
        )
