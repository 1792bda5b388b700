"""The site read as a person would, in headless Chromium: by click, by keyboard, and on paper."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browsing import Visit, keep
from tests.demonstration import Demonstration

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

LEDGER = "results/ledger/"
PAPER = {
    "home": "index.html",
    "ledger": LEDGER,
    "schema": "results/schema/",
    "relationship": "",
    "notebook": "results/staging/schema_integrity/",
}
# wider than the paper: tables, code or pictures that a printer would cut off
CUT_OFF = """() => [...document.querySelectorAll("main *")]
  .filter((e) => e.checkVisibility() && !e.closest(".rb-hidden"))
  .filter((e) => e.getBoundingClientRect().width > 0)
  .filter((e) => e.getBoundingClientRect().right > innerWidth + 1)
  .map((e) => e.outerHTML.slice(0, 120))"""

# the tables of which a column is out of sight, by their caption
WIDER = """() => [...document.querySelectorAll(".rb-table")]
  .filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.getAttribute("aria-label"))"""
STYLE = "(e) => (({backgroundImage, backgroundColor}) => ({backgroundImage, backgroundColor}))"
STYLE += "(getComputedStyle(e))"


def relationship(demonstration: Demonstration) -> str:
    pages = demonstration.site / "results" / "relationships"
    return f"results/relationships/{min(page.name for page in pages.iterdir())}"


def focused(page: Any) -> str:
    return str(page.evaluate("document.activeElement.textContent.trim()"))


def test_navigation_by_click(visit: Visit, address: str) -> None:
    with visit("") as page:
        menu = page.get_by_role("navigation", name="Navigation")
        menu.get_by_role("link", name="DBA", exact=True).click()
        expect(page).to_have_url(f"{address}roles/dba/")
        page.goto(address + LEDGER)
        link = page.locator("#rb-ledger tbody a").first
        name = link.inner_text()
        link.click()
        expect(page.get_by_role("heading", level=1)).to_have_text(name)
        crumbs = page.get_by_role("navigation", name="Breadcrumb")
        crumbs.get_by_role("link", name="Ledger").click()
        expect(page).to_have_url(address + LEDGER)


@pytest.mark.parametrize(
    ("words", "title"),
    [("orphan audits", "Orphan audits"), ("runbook verify", "Command line")],
    ids=["page", "item"],
)
def test_search_finds(visit: Visit, words: str, title: str) -> None:
    with visit("") as page:
        page.keyboard.press("/")
        query = page.get_by_role("textbox", name="Search")
        expect(query).to_be_focused()
        query.press_sequentially(words)
        found = page.locator(".md-search-result__link")
        expect(found.filter(has_text=title).first).to_be_visible()


def test_the_ledger_is_filtered_and_linked_to(
    visit: Visit, address: str, demonstration: Demonstration
) -> None:
    found = json.loads((demonstration.site / LEDGER / "ledger.json").read_text(encoding="utf-8"))
    at = [entry["name"] for entry in found["environments"]].index("production")
    searched = ("label", "target", "group", "priority", "alert")
    wanted = [row for row in found["rows"] if any("work" in row[name].lower() for name in searched)]
    shown = sum(row["cells"][at][1] == "orphans" for row in wanted)
    assert 0 < shown < len(wanted) < 57
    with visit(LEDGER) as page:
        status = page.locator("#rb-ledger [role=status]")
        expect(status).to_have_text("57 of 57 relationships")
        page.get_by_role("searchbox", name="Search").fill("work")
        rows = page.locator("#rb-ledger tbody tr")
        expect(status).to_have_text(f"{len(wanted)} of 57 relationships")
        expect(rows).to_have_count(len(wanted))
        page.locator("#rb-state").select_option("orphans")
        page.locator("#rb-environment").select_option("production")
        expect(rows).to_have_count(shown)
        expect(page).to_have_url(
            f"{address}{LEDGER}?find=work&state=orphans&environment=production"
        )
        page.reload()
        expect(page.get_by_role("searchbox", name="Search")).to_have_value("work")
        expect(rows).to_have_count(shown)
        rows.locator("a").first.click()
        page.wait_for_url("**/results/relationships/**")
        page.go_back()
        expect(rows).to_have_count(shown)
        page.get_by_role("searchbox", name="Search").fill("no such table")
        expect(status).to_have_text("0 of 57 relationships")


def test_the_ledger_is_sorted_by_keyboard(visit: Visit) -> None:
    with visit(LEDGER) as page:
        page.get_by_label("environments disagree").focus()
        page.keyboard.press("Tab")  # the table, to scroll it
        page.keyboard.press("Tab")
        assert focused(page) == "relationship"
        names = page.locator("#rb-ledger tbody td:first-child")
        found = []
        for order in ("ascending", "descending"):
            page.keyboard.press("Enter")
            assert focused(page) == "relationship"
            heading = page.locator("#rb-ledger th").first
            expect(heading).to_have_attribute("aria-sort", order)
            found.append(names.all_inner_texts())
        assert len(found[0]) == 57
        assert found[0] == found[1][::-1]
        assert found[0] != found[1]


def test_the_schema_opens_at_a_table(visit: Visit) -> None:
    with visit("results/schema/?table=public.workspaces") as page:
        box = page.locator("a.rb-chosen")
        expect(box).to_have_attribute("data-table", "public.workspaces")
        expect(page.locator(".rb-erd-status")).to_contain_text("10 tables refer to it")
        keep(page, "schema-at-a-table")


def test_the_palette_stays_on_the_pages_of_relationships(
    visit: Visit, address: str, demonstration: Demonstration
) -> None:
    with visit("", color_scheme="light") as page:
        page.locator("label[for=__palette_1]").click()  # from the system's to light
        page.locator("label[for=__palette_2]").click()  # and to dark
        expect(page.locator("body")).to_have_attribute("data-md-color-scheme", "slate")
        page.goto(address + relationship(demonstration))
        expect(page.locator("html")).to_have_attribute("data-md-color-scheme", "slate")
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == "rgb(30, 30, 38)"


def test_a_past_result_turns_stale(chromium: Any, address: str) -> None:
    context = chromium.new_context()
    page = context.new_page()
    page.goto(address)
    assert "STALE" not in page.locator(".rb-verdict .rb-state").all_inner_texts()
    expect(page.locator(".rb-fact.rb-stale")).to_have_count(0)
    page.clock.install(time="2099-01-01T00:00:00Z")
    page.reload()
    assert set(page.locator(".rb-verdict .rb-state").all_inner_texts()) == {"STALE"}
    fact = page.locator(".rb-fact[data-fresh-until]").first
    mark = fact.evaluate("e => getComputedStyle(e, '::before').content")
    assert mark == '"(stale) "'
    keep(page, "stale")
    context.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_a_fact_says_where_it_comes_from(visit: Visit, width: int) -> None:
    said = "e => getComputedStyle(e, '::after').content"
    with visit("", viewport={"width": width, "height": 900}) as page:
        for fact in page.locator(".rb-fact[data-about]").all():
            assert fact.evaluate(said) == "none"
            fact.focus()
            about = fact.get_attribute("data-about")
            assert fact.evaluate(said) == f'"{about}"'
            assert fact.get_attribute("aria-description") == about
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        keep(page, f"fact-{width}")
        page.keyboard.press("Escape")
        assert fact.evaluate(said) == "none"
        fact.blur()
        fact.focus()
        assert fact.evaluate(said) != "none"


def test_the_keyboard_skips_to_the_content(visit: Visit, demonstration: Demonstration) -> None:
    with visit(relationship(demonstration)) as page:
        order = []
        for _ in range(5):
            page.keyboard.press("Tab")
            order.append(focused(page))
        assert order[:4] == ["Skip to content", "Home", "Results", "Ledger"]
        skip = page.get_by_role("link", name="Skip to content")
        skip.focus()
        assert skip.bounding_box()["x"] >= 0
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('main') !== null")


def test_what_scrolls_sideways_is_reached_by_keyboard(visit: Visit) -> None:
    with visit("reference/relationships/", viewport={"width": 390, "height": 900}) as page:
        table = page.locator(".rb-table").first
        table.focus()
        expect(table).to_be_focused()
        page.keyboard.press("ArrowRight")
        end = time.monotonic() + 5  # it scrolls smoothly; the policy forbids a predicate as text
        while table.evaluate("table => table.scrollLeft") == 0:
            assert time.monotonic() < end
            page.wait_for_timeout(50)


def test_the_key_of_a_relationship_is_in_sight(visit: Visit) -> None:
    """All columns fit on a laptop; where they do not, a shadow says that there are more."""
    with visit("results/staging/relationships/", viewport={"width": 1280, "height": 900}) as page:
        assert page.evaluate(WIDER) == []
    with visit("results/staging/relationships/", viewport={"width": 390, "height": 900}) as page:
        assert len(page.evaluate(WIDER)) == 3
        table = page.locator(".rb-table").first
        assert "rgba(0, 0, 0, 0.3)" in table.evaluate(STYLE)["backgroundImage"]
        assert table.locator("table").evaluate(STYLE)["backgroundColor"] == "rgba(0, 0, 0, 0)"


@pytest.mark.parametrize("name", PAPER)
def test_on_paper(visit: Visit, demonstration: Demonstration, name: str) -> None:
    path = PAPER[name] or relationship(demonstration)
    # A4 between margins of a centimetre, at 96 dots an inch, from a dark screen
    with visit(path, viewport={"width": 718, "height": 1000}, color_scheme="dark") as page:
        page.emulate_media(media="print")
        for tool in ("nav", ".md-header", ".md-sidebar", ".rb-filter", ".rb-erd-tools", ".rb-skip"):
            assert [
                e for e in page.locator(tool).all() if e.is_visible() and e.bounding_box()["x"] >= 0
            ] == []
        assert page.evaluate(CUT_OFF) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 718
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground in ("rgb(255, 255, 255)", "rgba(0, 0, 0, 0)")
        keep(page, f"paper-{name}")
