"""Every strategy, on a real server: what is done, what is kept, and what comes back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runbook import catalog, remedies
from runbook.remediation import statements
from runbook.schema import Match, Schema
from tests.remedies import Ward, ward

__all__ = ["ward"]  # a fixture

ORDERS = ("orders.customer_id", "--strategy")
ORPHANS = [(n,) for n in range(3, 8)]


def related(ward: Ward, on_delete: str = "no action") -> str:
    """The relationship with its key; its id."""
    ward.relate("orders", "customer_id", "customers", on_delete)
    ward.key(on_delete)
    name = ward.place.schema
    return f"{name}.orders(customer_id) -> {name}.customers(id)"


def whole(ward: Ward) -> Schema:
    """What the reader sees of all schemas."""
    with ward.place.reading() as session:
        return catalog.read(session)


# --- the dry run ---------------------------------------------------------------------------------


def test_a_dry_run_prints_counts_and_sql_and_changes_nothing(ward: Ward) -> None:
    item = related(ward, "cascade")
    before = ward.dump("orders")
    code, said = ward(*ORDERS, "delete")
    lines = said.splitlines()
    assert code == 1
    assert lines[:5] == [
        f"{item}: delete",
        "  5 orphan rows refer to 5 missing parents",
        "  key: k refuses new orphan rows",
        "each batch of at most 2 rows, in a transaction of its own:",
        f'LOCK TABLE ONLY "{ward.place.schema}"."customers" IN SHARE MODE;',
    ]
    assert 'INSERT INTO "runbook_quarantine"."orders_id"' in said
    assert lines[-1] == "dry run: nothing was changed; --apply --reason does it"
    assert ward.dump("orders") == before
    assert ward.ask("SELECT to_regnamespace('runbook_quarantine')") == [(None,)]
    assert ward("--list") == (0, "no remediation is on record\n")


def test_without_orphan_rows_there_is_nothing_to_do(ward: Ward) -> None:
    related(ward, "cascade")
    ward.place.run("DELETE FROM orders WHERE id > 2")
    assert ward(*ORDERS, "delete")[0] == 0
    assert ward(*ORDERS, "delete", "--apply", "--reason", "a test") == (
        0,
        "0 orphan rows, nothing that can be mended\n",
    )
    assert ward.ask("SELECT to_regnamespace('runbook_quarantine')") == [(None,)]


def test_the_quarantine_is_no_part_of_the_schema(ward: Ward) -> None:
    """Else a plan that was made before a remediation would not fit after it."""
    related(ward)
    before = whole(ward).fingerprint
    ward.apply(*ORDERS, "quarantine")
    assert whole(ward).fingerprint == before


# --- taking rows away, and back ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "on_delete"),
    [("delete", "cascade"), ("quarantine", "cascade"), ("quarantine", "no action")],
)
def test_rows_are_taken_away_in_batches_and_come_back(
    ward: Ward, strategy: str, on_delete: str
) -> None:
    item = related(ward, on_delete)
    before = ward.dump("orders")
    wanted = ward.apply(*ORDERS, strategy)
    assert ward.ask("SELECT id FROM orders ORDER BY id") == [(1,), (2,)]
    done = ward.last()
    assert (done.relationship, done.rows, done.batches, done.left) == (item, 5, 3, 0)
    assert (done.state, done.reason, done.role, done.without_key) == (
        "finished",
        "a test",
        "telecore_owner",
        "",
    )
    kept = f"SELECT id, runbook_row, runbook_image, runbook_batch FROM {done.kept_in} ORDER BY 2"
    assert ward.ask(kept) == [
        (row + 2, row, "before", batch) for row, batch in enumerate((1, 1, 2, 2, 3), 1)
    ]
    ward.place.run("ALTER TABLE orders DROP CONSTRAINT k")
    assert ward.undo(wanted) == (
        0,
        f"{wanted}  undone  {strategy}  5 rows  {item}  by telecore_owner: a test\n",
    )
    assert ward.dump("orders") == before
    undone = ward.last()
    assert (undone.id, undone.state, undone.undone_by, undone.undone_reason) == (
        wanted,
        "undone",
        "telecore_owner",
        "a mistake",
    )


def test_what_was_done_is_said(ward: Ward) -> None:
    related(ward)
    code, said = ward(*ORDERS, "quarantine", "--apply", "--reason", "a test")
    done = ward.last()
    assert (code, said.splitlines()) == (
        0,
        [
            f"remediation {done.id}: 5 rows taken away in 3 batches",
            f"  kept in {done.kept_in}",
            "  no orphan row is left",
        ],
    )
    assert ward("--undo", done.id) == (
        0,
        (
            f"{done.id}  finished  quarantine  5 rows  {done.relationship}"
            "  by telecore_owner: a test\n"
            "dry run: nothing was undone; --apply --reason does it\n"
        ),
    )


def test_a_table_without_a_primary_key_comes_back_too(ward: Ward) -> None:
    ward.place.run(
        "ALTER TABLE orders DROP CONSTRAINT orders_pkey;"
        "INSERT INTO orders (id, customer_id, note) VALUES (3, 3, 'note 3'), (3, 3, 'note 3')"
    )
    related(ward)
    before = ward.dump("orders")
    wanted = ward.apply(*ORDERS, "quarantine")
    assert ward.last().rows == 7
    ward.place.run("ALTER TABLE orders DROP CONSTRAINT k")
    assert ward.undo(wanted)[0] == 0
    assert ward.dump("orders") == before


def test_partitions_lose_and_get_their_rows(ward: Ward) -> None:
    ward.place.run(
        """
        CREATE TABLE parts (id int, customer_id int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
        CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (4);
        CREATE TABLE parts_2 (customer_id int, id int NOT NULL);
        ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES FROM (4) TO (99);
        INSERT INTO parts SELECT n, n FROM generate_series(1, 9) n;
        """
    )
    ward.relate("parts", "customer_id", "customers", "set null")
    for strategy in ("quarantine", "set-null"):
        before = ward.dump("parts")
        wanted = ward.apply(
            "parts.customer_id", "--strategy", strategy, "--without-key", "no key before 18"
        )
        assert ward.last().rows == 7
        assert ward.last().without_key == "no key before 18"
        assert ward.undo(wanted)[0] == 0
        assert ward.dump("parts") == before


# --- changing rows, and back ---------------------------------------------------------------------


def test_references_become_null_and_what_they_were(ward: Ward) -> None:
    related(ward, "set null")
    before = ward.dump("orders")
    wanted = ward.apply(*ORDERS, "set-null")
    assert ward.ask("SELECT count(*) FROM orders WHERE customer_id IS NULL") == [(5,)]
    done = ward.last()
    assert (done.rows, done.batches, done.left) == (5, 3, 0)
    assert ward.ask(
        f"SELECT runbook_image, count(*), count(customer_id) FROM {done.kept_in}"
        " GROUP BY 1 ORDER BY 1"
    ) == [("after", 5, 0), ("before", 5, 5)]
    ward.place.run("ALTER TABLE orders DROP CONSTRAINT k")
    assert ward.undo(wanted)[0] == 0
    assert ward.dump("orders") == before


def test_only_the_columns_that_the_key_names_become_null(ward: Ward) -> None:
    """ON DELETE SET NULL (columns) keeps the others, as the tenant of a row."""
    ward.place.run(
        """
        CREATE TABLE seats (tenant int, "no %" int, PRIMARY KEY (tenant, "no %"));
        INSERT INTO seats VALUES (1, 1);
        CREATE TABLE bookings (id int PRIMARY KEY, "no %" int, tenant int NOT NULL);
        INSERT INTO bookings VALUES (1, 1, 1), (2, 9, 1);
        ALTER TABLE bookings ADD CONSTRAINT k FOREIGN KEY (tenant, "no %")
          REFERENCES seats ON DELETE SET NULL ("no %") NOT VALID;
        """
    )
    name = ward.place.schema
    ward.relationships.append(
        f"[[relationship]]\nchild = '\"{name}\".bookings'\ncolumns = ['tenant', 'no %']\n"
        f"parent = '\"{name}\".seats'\nreferences = ['tenant', 'no %']\non_delete = 'set null'\n"
    )
    ward.settle()
    before = ward.dump("bookings")
    wanted = ward.apply("bookings", "--strategy", "set-null")
    assert ward.ask("SELECT * FROM bookings ORDER BY id") == [(1, 1, 1), (2, None, 1)]
    assert ward.undo(wanted)[0] == 2  # the key refuses it
    ward.place.run("ALTER TABLE bookings DROP CONSTRAINT k")
    assert ward.undo(wanted)[0] == 0
    assert ward.dump("bookings") == before


def test_rows_get_another_parent_and_their_own_back(ward: Ward) -> None:
    related(ward)
    before = ward.dump("orders")
    wanted = ward.apply(*ORDERS, "reassign", "--to", "2")
    assert ward.ask("SELECT id FROM orders WHERE customer_id = 2 ORDER BY id") == [(2,), *ORPHANS]
    assert ward.last().to == ("2",)
    ward.place.run("ALTER TABLE orders DROP CONSTRAINT k")
    assert ward.undo(wanted)[0] == 0
    assert ward.dump("orders") == before


def test_a_composite_reference_is_reassigned_in_its_order(ward: Ward) -> None:
    ward.place.run(
        """
        CREATE TABLE sites (tenant int, code text, PRIMARY KEY (tenant, code));
        CREATE TABLE visits (id int PRIMARY KEY, tenant int, code text);
        INSERT INTO sites VALUES (1, 'a');
        INSERT INTO visits VALUES (1, 1, 'a'), (2, 1, 'b'), (3, NULL, 'b');
        """
    )
    ward.relate("visits", "tenant code", "sites")
    words = ("visits", "--strategy", "reassign", "--without-key", "a test")
    ward.apply(*words, "--to", "1", "--to", "a")
    assert ward.ask("SELECT * FROM visits ORDER BY id") == [
        (1, 1, "a"),
        (2, 1, "a"),
        (3, None, "b"),
    ]


# --- flags ---------------------------------------------------------------------------------------


def test_flagged_rows_stay_and_are_noted_once(ward: Ward) -> None:
    related(ward)
    before = ward.dump("orders")
    wanted = ward.apply(*ORDERS, "flag", code=1)
    done = ward.last()
    assert (done.rows, done.left) == (5, 5)
    assert ward.ask(f"SELECT id FROM {done.kept_in} ORDER BY id") == ORPHANS
    assert ward.undo(wanted)[0] == 0
    assert ward.dump("orders") == before


# --- parents -------------------------------------------------------------------------------------

BACKUP = """
    CREATE TABLE backup (name text, id int, region text);
    INSERT INTO backup VALUES ('three', 3, 'x'), ('four', 4, 'y'), ('one again', 1, 'z'),
                              ('nobody', 99, '');
"""


def test_missing_parents_come_back_from_a_table_and_go_again(ward: Ward) -> None:
    ward.relate("orders", "customer_id", "customers")
    ward.place.run(BACKUP)
    before = ward.dump("customers")
    source = f"{ward.place.schema}.backup"
    words = (*ORDERS, "restore", "--from-table", source, "--without-key", "a test")
    code, said = ward(*words)
    assert (code, said.splitlines()[2]) == (1, f"  2 parents are in {source}")
    wanted = ward.apply(*words, code=1)
    assert ward.ask("SELECT id, name FROM customers ORDER BY id") == [
        (1, "one"),
        (2, "two"),
        (3, "three"),
        (4, "four"),
    ]
    done = ward.last()
    assert (done.rows, done.left, done.source) == (2, 3, source)
    assert ward.undo(wanted)[0] == 0
    assert ward.dump("customers") == before


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("parents.csv", 'id,name\n3,"th,ree\nlines"\n4,\n1,one again\n99,nobody\n'),
        (
            "parents.json",
            (
                '[{"id": 3, "name": "th,ree\\nlines"}, {"id": 4, "name": null},'
                ' {"id": 99, "name": "nobody"}]'
            ),
        ),
    ],
)
def test_missing_parents_come_back_from_a_file(ward: Ward, name: str, text: str) -> None:
    related(ward)
    path = ward.folder / name
    path.write_text(text, encoding="utf-8")
    words = (*ORDERS, "restore", "--from-file", str(path))
    code, said = ward(*words)
    assert (code, said.splitlines()[2]) == (1, f"  2 parents are in {name}")
    assert ward.ask("SELECT count(*) FROM customers") == [(2,)]
    ward.apply(*words, code=1)
    assert ward.ask("SELECT id, name FROM customers WHERE id > 2 ORDER BY id") == [
        (3, "th,ree\nlines"),
        (4, None),
    ]
    assert (ward.last().rows, ward.last().source) == (2, name)


def test_a_file_is_read_to_the_last_byte_of_a_value(ward: Ward) -> None:
    """A byte-order mark, other line ends, what Unicode takes for a line end, a long value."""
    related(ward)
    path = ward.folder / "parents.csv"
    long = "x" * 200_000
    path.write_bytes(f'\ufeffid,name\r\n3,"a\r\nb\rc"\r\n4,d\u2028e\x0c{long}\r\n'.encode())
    ward.apply(*ORDERS, "restore", "--from-file", str(path), code=1)
    assert ward.ask("SELECT id, name FROM customers WHERE id > 2 ORDER BY id") == [
        (3, "a\r\nb\rc"),
        (4, f"d\u2028e\x0c{long}"),
    ]


# --- young rows ----------------------------------------------------------------------------------


def test_young_rows_are_left_alone(ward: Ward) -> None:
    related(ward)
    ward.place.run(
        "UPDATE orders SET created_at = now() - interval '2 hours' WHERE id IN (3, 4);"
        "UPDATE orders SET created_at = NULL WHERE id = 5"
    )
    code, said = ward(*ORDERS, "quarantine", "--minimum-age", "1h")
    assert (code, said.splitlines()[2]) == (
        1,
        "  3 of them are younger than asked for, or say no time: left alone",
    )
    ward.apply(*ORDERS, "quarantine", "--minimum-age", "1h", code=1)
    assert ward.ask("SELECT id FROM orders WHERE id > 2 ORDER BY id") == [(5,), (6,), (7,)]
    assert (ward.last().left, ward.last().minimum_age_seconds) == (3, 3600)
    assert ward(*ORDERS, "quarantine", "--minimum-age", "1h", "--apply", "--reason", "b") == (
        1,
        "3 orphan rows, nothing that can be mended\n",
    )


# --- names ---------------------------------------------------------------------------------------


def test_the_columns_of_the_quarantine_never_meet_those_of_the_rows() -> None:
    assert statements.own_names(("id",)) == statements.OWN
    assert statements.own_names(("runbook_row", "runbook_row_", "runbook_at")) == (
        "runbook_row__",
        "runbook_image",
        "runbook_batch",
        "runbook_at_",
    )
    most = tuple("runbook_row" + "_" * n for n in range(53))
    with pytest.raises(ValueError, match="no name is left beside the columns"):
        statements.own_names(most)


def test_two_remediations_in_a_second_have_two_names(ward: Ward) -> None:
    related(ward)
    first = ward.apply(*ORDERS, "flag", code=1)
    second = ward.apply(*ORDERS, "quarantine")
    assert first != second
    code, said = ward("--list")
    assert (code, [line.split()[0] for line in said.splitlines()]) == (0, [second, first])


def test_only_the_rows_of_one_missing_parent(ward: Ward) -> None:
    related(ward)
    before = ward.dump("orders")
    wanted = ward.apply(*ORDERS, "reassign", "--missing", "4", "--to", "2")
    assert ward.ask("SELECT id FROM orders WHERE customer_id = 2 ORDER BY id") == [(2,), (4,)]
    done = ward.last()
    assert (done.missing, done.rows, done.left) == (("4",), 1, 0)
    assert ward(*ORDERS, "reassign", "--missing", "4", "--to", "2")[0] == 0
    assert ward(*ORDERS, "reassign", "--missing", "5", "--to", "2")[0] == 1
    assert ward(*ORDERS, "reassign", "--missing", "4", "--missing", "5", "--to", "2") == (
        2,
        "--missing: expected 1 values, got 2\nhint: one for each of customer_id",
    )
    ward.place.run("ALTER TABLE orders DROP CONSTRAINT k")
    assert ward.undo(wanted)[0] == 0
    assert ward.dump("orders") == before


# --- SQL for people ------------------------------------------------------------------------------


def test_the_sql_for_people_finds_what_match_full_refuses_and_moves_it_aside(ward: Ward) -> None:
    """Also where the name of the table has all the 63 bytes that PostgreSQL takes."""
    name = "ä" * 31 + "x"
    ward.place.run(
        f"""
        CREATE TABLE seats (a int, b int, PRIMARY KEY (a, b));
        INSERT INTO seats VALUES (1, 1);
        CREATE TABLE "{name}" (a int, b int);
        INSERT INTO "{name}" VALUES (1, 1), (1, NULL), (NULL, NULL), (2, 2);
        """
    )
    item = ward.place.relationship(name, "a b", "seats", "a b", match=Match.FULL)
    assert ward.ask(remedies.find(item)) == [(1, None), (2, 2)]
    assert ward.ask(remedies.find(replace(item, match=None))) == [(2, 2)]
    _, statement = remedies.mend(item)
    ward.place.run(statement.replace("ROLLBACK;", "COMMIT;"))
    assert ward.ask(remedies.find(item)) == []
    assert ward.ask(f'SELECT * FROM "{"ä" * 27}_orphans"') == [(1, None), (2, 2)]
