"""What remediation refuses, in full; and that nothing was changed then."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbook import consent
from runbook.environment import Connection, Environment
from runbook.errors import UsageError
from runbook.remediation import parents
from tests.remedies import Ward, ward

__all__ = ["ward"]  # a fixture

ORDERS = ("orders.customer_id", "--strategy")
KEYLESS = ("--without-key", "a test")
ANYWAY = "quarantine, restore, reassign or flag"


@pytest.fixture
def plain(ward: Ward) -> Ward:
    """With the relationship of orders, ON DELETE NO ACTION, and its key."""
    ward.relate("orders", "customer_id", "customers")
    ward.key()
    return ward


def item_of(ward: Ward) -> str:
    name = ward.place.schema
    return f"{name}.orders(customer_id) -> {name}.customers(id)"


def refused(ward: Ward, *words: str, message: str, hint: str, code: int = 2) -> None:
    before = ward.dump("orders")
    assert ward(*words) == (code, f"{message}\nhint: {hint}")
    assert ward.dump("orders") == before


# --- the command line ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ((), "expected a relationship", "name one as orders.customer_id, or --list"),
        (
            ("orders",),
            "expected --strategy",
            "choose one of: delete, set-null, restore, reassign, flag, quarantine",
        ),
        (
            (*ORDERS, "delete", "--apply"),
            "--apply: expected --reason",
            "say why, for those who read the record",
        ),
        (
            (*ORDERS, "delete", "--minimum-age", "soon"),
            "--minimum-age: not a duration: 'soon', expected text such as '30s', '5m' or '24h'",
            "write it as --minimum-age 1h",
        ),
        (
            (*ORDERS, "restore"),
            "restore: expected either --from-table or --from-file",
            "name where the parents come back from",
        ),
        (
            (*ORDERS, "flag", "--from-table", "x"),
            "flag: --from-table and --from-file belong to restore",
            "leave them out",
        ),
        (
            (*ORDERS, "reassign"),
            "reassign: expected --to",
            "--to is the key of the parent that reassign gives the rows",
        ),
        (
            (*ORDERS, "flag", "--to", "1"),
            "flag: --to is unknown",
            "--to is the key of the parent that reassign gives the rows",
        ),
        (
            ("nothing", "--strategy", "flag"),
            "no relationship 'nothing' in relationships.toml",
            "names look like orders.customer_id; runbook audit ENVIRONMENT --all lists them",
        ),
        (
            (*ORDERS, "reassign", "--to", "1", "--to", "2"),
            "--to: expected 1 values for customer_id, got 2",
            "give --to once for each column, in their order",
        ),
        (
            (*ORDERS, "restore", "--from-table", "a.b.c"),
            "--from-table: not a table name: 'a.b.c', expected schema.table",
            "write it as schema.table",
        ),
        (
            (*ORDERS, "restore", "--from-table", "nowhere"),
            "--from-table: no table 'public.nowhere'",
            "write it as schema.table",
        ),
        (
            ("--undo", "20260101T000000Z"),
            "no remediation '20260101T000000Z', expected one of: none is on record",
            "runbook remediate ENVIRONMENT --list shows them all",
        ),
    ],
)
def test_wrong_words(plain: Ward, words: tuple[str, ...], message: str, hint: str) -> None:
    refused(plain, *words, message=message, hint=hint)


def test_a_part_of_a_name_that_several_have(plain: Ward) -> None:
    plain.relate("orders", "id", "customers")
    name = plain.place.schema
    refused(
        plain,
        *("orders", "--strategy", "flag"),
        message=f"2 relationships match 'orders', expected one: {name}.orders.customer_id,"
        f" {name}.orders.id",
        hint="write its columns too, as orders.customer_id",
    )


def test_an_environment_that_allows_no_changes(plain: Ward) -> None:
    path = plain.folder / "runbook.toml"
    text = path.read_text(encoding="utf-8").replace("change = {", "timeouts = {").partition("batch")
    path.write_text(text[0] + "}\n" + text[2].partition("}")[2], encoding="utf-8")
    refused(
        plain,
        *(*ORDERS, "quarantine"),
        message="environment 'shop' allows no changes",
        hint="add change = { … } to [environments.shop] in runbook.toml",
    )


def test_a_protected_environment_is_confirmed_by_its_name(plain: Ward) -> None:
    plain.settle(more='protected = true\nconfirms = "the DBA on call"')
    words = (*ORDERS, "quarantine", "--apply", "--reason", "a test")
    refused(
        plain,
        *words,
        message="environment 'shop' is protected, and this changes it",
        hint="with the consent of the DBA on call: add --confirm shop",
    )
    refused(
        plain,
        *(*words, "--confirm", "staging"),
        message="--confirm 'staging' is not the environment, expected 'shop'",
        hint="confirm the environment that you mean",
    )
    assert plain(*ORDERS, "quarantine")[0] == 1  # a dry run needs no consent
    assert plain(*words, "--confirm", "shop")[0] == 0


def test_the_name_may_be_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    way = Connection(service="somewhere")
    environment = Environment(
        name="production", reader=way, gate="g", protected=True, confirms="the DBA on call"
    )
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    typed = iter(["production", "staging"])
    monkeypatch.setattr("typer.prompt", lambda _text, **_options: next(typed))
    consent.permit_change(environment, "")
    with pytest.raises(UsageError, match="--confirm 'staging' is not the environment"):
        consent.permit_change(environment, "")


# --- the relationship ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "on_delete", "wants", "others"),
    [
        ("delete", "no action", "cascade", ANYWAY),
        ("delete", "restrict", "cascade", ANYWAY),
        ("delete", "set null", "cascade", f"set-null, {ANYWAY}"),
        ("set-null", "no action", "set null", ANYWAY),
        ("set-null", "cascade", "set null", f"delete, {ANYWAY}"),
    ],
)
def test_delete_and_set_null_follow_on_delete(
    ward: Ward, strategy: str, on_delete: str, wants: str, others: str
) -> None:
    ward.relate("orders", "customer_id", "customers", on_delete)
    ward.key(on_delete)
    refused(
        ward,
        *(*ORDERS, strategy),
        message=f"{strategy} is refused: ON DELETE of {item_of(ward)} is {on_delete!r},"
        f" expected {wants!r}",
        hint=f"use {others}",
    )


def test_a_column_that_is_not_null_is_not_set_null(ward: Ward) -> None:
    ward.place.run("ALTER TABLE orders ALTER customer_id SET NOT NULL")
    ward.relate("orders", "customer_id", "customers", "set null")
    ward.key("SET NULL")
    refused(
        ward,
        *(*ORDERS, "set-null"),
        message=f"set-null is refused: {ward.place.schema}.orders.customer_id is NOT NULL",
        hint=f"use {ANYWAY}",
    )


@pytest.mark.parametrize("spoil", ["", "disable", "drop"])
def test_without_a_key_that_refuses_new_orphan_rows_a_reason_is_needed(
    ward: Ward, spoil: str
) -> None:
    ward.relate("orders", "customer_id", "customers")
    ward.key()
    if spoil == "disable":  # the key is there and its triggers do not fire
        ward.place.run("ALTER TABLE orders DISABLE TRIGGER ALL", role=None)
    else:
        ward.place.run("ALTER TABLE orders DROP CONSTRAINT k")
    refused(
        ward,
        *(*ORDERS, "quarantine"),
        message=f"no foreign key refuses new orphan rows of {item_of(ward)}: rows could become"
        " orphans, or get their parent, while they are mended",
        hint="add the key NOT VALID first (runbook migrate), or say why not: --without-key REASON",
    )
    code, said = ward(*ORDERS, "quarantine", *KEYLESS)
    assert (code, said.splitlines()[2]) == (1, "  key: none, by --without-key")


def test_rows_that_could_not_be_found_again_are_not_changed(ward: Ward) -> None:
    ward.relate("orders", "customer_id", "customers", "set null")
    ward.key("SET NULL")
    ward.place.run("ALTER TABLE orders DROP CONSTRAINT orders_pkey")
    for strategy in ("set-null", "flag"):
        refused(
            ward,
            *(*ORDERS, strategy),
            message=f"{ward.place.schema}.orders has no primary key: its rows could not be found"
            " again",
            hint="use quarantine, or add a primary key",
        )


def test_a_view_is_not_mended(ward: Ward) -> None:
    ward.place.run("CREATE VIEW seen AS SELECT * FROM orders")
    ward.relate("seen", "customer_id", "customers")
    name = ward.place.schema
    refused(
        ward,
        *("seen", "--strategy", "quarantine", *KEYLESS),
        message=f"{name}.seen(customer_id) -> {name}.customers(id): expected two tables, got a view"
        " or a foreign table",
        hint="mend the rows in the tables under it",
    )


def test_what_cannot_be_compared_is_not_mended(ward: Ward) -> None:
    ward.relate("orders", "note", "customers")
    name = ward.place.schema
    refused(
        ward,
        *("orders", "--strategy", "quarantine", *KEYLESS),
        message=f"{name}.orders(note) -> {name}.customers(id): its orphan rows cannot be told",
        hint="runbook audit says why the two sides cannot be compared",
    )


def test_an_age_needs_a_time(plain: Ward) -> None:
    plain.place.run("ALTER TABLE orders DROP COLUMN created_at")
    refused(
        plain,
        *(*ORDERS, "quarantine", "--minimum-age", "1h"),
        message=f"--minimum-age: {plain.place.schema}.orders has no column that says when a row was"
        " made",
        hint="leave it out; new orphan rows are refused by the key",
    )


@pytest.mark.parametrize("value", ["99", "no number"])
def test_the_new_parent_has_to_be_there(plain: Ward, value: str) -> None:
    refused(
        plain,
        *(*ORDERS, "reassign", "--to", value),
        message=f"--to: {plain.place.schema}.customers has no row with (id) = ({value})",
        hint="give the key of a parent that is there",
    )


# --- what lies around the rows -------------------------------------------------------------------


@pytest.mark.parametrize("declared", ["key", "key of another schema", "relationship"])
def test_rows_that_others_refer_to_are_not_taken_away(plain: Ward, declared: str) -> None:
    name = plain.place.schema
    where = f"{name}_else" if "schema" in declared else name
    key = "REFERENCES orders ON DELETE CASCADE" if declared != "relationship" else ""
    plain.place.run(
        f"CREATE SCHEMA IF NOT EXISTS {where};"
        f"CREATE TABLE {where}.lines (id int PRIMARY KEY, order_id int {key});"
        f"INSERT INTO {where}.lines VALUES (1, 1), (2, 3), (3, 3)"
    )
    if declared == "relationship":
        plain.relate("lines", "order_id", "orders")
    refused(
        plain,
        *(*ORDERS, "quarantine", "--apply", "--reason", "a test"),
        message=f"2 rows of {where}.lines(order_id) refer to rows that quarantine would remove",
        hint="mend those first, or use reassign, restore or flag",
    )
    assert plain.ask(f"SELECT count(*) FROM {where}.lines") == [(3,)]
    assert plain(*ORDERS, "reassign", "--to", "1")[0] == 1  # it leaves the order's id as it is
    plain.place.run(f"DELETE FROM {where}.lines WHERE id > 1")
    assert plain(*ORDERS, "quarantine", "--apply", "--reason", "a test")[0] == 0


def test_a_column_that_others_refer_to_is_not_changed(plain: Ward) -> None:
    name = plain.place.schema
    plain.place.run(
        "CREATE TABLE lines (id int PRIMARY KEY, by int); INSERT INTO lines VALUES (1, 3);"
        "ALTER TABLE orders ADD UNIQUE (customer_id)"
    )
    plain.relationships.append(
        f"[[relationship]]\nchild = '{name}.lines'\ncolumns = [\"by\"]\n"
        f"parent = '{name}.orders'\nreferences = [\"customer_id\"]\n"
    )
    plain.settle()
    refused(
        plain,
        *(*ORDERS, "reassign", "--to", "1"),
        message=f"1 rows of {name}.lines(by) refer to rows that reassign would change",
        hint="mend those first, or use restore or flag",
    )


def test_who_refers_to_the_rows_has_to_be_known(plain: Ward) -> None:
    plain.place.run("CREATE TABLE lines (id int PRIMARY KEY, order_id text)")
    plain.relate("lines", "order_id", "orders")
    name = plain.place.schema
    refused(
        plain,
        *(*ORDERS, "quarantine"),
        message=f"{name}.lines(order_id) -> {name}.orders(id): it cannot be told whether its rows"
        f" refer to the rows of {name}.orders",
        hint="use flag or restore, which take no row away",
        code=3,
    )
    assert plain(*ORDERS, "flag")[0] == 1


def test_triggers_are_named_and_rules_are_refused(plain: Ward) -> None:
    plain.place.run(
        """
        CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN old; END';
        CREATE TRIGGER on_delete BEFORE DELETE ON orders FOR EACH ROW EXECUTE FUNCTION nothing();
        CREATE TRIGGER on_update BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION nothing();
        CREATE TRIGGER off BEFORE DELETE ON orders FOR EACH ROW EXECUTE FUNCTION nothing();
        ALTER TABLE orders DISABLE TRIGGER off;
        """
    )
    name = plain.place.schema
    said = plain(*ORDERS, "quarantine")[1].splitlines()
    assert [line for line in said if "trigger" in line] == [
        f"  trigger on_delete of {name}.orders fires on DELETE"
    ]
    plain.place.run("CREATE RULE away AS ON DELETE TO orders DO ALSO SELECT 1")
    refused(
        plain,
        *(*ORDERS, "quarantine"),
        message=f"rule 'away' of {name}.orders rewrites DELETE: its rows could not be kept in the"
        " same statement",
        hint="use flag, or drop the rule for as long as it takes",
    )


def test_a_trigger_that_keeps_rows_leaves_them(plain: Ward) -> None:
    plain.place.run(
        """
        CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS
          'BEGIN IF old.id = 4 THEN RETURN NULL; END IF; RETURN old; END';
        CREATE TRIGGER keeps BEFORE DELETE ON orders FOR EACH ROW EXECUTE FUNCTION keep();
        """
    )
    plain.apply(*ORDERS, "quarantine", code=1)
    assert (plain.last().rows, plain.last().left) == (4, 1)
    assert plain.ask("SELECT id FROM orders ORDER BY id") == [(1,), (2,), (4,)]


def test_the_owner_may_not_make_the_schema(plain: Ward) -> None:
    database = plain.place.database
    plain.place.run(f"ALTER DATABASE {database} OWNER TO CURRENT_USER", role=None)
    try:
        refused(
            plain,
            *(*ORDERS, "quarantine", "--apply", "--reason", "a test"),
            message=f"'telecore_owner' may not make the schema 'runbook_quarantine' in"
            f" {database!r}",
            hint="as an administrator: CREATE SCHEMA runbook_quarantine AUTHORIZATION"
            " telecore_owner",
            code=3,
        )
    finally:
        plain.place.run(f"ALTER DATABASE {database} OWNER TO telecore_owner", role=None)


@pytest.mark.parametrize("more", [(), ("--apply", "--reason", "a test")])
def test_rows_that_a_policy_hides(plain: Ward, more: tuple[str, ...]) -> None:
    plain.place.run(
        "CREATE POLICY few ON orders USING (id < 5);"
        "ALTER TABLE orders ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"
    )
    assert plain(*ORDERS, "quarantine", *more) == (
        3,
        (
            "environment 'shop': query would be affected by row-level security policy for table"
            ' "orders" (42501)\nhint: nothing was changed: run it again when this is mended'
        ),
    )


# --- files of parents ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "fault", "hint"),
    [
        ("p.txt", "id\n3\n", ": expected a .csv or a .json file", "write the parents as CSV"),
        (
            "p.csv",
            "id,name\n3\n",
            ":2: expected 2 fields, got 1",
            "its first line names the columns",
        ),
        ("p.csv", 'id\n"3"x\n', ":2: no CSV: ',' expected after '\"'", "correct the file"),
        (
            "p.json",
            "[",
            ": no JSON: Expecting value: line 1 column 2 (char 1)",
            "correct the file",
        ),
        ("p.json", "{}", ": expected an array of objects", "one object is one parent"),
        (
            "p.json",
            '[{"id": 3}, {"name": "x"}]',
            ": [1]: expected the keys id, got name",
            "give every object the same keys; null is NULL",
        ),
        ("p.csv", "name\nx\n", ": no column 'id'", "the parent's key has to be in it"),
        (
            "p.csv",
            "id,size\n3,4\n",
            ": {schema}.customers has no column 'size' that can be written",
            "name the parent's columns",
        ),
        (
            "p.csv",
            "id\nx\n",
            ': a value is none of its column: invalid input syntax for type integer: "x" (22P02)',
            "correct it",
        ),
        (
            "p.json",
            '[{"id": "x"}]',
            ': a value is none of its column: invalid input syntax for type integer: "x" (22P02)',
            "correct it",
        ),
    ],
)
def test_a_file_that_is_wrong(plain: Ward, name: str, text: str, fault: str, hint: str) -> None:
    path = plain.folder / name
    path.write_text(text, encoding="utf-8")
    refused(
        plain,
        *(*ORDERS, "restore", "--from-file", str(path)),
        message=str(path) + fault.format(schema=plain.place.schema),
        hint=hint,
    )


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    with pytest.raises(UsageError) as caught:
        parents.read(path)
    assert str(caught.value) == (
        f"{path}: cannot be read: No such file or directory\nhint: name a file in UTF-8"
    )
    path.write_bytes(b"id\n\xff\n")
    with pytest.raises(UsageError) as caught:
        parents.read(path)
    assert str(caught.value) == f"{path}: cannot be read: not UTF-8\nhint: name a file in UTF-8"


def test_a_table_with_another_key(plain: Ward) -> None:
    plain.place.run("CREATE TABLE backup (id bigint); CREATE TABLE names (name text)")
    name = plain.place.schema
    for table, got in (("backup", "bigint"), ("names", "no such column")):
        refused(
            plain,
            *(*ORDERS, "restore", "--from-table", f"{name}.{table}"),
            message=f"--from-table: {name}.{table}.id: expected 'integer', got {got!r}",
            hint="give a table with the parent's key, under its own names and types",
        )
