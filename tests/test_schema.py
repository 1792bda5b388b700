"""Names that survive every spelling, and fingerprints that change exactly when they should."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runbook.schema import (
    Action,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Match,
    Schema,
    Table,
    TableName,
)

# what PostgreSQL accepts as a name: anything but nothing, NUL and half a surrogate pair
names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


# --- table names --------------------------------------------------------------------------------


@given(names, names)
@example("a.b", 'c"d')
@example('"', ".")
@example('""', '"."')
@example("50%", "%s")
@example("line\nbreak", "\u202eright to left")
@example("public", "")
def test_table_names_survive_the_round_trip(schema: str, table: str) -> None:
    name = TableName(schema, table or "t")
    assert TableName.parse(str(name)) == name


@pytest.mark.parametrize(
    ("text", "schema", "table"),
    [
        ("orders", "public", "orders"),
        ("sales.orders", "sales", "orders"),
        ('"my.schema"."table"', "my.schema", "table"),
        ('sales."a""b"', "sales", 'a"b'),
        ('"orders"', "public", "orders"),
        ("Sales.Orders", "Sales", "Orders"),
    ],
)
def test_table_names_are_read_as_the_catalog_spells_them(
    text: str, schema: str, table: str
) -> None:
    assert TableName.parse(text) == TableName(schema, table)


@pytest.mark.parametrize(
    "text", ["", ".", "a.", ".a", "a.b.c", 'a"b', '""', '"a', '"a"b', 'a."b".c']
)
def test_what_is_no_table_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message follows
        TableName.parse(text)
    assert str(caught.value) == f"not a table name: {text!r}, expected schema.table"


@pytest.mark.parametrize("text", ["a\0b", "public.t\0", '"\0"'])
def test_a_nul_is_refused(text: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message follows
        TableName.parse(text)
    assert str(caught.value) == f"a name cannot hold a NUL character: {text!r}"


def test_people_see_the_schema_unless_it_is_public() -> None:
    assert TableName("public", "orders").label == "orders"
    assert TableName("sales", "orders").label == "sales.orders"


# --- what an index can serve --------------------------------------------------------------------

INDEX = Index("i", ("a", "b"), True, False, True, True, False, False)


@pytest.mark.parametrize(
    ("index", "can"),
    [
        (INDEX, True),
        (replace(INDEX, unique=False), False),
        (replace(INDEX, immediate=False), False),
        (replace(INDEX, valid=False), False),
        (replace(INDEX, partial=True), False),
        (replace(INDEX, expressions=True), False),
    ],
)
def test_which_index_can_be_referenced(index: Index, can: bool) -> None:
    assert index.can_be_referenced is can


@pytest.mark.parametrize(
    ("index", "columns", "serves"),
    [
        (INDEX, ("a",), True),
        (INDEX, ("b", "a"), True),
        (INDEX, ("b",), False),
        (INDEX, ("a", "b", "c"), False),
        (replace(INDEX, unique=False), ("a",), True),
        (replace(INDEX, valid=False), ("a",), False),
        (replace(INDEX, method="hash", columns=("a",)), ("a",), True),
        (replace(INDEX, method="gin"), ("a",), False),
        (replace(INDEX, expressions=True), ("a",), False),
        # deletes of a parent look for one value that is not NULL: of partial indexes only the one
        # that holds all of those helps
        (replace(INDEX, partial=True, definition="… WHERE (c > 0)"), ("a",), False),
        (replace(INDEX, partial=True, definition="… WHERE (a IS NOT NULL)"), ("a",), True),
        (replace(INDEX, partial=True, definition="… WHERE (a IS NOT NULL)"), ("b", "a"), True),
        (replace(INDEX, partial=True, definition="… WHERE (c IS NOT NULL)"), ("a",), False),
    ],
)
def test_which_index_serves_the_child(index: Index, columns: tuple[str, ...], serves: bool) -> None:
    table = Table(TableName("public", "t"), "r", (), (index,))
    assert (table.index_leading_with(columns) is index) is serves


def test_the_primary_key_and_columns_are_found_by_name() -> None:
    key = replace(INDEX, primary=True)
    column = Column("a", "text", True)
    table = Table(TableName("public", "t"), "r", (column,), (INDEX, key))
    assert table.primary_key is key
    assert table.column("a") is column
    assert table.column("b") is None
    assert replace(table, indexes=()).primary_key is None


# --- the nearest name ---------------------------------------------------------------------------


def test_the_nearest_table_is_named() -> None:
    schema = Schema({TableName("public", name): CHILD for name in ("orders", "customers")}, ())
    assert schema.nearest(TableName("public", "order")) == "public.orders"
    assert schema.nearest(TableName("zzz", "qqqqqqqqqqqq")) is None


# --- fingerprints -------------------------------------------------------------------------------

CHILD = Table(
    TableName("public", "orders"),
    "r",
    (Column("id", "integer", True), Column("customer", "text", False)),
    (Index("orders_pkey", ("id",), True, True, True, True, False, False, definition="… (id)"),),
    (CheckConstraint("positive", "CHECK (id > 0)", True),),
)
PARENT = Table(TableName("public", "customers"), "r", (Column("id", "text", True),))
KEY = ForeignKey(
    name="fk",
    child=CHILD.name,
    columns=("customer",),
    parent=PARENT.name,
    references=("id",),
    on_delete=Action.CASCADE,
    on_update=Action.NO_ACTION,
    match=Match.SIMPLE,
    deferrable=False,
    validated=True,
    enforced=True,
    temporal=False,
    disabled_triggers=0,
)
SCHEMA = Schema({CHILD.name: CHILD, PARENT.name: PARENT}, (KEY,), ("plpgsql",), 180006)


def with_child(child: Table) -> Schema:
    return replace(SCHEMA, tables={child.name: child, PARENT.name: PARENT})


def with_column(column: Column) -> Schema:
    return with_child(replace(CHILD, columns=(CHILD.columns[0], column)))


COLUMN = CHILD.columns[1]
STRUCTURE: dict[str, Schema] = {
    "another table": replace(SCHEMA, tables={CHILD.name: CHILD}),
    "table renamed": with_child(replace(CHILD, name=TableName("public", "order"))),
    "table partitioned": with_child(replace(CHILD, kind="p")),
    "column renamed": with_column(replace(COLUMN, name="client")),
    "column dropped": with_child(replace(CHILD, columns=CHILD.columns[:1])),
    "column order": with_child(replace(CHILD, columns=CHILD.columns[::-1])),
    "type": with_column(replace(COLUMN, type="character varying(10)")),
    "not null": with_column(replace(COLUMN, not_null=True)),
    "collation": with_column(replace(COLUMN, collation="C")),
    "generated": with_column(replace(COLUMN, generated="s")),
    "index dropped": with_child(replace(CHILD, indexes=())),
    "index definition": with_child(
        replace(CHILD, indexes=(replace(CHILD.indexes[0], definition="… (customer)"),))
    ),
    "index invalid": with_child(replace(CHILD, indexes=(replace(CHILD.indexes[0], valid=False),))),
    "index deferrable": with_child(
        replace(CHILD, indexes=(replace(CHILD.indexes[0], immediate=False),))
    ),
    "check dropped": with_child(replace(CHILD, checks=())),
    "check definition": with_child(
        replace(CHILD, checks=(replace(CHILD.checks[0], definition="CHECK (id > 1)"),))
    ),
}
KEYS: dict[str, ForeignKey] = {
    "columns": replace(KEY, columns=("id",)),
    "parent": replace(KEY, parent=CHILD.name),
    "references": replace(KEY, references=("name",)),
    "on delete": replace(KEY, on_delete=Action.RESTRICT),
    "on update": replace(KEY, on_update=Action.CASCADE),
    "match": replace(KEY, match=Match.FULL),
    "deferrable": replace(KEY, deferrable=True),
    "not valid": replace(KEY, validated=False),
    "not enforced": replace(KEY, enforced=False),
    "temporal": replace(KEY, temporal=True),
    "disabled": replace(KEY, disabled_triggers=2),
}
SAME: dict[str, Schema] = {
    "rows": with_child(replace(CHILD, estimated_rows=10**6)),
    "owner": with_child(replace(CHILD, owner="somebody")),
    "what the role may see": with_child(replace(CHILD, row_security=True)),
    "server": replace(SCHEMA, server_version=150018),
    "order of tables": replace(SCHEMA, tables={PARENT.name: PARENT, CHILD.name: CHILD}),
    "name of the key": replace(SCHEMA, foreign_keys=(replace(KEY, name="other"),)),
}


def fingerprints(schema: Schema) -> tuple[str, str]:
    return schema.fingerprint, schema.structure_fingerprint


@pytest.mark.parametrize("change", STRUCTURE)
def test_a_changed_table_changes_both_fingerprints(change: str) -> None:
    whole, structure = fingerprints(STRUCTURE[change])
    assert whole != SCHEMA.fingerprint
    assert structure != SCHEMA.structure_fingerprint


@pytest.mark.parametrize("change", KEYS)
def test_a_changed_key_changes_the_fingerprint_alone(change: str) -> None:
    changed = replace(SCHEMA, foreign_keys=(KEYS[change],))
    assert changed.fingerprint != SCHEMA.fingerprint
    assert changed.structure_fingerprint == SCHEMA.structure_fingerprint


def test_a_dropped_key_changes_the_fingerprint_alone() -> None:
    changed = replace(SCHEMA, foreign_keys=())
    assert changed.fingerprint != SCHEMA.fingerprint
    assert changed.structure_fingerprint == SCHEMA.structure_fingerprint


@pytest.mark.parametrize("change", SAME)
def test_what_is_no_declaration_changes_no_fingerprint(change: str) -> None:
    assert fingerprints(SAME[change]) == fingerprints(SCHEMA)


@pytest.mark.parametrize("of", [lambda s: s.fingerprint, lambda s: s.structure_fingerprint])
def test_all_changes_have_fingerprints_of_their_own(of: Callable[[Schema], str]) -> None:
    found = {of(changed) for changed in STRUCTURE.values()}
    assert len(found) == len(STRUCTURE)
    assert all(len(digest) == 16 and int(digest, 16) >= 0 for digest in found)
