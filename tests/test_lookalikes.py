"""What is no orphan is measured apart: never as one, and never as nothing."""

from __future__ import annotations

import pytest

from runbook import catalog, operators
from runbook.audit import lookalikes
from runbook.audit.lookalikes import INCOMPARABLE, TEMPORAL, Kind, Lookalike
from runbook.findings import AuditState
from runbook.relationships import Relationship
from runbook.schema import Column, Table, TableName
from tests.places import HOSTILE, Place
from tests.test_audit import audit


def measure(place: Place, *items: Relationship) -> tuple[Lookalike, ...]:
    with place.reading() as session:
        schema = catalog.read(session, [place.schema])
        return lookalikes.measure(session, items, schema, operators.read(session, items))


# --- soft-deleted parents -----------------------------------------------------------------------

SOFT = (
    "CREATE TABLE p (id int PRIMARY KEY, deleted_at timestamptz);"
    "CREATE TABLE c (id int, p int);"
    "INSERT INTO p VALUES (1, NULL), (2, now());"
    "INSERT INTO c VALUES (1, 1), (2, 2), (3, 2), (4, NULL), (5, 99);"
)


def test_live_children_of_soft_deleted_parents_are_reported(place: Place) -> None:
    place.run(SOFT)
    item = place.relationship("c", "p", "p", "id")
    (found,) = measure(place, item)
    assert (found.kind, found.relationship, found.by) == (Kind.SOFT_DELETED, item, ("deleted_at",))
    assert (found.rows, found.distinct, found.reason) == (2, None, "")
    assert found.seconds > 0


def test_they_are_no_orphans(place: Place) -> None:
    place.run(SOFT)
    (found,) = audit(place, place.relationship("c", "p", "p", "id"))
    assert (found.state, found.orphans) == (AuditState.ORPHANS, 1)  # the one of parent 99


def test_children_that_are_deleted_too_are_not_reported(place: Place) -> None:
    place.run(SOFT + "ALTER TABLE c ADD is_deleted boolean; UPDATE c SET is_deleted = (id = 2)")
    (found,) = measure(place, place.relationship("c", "p", "p", "id"))
    assert found.rows == 1


def test_a_parent_is_deleted_by_any_of_its_marks(place: Place) -> None:
    place.run(
        "CREATE TABLE p (id int PRIMARY KEY, deleted boolean, archived_at date);"
        "CREATE TABLE c (p int);"
        "INSERT INTO p VALUES (1, false, NULL), (2, true, NULL), (3, NULL, '2026-01-01');"
        "INSERT INTO c VALUES (1), (2), (3)"
    )
    (found,) = measure(place, place.relationship("c", "p", "p", "id"))
    assert (found.by, found.rows) == (("deleted", "archived_at"), 2)


def test_a_parent_without_a_mark_is_not_reported(place: Place) -> None:
    place.run("CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (p int)")
    assert measure(place, place.relationship("c", "p", "p", "id")) == ()


def table(*columns: tuple[str, str]) -> Table:
    found = tuple(Column(name, kind, False) for name, kind in columns)
    return Table(TableName("public", "t"), "r", found)


@pytest.mark.parametrize(
    ("name", "kind", "is_one"),
    [
        ("deleted_at", "timestamp with time zone", True),
        ("deletedAt", "timestamp(3) without time zone", True),
        ("deleted", "boolean", True),
        ("is_deleted", "boolean", True),
        ("archived_at", "date", True),
        ("deleted", "timestamp without time zone", True),
        ("deleted_at", "text", False),
        ("is_deleted", "integer", False),
        ("deleted_by", "boolean", False),
        ("undeleted", "boolean", False),
    ],
)
def test_which_columns_are_marks(name: str, kind: str, is_one: bool) -> None:
    assert bool(lookalikes.markers(table((name, kind)))) is is_one


def test_composite_keys_and_partitions(place: Place) -> None:
    place.run(
        "CREATE TABLE p (a int, b int, deleted boolean, PRIMARY KEY (a, b)) PARTITION BY LIST (a);"
        "CREATE TABLE p1 PARTITION OF p DEFAULT;"
        "CREATE TABLE c (x int, y int) PARTITION BY LIST (x);"
        "CREATE TABLE c1 PARTITION OF c DEFAULT;"
        "INSERT INTO p VALUES (1, 1, true), (1, 2, false);"
        "INSERT INTO c VALUES (1, 1), (1, 2), (1, NULL), (NULL, NULL)"
    )
    (found,) = measure(place, place.relationship("c", "x y", "p", "a b"))
    assert found.rows == 1


# --- polymorphic pairs --------------------------------------------------------------------------

NOTES = (
    "CREATE TABLE owners (id int PRIMARY KEY);"
    "CREATE TABLE notes (id int PRIMARY KEY, owner_id int, owner_type text);"
    "INSERT INTO owners VALUES (1);"
    "INSERT INTO notes VALUES (1, 1, 'Owner'), (2, 7, 'Team'), (3, 8, 'Team'), (4, NULL, NULL);"
)


def test_a_polymorphic_pair_is_reported(place: Place) -> None:
    place.run(NOTES)
    (found,) = measure(place)
    assert (found.kind, found.columns, found.by) == (
        Kind.POLYMORPHIC,
        ("owner_id",),
        ("owner_type",),
    )
    assert found.label == f"{place.schema}.notes.(owner_id, owner_type)"
    assert (found.relationship, found.rows, found.distinct) == (None, 3, 2)


