"""Finds figures in prose: every number on a hand-written page has to be a fact.

Digits and number words both count. What is code, a link's target, a macro or an HTML attribute is
no prose; names that hold a digit (C1, ADR 001, PostgreSQL 15, UTF-8) are listed below, each with
its reason.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_WORDS = (
    "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    " seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred"
    " hundreds thousand thousands million millions dozen dozens twice thrice half"
)

# what is no figure though it has a digit, and why
EXEMPT = (
    (r"\b[CIN]\d\b(?:[–-][CIN]?\d\b)?", "a criterion's id"),
    (r"\bADR \d+\b", "a decision's id"),
    (r"\b(?:action|phase|step|audit|invariant) \d+\b", "an item's id"),
    (r"\bPostgreSQL \d+\b|\bPython \d\.\d+\+?|\bXML \d\.\d", "a product's version"),
    (r"\bSHA-256\b|\bUTF-8\b|\bWCAG \d\.\d", "a standard's name"),
    (r"\bexit\s+code \d\b|\bHTTP \d{3}\b", "a protocol's number"),
    (r"\b20\d\d-\d\d-\d\d\b", "a date"),
)

_BLANKED = (
    re.compile(r"\A---\n.*?\n---\n", re.DOTALL),  # front matter
    re.compile(r"^(```|~~~).*?^\1", re.DOTALL | re.MULTILINE),  # fenced code
    re.compile(r"\{\{.*?\}\}", re.DOTALL),  # macros
    re.compile(r"`[^`\n]+`"),
    re.compile(r"\]\([^)]*\)"),  # a link's target
    re.compile(r"<[^>]+>"),
    re.compile(r"\{[:.#][^}]*\}"),  # attribute lists
    re.compile(r"^\s*\d+\.(?=\s)", re.MULTILINE),  # the number of a list item
    *(re.compile(pattern, re.IGNORECASE) for pattern, _ in EXEMPT),
)
_FIGURE = re.compile(rf"\d(?:[\d.,]*\d)?%?|\b(?:{'|'.join(_WORDS.split())})\b", re.IGNORECASE)


@dataclass(frozen=True)
class Figure:
    """A figure that is no fact; ``line`` counts from 1."""

    line: int
    text: str


def bare(markdown: str) -> tuple[Figure, ...]:
    """The figures in the prose of a page that no fact stands behind."""
    for pattern in _BLANKED:
        markdown = pattern.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), markdown)
    return tuple(
        Figure(markdown.count("\n", 0, found.start()) + 1, found[0])
        for found in _FIGURE.finditer(markdown)
    )
