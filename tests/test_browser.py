"""Every template in headless Chromium: nothing said, asked or cut off, and axe finds nothing."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # ships none

from tests.browsing import SCREENS, Visit, keep, screen_id
from tests.demonstration import Demonstration

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

# one page of each template; the relationship is the first of the ledger
TEMPLATES = {
    "home": "",
    "role": "roles/dba/",
    "decision": "decision/",
    "document": "fk-strategy/",
    "diagrams-and-code": "orphan-audits/",
    "ledger": "results/ledger/",
    "schema": "results/schema/",
    "relationship": "",
    "results": "results/",
    "environment": "results/staging/",
    "table-of-results": "results/staging/relationships/",
    "history": "results/staging/history/",
    "notebook": "results/staging/schema_integrity/",
    "reference": "reference/cli/",
    "generated-reference": "reference/relationships/",
    "fleet": "fleet/",
    "not-found": "404.html",
}
# all of WCAG 2.2 A and AA that can be tested by a machine, and what axe holds for good practice
RULES = {
    "runOnly": {
        "type": "tag",
        "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    },
    "resultTypes": ["violations"],
}


def path_of(template: str, demonstration: Demonstration) -> str:
    if template != "relationship":
        return TEMPLATES[template]
    pages = demonstration.site / "results" / "relationships"
    return f"results/relationships/{min(page.name for page in pages.iterdir())}"


@pytest.mark.parametrize("screen", SCREENS, ids=screen_id)
@pytest.mark.parametrize("template", TEMPLATES)
def test_page(
    visit: Visit, demonstration: Demonstration, template: str, screen: tuple[int, str]
) -> None:
    width, scheme = screen
    options = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    with visit(path_of(template, demonstration), **options) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("h1").first.is_visible()
        used = page.evaluate("document.querySelector('[data-md-color-scheme]').dataset")
        assert used["mdColorScheme"] == ("slate" if scheme == "dark" else "default")
        keep(page, f"{template}-{width}-{scheme}")


@pytest.mark.parametrize("screen", SCREENS, ids=screen_id)
@pytest.mark.parametrize("template", TEMPLATES)
def test_axe_finds_nothing(
    chromium: Any,
    address: str,
    demonstration: Demonstration,
    template: str,
    screen: tuple[int, str],
) -> None:
    width, scheme = screen
    # the pages forbid scripts from elsewhere, and axe is one: the other tests keep the policy
    context = chromium.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True
    )
    page = context.new_page()
    page.goto(address + path_of(template, demonstration))
    page.wait_for_load_state("networkidle")
    found = Axe().run(page, options=RULES).response
    context.close()
    assert found["passes"]  # it did look
    assert [
        (rule["id"], rule["impact"], node["target"], node["html"][:200])
        for rule in found["violations"]
        for node in rule["nodes"]
    ] == []


def test_axe_finds_what_is_wrong(chromium: Any) -> None:
    page = chromium.new_page()
    page.set_content('<html><body><img src="data:,"><p style="color: #bbb">grey</p></body></html>')
    found = {rule["id"] for rule in Axe().run(page, options=RULES).response["violations"]}
    page.close()
    assert {"image-alt", "color-contrast", "html-has-lang"} <= found
