"""How a state looks: the pattern of a line and the mark beside it say it again without colour."""

from __future__ import annotations

import html

from runbook import markup
from runbook.findings import AuditState, KeyState
from runbook.ledger import NOT_LOOKED, Cell

# by the state of the key, in the order of drawing: what needs work lies on top
DASHES = {
    KeyState.EXCEPTED.value: "1 7",
    KeyState.ENFORCED.value: "",
    NOT_LOOKED: "1 4",
    KeyState.NOT_VALID.value: "14 4",
    KeyState.MISMATCHED.value: "9 3 2 3",
    KeyState.NOT_ENFORCED.value: "9 3 2 3 2 3",
    KeyState.MISSING.value: "6 4",
    KeyState.IMPOSSIBLE.value: "2 2",
}
# by the state of the rows; n stands for their number
MARKS = {
    AuditState.CLEAN.value: "✓",
    AuditState.ORPHANS.value: "n",
    AuditState.ESTIMATED.value: "≈n",
    AuditState.NOT_LOOKED.value: "?",
    AuditState.COULD_NOT_LOOK.value: "✕",
}
LIGHT = {"good": "#1a6b2c", "bad": "#a31621", "warn": "#7a4b00", "unknown": "#4b4b57"}
DARK = {"good": "#8fdc9d", "bad": "#ff9d9d", "warn": "#ffcf7d", "unknown": "#c6c6d2"}
TONES = {
    "good": ("enforced", "clean"),
    "bad": ("missing", "not enforced", "impossible", "orphans"),
    "warn": ("not valid", "mismatched", "estimated"),
    "unknown": ("excepted", "not looked", "could not look"),
}
TONE_OF = {state: tone for tone, states in TONES.items() for state in states}
# characters that XML does not allow and that are no control characters
_NO_XML = {0xFFFE: "�", 0xFFFF: "�"}


def mark(cell: Cell) -> str:
    """What stands beside the child: ``✓``, ``12``, ``≈90``, ``?`` or ``✕``."""
    number = "" if cell.orphans is None else _short(cell.orphans)
    return MARKS[cell.rows].replace("n", number)


def _short(number: int) -> str:
    for size, unit in ((1_000_000, "M"), (10_000, "k")):
        if number >= size:
            return f"{number // (1000 if unit == 'k' else size):,}{unit}"
    return f"{number:,}"


def said(cell: Cell) -> str:
    """The state in words: ``missing, 12 orphan rows``; ``not looked`` where no run looked."""
    if cell.census is None:
        return NOT_LOOKED
    if cell.orphans:
        about = "" if cell.rows == AuditState.ORPHANS.value else "about "
        noun = "orphan row" if cell.orphans == 1 else "orphan rows"
        return f"{cell.key}, {about}{cell.orphans:,} {noun}"
    words = {"not looked": "rows not looked at", "could not look": "could not look at the rows"}
    return f"{cell.key}, {words.get(cell.rows, cell.rows)}"


def shown(text: str) -> str:
    """The text as :mod:`runbook.markup` shows it, without its entities: nothing in it acts."""
    return html.unescape(markup.text(text.translate(_NO_XML)))


def fitted(text: str, width: float, character: float) -> str:
    """As much of the text as fits into ``width`` at ``character`` a letter."""
    visible, room = shown(text), int(width / character)
    return visible if len(visible) <= room else f"{visible[: max(room - 1, 1)]}…"
