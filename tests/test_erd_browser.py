"""The picture of the schema in headless Chromium, under a policy without inline styles."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from runbook.findings import AuditState, KeyState
from runbook.settings import read as read_settings
from runbook.site import erd_page
from tests import erd_site, project, schemas
from tests.browsing import SCREENS, keep, screen_id

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

TELECORE = read_settings(project.ROOT).relationships().items
LARGE = schemas.large()
Open = Callable[..., AbstractContextManager[Any]]


@contextmanager
def served(site: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), erd_site.handler(site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/{erd_page.FOLDER}/"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The case's tables: staging enforced and clean but for one, production as it comes."""
    first, *others = TELECORE
    clean = [(item, KeyState.ENFORCED, schemas.audit(item, AuditState.CLEAN, 0)) for item in others]
    broken = (first, KeyState.MISSING, schemas.audit(first, AuditState.ORPHANS, 7))
    staging = schemas.run("staging", broken, *clean)
    production = schemas.of_all_states("production", TELECORE)
    site = erd_site.write(tmp_path_factory.mktemp("small"), TELECORE, staging, production)
    with served(site) as address:
        yield address


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    run = schemas.of_all_states("staging", LARGE)
    with served(erd_site.write(tmp_path_factory.mktemp("large"), LARGE, run)) as address:
        yield address


