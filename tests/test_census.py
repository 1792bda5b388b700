"""Every key state against a real server, with its reason in full."""

from __future__ import annotations

from datetime import date

import pytest
from psycopg import errors

from runbook import census
from runbook.errors import UsageError
from runbook.findings import CensusRow, KeyState
from runbook.relationships import Exemption, Relationship, Relationships
from runbook.schema import Action, Match
from tests.places import Place

INDEXED = "CREATE INDEX ON c (p);"
PAIR = "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int, p int);" + INDEXED
SCAN = "no index leads with the child columns: deletes of a parent scan the child"


def take(
    place: Place, *items: Relationship, exceptions: tuple[Exemption, ...] = ()
) -> list[CensusRow]:
    found = Relationships(items, exceptions)
    schema = place.read()
    census.resolve(found, schema, "relationships.toml")
    return list(census.take(found, schema, place.compare(*items)))


def row(place: Place, script: str, columns: str = "p", references: str = "id") -> CensusRow:
    place.run(script)
    (found,) = take(place, place.relationship("c", columns, "p", references))
    return found


# --- key states ---------------------------------------------------------------------------------


def test_an_enforced_key_has_no_reason(place: Place) -> None:
    found = row(place, PAIR + "ALTER TABLE c ADD CONSTRAINT k FOREIGN KEY (p) REFERENCES p")
    assert (found.state, found.reason, found.remarks) == (KeyState.ENFORCED, "", ())
    assert found.key is not None
    assert found.key.name == "k"


def test_a_missing_key_is_reported(place: Place) -> None:
    found = row(place, PAIR)
    assert (found.state, found.reason, found.key) == (KeyState.MISSING, "no foreign key", None)


def test_a_key_that_was_never_validated_is_reported(place: Place) -> None:
    found = row(place, PAIR + "ALTER TABLE c ADD FOREIGN KEY (p) REFERENCES p NOT VALID")
    assert found.state is KeyState.NOT_VALID
    assert found.reason == "never validated: rows from before the key were not looked at"


def test_a_key_with_disabled_triggers_is_reported(place: Place) -> None:
    place.run(PAIR + "ALTER TABLE c ADD FOREIGN KEY (p) REFERENCES p")
    place.run("ALTER TABLE c DISABLE TRIGGER ALL", role=None)
    found = row(place, "")
    assert (found.state, found.reason) == (
        KeyState.NOT_ENFORCED,
        "2 of its triggers are disabled",
    )


def test_a_key_that_is_not_enforced_is_reported(place: Place) -> None:
    if place.read().server_version < 180000:
        pytest.skip("PostgreSQL 18 has it first")
    found = row(place, PAIR + "ALTER TABLE c ADD FOREIGN KEY (p) REFERENCES p NOT ENFORCED")
    assert found.state is KeyState.NOT_ENFORCED
    assert found.reason == (
        "declared NOT ENFORCED; never validated: rows from before the key were not looked at"
    )


def test_another_action_is_reported(place: Place) -> None:
    script = PAIR + "ALTER TABLE c ADD FOREIGN KEY (p) REFERENCES p ON DELETE CASCADE"
    found = row(place, script)
    assert found.state is KeyState.MISMATCHED
    assert found.reason == "on delete is cascade, expected no action"


@pytest.mark.parametrize(
    ("decided", "reason"),
    [
        ({}, ""),
        ({"on_update": Action.CASCADE, "match": Match.FULL}, ""),
        ({"on_update": Action.RESTRICT}, "on update is cascade, expected restrict"),
        ({"match": Match.SIMPLE}, "match is full, expected simple"),
    ],
)
def test_another_update_or_match_is_reported_where_it_was_decided(
    place: Place, decided: dict[str, object], reason: str
) -> None:
    key = "ALTER TABLE c ADD FOREIGN KEY (p) REFERENCES p MATCH FULL ON UPDATE CASCADE"
    place.run(PAIR + key)
    (found,) = take(place, place.relationship("c", "p", "p", "id", **decided))
    assert found.reason == reason
    assert found.state is (KeyState.MISMATCHED if reason else KeyState.ENFORCED)


def test_the_worst_of_several_faults_is_the_state(place: Place) -> None:
    place.run(PAIR + "ALTER TABLE c ADD FOREIGN KEY (p) REFERENCES p ON DELETE CASCADE NOT VALID")
    place.run("ALTER TABLE c DISABLE TRIGGER ALL", role=None)
    found = row(place, "")
    assert found.state is KeyState.NOT_ENFORCED
    assert found.reason == (
        "2 of its triggers are disabled;"
        " never validated: rows from before the key were not looked at;"
        " on delete is cascade, expected no action"
    )


def test_a_key_to_another_parent_is_reported(place: Place) -> None:
    found = row(
        place,
        PAIR + "CREATE TABLE q (a int UNIQUE);"
        "ALTER TABLE c ADD CONSTRAINT k FOREIGN KEY (p) REFERENCES q (a)",
    )
    assert found.state is KeyState.MISMATCHED
    assert found.reason == f"'k' refers to {place.schema}.q(a)"
    assert found.key is not None


def test_a_key_that_another_relationship_wants_is_not_reported(place: Place) -> None:
    """One column may refer to two parents, with two keys."""
    place.run(
        PAIR + "CREATE TABLE q (a int UNIQUE); ALTER TABLE c ADD FOREIGN KEY (p) REFERENCES q (a)"
    )
    found = take(
        place, place.relationship("c", "p", "p", "id"), place.relationship("c", "p", "q", "a")
    )
    assert [r.state for r in found] == [KeyState.MISSING, KeyState.ENFORCED]


def test_columns_in_another_order_are_the_same_key(place: Place) -> None:
    place.run(
        "CREATE TABLE p (a int, b int, UNIQUE (a, b)); CREATE TABLE c (x int, y int);"
        "CREATE INDEX ON c (x, y); ALTER TABLE c ADD FOREIGN KEY (x, y) REFERENCES p (a, b)"
    )
    (found,) = take(place, place.relationship("c", "y x", "p", "b a"))
    assert (found.state, found.remarks) == (KeyState.ENFORCED, ())


def test_crossed_columns_are_another_key(place: Place) -> None:
    place.run(
        "CREATE TABLE p (a int, b int, UNIQUE (a, b)); CREATE TABLE c (x int, y int);"
        "CREATE INDEX ON c (x, y);"
        "ALTER TABLE c ADD CONSTRAINT k FOREIGN KEY (x, y) REFERENCES p (a, b)"
    )
    (found,) = take(place, place.relationship("c", "x y", "p", "b a"))
    assert found.state is KeyState.MISMATCHED
    assert found.reason == f"'k' refers to {place.schema}.p(a, b)"


def test_two_keys_for_the_same_are_a_remark(place: Place) -> None:
    found = row(
        place,
        PAIR + "ALTER TABLE c ADD CONSTRAINT k1 FOREIGN KEY (p) REFERENCES p NOT VALID;"
        "ALTER TABLE c ADD CONSTRAINT k2 FOREIGN KEY (p) REFERENCES p",
    )
    assert (found.state, found.reason) == (KeyState.ENFORCED, "")
    assert found.remarks == ("2 keys do the same: 'k1', 'k2'",)


# --- impossible keys, each as PostgreSQL sees it ------------------------------------------------

ID = "CREATE TABLE p (id int);"
CHILD = "CREATE TABLE c (id int, p int);" + INDEXED

REFUSALS = (
    errors.InvalidForeignKey,
    errors.DatatypeMismatch,
    errors.WrongObjectType,
    errors.ObjectNotInPrerequisiteState,  # the deferrable one
)
IMPOSSIBLE: dict[str, tuple[str, str]] = {
    "no unique key": (ID + CHILD, "no unique key on {schema}.p(id)"),
    "plain index": (
        ID + "CREATE INDEX i ON p (id);" + CHILD,
        "no unique key on {schema}.p(id)",
    ),
    "wider unique key": (
        "CREATE TABLE p (id int, b int, UNIQUE (id, b));" + CHILD,
        "no unique key on {schema}.p(id)",
    ),
    "partial": (
        ID + "CREATE UNIQUE INDEX i ON p (id) WHERE id > 0;" + CHILD,
        "the unique index 'i' on {schema}.p(id) is partial",
    ),
    "deferrable": (
        "CREATE TABLE p (id int CONSTRAINT i UNIQUE DEFERRABLE);" + CHILD,
        "the unique index 'i' on {schema}.p(id) is deferrable",
    ),
    "expression": (
        ID + "CREATE UNIQUE INDEX i ON p (abs(id));" + CHILD,
        "no unique key on {schema}.p(id)",
    ),
    "types": (
        "CREATE TABLE p (id uuid PRIMARY KEY);" + CHILD,
        "no equality operator between integer and uuid",
    ),
    "types that a join accepts": (
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int, p numeric);" + INDEXED,
        "no equality operator between numeric and integer",
    ),
    "view": (
        "CREATE TABLE t (id int PRIMARY KEY); CREATE VIEW p AS SELECT * FROM t;" + CHILD,
        "{schema}.p is not a table that can hold or be the target of a key",
    ),
    "child is a view": (
        "CREATE TABLE p (id int PRIMARY KEY); CREATE VIEW c AS SELECT 1 AS id, 1 AS p",
        "{schema}.c is not a table that can hold or be the target of a key",
    ),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_an_impossible_key_is_reported(place: Place, case: str) -> None:
    script, reason = IMPOSSIBLE[case]
    found = row(place, script)
    assert found.state is KeyState.IMPOSSIBLE
    assert found.reason == reason.format(schema=place.schema)
    with pytest.raises(REFUSALS):  # PostgreSQL does not want it either
        place.run("ALTER TABLE c ADD FOREIGN KEY (p) REFERENCES p (id)")


