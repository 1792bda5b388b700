"""TOML files that people write, read into pydantic models; every error names line and key."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from runbook.errors import FileError, UsageError

Model = TypeVar("Model", bound=BaseModel)

_PLACE = re.compile(r"\(at line (\d+), column \d+\)")
_HEADER = re.compile(r"\s*\[+\s*([^\]]+?)\s*\]+")


def read_text(path: Path, hint: str) -> str:
    """The text of a file, or a :class:`UsageError` that says why there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file", hint) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}", hint) from error


def parse(text: str, path: Path, model: type[Model]) -> Model:
    """Read ``text`` of ``path`` as ``model``; raises :class:`FileError` with line and key."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = _PLACE.search(str(error))
        line = int(place[1]) if place else text.count("\n") + 1
        reason = _PLACE.sub("", str(error)).strip()
        reason = reason[:1].lower() + reason[1:]
        raise FileError(path, line, f"not valid TOML: {reason}", "mend the line") from None
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        keys = tuple(first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        message = message[:1].lower() + message[1:]
        raise FileError(
            path, line_of(text, keys), f"{dotted(keys)}: {message}", _hint(first["type"])
        ) from None


def _hint(kind: str) -> str:
    if kind == "extra_forbidden":
        return "remove the key, or look for its right spelling in the settings reference"
    if kind == "missing":
        return "add the key"
    return "correct the value"


def dotted(keys: tuple[int | str, ...]) -> str:
    """``('relationship', 3, 'child')`` as ``relationship[3].child``."""
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


def line_of(text: str, keys: tuple[int | str, ...]) -> int | None:
    """The line (from 1) where ``keys`` stand in the TOML ``text``, or the nearest above it.

    None when not even the first table of ``keys`` is there.
    """
    lines = text.splitlines()
    best, start = None, 0
    names = [key for key in keys if isinstance(key, str)]
    counts = [key for key in keys if isinstance(key, int)]
    for depth in range(len(names), 0, -1):
        header = ".".join(names[:depth])
        places = [n for n, line in enumerate(lines) if _header_of(line) == header]
        if places:
            start = places[counts[0] if counts and counts[0] < len(places) else 0]
            best = start + 1
            names = names[depth:]
            break
    if not names:
        return best
    wanted = re.compile(rf"\s*[\"']?{re.escape(names[0])}[\"']?\s*(=|\.)")
    for number in range(start, len(lines)):
        if best is not None and number > start and _header_of(lines[number]) is not None:
            break
        if wanted.match(lines[number]):
            return number + 1
    return best


def _header_of(line: str) -> str | None:
    found = _HEADER.match(line)
    return found[1].replace('"', "").replace(" ", "") if found else None
