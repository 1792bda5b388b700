"""The SQL of missing keys: it runs, its names are whole and unique, the urgent comes first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql

from runbook import catalog, census, migration, operators
from runbook import session as sessions
from runbook.findings import CensusRow, KeyState
from runbook.migration import KeyStatements
from runbook.relationships import Alert, Priority, Relationship, Relationships
from runbook.schema import Action, Match, TableName
from runbook.settings import Settings
from tests.conftest import Connect
from tests.places import HOSTILE, OWNER, Place


def relationship(
    table: str = "c", *columns: str, parent: str = "p", priority: Priority = Priority.LOW
) -> Relationship:
    names = columns or ("p",)
    return Relationship(
        TableName("public", table),
        names,
        TableName("public", parent),
        tuple(f"id{n}" for n in range(len(names))),
        priority=priority,
    )


def missing(*items: Relationship) -> tuple[KeyStatements, ...]:
    return migration.missing([CensusRow(item, KeyState.MISSING, None, "") for item in items])


# --- the statements -----------------------------------------------------------------------------


def test_a_key_takes_two_statements() -> None:
    item = Relationship(
        TableName("public", "orders"),
        ("tenant", "Customer"),
        TableName("sales", "user"),
        ("tenant", "id"),
        Action.SET_NULL,
    )
    assert migration.statements(item) == KeyStatements(
        item,
        "fk_orders_tenant_Customer",
        "ALTER TABLE public.orders\n"
        '  ADD CONSTRAINT "fk_orders_tenant_Customer"\n'
        '  FOREIGN KEY (tenant, "Customer")\n'
        '  REFERENCES sales."user" (tenant, id)\n'
        "  ON DELETE SET NULL NOT VALID;",
        'ALTER TABLE public.orders VALIDATE CONSTRAINT "fk_orders_tenant_Customer";',
    )


def test_update_and_match_are_written_where_they_were_decided() -> None:
    ends = (TableName("public", "a"), ("b",), TableName("public", "c"), ("d",))
    item = Relationship(*ends, on_update=Action.CASCADE, match=Match.FULL)
    assert migration.statements(item).add == (
        "ALTER TABLE public.a\n"
        "  ADD CONSTRAINT fk_a_b\n"
        "  FOREIGN KEY (b)\n"
        "  REFERENCES public.c (d) MATCH FULL\n"
        "  ON DELETE NO ACTION ON UPDATE CASCADE NOT VALID;"
    )


@pytest.mark.parametrize("state", [state for state in KeyState if state is not KeyState.MISSING])
def test_only_missing_keys_have_statements(state: KeyState) -> None:
    assert migration.missing([CensusRow(relationship(), state, None, "")]) == ()


def test_the_urgent_comes_first_and_names_decide_the_rest() -> None:
    items = (
        relationship("a", priority=Priority.LOW),
        relationship("b", priority=Priority.CRITICAL),
        relationship("d", priority=Priority.HIGH),
        relationship("c", priority=Priority.HIGH),
    )
    found = missing(*items)
    assert [s.relationship.child.table for s in found] == ["b", "c", "d", "a"]
    assert missing(*reversed(items)) == found


def test_alerts_do_not_order_keys() -> None:
    first, second = relationship("a"), relationship("b")
    loud = Relationship(second.child, ("p",), second.parent, ("id0",), alert=Alert.CRITICAL)
    assert [s.relationship for s in missing(loud, first)] == [first, loud]


# --- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "columns", "name"),
    [
        ("orders", ("customer_id",), "fk_orders_customer_id"),
        ("t" * 58, ("x",), f"fk_{'t' * 58}_x"),
        ("t" * 59, ("x",), f"fk_{'t' * 49}_" + "44b6937f87"),
        ("ä" * 31, ("x",), f"fk_{'ä' * 24}_" + "ebce9ac95d"),
    ],
)
def test_names(table: str, columns: tuple[str, ...], name: str) -> None:
    found = migration.constraint_name(relationship(table, *columns))
    assert (found, len(found.encode()) <= 63) == (name, True)


names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


@given(st.lists(st.tuples(names, names, names), min_size=1, max_size=5, unique=True))
def test_names_are_whole_and_unique_in_their_table(parts: list[tuple[str, str, str]]) -> None:
    found = missing(*(relationship(t, c, parent=p) for t, c, p in parts))
    assert all(len(s.name.encode()) <= 63 for s in found)
    assert len({(s.relationship.child, s.name) for s in found}) == len(parts)


@pytest.mark.parametrize(
    "items",
    [
        (relationship("c", "a", "b"), relationship("c", "a_b")),
        (relationship("c", "p", parent="p"), relationship("c", "p", parent="q")),
        (relationship("c" * 60, "p", parent="p"), relationship("c" * 60, "p", parent="q")),
        (relationship("c", "a, b"), relationship("c", "a", "b")),
    ],
)
def test_keys_of_one_table_never_share_a_name(items: tuple[Relationship, ...]) -> None:
    assert len({s.name for s in missing(*items)}) == len(items)


def test_a_name_stays_when_the_other_key_is_there_already() -> None:
    two = (relationship("c", "p", parent="p"), relationship("c", "p", parent="q"))
    both = {s.relationship: s.name for s in missing(*two)}
    rows = [
        CensusRow(two[0], KeyState.ENFORCED, None),
        CensusRow(two[1], KeyState.MISSING, None, ""),
    ]
    assert [s.name for s in migration.missing(rows)] == [both[two[1]]]


# --- quoting ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("orders", "orders"),
        ("order_lines_2", "order_lines_2"),
        ("_x", "_x"),
        ("Orders", '"Orders"'),
        ("2x", '"2x"'),
        ("user", '"user"'),
        ("left", '"left"'),
        ("a b", '"a b"'),
        ('a"b', '"a""b"'),
        ("größe", '"größe"'),
        ("a$b", '"a$b"'),
        ("%s", '"%s"'),
    ],
)
def test_names_are_quoted_where_they_must_be(name: str, quoted: str) -> None:
    assert migration.quote(name) == quoted


def test_every_word_that_needs_quotes_gets_them(place: Place) -> None:
    with place.reading() as session:
        words = session.execute("SELECT word, catcode FROM pg_get_keywords()").fetchall()
    for word, kind in words:
        if kind in ("R", "T"):  # reserved, and those for functions and types alone
            assert migration.quote(word) == f'"{word}"'


# --- on a server --------------------------------------------------------------------------------


def apply(place: Place, found: tuple[KeyStatements, ...]) -> None:
    with place.connect(place.database, OWNER) as owner:
        for key in found:
            owner.execute(key.add.encode())
        for key in found:
            owner.execute(key.validate.encode())


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_make_a_key_that_runs(place: Place, name: str) -> None:
    column = sql.Identifier(name)
    with place.connect(place.database, OWNER) as owner:
        for table, what in ((name, "PRIMARY KEY"), ("child", "")):
            owner.execute(
                sql.SQL("CREATE TABLE {} ({} int {})").format(
                    sql.Identifier(place.schema, table), column, sql.SQL(what)
                )
            )
    item = Relationship(place.name("child"), (name,), place.name(name), (name,), Action.CASCADE)
    (row,) = census.take(Relationships((item,)), place.read(), place.compare(item))
    assert row.state is KeyState.MISSING
    found = migration.missing([row])
    apply(place, found)
    key = place.key()
    assert (key.name, key.on_delete, key.validated) == (found[0].name, Action.CASCADE, True)
    (row,) = census.take(Relationships((item,)), place.read(), place.compare(item))
    assert (row.state, migration.missing([row])) == (KeyState.ENFORCED, ())


def test_the_cases_own_keys_run_and_leave_none_missing(
    settings: Settings, scratch: str, connect: Connect
) -> None:
    environment = settings.environment("staging")
    wanted = settings.relationships()

    def look() -> tuple[CensusRow, ...]:
        session = sessions.connect(environment)
        try:
            with sessions.reading(session, environment):
                schema = catalog.read(session, settings.project.schemas)
                return census.take(wanted, schema, operators.read(session, wanted.items))
        finally:
            session.close()

    found = migration.missing(look())
    assert sum(settings.is_core(key.relationship) for key in found) == 44
    ranks = [key.relationship.priority.rank for key in found]
    assert ranks == sorted(ranks)
    with connect(scratch, OWNER) as owner:
        for key in found:
            owner.execute(key.add.encode())
            owner.execute(key.validate.encode())
    after = look()
    assert {row.state for row in after} == {KeyState.ENFORCED}
    assert migration.missing(after) == ()
