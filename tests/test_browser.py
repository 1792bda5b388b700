"""The site in headless Chromium: no error, no foreign request, nothing wider than the screen."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from runbook.site import serve
from tests.demonstration import Demonstration

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(300),
]

PAGES = ["", "fk-strategy/", "orphan-audits/", "results/", "results/staging/schema_integrity/"]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine; on Debian: apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(demonstration: Demonstration) -> Iterator[str]:
    server = serve.server(demonstration.site, 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


SCREENS = [(width, scheme) for width in (1280, 390) for scheme in ("light", "dark")]


@pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: f"{screen[0]}-{screen[1]}")
@pytest.mark.parametrize("path", PAGES)
def test_page(
    browser: Any, address: str, path: str, screen: tuple[int, str], tmp_path: Path
) -> None:
    width, scheme = screen
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    complaints: list[str] = []
    foreign: list[str] = []
    page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((address, "data:", "blob:"))
            else foreign.append(request.url)
        ),
    )
    response = page.goto(address + path)
    page.wait_for_load_state("networkidle")
    assert response.status == 200
    assert complaints == []
    assert foreign == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("h1").first.is_visible()
    used = page.evaluate("document.body.getAttribute('data-md-color-scheme')")
    assert used == ("slate" if scheme == "dark" else "default")
    page.screenshot(path=tmp_path / "page.png")
    context.close()


def test_search_finds_a_document(browser: Any, address: str) -> None:
    page = browser.new_page()
    page.goto(address)
    page.wait_for_load_state("networkidle")
    query = page.locator("[data-md-component=search-query]")
    query.click()
    query.press_sequentially("orphan")
    page.locator(".md-search-result__item").first.wait_for()
    page.close()


def test_a_past_result_turns_stale_in_the_browser(browser: Any, address: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.clock.install(time="2099-01-01T00:00:00Z")
    page.goto(address)
    badges = page.locator(".rb-verdict .rb-state").all_inner_texts()
    assert set(badges) == {"STALE"}
    context.close()
