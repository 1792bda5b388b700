"""Discovery from declarations: what is proposed, what is not, and why."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from runbook import discovery
from runbook.discovery import actions, words, writing
from runbook.discovery.data import Inclusion, Rows, Spread
from runbook.discovery.proposal import Found, Proposal, Tier
from runbook.discovery.told import Told
from runbook.discovery.vocabulary import Vocabulary
from runbook.relationships import Rejected
from runbook.relationships import parse as parse_relationships
from runbook.schema import Action, Column, Index, Schema, Table, TableName
from tests.conftest import ROOT
from tests.score import layout, measure, others


def table(name: str, columns: str, key: str = "id", unique: tuple[str, ...] = ()) -> Table:
    """``columns`` as ``id integer!, note text``; an exclamation mark: not null."""
    found = []
    for text in columns.split(", "):
        column, _, type_ = text.partition(" ")
        found.append(Column(column, type_.rstrip("!"), type_.endswith("!")))
    indexes = [index(key.split(","), primary=True)] if key else []
    indexes += [index(each.split(",")) for each in unique]
    return Table(TableName("public", name), "r", tuple(found), tuple(indexes))


def index(columns: list[str], *, primary: bool = False) -> Index:
    return Index(
        "_".join(columns), tuple(columns), unique=True, primary=primary, immediate=True,
        valid=True, partial=False, expressions=False,
    )  # fmt: skip


def schema(*tables: Table) -> Schema:
    return Schema({each.name: each for each in tables}, ())


def pairs(found: Found) -> dict[str, str]:
    return {
        item.relationship.label: item.relationship.target
        for item in found.proposals
        if item.tier is not Tier.POSSIBLE
    }


DECIDED = """\
# mine
[[relationship]] # kept
child = 'a.b'
columns = ['x']
parent = 'a.c'
references = ['id']