def test_an_invalid_unique_index_is_reported(place: Place) -> None:
    place.run(ID + CHILD + "CREATE UNIQUE INDEX i ON p (id);")
    place.run("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'i'::regclass", role=None)
    found = row(place, "")
    assert found.reason == f"the unique index 'i' on {place.schema}.p(id) is not valid"


@pytest.mark.parametrize(
    "script",
    [
        "CREATE TABLE p (id int); CREATE UNIQUE INDEX i ON p (id);",
        "CREATE TABLE p (id int, b int); CREATE UNIQUE INDEX i ON p (id) INCLUDE (b);",
        "CREATE TABLE p (id int UNIQUE NULLS NOT DISTINCT);",
        "CREATE TABLE p (id bigint PRIMARY KEY);",
        "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id);",
    ],
)
def test_a_possible_key_is_not_reported_impossible(place: Place, script: str) -> None:
    found = row(place, script + CHILD)
    assert found.state is KeyState.MISSING
    place.run("ALTER TABLE c ADD FOREIGN KEY (p) REFERENCES p (id)")
    assert row(place, "").state is KeyState.ENFORCED


def test_a_virtual_column_is_reported(place: Place) -> None:
    if place.read().server_version < 180000:
        pytest.skip("PostgreSQL 18 has it first")
    found = row(
        place,
        "CREATE TABLE p (id int PRIMARY KEY);"
        "CREATE TABLE c (id int, p int GENERATED ALWAYS AS (id + 1) VIRTUAL)",
    )
    assert (found.state, found.reason) == (
        KeyState.IMPOSSIBLE,
        "column 'p' is a virtual generated column",
    )


def test_a_key_without_overlaps_is_reported_impossible(place: Place) -> None:
    if place.read().server_version < 180000:
        pytest.skip("PostgreSQL 18 has it first")
    found = row(
        place,
        "CREATE TABLE p (a int4range, b daterange,"
        " CONSTRAINT i PRIMARY KEY (a, b WITHOUT OVERLAPS));"
        "CREATE TABLE c (x int4range, y daterange)",
        "x y",
        "a b",
    )
    assert (found.state, found.reason) == (
        KeyState.IMPOSSIBLE,
        f"the unique index 'i' on {place.schema}.p(a, b) is one without overlaps",
    )


# --- exceptions ---------------------------------------------------------------------------------


def exemption(relationship: str) -> Exemption:
    return Exemption(relationship, "DBA", "foreign data", date(2027, 1, 1))


def test_an_exception_is_reported_with_its_owner(place: Place) -> None:
    place.run(PAIR)
    item = place.relationship("c", "p", "p", "id")
    for name in (item.id, item.source):
        (found,) = take(place, item, exceptions=(exemption(name),))
        assert (found.state, found.key) == (KeyState.EXCEPTED, None)
        assert found.reason == "foreign data (DBA, review by 2027-01-01)"


def test_an_exception_does_not_hide_a_key(place: Place) -> None:
    place.run(PAIR + "ALTER TABLE c ADD FOREIGN KEY (p) REFERENCES p NOT VALID")
    item = place.relationship("c", "p", "p", "id")
    (found,) = take(place, item, exceptions=(exemption(item.id),))
    assert found.state is KeyState.NOT_VALID


# --- remarks ------------------------------------------------------------------------------------


def test_a_child_without_an_index_is_a_remark(place: Place) -> None:
    found = row(
        place,
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int, p int);"
        "CREATE INDEX ON c (id, p); CREATE INDEX ON c (p) WHERE id > 0",
    )
    assert found.remarks == (SCAN,)


@pytest.mark.parametrize(
    "index",
    ["(p)", "(p, id)", "USING hash (p)", "(p) WHERE p IS NOT NULL", '("P") WHERE "P" IS NOT NULL'],
)
def test_a_child_with_an_index_is_no_remark(place: Place, index: str) -> None:
    place.run(
        'CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int, p int, "P" int);'
        f"CREATE INDEX ON c {index}"
    )
    column = "P" if '"P"' in index else "p"
    (found,) = take(place, place.relationship("c", column, "p", "id"))
    assert found.remarks == ()


