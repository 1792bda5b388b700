"""A headless Chromium on the built demo, for the tests that read the site as a person would."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from runbook.site import serve
from tests.demonstration import Demonstration

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SCREENS = [(width, scheme) for width in (1280, 390) for scheme in ("light", "dark")]
Visit = Callable[..., AbstractContextManager[Any]]


def screen_id(screen: tuple[int, str]) -> str:
    return f"{screen[0]}-{screen[1]}"


def keep(page: Any, name: str) -> None:
    """A picture of the whole page in the folder that RUNBOOK_SCREENSHOTS names, if it does."""
    folder = os.environ.get("RUNBOOK_SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine; on Debian: apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(demonstration: Demonstration) -> Iterator[str]:
    """Where the demo's site is served, with a slash at its end."""
    server = serve.server(demonstration.site, 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def visit(chromium: Any, address: str) -> Visit:
    """``visit(path, **context)``: a page of the site.

    It must answer 200, write nothing to the console and ask no other host, until it is left.
    """

    @contextmanager
    def opened(path: str, **options: Any) -> Iterator[Any]:
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}} | options)
        page = context.new_page()
        said: list[str] = []
        foreign: list[str] = []
        page.on("console", lambda line: said.append(line.text))
        page.on("pageerror", lambda error: said.append(str(error)))
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
        yield page
        context.close()
        assert said == []
        assert foreign == []

    return opened