# the end
"""
CUSTOMERS = table("customers", "id integer!, name text!, created_at date!")


@pytest.mark.parametrize(
    ("child", "column", "target"),
    [
        ("orders", "customer_id integer!", "customers.id"),
        ("orders", "customerId integer!", "customers.id"),
        ("orders", "billing_customer_id integer", "customers.id"),
        ("customers", "parent_id integer", "customers.id"),
    ],
)
def test_a_name_that_means_a_table_is_proposed(child: str, column: str, target: str) -> None:
    tables = [CUSTOMERS, table(child, f"id integer!, {column}, note text")]
    found = discovery.propose(schema(*tables))
    assert pairs(found) == {f"{child}.{column.partition(' ')[0]}": target}


def test_a_polymorphic_pair_is_no_key() -> None:
    notes = table("notes", "id integer!, customer_id integer!, customer_type text!")
    found = discovery.propose(schema(CUSTOMERS, notes))
    assert found.proposals == ()
    assert [(item.columns, item.reason) for item in found.not_keys] == [
        (
            ("customer_id",),
            "polymorphic: customer_type says which table it refers to, so no single key can hold",
        )
    ]


def test_a_reference_to_a_table_that_is_not_there_is_listed() -> None:
    orders = table("orders", "id integer!, shop_id integer!, customer_id uuid!, api_token_id text")
    found = discovery.propose(schema(CUSTOMERS, orders))
    assert [item.reason for item in found.dangling] == [
        "no table is named 'shop' or ends so",
        "the type uuid fits no key of customers",
    ]
    assert [item.reason for item in found.not_keys] == [
        "an id of another system: the name says 'token'"
    ]


def test_a_tenant_key_is_proposed_whole() -> None:
    things = table("things", "id integer!, tenant_id integer!", unique=("id,tenant_id",))
    parts = table("parts", "id integer!, thing_id integer!, tenant_id integer!",
                  unique=("thing_id,tenant_id",))  # fmt: skip
    found = discovery.propose(schema(things, parts, table("tenants", "id integer!, name text")))
    assert pairs(found)["parts.(thing_id, tenant_id)"] == "things.(id, tenant_id)"
    assert "parts.thing_id" not in pairs(found)


def test_what_prisma_says_goes_first() -> None:
    orders = table("orders", "id integer!, customer_id integer!")
    given = Proposal(orders.name, ("customer_id",), CUSTOMERS.name, ("id",), 1.0, Tier.ACCEPTED)
    found = discovery.propose(schema(CUSTOMERS, orders), extra=(given,))
    assert found.proposals == (given,)


def test_every_proposal_has_evidence_and_an_action_with_its_reason() -> None:
    lines = table("order_lines", "order_id integer!, number integer!", key="order_id,number")
    found = discovery.propose(schema(table("orders", "id integer!, note text"), lines))
    (item,) = found.proposals
    assert [str(each) for each in item.evidence] == [
        "names and types: the name is that of orders and its key",
        "names and types: both have the type integer",
    ]
    assert (item.on_delete, item.on_delete_reason) == (
        Action.CASCADE,
        "the columns are part of the primary key: no row without its parent",
    )


@pytest.mark.parametrize(
    ("column", "action"),
    [("customer_id integer", Action.SET_NULL), ("customer_id integer!", Action.RESTRICT)],
)
def test_the_action_follows_from_null(column: str, action: Action) -> None:
    orders = table("orders", f"id integer!, {column}")
    vocabulary = Vocabulary(schema(CUSTOMERS, orders))
    found = actions.fitting(vocabulary, orders.name, ("customer_id",), CUSTOMERS.name)
    assert found[0] is action


@pytest.mark.parametrize(
    ("one", "other"),
    [("addresses", "address"), ("categories", "category"), ("statuses", "status"),
     ("purchases", "purchase"), ("add_ons", "add_on"), ("people", "person")],
)  # fmt: skip
def test_singular_and_plural_are_the_same_words(one: str, other: str) -> None:
    assert words.words(one) == words.words(other)


def test_words_written_together_are_split_at_tables() -> None:
    found = words.words("sizeunitmeasurecode", {"unitmeasure"})
    assert found == ("size", "unitmeasure", "code")


def test_rows_change_the_confidence_and_say_so() -> None:
    orders = table("orders", "id integer!, customer_id integer!")
    both = schema(CUSTOMERS, orders)
    spreads = {
        (orders.name, "customer_id"): Spread(1000, 0, 100),
        (CUSTOMERS.name, "id"): Spread(120, 0, 120),
    }
    shape = (orders.name, CUSTOMERS.name, frozenset({("customer_id", "id")}))
    seen: dict[int | None, Proposal | None] = {}
    for orphans in (0, 3, 900, None):
        told = Told(Rows(spreads, {shape: Inclusion(orphans, "statement timeout")}))
        proposals = discovery.engine.propose(both, told=told).proposals
        seen[orphans] = proposals[0] if proposals else None
    clean, few, unread = seen[0], seen[3], seen[None]
    assert clean is not None
    assert few is not None
    assert unread is not None
    assert clean.confidence > few.confidence > unread.confidence
    assert seen[900] is None or seen[900].confidence < unread.confidence
    assert few.evidence[-1].words == "3 rows have no parent, of about 1,000"
    assert clean.evidence[-1].words == "every row has a parent, of about 1,000"
    assert unread.evidence[-1].words == "its rows were not counted: statement timeout"


def test_decisions_are_written_without_losing_a_comment() -> None:
    orders = table("orders", "id integer!, customer_id integer!")
    found = discovery.propose(schema(CUSTOMERS, orders))
    whole = writing.rejected(
        writing.added(DECIDED, found.proposals),
        [Rejected(orders.name, ("note",), None, "free text")],
    )
    assert whole.startswith(DECIDED.rstrip())
    parsed = parse_relationships(whole, ROOT / "relationships.toml")
    assert [item.label for item in parsed] == ["a.b.x", "orders.customer_id"]
    assert parsed.rejected == (Rejected(orders.name, ("note",), None, "free text"),)
    assert parsed.rejected[0].covers(orders.name, ("note",), CUSTOMERS.name)


def test_a_score_is_counted_by_whole_keys() -> None:
    one, two = ((CUSTOMERS.name, CUSTOMERS.name, frozenset({(c, "id")})) for c in "ab")
    assert measure.score({one, two}, {one}) == measure.Score(1, 2, 1)
    assert measure.macro([measure.Score(1, 1, 1), measure.Score(0, 1, 1)]) == 0.5


def test_the_rules_of_others_propose_something() -> None:
    orders = table("orders", "id integer!, customer_id integer!")
    shape = (orders.name, CUSTOMERS.name, frozenset({("customer_id", "id")}))
    both = schema(CUSTOMERS, orders)
    assert set(others.singular_id(both)) == {shape}
    assert shape in set(others.tbls(both))
    assert shape in set(others.azimutt(both))


def test_a_folder_without_a_schema_is_refused() -> None:
    with pytest.raises(FileNotFoundError, match="no schema in"):
        layout.read(ROOT / "docs" / "assets")


def test_five_hundred_tables_take_less_than_three_seconds() -> None:
    columns = "id integer!, customer_id integer!, owner_id integer, note text, kind text, at date"
    many = [table(f"area{n % 9}_thing{n}s", columns) for n in range(500)]
    started = time.perf_counter()
    found = discovery.propose(schema(CUSTOMERS, *many))
    assert time.perf_counter() - started < 3
    assert len(found.of(Tier.ACCEPTED)) + len(found.of(Tier.LIKELY)) >= 500


def test_a_schema_for_each_tenant_refers_to_itself() -> None:
    """A name that many tables have: the table of the same schema is meant."""
    users = table("users", "id bigint!, name text")
    orders = table("orders", "id bigint!, user_id bigint!")
    tables = [
        replace(each, name=TableName(f"tenant_{n}", each.name.table))
        for n in range(60)
        for each in (users, orders)
    ]
    found = pairs(discovery.propose(schema(*tables)))
    assert found == {f"tenant_{n}.orders.user_id": f"tenant_{n}.users.id" for n in range(60)}
