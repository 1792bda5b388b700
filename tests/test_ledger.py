"""The ledger: cells, why environments disagree, counts from run to run; its page and its files."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runbook import ledger, past_runs, record, remedies
from runbook.errors import IncompleteError
from runbook.facts import Facts
from runbook.findings import Audit, AuditState, Born, CensusRow, Evidence, KeyState
from runbook.ledger import Cell, Count, Row
from runbook.record import RunRecord
from runbook.relationships import Exemption, Relationship, Relationships
from runbook.schema import Action, Match, TableName
from runbook.settings import Settings
from runbook.settings import read as read_settings
from runbook.site import beside, ledger_page, pages, relationship_page
from tests import project
from tests.places import HOSTILE
from tests.test_record import RUN

ORDERS, USERS = TableName("public", "orders"), TableName("public", "users")
ITEM = Relationship(ORDERS, ("user_id",), USERS, ("id",), why="an order has a buyer")
OTHER = Relationship(ORDERS, ("seller_id",), USERS, ("id",))
SETTINGS = read_settings(project.ROOT)
MONDAY = datetime(2026, 11, 23, 9, tzinfo=UTC)


def run(environment: str, *found: tuple[Relationship, KeyState, Audit | None]) -> RunRecord:
    return RUN.model_copy(
        update={
            "environment": environment,
            "finished": MONDAY,
            "census": tuple(CensusRow(item, state, None, "why") for item, state, _ in found),
            "audits": tuple(audit for _, _, audit in found if audit),
        }
    )


def counted(item: Relationship, orphans: int) -> Audit:
    state = AuditState.ORPHANS if orphans else AuditState.CLEAN
    return Audit(item, state, orphans, exact=True, strategy="anti-join")


def rows(*runs: RunRecord) -> tuple[Row, ...]:
    return ledger.take(SETTINGS, Relationships((ITEM, OTHER)), {r.environment: r for r in runs})


def test_a_cell_is_of_the_newest_run() -> None:
    (row, other) = rows(run("staging", (ITEM, KeyState.MISSING, counted(ITEM, 3))))
    staging, production, _ = row.cells
    assert (staging.key, staging.rows, staging.orphans) == ("missing", "orphans", 3)
    assert staging.fresh_until == MONDAY + timedelta(days=7)
    assert production == Cell("production")
    assert (production.key, production.rows, production.orphans) == (
        "not looked", "not looked", None,
    )  # fmt: skip
    assert [cell.key for cell in other.cells] == ["not looked"] * 3  # the run did not look at it


def test_why_environments_disagree() -> None:
    (row, other) = rows(
        run("staging", (ITEM, KeyState.ENFORCED, counted(ITEM, 0)),
            (OTHER, KeyState.MISSING, counted(OTHER, 0))),
        run("production", (ITEM, KeyState.MISSING, counted(ITEM, 3)),
            (OTHER, KeyState.MISSING, Audit(OTHER, AuditState.COULD_NOT_LOOK))),
    )  # fmt: skip
    assert row.disagreement == (
        "schema: enforced in staging, missing in production;"
        " data: clean in staging, orphans in production; never looked at in development"
    )
    assert other.disagreement == "never looked at in development"
    assert rows()[0].disagreement == ""


def kept(tmp_path: Path, *found: RunRecord) -> Settings:
    for number, each in enumerate(found):
        at = MONDAY + timedelta(days=number)
        folder = tmp_path / "runs" / each.environment / f"2026-{number}"
        folder.mkdir(parents=True)
        record.write(folder, each.model_copy(update={"started": at, "run_id": folder.name}))
    return SETTINGS.model_copy(update={"folder": tmp_path})


def test_counts_from_run_to_run(tmp_path: Path) -> None:
    estimate = replace(counted(ITEM, 90), exact=False, state=AuditState.ESTIMATED)
    settings = kept(
        tmp_path,
        run("staging", (ITEM, KeyState.MISSING, counted(ITEM, 2))),
        run("staging", (ITEM, KeyState.MISSING, estimate)),
        run("staging", (ITEM, KeyState.MISSING, None)),
        run("staging", (ITEM, KeyState.MISSING, counted(ITEM, 8))),
    )
    counts = ledger.history(settings, "staging")[ITEM.id]
    assert [(count.rows, count.orphans) for count in counts] == [
        ("orphans", 2),
        ("estimated", None),
        ("not looked", None),
        ("orphans", 8),
    ]
    assert ledger.leak(counts) == (6, 2.0)
    assert ledger.leak(counts[:3]) is None
    assert ledger.leak([counts[3], replace(counts[0], measured=MONDAY + timedelta(days=5))]) == (
        -6,
        -3.0,
    )


def test_a_corrupt_record_is_no_gap(tmp_path: Path) -> None:
    settings = kept(tmp_path, run("staging", (ITEM, KeyState.MISSING, counted(ITEM, 2))))
    path = tmp_path / "runs" / "staging" / "2026-0" / "run.json"
    path.write_text('{"census": []}', encoding="utf-8")
    with pytest.raises(IncompleteError) as caught:
        ledger.history(settings, "staging")
    assert str(caught.value) == (
        f"{path}: not a run record: it lacks 'audits'\n"
        "hint: remove the folder and run the runbook again"
    )


def test_a_record_of_an_unknown_state_is_no_gap(tmp_path: Path) -> None:
    settings = kept(tmp_path, run("staging", (ITEM, KeyState.MISSING, counted(ITEM, 2))))
    path = tmp_path / "runs" / "staging" / "2026-0" / "run.json"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"missing"', '"misplaced"'), encoding="utf-8")
    with pytest.raises(IncompleteError) as caught:
        ledger.history(settings, "staging")
    assert str(caught.value) == (
        f"{path}: not a run record: 'misplaced' is not a valid KeyState\n"
        "hint: remove the folder and run the runbook again"
    )


def test_ids_are_those_of_relationships(tmp_path: Path) -> None:
    hostile = Relationship(TableName('a"b', "c.d"), ("x y", "z"), USERS, ("a", "b"))
    settings = kept(tmp_path, run("staging", (hostile, KeyState.MISSING, None)))
    assert list(ledger.history(settings, "staging")) == [hostile.id]


# --- files ----------------------------------------------------------------------------------------


def documents(*runs: RunRecord, items: tuple[Relationship, ...] = (ITEM, OTHER)) -> dict[str, str]:
    class Given(Settings):
        def relationships(self) -> Relationships:
            return Relationships(items)

    settings = Given.model_construct(**SETTINGS.__dict__)
    found = ledger_page.all_rows(settings, Facts({}, {r.environment: r for r in runs}))
    return ledger_page.documents(settings, found) | dict(ledger_page.files(settings, found))


def test_the_files_say_the_same_as_the_page() -> None:
    found = documents(run("staging", (ITEM, KeyState.MISSING, counted(ITEM, 3))))
    page, data, table = (
        found[f"results/ledger/{n}"] for n in ("index.md", "ledger.json", "ledger.csv")
    )
    values = json.loads(data)
    assert values["cell"] == ["key", "rows", "orphans", "exact"]
    assert values["rows"][0]["cells"][0] == ["missing", "orphans", 3, True]
    assert values["rows"][0]["cells"][1] == ["not looked", "not looked", None, False]
    assert values["environments"][0] == {
        "name": "staging",
        "title": "Staging",
        "run": "20260102T030405Z",
        "measured": "2026-11-23T09:00:00Z",
        "fresh_until": "2026-11-30T09:00:00Z",
    }
    lines = list(csv.reader(io.StringIO(table)))
    assert len(lines) == 1 + 2 * 3
    assert lines[1] == [
        "orders.user_id", "users.id", "staging", "missing", "orphans", "3", "20260102T030405Z",
        "2026-11-23T09:00:00Z",
    ]  # fmt: skip
    assert "3 orphan rows" in page
    assert json.loads(data)["rows"][0]["page"] in page


@pytest.mark.parametrize("name", ["=1+1", "+x", "-x", "@x", "\tx"])
def test_a_spreadsheet_takes_no_name_for_a_formula(name: str) -> None:
    item = replace(ITEM, child=TableName("public", name))
    (_, line, *_) = csv.reader(io.StringIO(ledger.as_csv([Row(item, (Cell("staging"),))])))
    assert line[0] == f"'{item.label}"


def test_a_large_ledger_is_a_light_page() -> None:
    items = tuple(replace(ITEM, columns=(f"user_{n}_id",)) for n in range(5000))
    found = documents(
        run("staging", *((item, KeyState.MISSING, None) for item in items)), items=items
    )
    assert "And 4,925 more in the files." in found["results/ledger/index.md"]
    assert len(found["results/ledger/index.md"]) < 100_000
    assert len(json.loads(found["results/ledger/ledger.json"])["rows"]) == 5000


# --- a relationship's page ------------------------------------------------------------------------


def page(row: Row, exemption: Exemption | None = None, **counts: tuple[Count, ...]) -> str:
    histories = {name: {row.relationship.id: found} for name, found in counts.items()}
    return relationship_page.render(row, exemption, histories, {}, date(2026, 11, 23))


def count(day: int, orphans: int | None) -> Count:
    at = MONDAY + timedelta(days=day)
    return Count("staging", f"run {day}", at, "missing", "orphans", orphans)


def test_the_page_has_all_that_is_known() -> None:
    audit = replace(
        counted(ITEM, 3), samples=("7", "8"), born=Born("created_at", "2026-01-01", "2026-02-02")
    )
    (row, _) = rows(run("staging", (ITEM, KeyState.MISSING, audit)))
    text = page(row, staging=(count(0, 1), count(1, None), count(2, 3)))
    for said in (
        "<h1>orders.user_id</h1>",
        "an order has a buyer",
        "why; 7, 8; born, by created_at: 2026-01-01 to 2026-02-02",
        "Leak in staging: 2 orphan rows more since the count before, &#43;1.0 a day.".replace(
            "&#43;", "+"
        ),
        "never looked at in production, development",
        "no run looked at it",
        "ALTER TABLE public.orders",
        "Move the rows into a table beside it",
        "None has it in its evidence.",
    ):
        assert said in text, said


def test_an_overdue_exception_is_red() -> None:
    exemption = Exemption("public.orders(user_id)", "Ann", "it is an archive", date(2026, 11, 22))
    (row, _) = rows()
    overdue = '<span class="rb-state rb-overdue">overdue</span> not wanted as a key: it is an'
    rest = " archive. Ann answers for it, to be reviewed by 2026-11-22."
    assert overdue + rest in page(row, exemption)
    later = replace(exemption, review_by=date(2026, 11, 23))
    assert '<span class="rb-state rb-excepted">excepted</span>' in page(row, later)


@pytest.mark.parametrize(
    "name",
    [*HOSTILE, "<script>alert(1)</script>", "{{ 7*7 }}", "{% raw %}", "x" * 10_000, "..", ""],
)
def test_a_page_is_inert_whatever_the_names_are(name: str) -> None:
    item = replace(ITEM, child=TableName("public", name or "empty"), why=name)
    text = page(Row(item, (Cell("staging", CensusRow(item, KeyState.MISSING, None, name)),)))
    for harm in ("<script>alert", "{{", "{%", "\u202e", "<b>"):
        assert harm not in text
    slug = relationship_page.slug(item.id)
    assert slug.isascii()
    assert set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert 8 <= len(slug) <= 70


def test_names_that_look_alike_have_pages_of_their_own() -> None:
    slugs = {
        relationship_page.slug(replace(ITEM, child=TableName("public", name)).id)
        for name in ("a.b", "a b", "a-b", "A_B", "a_b")
    }
    assert len(slugs) == 5


def test_a_page_weighs_little() -> None:
    (row, _) = rows(run("staging", (ITEM, KeyState.MISSING, counted(ITEM, 3))))
    assert len(page(row, staging=tuple(count(day, day) for day in range(200)))) < 20_000


# --- SQL for people -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on_delete", "title"),
    [
        (Action.SET_NULL, "Let the rows refer to nothing, where the columns may be NULL"),
        (Action.CASCADE, "Move the rows into a table beside it"),
        (Action.NO_ACTION, "Move the rows into a table beside it"),
    ],
)
def test_the_remedy_runs_and_leaves_nothing(
    psql: psycopg.Connection[Any], on_delete: Action, title: str
) -> None:
    item = Relationship(
        TableName("public", "Order s"), ("a", "user"), USERS, ("x", "id"),
        on_delete=on_delete, match=Match.SIMPLE,
    )  # fmt: skip
    psql.execute(
        "CREATE TABLE public.users (x int, id int, PRIMARY KEY (x, id));"
        'CREATE TABLE public."Order s" (id int PRIMARY KEY, a int, "user" int);'
        "INSERT INTO public.users VALUES (1, 1);"
        'INSERT INTO public."Order s" VALUES (1, 1, 1), (2, 1, 9), (3, NULL, 9), (4, 1, 9)'
    )
    found = psql.execute(remedies.find(item).encode()).fetchall()
    assert found == [(2, 1, 9), (4, 1, 9)]
    told, statement = remedies.mend(item)
    assert told == title
    done = psql.execute(statement.encode())
    rows = []
    while True:
        rows += done.fetchall() if done.description else []
        if not done.nextset():
            break
    assert len(rows) == 2
    assert psql.execute(remedies.find(item).encode()).fetchall() == found


@pytest.fixture
def psql(connect: Any) -> Any:
    with connect("postgres", None) as admin:
        admin.execute("CREATE DATABASE remedies TEMPLATE template0")
        with connect("remedies", None) as session:
            yield session
        admin.execute("DROP DATABASE remedies WITH (FORCE)")


def test_runs_that_found_the_same_are_one_line() -> None:
    (row, _) = rows(run("staging", (ITEM, KeyState.MISSING, counted(ITEM, 3))))
    newer = replace(count(3, 0), key="enforced", rows="clean")
    text = page(row, staging=(count(0, 1), count(1, 3), count(2, 3), newer))
    (found,) = re.findall(r"Counts by run</caption>.*?<tbody>\n(.*?)\n</tbody>", text, re.DOTALL)
    assert found == (
        "<tr><td>staging</td><td>2026-11-26 09:00: 0, key enforced<br>"
        "2026-11-24 09:00 to 2026-11-25 09:00, 2 runs: 3, key missing<br>"
        "2026-11-23 09:00: 1</td></tr>"
    )


def test_what_was_counted_is_kept_beside_the_runs(tmp_path: Path) -> None:
    settings = kept(tmp_path, run("staging", (ITEM, KeyState.MISSING, counted(ITEM, 2))))
    path = tmp_path / "runs" / "staging" / "2026-0" / "run.json"
    (first,) = past_runs.of(settings.runs, "staging")
    file = tmp_path / "runs" / ".counts" / "staging" / "2026-0.counts.json"
    known = json.loads(file.read_text(encoding="utf-8"))
    known["values"]["counts"][0][3] = 77
    file.write_text(json.dumps(known), encoding="utf-8")
    past_runs._read.cache_clear()
    assert past_runs.read(path, "staging").counts[ITEM.id].orphans == 77, "it was not used"
    for spoilt in ("", "[]", '{"format": 0}', "{"):
        file.write_text(spoilt, encoding="utf-8")
        past_runs._read.cache_clear()
        assert past_runs.read(path, "staging") == first
    file.write_text(json.dumps(known), encoding="utf-8")
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert past_runs.read(path, "staging") == first, "a record that was written anew is read anew"


def test_checks_that_name_a_relationship_are_found_by_its_label() -> None:
    evidence = Evidence.of(("relationship", "n"), [(ITEM.label, 1), (ITEM.label, 2)], "")
    check = replace(RUN.checks[0], evidence=(evidence, evidence))
    found = relationship_page.naming({"staging": RUN.model_copy(update={"checks": (check,)})})
    assert found == {ITEM.label: (("staging", check),)}


def test_a_record_that_was_written_anew_is_read_anew(tmp_path: Path) -> None:
    settings = kept(tmp_path, run("staging", (ITEM, KeyState.MISSING, counted(ITEM, 2))))
    folder = tmp_path / "runs" / "staging" / "2026-0"
    first = past_runs.whole(folder)
    assert past_runs.whole(folder) is first
    assert ledger.history(settings, "staging")[ITEM.id][0].orphans == 2
    record.write(folder, first.model_copy(update={"audits": (counted(ITEM, 7),)}))
    assert past_runs.whole(folder).audits[0].orphans == 7
    assert ledger.history(settings, "staging")[ITEM.id][0].orphans == 7


def test_a_large_record_is_published_compressed(tmp_path: Path) -> None:
    small = run("staging", (ITEM, KeyState.MISSING, counted(ITEM, 2)))
    settings = kept(tmp_path, small)
    folder = tmp_path / "runs" / "staging" / "2026-0"
    given = settings.environments["staging"], past_runs.whole(folder)
    assert "[run.json](run.json)" in pages.environment_page(settings, *given)
    padded = " " * beside.LARGEST_RECORD + (folder / "run.json").read_text(encoding="utf-8")
    (folder / "run.json").write_text(padded, encoding="utf-8")
    assert "[run.json.gz](run.json.gz)" in pages.environment_page(settings, *given)
    assert gzip.decompress(beside.published(folder)) == padded.encode()
    assert beside.published(folder) == beside.published(folder)  # no time in it


def test_the_page_of_many_relationships_shows_the_first() -> None:
    items = tuple(replace(ITEM, columns=(f"c{number}",)) for number in range(pages.PLAIN_ROWS + 7))
    many = run("staging", *((item, KeyState.MISSING, counted(item, 1)) for item in items))
    text = pages.relationships_page(SETTINGS.environments["staging"], many)
    assert text.count("<tbody>") == 2
    assert text.count("<tr><td>") == 2 * pages.PLAIN_ROWS
    assert text.count('<p>And 7 more in the <a href="../../ledger/">ledger</a>.</p>') == 2
    assert len(text.encode()) < 100_000
    few = run("staging", (ITEM, KeyState.MISSING, counted(ITEM, 1)))
    assert "more in the" not in pages.relationships_page(SETTINGS.environments["staging"], few)