def test_types_that_differ_are_a_remark(place: Place) -> None:
    found = row(
        place,
        "CREATE TABLE p (id text PRIMARY KEY); CREATE TABLE c (id int, p varchar(100));" + INDEXED,
    )
    assert found.state is KeyState.MISSING
    assert found.remarks == ("p is character varying(100), id is text",)


def test_set_null_on_a_not_null_column_is_a_remark(place: Place) -> None:
    place.run("CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (p int NOT NULL);" + INDEXED)
    item = place.relationship("c", "p", "p", "id", on_delete=Action.SET_NULL)
    (found,) = take(place, item)
    assert found.remarks == ("p is NOT NULL: on delete set null would fail",)


# --- names that do not exist, keys that nobody declared -----------------------------------------


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        (("order", "customer_id", "customers", "id"),
         "{s}.order(customer_id): no table '{s}.order', the nearest is '{s}.orders'"),
        (("orders", "customer_id", "zzzzzzzzzzzzzzzzzzzzzzz", "id"),
         "{s}.orders(customer_id): no table '{s}.zzzzzzzzzzzzzzzzzzzzzzz'"),
        (("orders", "costumer_id", "customers", "id"),
         ("{s}.orders(costumer_id): no column 'costumer_id' in '{s}.orders',"
         " the nearest is 'customer_id'")),
        (("orders", "customer_id", "customers", "qqqq"),
         "{s}.orders(customer_id): no column 'qqqq' in '{s}.customers'"),
    ],
)  # fmt: skip
def test_a_name_that_does_not_exist_is_answered_with_the_nearest(
    place: Place, names: tuple[str, str, str, str], fault: str
) -> None:
    place.run(
        "CREATE TABLE customers (id int PRIMARY KEY); CREATE TABLE orders (id int, customer_id int)"
    )
    found = Relationships((place.relationship(*names),))
    with pytest.raises(UsageError) as caught:
        census.resolve(found, place.read(), "relationships.toml")
    assert caught.value.message == f"relationships.toml: {fault.format(s=place.schema)}"
    assert caught.value.hint == (
        "correct the names, or check that this is the right database and schema"
    )
    assert caught.value.exit_code == 2


def test_all_faults_are_named_at_once_and_each_once(place: Place) -> None:
    place.run("CREATE TABLE a (b int)")
    items = (
        place.relationship("a", "xx", "a", "b"),
        place.relationship("a", "xx", "a", "yy"),
    )
    assert census.unresolved(Relationships(items), place.read()) == (
        f"{place.schema}.a(xx): no column 'xx' in '{place.schema}.a'",
        f"{place.schema}.a(xx): no column 'yy' in '{place.schema}.a'",
    )


def test_a_key_that_no_relationship_mentions_is_reported(place: Place) -> None:
    place.run(
        PAIR + "ALTER TABLE c ADD CONSTRAINT k FOREIGN KEY (p) REFERENCES p;"
        "ALTER TABLE c ADD CONSTRAINT other FOREIGN KEY (id) REFERENCES p"
    )
    known = Relationships((place.relationship("c", "p", "p", "id"),))
    found = census.undeclared(known, place.read())
    assert [key.name for key in found] == ["other"]
    assert census.undeclared(Relationships(()), place.read()) == place.read().foreign_keys


LEVELS = """
    CREATE TABLE p (id int PRIMARY KEY);
    CREATE TABLE c (p int) PARTITION BY RANGE (p);
    CREATE TABLE c_low PARTITION OF c FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (p);
    CREATE TABLE c_least PARTITION OF c_low FOR VALUES FROM (0) TO (5);
"""


@pytest.mark.parametrize("child", ["c", "c_low", "c_least"])
def test_the_key_of_a_partitioned_table_is_its_partitions_key(place: Place, child: str) -> None:
    place.run(LEVELS)
    item = place.relationship(child, "p", "p", "id")
    assert take(place, item)[0].state is KeyState.MISSING
    place.run("ALTER TABLE c ADD CONSTRAINT c_p FOREIGN KEY (p) REFERENCES p")
    (found,) = take(place, item)
    assert (found.state, found.key and found.key.name) == (KeyState.ENFORCED, "c_p")


def test_the_key_of_one_partition_is_not_that_of_the_others(place: Place) -> None:
    place.run(LEVELS)
    place.run("ALTER TABLE c_least ADD CONSTRAINT c_p FOREIGN KEY (p) REFERENCES p")
    items = [place.relationship(child, "p", "p", "id") for child in ("c", "c_low", "c_least")]
    states = [found.state for found in take(place, *items)]
    assert states == [KeyState.MISSING, KeyState.MISSING, KeyState.ENFORCED]