@pytest.fixture
def visit(chromium: Any) -> Open:
    """``visit(url, **context)``: the page, which must not complain or ask another host."""

    @contextmanager
    def opened(url: str, expected: tuple[str, ...] = (), **options: Any) -> Iterator[Any]:
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}} | options)
        page = context.new_page()
        complaints: list[str] = []
        foreign: list[str] = []
        page.on("console", lambda line: complaints.append(line.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        origin = url.partition(erd_page.FOLDER)[0]
        page.on(
            "request",
            lambda request: (
                None if request.url.startswith((origin, "data:")) else foreign.append(request.url)
            ),
        )
        page.goto(url)
        page.wait_for_load_state("networkidle")
        yield page
        context.close()
        assert [line for line in complaints if not line.startswith(expected or "\0")] == []
        assert foreign == []

    return opened


def seen(page: Any) -> list[float]:
    """The part of the picture that is seen: left, top, width, height."""
    box = page.locator(".rb-erd-view svg.rb-erd-picture").get_attribute("viewBox")
    return [float(number) for number in box.split()]


def middle(page: Any) -> tuple[float, float]:
    box = page.locator(".rb-erd-view").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def chosen(page: Any) -> Any:
    return page.locator("a.rb-chosen")


@pytest.mark.parametrize("screen", SCREENS, ids=screen_id)
@pytest.mark.parametrize("size", ["small", "large"])
def test_the_picture_on_a_screen(
    request: pytest.FixtureRequest, visit: Open, size: str, screen: tuple[int, str]
) -> None:
    width, scheme = screen
    options = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    with visit(request.getfixturevalue(size), **options) as page:
        boxes, lines = {"small": (19, 57), "large": (1000, 2500)}[size]
        expect(page.locator(".rb-erd-view a.rb-table-box")).to_have_count(boxes)
        assert page.locator(".rb-erd-view .rb-lines a").count() == lines
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        view = page.locator(".rb-erd-view").bounding_box()
        assert view["width"] >= width * 0.7
        assert view["height"] >= 300
        keep(page, f"erd-{size}-{width}-{scheme}")


def test_colours_follow_the_scheme(small: str, visit: Open) -> None:
    found = []
    for scheme in ("light", "dark"):
        with visit(small, color_scheme=scheme) as page:
            found.append(
                page.locator(".rb-lines.rb-tone-good").first.evaluate(
                    "e => getComputedStyle(e).stroke"
                )
            )
    assert found == ["rgb(26, 107, 44)", "rgb(143, 220, 157)"]


def test_dragging_moves_the_picture_and_chooses_nothing(small: str, visit: Open) -> None:
    with visit(small) as page:
        before = seen(page)
        box = page.locator("a.rb-table-box").first.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 60, y + 40, steps=4)
        page.mouse.up()
        after = seen(page)
        assert after[0] < before[0]
        assert after[1] < before[1]
        assert after[2:] == before[2:]
        expect(chosen(page)).to_have_count(0)
        page.mouse.click(x + 60, y + 40)
        expect(chosen(page)).to_have_count(1)


def test_keys_move_and_zoom(small: str, visit: Open) -> None:
    with visit(small) as page:
        whole = seen(page)
        page.locator(".rb-erd-view").focus()
        for key, at, sign in (
            ("ArrowRight", 0, 1), ("ArrowDown", 1, 1), ("ArrowLeft", 0, -1), ("ArrowUp", 1, -1),
        ):  # fmt: skip
            before = seen(page)
            page.keyboard.press(key)
            assert (seen(page)[at] - before[at]) * sign > 0
        page.keyboard.press("+")
        assert seen(page)[2] < whole[2]
        page.keyboard.press("-")
        page.keyboard.press("-")
        assert seen(page)[2] > whole[2]
        page.keyboard.press("0")
        assert seen(page) == whole


def test_buttons_and_the_wheel_zoom(small: str, visit: Open) -> None:
    with visit(small) as page:
        whole = seen(page)
        page.get_by_role("button", name="Zoom in").click()
        closer = seen(page)
        assert closer[2] < whole[2]
        page.get_by_role("button", name="Zoom out").click()
        assert seen(page)[2] == pytest.approx(whole[2])
        page.get_by_role("button", name="Fit").click()
        assert seen(page) == whole
        page.mouse.move(*middle(page))
        page.mouse.wheel(0, 120)  # the page scrolls
        page.wait_for_timeout(200)
        assert seen(page) == whole
        assert page.evaluate("scrollY") > 0
        page.keyboard.down("Control")
        page.mouse.wheel(0, -120)
        page.keyboard.up("Control")
        page.wait_for_timeout(200)
        assert seen(page)[2] < whole[2]


def test_two_fingers_zoom_and_one_taps(small: str, visit: Open) -> None:
    with visit(
        small, has_touch=True, is_mobile=True, viewport={"width": 390, "height": 844}
    ) as page:
        page.locator(".rb-erd-view").scroll_into_view_if_needed()
        x, y = middle(page)
        before = seen(page)
        touch = page.context.new_cdp_session(page)

        def fingers(kind: str, apart: float) -> None:
            points = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
            event = {"type": kind, "touchPoints": [] if kind == "touchEnd" else points}
            touch.send("Input.dispatchTouchEvent", event)

        fingers("touchStart", 30)
        for apart in (40, 60, 80, 100):
            fingers("touchMove", apart)
        fingers("touchEnd", 0)
        assert seen(page)[2] < before[2] / 2
        page.get_by_role("button", name="Fit").click()
        page.locator("a.rb-table-box", has_text="users").first.tap()
        expect(chosen(page)).to_have_attribute("data-table", "public.users")


def test_search_leads_to_a_table(small: str, visit: Open) -> None:
    with visit(small) as page:
        query = page.get_by_role("combobox", name="Table")
        query.press_sequentially("policy")
        options = page.locator("#rb-erd-list [role=option]")
        expect(options).to_have_text(["approval_policy_master", "approval_policy_stages"])
        expect(options.first).to_have_attribute("aria-selected", "true")
        query.press("ArrowDown")
        query.press("Enter")
        expect(chosen(page)).to_have_attribute("data-table", "public.approval_policy_stages")
        expect(page).to_have_url(f"{small}?table=public.approval_policy_stages")
        query.fill("no such")
        expect(page.locator("#rb-erd-list [role=option]")).to_have_text("no table has that name")
        query.press("Escape")
        expect(page.locator("#rb-erd-list [role=option]")).to_have_count(0)
        query.press("Escape")
        expect(chosen(page)).to_have_count(0)


def test_a_table_and_its_neighbours_by_keyboard(small: str, visit: Open) -> None:
    with visit(small) as page:
        page.get_by_role("button", name="Fit").focus()
        page.keyboard.press("Tab")
        expect(page.locator(".rb-erd-view")).to_be_focused()
        for _ in range(30):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.dataset.table") == "public.punchlists":
                break
        page.keyboard.press("Enter")
        expect(chosen(page)).to_have_attribute("data-table", "public.punchlists")
        expect(chosen(page)).to_be_focused()
        expect(page.locator(".rb-erd-status")).to_contain_text(
            "punchlists refers to 2 tables, 1 table refers to it. In the ledger. Staging"
        )
        names = page.locator(".rb-erd-view a.rb-table-box .rb-name")
        expect(names).to_have_text(
            ["workflow_instances", "workflow_stages", "punchlist_items", "punchlists"]
        )
        expect(page.locator("a.rb-row text").first).to_have_text(
            "workflow_instance_id: enforced, clean"
        )
        page.keyboard.press("Escape")
        expect(chosen(page)).to_have_count(0)
        assert page.evaluate("document.activeElement.dataset.table") == "public.punchlists"
        expect(page).to_have_url(small)


def test_links_lead_to_the_ledger_and_to_the_relationship(small: str, visit: Open) -> None:
    with visit(f"{small}?table=public.punchlists") as page:
        box = page.locator("a.rb-table-box", has_text="workflow_stages")
        assert box.get_attribute("href") == "../ledger/?find=workflow_stages"
        link = page.locator("a.rb-row").first.get_attribute("href")
        assert link.startswith("../relationships/public-punchlists-workflow-instance-id-")
        ledger = page.get_by_role("link", name="In the ledger").get_attribute("href")
        assert ledger == "../ledger/?find=punchlists"


def test_the_environment_changes_states_and_no_place(small: str, visit: Open) -> None:
    with visit(small) as page:
        status = page.locator(".rb-erd-status")
        expect(status).to_have_text(
            "57 relationships: 56 enforced, 1 missing. 1 with orphan rows."
            " Staging, looked at 2026-11-23 09:00 UTC."
        )
        boxes = "es => es.map(e => e.outerHTML.match(/<rect[^>]*>/)[0])"
        before = page.locator("a.rb-table-box").evaluate_all(boxes)
        assert page.locator(".rb-lines.rb-tone-bad a").count() == 1
        page.get_by_label("Environment", exact=True).select_option("Development")
        expect(status).to_have_text(
            "57 relationships: 57 not looked. 0 with orphan rows. 57 not looked at or could not be."
            " Development: no run yet, so nothing was looked at."
        )
        assert page.locator(".rb-lines.rb-tone-unknown[stroke-dasharray='1 4'] a").count() == 57
        assert page.locator("a.rb-table-box").evaluate_all(boxes) == before
        expect(page).to_have_url(f"{small}?environment=development")
        expect(page.locator(".rb-erd-legend li")).to_have_text(
            ["key not looked", "?rows: not looked"]
        )


def test_a_link_opens_what_it_says_and_back_leads_back(small: str, visit: Open) -> None:
    with visit(f"{small}?table=public.sites&environment=production") as page:
        expect(chosen(page)).to_have_attribute("data-table", "public.sites")
        expect(page.get_by_label("Environment", exact=True)).to_have_value("1")
        page.locator("a.rb-table-box", has_text="workflow_instances").click()
        expect(chosen(page)).to_have_attribute("data-table", "public.workflow_instances")
        page.go_back()
        expect(chosen(page)).to_have_attribute("data-table", "public.sites")
        page.get_by_role("button", name="Whole picture").click()
        expect(page).to_have_url(f"{small}?environment=production")
        page.go_back()
        expect(chosen(page)).to_have_attribute("data-table", "public.sites")


def test_a_link_to_no_table_shows_all(small: str, visit: Open) -> None:
    with visit(f"{small}?table=public.none&environment=none") as page:
        expect(page.locator("a.rb-table-box")).to_have_count(19)
        expect(page.get_by_label("Environment", exact=True)).to_have_value("0")


def test_a_table_that_hundreds_refer_to(large: str, visit: Open) -> None:
    with visit(large) as page:
        expect(page.locator(".rb-erd-view.rb-distant")).to_have_count(1)
        query = page.get_by_role("combobox", name="Table")
        query.press_sequentially("tenants")
        query.press("Enter")
        children = sum(item.parent.table == "tenants" for item in LARGE)
        expect(page.locator(".rb-erd-status")).to_contain_text(f"{children} tables refer to it")
        assert page.locator("a.rb-row").count() == children + 1
        box = chosen(page).bounding_box()
        assert box["width"] > 80  # it can be read, and the rest is panned to
        expect(page.locator(".rb-bundle")).to_have_count(1)


def test_a_line_to_each_neighbour_while_they_fit_one_column(small: str, visit: Open) -> None:
    with visit(f"{small}?table=public.workspaces") as page:
        children = [item for item in TELECORE if item.parent.table == "workspaces"]
        assert page.locator(".rb-erd-view .rb-lines a").count() == len(children) == 10
        lefts = page.locator("a.rb-table-box:not(.rb-chosen) rect").evaluate_all(
            "es => [...new Set(es.map(e => e.getAttribute('x')))]"
        )
        assert len(lefts) == 1
        expect(page.locator(".rb-bundle")).to_have_count(0)


def test_nothing_moves_by_itself(small: str, visit: Open) -> None:
    with visit(small, reduced_motion="reduce") as page:
        page.locator("a.rb-table-box").first.click()
        assert page.evaluate("document.getAnimations().length") == 0


def test_a_past_result_is_said_to_be_stale(small: str, visit: Open) -> None:
    with visit(small) as page:
        page.clock.install(time="2099-01-01T00:00:00Z")
        page.reload()
        expect(page.locator(".rb-erd-status")).to_contain_text(
            "Staging, looked at 2026-11-23 09:00 UTC, stale."
        )


@pytest.mark.parametrize("size", ["small", "large"])
def test_without_a_script_there_is_a_picture(
    request: pytest.FixtureRequest, visit: Open, size: str
) -> None:
    with visit(request.getfixturevalue(size), java_script_enabled=False) as page:
        picture = page.locator("svg.rb-erd-picture")
        expect(picture).to_be_visible()
        assert picture.bounding_box()["height"] > 200
        texts = picture.locator("text").all_text_contents()
        assert any("workspaces" in text or "tables," in text for text in texts)
        expect(page.get_by_role("link", name="SVG")).to_have_count(3)


def test_the_picture_prints_without_its_tools(small: str, visit: Open) -> None:
    with visit(small) as page:
        page.emulate_media(media="print")
        expect(page.locator(".rb-erd-tools")).to_be_hidden()
        expect(page.locator(".rb-erd-view svg.rb-erd-picture")).to_be_visible()


def test_the_file_is_a_picture_of_its_own(large: str, visit: Open) -> None:
    # a policy may forbid its style sheet, and a file has no icon: neither leaves it without colour
    told = ("Refused to apply inline style", "Applying inline style", "Failed to load resource")
    with visit(f"{large}erd.svg", expected=told) as page:
        assert page.locator("a.rb-table-box").count() == 1000
        line = page.locator(".rb-lines.rb-tone-bad").first
        assert line.evaluate("e => getComputedStyle(e).stroke") == "rgb(163, 22, 33)"


def test_what_could_not_be_loaded_is_told(small: str, chromium: Any) -> None:
    page = chromium.new_page()
    page.route("**/erd.json", lambda route: route.fulfill(status=404))
    page.goto(small)
    expect(page.get_by_role("status")).to_have_text(
        "The picture that can be moved could not be loaded."
    )
    expect(page.locator("svg.rb-erd-picture")).to_be_visible()
    page.close()
