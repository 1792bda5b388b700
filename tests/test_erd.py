"""The picture of the schema: its layout, its states, its files, and its page."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from itertools import combinations, pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from runbook import charts, erd
from runbook.charts import Part
from runbook.erd import states
from runbook.erd.diagram import Diagram
from runbook.erd.families import LARGEST
from runbook.erd.layers import place
from runbook.findings import Audit, AuditState, KeyState
from runbook.ledger import NOT_LOOKED, Cell
from runbook.record import RunRecord
from runbook.relationships import Relationship
from runbook.schema import TableName
from runbook.site import erd_page
from tests import erd_site, project, schemas
from tests.places import HOSTILE

ORDERS, USERS, SITES = (TableName("public", name) for name in ("orders", "users", "sites"))
ITEM = Relationship(ORDERS, ("user_id",), USERS, ("id",))
COMPOSITE = Relationship(ORDERS, ("tenant_id", "site_id"), SITES, ("tenant_id", "id"))
SELF = Relationship(ORDERS, ("parent_id",), ORDERS, ("id",))
ITEMS = (ITEM, COMPOSITE, SELF)
SVG = "{http://www.w3.org/2000/svg}"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def unseen(items: tuple[Relationship, ...]) -> dict[str, Cell]:
    return {item.id: Cell("staging") for item in items}


def pages(items: tuple[Relationship, ...]) -> dict[str, str]:
    return {item.id: f"../relationships/{at}/" for at, item in enumerate(items)}


def picture(items: tuple[Relationship, ...], run: RunRecord | None = None) -> str:
    cells = unseen(items)
    if run:
        audits = {audit.relationship.id: audit for audit in run.audits}
        for row in run.census:
            name = row.relationship.id
            cells[name] = Cell("staging", row, audits.get(name), "run", run.finished, run.finished)
    return erd.svg(erd.draw(items), cells, pages(items), "a title", alone=True)


def parsed(text: str) -> ET.Element:
    """The root of well-formed XML."""
    return ET.fromstring(text)  # noqa: S314 - it is of our own making


def assert_apart(boxes: list[tuple[float, float, float, float]]) -> None:
    """No two boxes (left, top, width, height) share a point; a sweep, for there may be many."""
    for left, box in enumerate(sorted(boxes)):
        for other in sorted(boxes)[left + 1 :]:
            if other[0] >= box[0] + box[2]:
                break
            assert other[1] >= box[1] + box[3] or box[1] >= other[1] + other[3], (box, other)


def boxes(diagram: Diagram) -> list[tuple[float, float, float, float]]:
    return [(table.x, table.y, table.width, table.height) for table in diagram.tables]


# --- layout ---------------------------------------------------------------------------------------


@given(
    st.integers(1, 14).flatmap(
        lambda count: st.tuples(
            st.just(count),
            st.lists(
                st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(
                    lambda pair: pair[0] != pair[1]
                ),
                max_size=40,
            ),
        )
    )
)
def test_boxes_never_overlap_and_no_line_passes_one(
    graph: tuple[int, list[tuple[int, int]]],
) -> None:
    count, edges = graph
    sizes = [(100.0 + 7 * at, 20.0 + 9 * at) for at in range(count)]
    found = place(sizes, edges)
    placed = [(*at, *size) for at, size in zip(found.boxes, sizes, strict=True)]
    assert_apart(placed)
    for lanes in found.lanes:
        for start, end, y in lanes:
            low, high = sorted((start, end))
            for left, top, width, height in placed:
                assert not (left < high and low < left + width and top < y < top + height)
    for (child, parent), lanes, left in zip(edges, found.lanes, found.left_of, strict=True):
        across = [found.boxes[child][0], *(lane[0] for lane in lanes), found.boxes[parent][0]]
        assert all((a > b) is left for a, b in pairwise(across))


@pytest.mark.parametrize("tables", [16, 60, 61, 300])
def test_tables_and_frames_never_overlap(tables: int) -> None:
    diagram = erd.draw(schemas.large(tables, tables * 2))
    assert_apart(boxes(diagram))
    assert_apart([(f.x, f.y, f.width, f.height) for f in diagram.frames])
    for frame in diagram.frames:
        for member in frame.members:
            table = diagram.tables[member]
            assert frame.x <= table.x
            assert table.x + table.width <= frame.x + frame.width
            assert frame.y <= table.y
            assert table.y + table.height <= frame.y + frame.height
    seen = sorted(member for frame in diagram.frames for member in frame.members)
    assert seen == list(range(len(diagram.tables)))
    assert diagram.detailed == (tables <= 60)
    assert all(len(frame.members) <= LARGEST for frame in diagram.frames) or diagram.detailed


def test_a_line_starts_at_the_child_and_ends_at_the_parent() -> None:
    diagram = erd.draw(schemas.large(80, 240))
    for line in diagram.lines:
        x, y = map(float, NUMBER.findall(line.path)[:2])
        child, parent = diagram.tables[line.child], diagram.tables[line.parent]
        assert child.y <= y <= child.y + child.height
        tip_x, tip_y = map(float, NUMBER.findall(line.path.rpartition("L")[0].rpartition("L")[2]))
        sides = (parent.x, parent.x + parent.width)
        assert min(abs(tip_x - side) for side in sides) <= 0.5
        assert parent.y <= tip_y <= parent.y + parent.height
        assert min(abs(x - side) for side in (child.x, child.x + child.width)) <= 0.5


def test_what_is_referred_to_stands_on_the_left() -> None:
    diagram = erd.draw(ITEMS)
    place_of = {table.name: table.x for table in diagram.tables}
    assert place_of[USERS] == place_of[SITES] < place_of[ORDERS]


def test_a_cycle_of_references_is_drawn() -> None:
    names = [TableName("public", name) for name in "abc"]
    items = tuple(
        Relationship(child, ("x",), parent, ("id",))
        for child, parent in zip(names, names[1:] + names[:1], strict=True)
    )
    diagram = erd.draw(items)
    assert_apart(boxes(diagram))
    assert {line.left for line in diagram.lines} == {True, False}


def test_a_composite_key_is_one_row() -> None:
    diagram = erd.draw(ITEMS)
    (orders, sites, _) = diagram.tables
    assert orders.keys == (("id",), ("user_id",), ("tenant_id", "site_id"), ("parent_id",))
    assert orders.referred == {("id",)}
    assert sites.keys == (("tenant_id", "id"),)
    assert ">→ tenant&#95;id, site&#95;id<" in picture(ITEMS)


def test_a_table_that_refers_to_itself_alone_is_shown() -> None:
    diagram = erd.draw((SELF, Relationship(SITES, ("main_id",), SITES, ("id",)), ITEM))
    assert [frame.title for frame in diagram.frames] == [
        "users and 1 more",
        "refers to no other table",
    ]
    assert [len(frame.members) for frame in diagram.frames] == [2, 1]
    assert all(line.near for line in diagram.lines)


def test_the_same_relationships_give_the_same_bytes() -> None:
    items = schemas.large(120, 300)
    assert picture(items) == picture(items)
    assert erd.draw(items) == erd.draw(tuple(items))


def test_the_layout_is_the_same_whatever_the_states_are() -> None:
    items = schemas.large(30, 60)
    paths = [
        sorted(path.get("d", "") for path in parsed(text).iter(f"{SVG}path"))
        for text in (picture(items), picture(items, schemas.of_all_states("staging", items)))
    ]
    drawn = {line.path for line in erd.draw(items).lines}
    assert drawn <= set(paths[0])
    assert drawn <= set(paths[1])


def test_nothing_to_draw() -> None:
    assert erd.draw(()) == Diagram((), (), (), 0.0, 0.0, detailed=True)


# --- at size --------------------------------------------------------------------------------------


def test_a_thousand_tables() -> None:
    items = schemas.large()
    diagram = erd.draw(items)
    assert (len(diagram.tables), len(diagram.lines)) == (1000, 2500)
    assert_apart(boxes(diagram))
    text = picture(items, schemas.of_all_states("staging", items))
    assert len(text.encode()) < 1_500_000
    links = [str(link.get("href")) for link in parsed(text).iter(f"{SVG}a")]
    assert len({link for link in links if link.startswith("../relationships/")}) == 2500
    assert sum(link.startswith("../ledger/?find=") for link in links) == 1000


def test_tables_that_many_refer_to_do_not_make_one_heap_of_all() -> None:
    diagram = erd.draw(schemas.large())
    sizes = [len(frame.members) for frame in diagram.frames]
    assert max(sizes) <= LARGEST
    assert len(sizes) < 100
    for frame in diagram.frames:
        assert len({diagram.tables[member].name.schema for member in frame.members}) == 1


def test_a_large_schema_has_an_overview_in_its_page(tmp_path: Path) -> None:
    items = schemas.large()
    run = schemas.of_all_states("staging", items)
    found = erd_site.documents(tmp_path, items, run)
    page = found["index.md"]
    assert len(page.encode()) < 60_000
    assert "The whole picture is in the SVG file." in " ".join(page.split())
    cards = BeautifulSoup(page, "html.parser").select(".rb-family")
    tables = [re.search(r"([\d,]+) tables?, ([\d,]+) of ([\d,]+) enforced", c.text) for c in cards]
    numbers = [[int(n.replace(",", "")) for n in found.groups()] for found in tables if found]
    assert len(numbers) == len(cards)
    enforced = sum(row.state is KeyState.ENFORCED for row in run.census)
    assert [sum(column) for column in zip(*numbers, strict=True)] == [1000, enforced, 2500]
    told = [int(n) for card in cards for n in re.findall(r"orphan rows in (\d+)", card.text)]
    assert sum(told) == sum(bool(audit.orphans) for audit in run.audits)


def test_an_overview_of_many_families_shows_those_with_orphan_rows_first() -> None:
    items = [
        replace(ITEM, child=TableName(f"s{n}", "orders"), parent=TableName(f"s{n}", "users"))
        for n in range(100)
    ]  # fmt: skip
    audits = [Audit(item, AuditState.ORPHANS, 7, exact=True) for item in items[-3:]]
    cells = {item.id: Cell("staging") for item in items}
    cells |= {a.relationship.id: Cell("staging", audit=a) for a in audits}
    text = erd.overview(erd.draw(items), cells, "a hundred")
    cards = BeautifulSoup(text, "html.parser").select(".rb-family")
    assert len(cards) == 80
    assert ["orphan rows in 1" in card.text for card in cards] == [True] * 3 + [False] * 77
    assert ">and 20 more groups of tables</text>" in text


# --- states ---------------------------------------------------------------------------------------


def test_no_state_is_told_by_its_colour_alone() -> None:
    assert set(states.DASHES) == {*KeyState, NOT_LOOKED}
    assert set(states.MARKS) == set(AuditState)
    assert len(set(states.DASHES.values())) == len(states.DASHES)
    assert len(set(states.MARKS.values())) == len(states.MARKS)
    assert set(states.TONE_OF) == set(states.DASHES) | set(states.MARKS)


@pytest.mark.parametrize(
    ("rows", "orphans", "mark", "said"),
    [
        (AuditState.CLEAN, 0, "✓", "missing, clean"),
        (AuditState.ORPHANS, 1, "1", "missing, 1 orphan row"),
        (AuditState.ORPHANS, 9_999, "9,999", "missing, 9,999 orphan rows"),
        (AuditState.ORPHANS, 12_345, "12k", "missing, 12,345 orphan rows"),
        (AuditState.ORPHANS, 3_400_000, "3M", "missing, 3,400,000 orphan rows"),
        (AuditState.ESTIMATED, 500, "≈500", "missing, about 500 orphan rows"),
        (AuditState.ESTIMATED, 0, "≈0", "missing, estimated"),
        (AuditState.NOT_LOOKED, None, "?", "missing, rows not looked at"),
        (AuditState.COULD_NOT_LOOK, None, "✕", "missing, could not look at the rows"),
    ],
)
def test_marks_and_words(rows: AuditState, orphans: int | None, mark: str, said: str) -> None:
    (row,) = schemas.run("staging", (ITEM, KeyState.MISSING, None)).census
    cell = Cell("staging", row, schemas.audit(ITEM, rows, orphans))
    assert (states.mark(cell), states.said(cell)) == (mark, said)


def test_an_environment_without_a_run_was_not_looked_at() -> None:
    assert states.said(Cell("staging")) == "not looked"
    assert states.mark(Cell("staging")) == "?"
    text = picture(ITEMS)
    assert "orders.user&#95;id: not looked" in text
    assert "clean" not in text


@pytest.mark.parametrize("key", [*states.DASHES])
def test_a_line_has_the_pattern_of_its_state(key: str) -> None:
    run = None if key == NOT_LOOKED else schemas.run("staging", (ITEM, KeyState(key), None))
    text = picture((ITEM,), run)
    (group,) = (
        group
        for group in parsed(text).iter(f"{SVG}g")
        if str(group.get("class")).startswith("rb-lines") and group.find(f"{SVG}a") is not None
    )
    assert group.get("stroke-dasharray", "") == states.DASHES[key]
    assert group.get("class") == f"rb-lines rb-tone-{states.TONE_OF[key]}"
    assert f"key {key}</text>" in text  # in the legend


def test_the_file_has_the_colours_of_the_site() -> None:
    css = (project.ROOT / "docs" / "assets" / "runbook.css").read_text(encoding="utf-8")
    light, dark = css.split('[data-md-color-scheme="slate"]')[:2]
    for tones, part in ((states.LIGHT, light), (states.DARK, dark)):
        for tone, colour in tones.items():
            assert f"--rb-{tone}: {colour};" in part
            assert colour in picture(ITEMS)


# --- names from a database ------------------------------------------------------------------------

HARM = (
    "</text><script>alert(1)</script>", '"><a href="javascript:x">', "{{ 7*7 }}", "{% raw %}",
    "]]>", "x" * 10_000, "\ufffe\uffff", "&lt;", "a\x0bb",
)  # fmt: skip


@pytest.mark.parametrize("name", [*HOSTILE, *HARM])
def test_hostile_names_are_inert(name: str, tmp_path: Path) -> None:
    table = TableName(name[:63], name)
    items = (Relationship(table, (name, "b"), USERS, (name, "c")), ITEM)
    found = erd_site.documents(tmp_path, items, schemas.of_all_states("staging", items))
    for path in ("erd.svg", "erd-production.svg"):
        tree = parsed(found[path])  # is well-formed XML
        assert {element.tag for element in tree.iter()} <= {
            f"{SVG}{tag}" for tag in ("svg", "style", "g", "a", "title", "rect", "path", "text")
        }
        links = [str(element.get("href")) for element in tree.iter(f"{SVG}a")]
        assert all(link.startswith(("../ledger/?find=", "../relationships/")) for link in links)
    assert json.loads(found["erd.json"])["tables"]
    for text in (found["erd.svg"], found["index.md"]):
        for harm in ("<script>alert", "{{", "{%", "\u202e", "<b>", 'javascript:x"'):
            assert harm not in text
    assert len(found["erd.svg"]) < 60_000


def test_no_element_has_a_style_of_its_own() -> None:
    text = picture(ITEMS)
    assert "style=" not in text
    assert "<style>" not in erd.svg(erd.draw(ITEMS), unseen(ITEMS), pages(ITEMS), "a title")
    script = (project.ROOT / "docs" / "assets" / "erd.js").read_text(encoding="utf-8")
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        ".style",
        "eval(",
        "document.write",
    ):
        assert word not in script


# --- files and page -------------------------------------------------------------------------------


def test_the_files_say_the_same_as_the_page(tmp_path: Path) -> None:
    run = schemas.run(
        "production",
        (ITEM, KeyState.MISSING, schemas.audit(ITEM, AuditState.ORPHANS, 3)),
        (SELF, KeyState.ENFORCED, schemas.audit(SELF, AuditState.CLEAN, 0)),
    )
    found = erd_site.documents(tmp_path, ITEMS, run)
    assert sorted(found) == [
        "erd-development.svg", "erd-production.svg", "erd.json", "erd.svg", "index.md",
    ]  # fmt: skip
    data = json.loads(found["erd.json"])
    assert [environment["measured"] for environment in data["environments"]] == [
        None, "2026-11-23T09:00:00Z", None,
    ]  # fmt: skip
    assert data["environments"][1]["fresh_until"] == "2026-11-30T09:00:00Z"
    cells = [[data["cells"][at] for at in line["cells"]] for line in data["lines"]]
    nothing = ["not looked", "not looked", None, "?", "not looked"]
    assert cells == [
        [nothing, ["missing", "orphans", 3, "3", "missing, 3 orphan rows"], nothing],
        [nothing, nothing, nothing],
        [nothing, ["enforced", "clean", 0, "✓", "enforced, clean"], nothing],
    ]
    assert [table["id"] for table in data["tables"]] == [
        "public.orders",
        "public.sites",
        "public.users",
    ]
    page = BeautifulSoup(found["index.md"], "html.parser")
    rows = [[cell.text for cell in row.select("td")] for row in page.select("tbody tr")]
    assert rows[0] == [
        "orders.user_id", "users.id", "not looked", "missing, 3 orphan rows", "not looked",
    ]  # fmt: skip
    hrefs = {str(link["href"]) for link in page.select(".rb-erd-picture a, .rb-table a")}
    assert {line["page"] for line in data["lines"]} <= hrefs
    assert "3</text>" in found["erd-production.svg"]


def test_every_run_is_in_the_trend_and_a_gap_is_no_zero(tmp_path: Path) -> None:
    whole = schemas.run(
        "staging", (ITEM, KeyState.MISSING, schemas.audit(ITEM, AuditState.ORPHANS, 4))
    )
    gap = schemas.run(
        "staging", (ITEM, KeyState.MISSING, schemas.audit(ITEM, AuditState.COULD_NOT_LOOK))
    )
    gap = gap.model_copy(update={"started": schemas.LOOKED + timedelta(days=1)})
    page = BeautifulSoup(
        erd_site.documents(tmp_path, (ITEM,), whole, gap)["index.md"], "html.parser"
    )
    rows = [[cell.text for cell in row.select("td")] for row in page.select("tbody tr")][-2:]
    assert rows == [
        ["Staging", "2026-11-24 09:00 UTC", "unknown", "0", "0 of 1"],
        ["Staging", "2026-11-23 09:00 UTC", "4", "4", "1 of 1"],
    ]
    (plot,) = (figure for figure in page.select("figure.rb-chart") if "newest run" in figure.text)
    assert "".join(str(path["d"]) for path in plot.select("path")).count("h0") == 1  # one mark


def test_the_trend_shows_the_newest_of_many_runs(tmp_path: Path) -> None:
    """As many as the page has room for, shared by the environments."""
    first = schemas.run("staging", (ITEM, KeyState.ENFORCED, schemas.audit(ITEM, AuditState.CLEAN)))
    moments = [schemas.LOOKED + timedelta(days=day) for day in range(40)]
    runs = [first.model_copy(update={"started": moment}) for moment in moments]
    text = erd_site.documents(tmp_path, (ITEM,), *runs)["index.md"]
    page = BeautifulSoup(text, "html.parser")
    days = [row.select("td")[1].text for row in page.select("tbody tr") if "UTC" in row.text]
    room = erd_page.MOST_RUNS // len(erd_site.settings_of(tmp_path, ()).environments)
    assert days == [f"{moment:%Y-%m-%d %H:%M} UTC" for moment in reversed(moments[-room:])]


def test_a_page_without_runs_or_relationships(tmp_path: Path) -> None:
    found = erd_site.documents(tmp_path, ())
    assert "No relationship is declared, so there is nothing to draw." in found["index.md"]
    assert "<p>No run is on record.</p>" in found["index.md"]
    found = erd_site.documents(tmp_path, ITEMS)
    assert "Production: no run yet" in found["index.md"]
    parsed(found["erd.svg"])


def test_more_rows_than_the_page_shows_are_in_the_ledger(tmp_path: Path) -> None:
    items = schemas.large(100, 200)
    page = erd_site.documents(tmp_path, items)["index.md"]
    assert 'And 150 more in the <a href="../ledger/">ledger</a>.' in page
    assert erd_page.PLAIN_ROWS == 50


# --- plots ----------------------------------------------------------------------------------------


def test_stacked_bars_say_the_same_as_their_table() -> None:
    parts = [Part("enforced", "good", (8, 0)), Part("missing", "bad", (2, 5))]
    page = BeautifulSoup(charts.stacked("Keys", "place", ("a", "b"), parts), "html.parser")
    assert [head.text for head in page.select("th")] == ["place", "enforced", "missing"]
    rows = [[cell.text for cell in row.select("td")] for row in page.select("tbody tr")]
    assert rows == [["a", "8", "2"], ["b", "0", "5"]]
    bars = [rect for rect in page.select(".rb-part rect") if float(str(rect["width"])) > 20]
    widths = [float(str(rect["width"])) + 1 for rect in bars]
    assert [round(width / max(widths) * 8) for width in widths] == [8, 2, 5]
    assert [text.text for text in page.select(".rb-in-part")] == ["8", "2", "5"]


def test_parts_of_a_bar_differ_without_colour() -> None:
    parts = [Part(name, "bad", (9,)) for name in "abcdefgh"]
    page = BeautifulSoup(charts.stacked("Keys", "place", ("x",), parts), "html.parser")
    hatches = []
    for part in page.select(".rb-part")[: len(parts)]:
        rect, path = part.select_one("rect"), part.select_one(".rb-hatch")
        assert rect is not None
        lines = [float(x) for x in re.findall(r"M([\d.]+)", str(path["d"]))] if path else []
        hatches.append(tuple(round(x - float(str(rect["x"])), 1) for x in lines))
    assert len(set(hatches)) == len(parts)


def test_stacked_bars_of_nothing() -> None:
    assert "<svg" in charts.stacked("Keys", "place", ("x",), [Part("a", "good", (0,))])
    assert "<svg" in charts.stacked("Keys", "place", (), [])


def test_the_sweep_of_these_tests_sees_an_overlap() -> None:
    for one, other in combinations([(0.0, 0.0, 10.0, 10.0), (5.0, 5.0, 2.0, 2.0)], 2):
        with pytest.raises(AssertionError):
            assert_apart([one, other])
