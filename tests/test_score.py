"""How discovery is scored: the rulings on undeclared references, hidden names, what is saved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runbook import catalog, discovering
from runbook.discovering import Looked
from runbook.discovery.proposal import Found, Proposal, Tier
from runbook.discovery.told import NOTHING
from runbook.schema import Schema, Shape, TableName
from tests.conftest import ROOT, Connect
from tests.places import scratch_database
from tests.score import __main__ as command
from tests.score import adjudicated, fit, fit_rows, hashed, layout, load
from tests.score.adjudicated import Entry, Judged, Ruling
from tests.score.fit import Choice
from tests.score.fit_rows import Lesson
from tests.score.hashed import Hidden
from tests.score.layout import Known
from tests.score.measure import Score

SHARED = ROOT.parent / "shared" / "schemas"
ORDERS, CUSTOMERS = TableName("public", "orders"), TableName("sales", "customers")
ENTRY = """
[[proposal]]
schema = "shop"
child = "public.orders"
columns = ["a"]
parent = "sales.customers"
references = ["id"]
is = "undecided"
because = "nothing in its source says so"
"""


def shape(column: str) -> Shape:
    return ORDERS, CUSTOMERS, frozenset({(column, "id")})


def shop(folder: Path, columns: str = "abcd") -> Known:
    """Two tables in two schemas; of the columns of ``orders`` only ``a`` is a declared key."""
    tables = [
        {
            "schema": name.schema,
            "name": name.table,
            "columns": [["id", "integer", True], *([c, "integer", False] for c in more)],
            "primary_key": ["id"],
            "unique": [],
            "indexes": [["id"]],
        }
        for name, more in ((ORDERS, columns), (CUSTOMERS, ""))
    ]
    key = {"child": str(ORDERS), "columns": ["a"], "parent": str(CUSTOMERS), "references": ["id"]}
    content = {"name": "shop", "tables": tables, "foreign_keys": [key]}
    (folder / "shop.json").write_text(json.dumps(content), encoding="utf-8")
    return layout.one(folder / "shop.json")


@pytest.fixture(scope="module")
def entries() -> tuple[Entry, ...]:
    return adjudicated.read()


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared schemas beside this checkout")
def test_every_entry_is_about_columns_that_exist_and_no_declared_key(
    entries: tuple[Entry, ...],
) -> None:
    for name in sorted({entry.schema for entry in entries}):
        known = layout.one(SHARED / f"{name}.json")
        for entry in (each for each in entries if each.schema == name):
            child, parent, pairs = entry.shape
            for column, referenced in pairs:
                assert known.schema.tables[child].column(column), entry
                assert known.schema.tables[parent].column(referenced), entry
            assert entry.shape not in known.answer, entry


def test_every_entry_says_where_it_was_read(entries: tuple[Entry, ...]) -> None:
    assert entries
    for entry in entries:
        place, _, said = entry.because.partition(": ")
        assert len(place.split(", ")) == 2, entry  # a repository or package, and a file of it
        assert said, entry


def test_two_entries_for_one_proposal_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "adjudicated.toml"
    path.write_text(ENTRY, encoding="utf-8")
    reason = "nothing in its source says so"
    assert adjudicated.read(path) == (Entry("shop", shape("a"), Ruling.UNDECIDED, reason),)
    path.write_text(ENTRY * 2, encoding="utf-8")
    with pytest.raises(ValueError, match="entries") as caught:
        adjudicated.read(path)
    assert str(caught.value) == (
        "2 entries for 'shop: public.orders.a -> sales.customers', expected one"
    )


def test_only_references_count_as_right() -> None:
    entries = [
        Entry("shop", shape(column), ruling, "")
        for column, ruling in zip("bcd", Ruling, strict=True)
    ]
    elsewhere = Entry("other", shape("e"), Ruling.REFERENCE, "")
    proposed = {"shop": {shape(column) for column in "abcde"}}
    judged = adjudicated.judge(proposed, {"shop": {shape("a")}}, [*entries, elsewhere])
    assert judged == Judged(declared=1, references=1, wrong=1, undecided=1, without_entry=1)
    assert (judged.proposals, judged.precision) == (5, 0.4)
    assert Judged(0, 0, 0, 0, 0).precision == 0


def test_the_strict_and_the_adjudicated_precision_stand_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "adjudicated.toml"
    path.write_text(ENTRY.replace('"a"', '"b"').replace("undecided", "reference"), "utf-8")
    read = adjudicated.read
    monkeypatch.setattr(adjudicated, "read", lambda: read(path))
    known = shop(tmp_path)
    accepted = [
        Proposal(ORDERS, (column,), CUSTOMERS, ("id",), 0.95, Tier.ACCEPTED) for column in "abc"
    ]
    likely = Proposal(ORDERS, ("d",), CUSTOMERS, ("id",), 0.5, Tier.LIKELY)
    assert command.of_unseen([known], {"shop": Found((*accepted, likely))}) == {
        "score.unseen.macro": 0.4,
        "score.unseen.micro": 0.4,
        "score.unseen.accepted.f1": 0.5,
        "score.unseen.accepted.precision": 0.333,
        "score.unseen.accepted.recall": 1.0,
        "score.unseen.accepted.proposals": 3,
        "score.unseen.accepted.adjudicated.precision": 0.667,
        "score.unseen.accepted.adjudicated.references": 1,
        "score.unseen.accepted.adjudicated.wrong": 0,
        "score.unseen.accepted.adjudicated.undecided": 0,
        "score.unseen.accepted.adjudicated.without_entry": 1,
    }


def test_a_schema_left_out_does_not_teach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = shop(tmp_path)
    two = Known("two", one.schema)
    taught: list[list[str]] = []

    def weights(known: list[Known]) -> dict[str, float]:
        taught.append([each.name for each in known])
        return {}

    monkeypatch.setattr(fit, "weights", weights)
    assert list(fit.leave_one_out([one, two])) == ["shop", "two"]
    assert taught == [["two"], ["shop"]]


def test_rows_of_a_schema_left_out_do_not_teach(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Choice(({"one": 1.0},), (1.0,), 1.0)
    wrong = Choice(({"one": 1.0},), (0.0,), 1.0)
    hidden = [Lesson("one", (right, wrong), 3), Lesson("two", (right,), 2)]
    named = [Lesson("one", (wrong,), 3), Lesson("two", (), 2)]
    taught: list[list[str]] = []

    def weights(lessons: list[Lesson]) -> dict[str, float]:
        taught.append([each.name for each in lessons])
        return {"one": 2.0}

    monkeypatch.setattr(fit_rows, "weights", weights)
    assert fit_rows.unseen(hidden, named) == [Score(1, 2, 3), Score(1, 1, 2)]
    assert taught == [["two", "two"], ["one", "one"]]


def test_weights_of_rows_follow_what_was_right() -> None:
    """A column with an index refers to something, one without does not."""
    choices = [
        Choice(({"one": 1.0, "led": 1.0},), (1.0,), 1.0),
        Choice(({"one": 1.0},), (0.0,), 1.0),
    ] * 20
    fitted = fit_rows.weights([Lesson("one", tuple(choices), 20)])
    assert fitted["led"] > 1
    assert fitted["one"] < -1
    assert fitted["spoken"] == fit_rows.PRIOR["spoken"]


def test_make_score_saves_no_less_than_was_saved() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "-m tests.score --leave-one-out $(SCHEMAS)" in text
    saved = json.loads((ROOT / "docs" / "benchmarks.json").read_text(encoding="utf-8"))
    assert {"score.unseen.macro", "score.unseen.micro"} <= set(saved["score"]["facts"])


@pytest.fixture
def database(connect: Connect) -> Iterator[psycopg.Connection[Any]]:
    with scratch_database(connect) as name, connect(name, None) as connection:
        yield connection


def test_hidden_names_hide_the_names_alone(
    tmp_path: Path, database: psycopg.Connection[Any]
) -> None:
    """The keys that were declared are still there, under the hidden names; then all is back."""
    known = shop(tmp_path)
    load.load(database, known)
    database.execute("ALTER TABLE orders ADD FOREIGN KEY (a) REFERENCES sales.customers (id)")
    with database.transaction(force_rollback=True):
        hashed.hide(database, known)
        found = catalog.read(database)
    assert [key.shape for key in found.foreign_keys] == [hashed.hidden(shape("a"))]
    names = {table.name.table for table in found.tables.values()}
    names |= {column.name for table in found.tables.values() for column in table.columns}
    names |= {index.name for table in found.tables.values() for index in table.indexes}
    assert len(names) == 2 + 6 + 2  # one each: the two columns id share none
    assert all(set(name) <= set("bcdfghjklmnpqrst") for name in names)
    assert {str(name) for name in catalog.read(database).tables} == {str(ORDERS), str(CUSTOMERS)}


def test_proposals_in_hidden_names_are_held_against_the_hidden_keys(
    tmp_path: Path, database: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever finds the key under its hidden names is right, and the database is as before."""
    known = shop(tmp_path)
    load.load(database, known)

    def look(_: object, schema: Schema) -> Looked:
        child, parent, pairs = hashed.hidden(shape("a"))
        ((column, key),) = pairs
        assert schema.tables[child].column(column)
        other = schema.tables[child].columns[-1].name
        found = (
            Proposal(child, (name,), parent, (key,), 0.5, tier)
            for name, tier in ((column, Tier.LIKELY), (other, Tier.POSSIBLE))
        )
        return Looked(Found(tuple(found)), NOTHING, 0, ())

    monkeypatch.setattr(discovering, "look", look)
    assert hashed.measure(database, known) == Hidden(
        score=Score(right=1, proposed=1, keys=1),
        every=Score(right=1, proposed=2, keys=1),
        lesson=Lesson("shop", (), 1),
    )
    assert set(catalog.read(database).tables) == {ORDERS, CUSTOMERS}
