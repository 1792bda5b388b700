"""The validation guide: light to load, and every program of it is on a page."""

from __future__ import annotations

import re

from tests.conftest import ROOT

DOCS = ROOT / "docs"
QUOTED = re.compile(r'^--8<-- "(docs/examples/[^":]+)', re.MULTILINE)
PROGRAMS = [*(DOCS / "examples" / "python").glob("*.py")]
MOST = 6_000  # characters; highlighted they are several times as many bytes of HTML


def quoted(page: str) -> list[str]:
    return QUOTED.findall((DOCS / page).read_text(encoding="utf-8"))


def test_the_guide_quotes_little_and_the_rest_is_on_pages_of_its_own() -> None:
    size = sum(
        len((ROOT / path).read_text(encoding="utf-8")) for path in quoted("validation-guide.md")
    )
    assert 0 < size <= MOST
    pages = ("validation-guide.md", "validation-python.md", "validation-typescript.md")
    found = [path for page in pages for path in quoted(page)]
    assert len(found) == len(set(found))
    python = {path.relative_to(ROOT).as_posix() for path in PROGRAMS}
    assert {path for path in found if path.endswith(".py")} == python
    assert len([path for path in found if path.endswith(".ts")]) >= 9
