"""Splits the text of a schema.prisma into tokens; every token knows its file, line and column."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from runbook.errors import FileError


class Kind(StrEnum):
    """What a token is; the values are the words that messages use."""

    NAME = "a name"
    STRING = "a text"
    NUMBER = "a number"
    MARK = "a mark"
    NEWLINE = "the end of the line"
    END = "the end of the file"


@dataclass(frozen=True)
class Place:
    """Where something stands; line and column count from 1, columns in characters."""

    path: Path
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Token:
    """A token: its text (of a string: what it means) and its place."""

    kind: Kind
    text: str
    place: Place

    def __str__(self) -> str:
        return repr(self.text) if self.kind not in (Kind.NEWLINE, Kind.END) else self.kind.value


# Comments are for people: those of three strokes document a field and declare nothing either.
_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r\ufeff]+ | //[^\n]* | /\*.*?\*/)
  | (?P<newline>\n)
  | (?P<string>"(?:[^"\\\n]|\\[^\n])*")
  | (?P<number>-?\d+(?:\.\d+)?(?![\w-]))
  | (?P<name>[^\W_][\w-]*)
  | (?P<mark>@@|[@{}()\[\],:.=?])
    """,
    re.VERBOSE | re.DOTALL,
)
_KINDS = {
    "newline": Kind.NEWLINE,
    "string": Kind.STRING,
    "number": Kind.NUMBER,
    "name": Kind.NAME,
    "mark": Kind.MARK,
}


def fault(place: Place, message: str, hint: str) -> FileError:
    """The error for what stands at ``place``."""
    return FileError(place.path, place.line, message, hint, place.column)


def tokens(text: str, path: Path) -> Iterator[Token]:
    """The tokens of ``text``, the last of kind END; raises :class:`FileError`."""
    at, line, start = 0, 1, 0
    while at < len(text):
        place = Place(path, line, at - start + 1)
        found = _TOKEN.match(text, at)
        if found is None:
            raise _unreadable(text, at, place)
        kind, matched = str(found.lastgroup), found[0]
        if kind == "string":
            yield Token(Kind.STRING, _meant(matched, place), place)
        elif kind != "space":
            yield Token(_KINDS[kind], matched, place)
        at = found.end()
        if "\n" in matched:
            line += matched.count("\n")
            start = found.start() + matched.rindex("\n") + 1
    yield Token(Kind.END, "", Place(path, line, at - start + 1))


def _unreadable(text: str, at: int, place: Place) -> FileError:
    if text.startswith("/*", at):
        return fault(place, "the comment has no end", "close it with */")
    if text[at] == '"':
        return fault(place, "the text has no end", 'close it with " on the same line')
    return fault(place, f"unexpected {text[at]!r}", "remove it")


def _meant(literal: str, place: Place) -> str:
    """The text that a literal means; Prisma's escapes are those of JSON."""
    try:
        return str(json.loads(literal, strict=False))
    except ValueError:
        hint = r"write a backslash as \\ and a quote as \""
        raise fault(place, f"not a text: {literal}", hint) from None
