"""Keys that joins and rows offer to columns whose names say nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from runbook import catalog, discovering
from runbook.discovery import candidates, engine, nearest, unnamed
from runbook.discovery import told as told_module
from runbook.discovery.data import Inclusion, Rows, Spread
from runbook.discovery.proposal import Proposal, Tier
from runbook.discovery.told import Told
from runbook.discovery.vocabulary import Vocabulary
from runbook.schema import Schema, Shape, TableName
from tests.conftest import Connect
from tests.places import scratch_database
from tests.test_discovery import schema, table

# no name says another; qq of xw refers to the key of zk, or to that of the larger vt
MUTE = schema(
    table("zk", "aa integer!, gg text", key="aa"),
    table("vt", "bb integer!, hh text", key="bb"),
    table("xw", "cc integer!, qq integer, jj text", key="cc"),
)
FOUND = "xw.qq"


def name(text: str) -> TableName:
    return TableName("public", text)


def key(child: str, column: str, parent: str, referenced: str) -> Shape:
    return name(child), name(parent), frozenset({(column, referenced)})


QQ, FAR = key("xw", "qq", "zk", "aa"), key("xw", "qq", "vt", "bb")


def counted(first: int, last: int, step: int = 1, *, rows: int = 0, **more: bool) -> Spread:
    """A column whose distinct values are the numbers from ``first`` to ``last``."""
    values = range(first, last + 1, step)
    return Spread(rows or len(values), 0, len(values), tuple(map(str, values)), **more)


def spreads(**columns: Spread) -> dict[tuple[TableName, str], Spread]:
    return {(name(place[:2]), place[3:]): each for place, each in columns.items()}


FILLED = spreads(
    zk_aa=counted(10, 400, 10),
    vt_bb=counted(1, 5000, 50, rows=5000),
    xw_cc=counted(1, 900, 9, rows=900),
    xw_qq=counted(10, 400, 10, rows=900),
)
CLEAN = {QQ: Inclusion(0), FAR: Inclusion(0)}


def told(
    inclusions: Mapping[Shape, Inclusion] = CLEAN, joins: tuple[Shape, ...] = (), **other: Spread
) -> Told:
    return Told(Rows(FILLED | spreads(**other), inclusions), dict.fromkeys(joins, ("view v",)))


def of(what: Told, within: Schema = MUTE, label: str = FOUND) -> Proposal | None:
    found = engine.propose(within, told=what).proposals
    said = [each for each in found if each.relationship.label == label]
    assert len(said) <= 1
    return said[0] if said else None


def only_joined(*joins: Shape) -> Told:
    return Told(joins=dict.fromkeys(joins, ("view v",)))


def test_a_join_offers_a_key_that_no_name_does_but_never_without_a_person() -> None:
    assert engine.propose(MUTE).proposals == ()
    found = of(only_joined(QQ))
    assert found is not None
    assert (found.relationship.target, found.tier) == ("zk.aa", Tier.LIKELY)
    assert 0.6 < found.confidence < 0.7
    assert [str(each) for each in found.evidence] == [
        "names and types: the names do not say zk; a statement does",
        "names and types: both have the type integer",
        "use: joined in view v",
    ]


def test_a_join_alone_is_not_accepted_whatever_it_weighs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(told_module, "JOINED_ALONE", 5.0)
    found = of(only_joined(QQ))
    assert found is not None
    assert (found.confidence > 0.9, found.tier) == (True, Tier.LIKELY)


def test_a_join_is_accepted_where_the_rows_would_say_the_same() -> None:
    found = of(told(joins=(QQ,)))
    assert found is not None
    assert (found.relationship.target, found.tier) == ("zk.aa", Tier.ACCEPTED)
    assert found.evidence[-2].words == "every row has a parent, of about 900"


@pytest.mark.parametrize(
    "what",
    [
        told({QQ: Inclusion(1), FAR: Inclusion(0)}, (QQ,)),
        told({QQ: Inclusion(None, "timeout"), FAR: Inclusion(0)}, (QQ,)),
        # 1 to 3 lie within every key that is counted from one
        told(joins=(QQ,), zk_aa=counted(1, 4000), xw_qq=counted(1, 3, rows=900)),
    ],
)
def test_a_join_is_not_accepted_by_rows_that_say_little(what: Told) -> None:
    found = of(what)
    assert found is not None
    assert (found.relationship.target, found.tier) == ("zk.aa", Tier.LIKELY)


def test_a_join_that_rows_contradict_is_not_proposed() -> None:
    assert of(Told(Rows(FILLED, {QQ: Inclusion(800)}), {QQ: ("view v",)})) is None


def test_a_join_of_two_primary_keys_is_looked_at_twice() -> None:
    joined = key("xw", "cc", "zk", "aa")
    found = of(only_joined(joined), label="xw.cc")
    assert found is not None
    assert found.tier is Tier.POSSIBLE
    assert found.confidence < 0.25


def test_a_join_with_another_unique_key_says_less() -> None:
    vt = table("vt", "bb integer!, hh integer", key="bb", unique=("hh",))
    found = of(only_joined(key("xw", "qq", "vt", "hh")), schema(*MUTE.tables.values(), vt))
    assert found is not None
    assert found.tier is Tier.LIKELY
    assert found.confidence < 0.45


def test_a_join_of_types_that_no_key_can_have_offers_nothing() -> None:
    assert of(only_joined(key("xw", "jj", "zk", "aa")), label="xw.jj") is None


def test_a_plain_name_outweighs_a_join_with_another_table() -> None:
    shop = schema(
        table("customers", "id integer!, name text!"),
        table("profiles", "pk integer!, note text", key="pk"),
        table("orders", "id integer!, customer_id integer!"),
    )
    joined = key("orders", "customer_id", "profiles", "pk")
    found = of(only_joined(joined), shop, "orders.customer_id")
    plain = of(Told(), shop, "orders.customer_id")
    assert found is not None
    assert plain is not None
    assert found.relationship.target == "customers.id"
    odds = plain.confidence / (1 - plain.confidence)
    # two in three against a column that no name matched, less than one in two against a name
    assert 0 < odds / found.confidence - odds - 1 < 1
    assert found.evidence[-1].words == "against it: the name may mean 1 other key"


def test_rows_offer_the_key_that_the_values_fill() -> None:
    found = of(told())
    assert found is not None
    assert (found.relationship.target, found.tier) == ("zk.aa", Tier.LIKELY)
    assert [str(each) for each in found.evidence] == [
        "names and types: the names do not say zk; its rows do",
        "names and types: both have the type integer",
        "data: it has 100% of the keys of zk, up to 100% of their range",
        "data: every row has a parent, of about 900",
    ]


def test_rows_alone_are_never_accepted() -> None:
    """Whatever speaks for it: an index, no other key, gaps in the range."""
    indexed = replace(MUTE.tables[name("zk")].indexes[0], columns=("qq",), unique=False,
                      primary=False)  # fmt: skip
    child = MUTE.tables[name("xw")]
    tables = {**MUTE.tables, child.name: replace(child, indexes=(*child.indexes, indexed))}
    found = of(told({QQ: Inclusion(0)}), Schema(tables, ()))
    assert found is not None
    assert (found.confidence > 0.9, found.tier) == (True, Tier.LIKELY)


def test_where_names_speak_rows_alone_are_looked_at_twice() -> None:
    words = schema(
        *MUTE.tables.values(),
        table("customers", "id integer!"),
        table("shops", "id integer!"),
        table("orders", "id integer!, customer_id integer!, shop_id integer!"),
    )
    mute, speaking = of(told()), of(told(), words)
    assert mute is not None
    assert speaking is not None
    assert speaking.tier is Tier.POSSIBLE
    assert speaking.confidence < mute.confidence


@pytest.mark.parametrize(
    ("column", "spread"),
    [
        ("qq integer", counted(10, 400, 10, rows=900, numbered=True)),  # it numbers its own rows
        ("qq real", counted(10, 400, 10, rows=900)),
        ("qq boolean", counted(10, 400, 10, rows=900)),
        ("qq date", counted(10, 400, 10, rows=900)),
        ("quantity integer", counted(10, 400, 10, rows=900)),
        ("token_hash integer", counted(10, 400, 10, rows=900)),
        ("qq integer", counted(10, 40000, 10, rows=90000)),  # more values than any parent has
        ("qq integer", counted(-4000, 400, 10, rows=900)),  # most are below the parent's range
        ("qq integer", Spread(0, 1, 0)),
    ],
)
def test_no_key_is_tested_for_such_a_column(column: str, spread: Spread) -> None:
    within = schema(
        MUTE.tables[name("zk")], table("xw", f"cc integer!, {column}, jj text", key="cc")
    )
    vocabulary = Vocabulary(within)
    own = column.partition(" ")[0]
    rows = Rows({**FILLED, (name("xw"), own): spread})
    found = unnamed.of(vocabulary, candidates.of(vocabulary), Told(rows))
    assert (name("xw"), own) not in found.near


@pytest.mark.parametrize("inclusion", [Inclusion(90), Inclusion(None, "timeout")])
def test_a_key_that_was_not_seen_to_hold_the_values_is_not_proposed(inclusion: Inclusion) -> None:
    assert of(told({QQ: inclusion})) is None


def test_a_row_number_within_the_numbers_of_another_table_is_no_reference() -> None:
    numbers = {key("xw", "cc", "vt", "bb"): Inclusion(0)}
    assert of(told(numbers), label="xw.cc") is None


def test_text_is_tested_only_with_keys_that_have_its_values() -> None:
    texts = schema(
        table("zk", "aa text!", key="aa"),
        table("vt", "bb text!", key="bb"),
        table("xw", "cc integer!, qq text", key="cc"),
    )
    codes = ("CHF", "EUR", "USD")
    rows = Rows(
        spreads(
            zk_aa=Spread(3, 0, 3, codes),
            vt_bb=Spread(4, 0, 4, ("A", "B", "C", "D")),
            xw_qq=Spread(500, 0, 3, codes),
        )
    )
    vocabulary = Vocabulary(texts)
    found = unnamed.of(vocabulary, candidates.of(vocabulary), Told(rows))
    assert [each.shape for each in found.tests() if each.columns == ("qq",)] == [QQ]


def test_the_tests_grow_with_the_columns_and_not_with_their_square(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """400 tables with 3 columns each that lie within every key."""
    tables = [table(f"t{n:03}", "k integer!, x integer, y integer", key="k") for n in range(400)]
    many = schema(*tables)
    rows = {
        (each.name, column): counted(1, 500 + n, rows=500 + n) if column == "k" else counted(1, 90)
        for n, each in enumerate(tables)
        for column in "kxy"
    }
    vocabulary = Vocabulary(many)
    started = time.perf_counter()
    places = [(each.name, each.columns[1]) for each in tables]
    found = nearest.of(vocabulary, places, Rows(rows))
    assert time.perf_counter() - started < 2
    assert {len(fits) for fits in found.values()} == {nearest.MOST_KEYS}
    monkeypatch.setattr(nearest, "MOST_TESTS", 800)
    fewer = nearest.of(vocabulary, places, Rows(rows))
    assert {len(fits) for fits in fewer.values()} == {2}
    assert all(fewer[place] == fits[:2] for place, fits in found.items())


def test_a_table_gets_a_handful_of_proposals_from_rows() -> None:
    columns = [f"q{letter}" for letter in "bcdfghj"]
    wide = schema(
        MUTE.tables[name("zk")],
        table("xw", ", ".join(["cc integer!", *(f"{c} integer" for c in columns)]), key="cc"),
    )
    rows = FILLED | {(name("xw"), c): FILLED[name("xw"), "qq"] for c in columns}
    inclusions = {key("xw", c, "zk", "aa"): Inclusion(0) for c in columns}
    found = engine.propose(wide, told=Told(Rows(rows, inclusions)))
    assert len(found.proposals) == engine.MOST_HELD < len(columns)


def test_why_a_column_was_matched_names_the_keys_that_hold_its_values() -> None:
    found = engine.chances(MUTE, name("xw"), "qq", told())
    assert [each.key.table.label for each, _ in found] == ["zk", "vt"]
    assert engine.chances(MUTE, name("xw"), "qq") == ()


OBJECTS = """
CREATE TABLE zk (aa integer PRIMARY KEY, gg text, arr integer[], js jsonb);
CREATE TABLE vt (bb serial PRIMARY KEY);
CREATE TABLE mn (dd integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, ff integer);
CREATE TABLE xw (cc integer PRIMARY KEY, qq integer, ww integer);
INSERT INTO zk SELECT g * 10, 'g', ARRAY[g, NULL], '{"a": 1}' FROM generate_series(1, 300) g;
INSERT INTO vt SELECT FROM generate_series(1, 9000);
INSERT INTO mn (ff) SELECT 10 * (g % 300 + 1) FROM generate_series(1, 300) g;
INSERT INTO xw SELECT g + 5, 10 * (g % 300 + 1), 7 * (g % 300 + 1) FROM generate_series(1, 900) g;
CREATE VIEW v AS SELECT x.cc FROM xw x JOIN zk ON x.qq = zk.aa;
ANALYZE
"""


@pytest.fixture
def database(connect: Connect) -> Iterator[psycopg.Connection[Any]]:
    with scratch_database(connect) as scratch, connect(scratch, None) as connection:
        yield connection


def test_joins_and_rows_of_a_server_offer_keys(database: psycopg.Connection[Any]) -> None:
    pytest.importorskip("pglast")
    database.execute(OBJECTS)
    with database.transaction():
        looked = discovering.look(database, catalog.read(database))
    assert looked.unread == ()
    numbered = {place[1] for place, each in looked.told.rows.spreads.items() if each.numbered}
    assert numbered == {"bb", "dd"}
    found = {each.relationship.label: each for each in looked.found.proposals}
    assert (found["xw.qq"].tier, found["xw.qq"].relationship.target) == (Tier.ACCEPTED, "zk.aa")
    assert (found["mn.ff"].tier, found["mn.ff"].relationship.target) == (Tier.LIKELY, "zk.aa")
    assert "xw.ww" not in found or found["xw.ww"].relationship.target != "zk.aa"
    assert looked.tests == len(looked.told.rows.inclusions)
