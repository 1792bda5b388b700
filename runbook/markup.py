"""HTML from values: everything that came from a database passes through :func:`text`.

What this module returns is inert: markup, templates, Markdown, control characters and
right-to-left overrides in a value show as themselves and do nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache

from runbook.findings import Value

LONGEST = 400  # characters of one value; a longer one is cut, with its length

# what HTML, templates and Markdown would act on; as entities the browser shows the same. In one
# pass, or the # of an entity would become one itself.
_INERT = {ord(character): f"&#{ord(character)};" for character in "'{}%`*_[]\\|~$#!^"}
_INERT |= {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord('"'): "&quot;"}
_LETTERS = (("&#95;", "_"), ("&#42;", "*"))  # of those, what names are full of
_STATE_CLASS = re.compile(r"[^a-z]+")
_ALL_VISIBLE = re.compile(r"[ -~]*")  # most values; to look at each character takes ten times long


def text(value: Value | datetime | timedelta) -> str:
    """The value as inert HTML text."""
    if value is None:
        return '<span class="rb-none">unknown</span>'
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, timedelta):
        return duration(value)
    if isinstance(value, datetime):
        return moment(value)
    return _inert(value)


@lru_cache(maxsize=50_000)
def _inert(value: str) -> str:
    shown = _shown(value[:LONGEST])
    if len(value) > LONGEST:
        shown += f"… ({len(value):,} characters)"
    return shown.translate(_INERT)


def light(html: str) -> str:
    """HTML of ours that neither Markdown nor a template will read: its names are fewer bytes."""
    for entity, letter in _LETTERS:
        html = html.replace(entity, letter)
    return html


def _shown(line: str) -> str:
    return line if _ALL_VISIBLE.fullmatch(line) else "".join(map(_visible, line))


def _number(value: float) -> str:
    """``yes``, ``1,234`` or ``0.025``: a float with three decimals at most."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.3f}".rstrip("0").rstrip(".")


def _visible(character: str) -> str:
    """Control and direction characters as their code, so that they neither act nor hide."""
    if character == "\n":
        return "⏎"
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp"):
        return f"‹U+{ord(character):04X}›"
    return character


def duration(value: timedelta) -> str:
    """``7 d``, ``24 h``, ``90 s``: in the largest unit that leaves a whole number."""
    seconds = int(value.total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


@lru_cache(maxsize=5_000)
def moment(value: datetime, fresh_until: datetime | None = None) -> str:
    """A ``time`` element with the moment in UTC, to the minute.

    With ``fresh_until`` the reader's browser marks it as stale from then on.
    """
    aging = f' class="rb-fact" data-fresh-until="{stamp(fresh_until)}"' if fresh_until else ""
    return f'<time datetime="{stamp(value)}"{aging}>{value:%Y-%m-%d %H:%M} UTC</time>'


def stamp(value: datetime) -> str:
    """A moment in UTC as ISO 8601, to the second."""
    return f"{value:%Y-%m-%dT%H:%M:%SZ}"


def state(value: str) -> str:
    """A state as a badge; its colour repeats what the word says."""
    name = _STATE_CLASS.sub("-", value.lower()).strip("-")
    return f'<span class="rb-state rb-{name}">{text(value)}</span>'


def code(value: str) -> str:
    """A block of code, unformatted; the keyboard reaches and scrolls it."""
    shown = "\n".join(map(_shown, value.split("\n"))).translate(_INERT)
    return f'<pre class="rb-code" tabindex="0"><code>{shown}</code></pre>'


class Html(str):
    """HTML that this package made; everything else is text."""

    __slots__ = ()


def cell(value: Value | datetime | Html) -> str:
    return str(value) if isinstance(value, Html) else text(value)


def table(columns: Sequence[str], rows: Sequence[Sequence[Value | Html]], caption: str = "") -> str:
    """A table that scrolls on a narrow screen; numbers are aligned to the right."""
    head = "".join(
        f'<th scope="col">{text(column)}</th>' if column else "<td></td>"  # it heads nothing
        for column in columns
    )
    body = "\n".join(
        "<tr>"
        + "".join(
            f'<td class="rb-number">{cell(value)}</td>'
            if isinstance(value, int | float) and not isinstance(value, bool)
            else f"<td>{cell(value)}</td>"
            for value in row
        )
        + "</tr>"
        for row in rows
    )
    title = f"<caption>{text(caption)}</caption>" if caption else ""
    label = text(caption) if caption else "table"
    return (
        f'<div class="rb-table" tabindex="0" role="region" aria-label="{label}"><table>{title}\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )
