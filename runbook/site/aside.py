"""Tables that are set aside while their page is rendered.

They are HTML that stays as it is, but Markdown and nbconvert would parse every cell of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from runbook import markup

_TABLE = re.compile(r'<div class="rb-table".*?</table></div>', re.DOTALL)
_PLACE = re.compile(r'<div data-rb-aside="(\d+)"></div>')


def take(text: str) -> tuple[str, tuple[str, ...]]:
    """``text`` with a place for each of its tables, and the tables in their order."""
    tables: list[str] = []
    return _take(text, tables), tuple(tables)


def take_from_notebook(text: str) -> tuple[str, tuple[str, ...]]:
    """The same of a notebook as JSON, whose tables are in the HTML of its outputs."""
    notebook = json.loads(text)
    tables: list[str] = []
    for cell in notebook.get("cells", ()):
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "text/html" in data:
                data["text/html"] = _take("".join(data["text/html"]), tables)
    return (
        (json.dumps(notebook, ensure_ascii=False) + "\n", tuple(tables)) if tables else (text, ())
    )


def _take(text: str, tables: list[str]) -> str:
    def place(found: re.Match[str]) -> str:
        tables.append(found[0])
        return f'<div data-rb-aside="{len(tables) - 1}"></div>'

    return _TABLE.sub(place, text)


def put_back(html: str, tables: Sequence[str]) -> str:
    """``html`` with ``tables`` at their places, after which nothing reads it but a browser."""

    def table(found: re.Match[str]) -> str:
        number = int(found[1])
        return markup.light(tables[number]) if number < len(tables) else found[0]

    return _PLACE.sub(table, html) if tables else html