def test_a_pair_that_was_declared_is_reported_with_its_relationship(place: Place) -> None:
    place.run(NOTES)
    item = place.relationship("notes", "owner_id", "owners", "id")
    (found,) = measure(place, item)
    assert (found.kind, found.relationship, found.rows) == (Kind.POLYMORPHIC, item, 3)


def test_a_pair_with_an_enforced_key_is_not_reported(place: Place) -> None:
    place.run(NOTES + "DELETE FROM notes WHERE owner_id > 1;")
    place.run("ALTER TABLE notes ADD FOREIGN KEY (owner_id) REFERENCES owners")
    assert measure(place) == ()


@pytest.mark.parametrize(
    ("columns", "beside"),
    [
        ("owner_id owner_type", "owner_type"),
        ("ownerId ownerType", "ownerType"),
        ("ownerID ownerType", "ownerType"),
        ("owner_id type", ""),
        ("owner_id ownertype", ""),
        ("owner owner_type", ""),
        ("_id _type", ""),
    ],
)
def test_which_columns_are_pairs(columns: str, beside: str) -> None:
    names = columns.split()
    found = table(*((name, "text") for name in names))
    assert lookalikes.type_column(found, names[0]) == beside


def test_a_partition_does_not_repeat_a_pair(place: Place) -> None:
    place.run(
        "CREATE TABLE t (x_id int, x_type text) PARTITION BY LIST (x_id);"
        "CREATE TABLE t1 PARTITION OF t DEFAULT; INSERT INTO t VALUES (1, 'a')"
    )
    assert [(f.child.table, f.rows) for f in measure(place)] == [("t", 1)]


def test_a_view_is_no_pair(place: Place) -> None:
    place.run("CREATE VIEW v AS SELECT 1 AS x_id, 'a' AS x_type")
    assert measure(place) == ()


# --- self references ----------------------------------------------------------------------------


def test_rows_that_refer_to_themselves_are_reported(place: Place) -> None:
    place.run(
        "CREATE TABLE c (id int PRIMARY KEY, p int);"
        "INSERT INTO c VALUES (1, 1), (2, 3), (3, 2), (4, NULL), (5, 1), (6, 6)"
    )
    item = place.relationship("c", "p", "c", "id")
    (found,) = measure(place, item)
    assert (found.kind, found.by, found.rows) == (Kind.SELF, ("id",), 2)
    assert found.label == f"{place.schema}.c.p"
    assert audit(place, item)[0].state is AuditState.CLEAN  # nor is the cycle of 2 and 3 an orphan


def test_they_are_compared_as_the_key_would(place: Place) -> None:
    place.run("CREATE TABLE c (id char(5) PRIMARY KEY, p text); INSERT INTO c VALUES ('ab', 'ab ')")
    (found,) = measure(place, place.relationship("c", "p", "c", "id"))
    assert found.rows == 1


def test_composite_references_to_themselves(place: Place) -> None:
    place.run(
        "CREATE TABLE c (t int, id int, p int, PRIMARY KEY (t, id));"
        "INSERT INTO c VALUES (1, 1, 1), (1, 2, 1), (2, 1, 1), (2, 2, NULL)"
    )
    (found,) = measure(place, place.relationship("c", "t p", "c", "t id"))
    assert found.rows == 2


# --- what could not be counted is never none ----------------------------------------------------


def test_a_failure_is_reported_and_ends_only_its_own_count(place: Place) -> None:
    place.run(
        SOFT + NOTES + "ALTER TABLE c ENABLE ROW LEVEL SECURITY; CREATE POLICY n ON c USING (false)"
    )
    soft, pair = measure(place, place.relationship("c", "p", "p", "id"))
    assert (soft.rows, soft.reason) == (
        None,
        'query would be affected by row-level security policy for table "c" (42501)',
    )
    assert soft.seconds > 0
    assert (pair.rows, pair.reason) == (3, "")


def test_what_cannot_be_compared_is_not_counted(place: Place) -> None:
    place.run("CREATE TABLE p (id int, deleted boolean); CREATE TABLE c (p int)")
    (found,) = measure(place, place.relationship("c", "p", "p", "id"))
    assert (found.rows, found.reason) == (None, INCOMPARABLE)


def test_a_key_with_period_is_not_counted(place: Place) -> None:
    if place.read().server_version < 180000:
        pytest.skip("PostgreSQL 18 has it first")
    place.run(
        "CREATE TABLE p (id int4range, at daterange, deleted boolean,"
        " PRIMARY KEY (id, at WITHOUT OVERLAPS));"
        "CREATE TABLE c (p int4range, at daterange,"
        " FOREIGN KEY (p, PERIOD at) REFERENCES p (id, PERIOD at))"
    )
    (found,) = measure(place, place.relationship("c", "p at", "p", "id at"))
    assert (found.rows, found.reason) == (None, TEMPORAL)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names(place: Place, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    place.run(
        f"CREATE TABLE {quoted} (id int PRIMARY KEY, {quoted} int, deleted boolean);"
        f"INSERT INTO {quoted} VALUES (1, 1, true)"
    )
    item = Relationship(place.name(name), (name,), place.name(name), ("id",))
    soft, own = measure(place, item)
    assert (soft.rows, soft.reason, own.rows, own.reason) == (0, "", 1, "")


def test_a_hostile_pair(place: Place) -> None:
    columns = '"%s{}\'_id" int, "%s{}\'_type" int'
    place.run(f'CREATE TABLE "50%" ({columns}); INSERT INTO "50%" VALUES (1, 2)')
    (found,) = measure(place)
    assert (found.rows, found.distinct) == (1, 1)
