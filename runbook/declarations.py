"""TOML files that people write, read into pydantic models; every error names line and key."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from runbook.errors import FileError, UsageError

Model = TypeVar("Model", bound=BaseModel)

_PLACE = re.compile(r"\(at line (\d+), column \d+\)|\(at end of document\)")
_PART = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_PATH = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_PATH})\s*\]\]?\s*(?:#.*)?")
_KEY = re.compile(rf"\s*({_PATH})\s*=")

Keys = tuple[int | str, ...]


class KeyedError(ValueError):
    """What a model's validator raises when the fault is at ``keys`` below the model."""

    def __init__(self, keys: Keys, message: str) -> None:
        super().__init__(message)
        self.keys = keys


def read_text(path: Path, hint: str) -> str:
    """The text of a file, or a :class:`UsageError` that says why there is none."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file", hint) from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}", hint) from None
    try:
        return content.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start : error.start + 1]
        raise FileError(
            path, line, f"not UTF-8 text: {byte!r}", "save the file in the encoding UTF-8"
        ) from None


def tables(text: str, path: Path) -> dict[str, Any]:
    """Read ``text`` of ``path`` as TOML; raises :class:`FileError` with the line."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = _PLACE.search(str(error))
        line = int(place[1]) if place and place[1] else text.rstrip("\n").count("\n") + 1
        reason = _PLACE.sub("", str(error)).strip()
        reason = reason[:1].lower() + reason[1:]
        raise FileError(path, line, f"not valid TOML: {reason}", "mend the line") from None


def parse(text: str, path: Path, model: type[Model]) -> Model:
    """Read ``text`` of ``path`` as ``model``; raises :class:`FileError` with line and key.

    What is missing altogether is missing at the end: the last line is named.
    """
    values = tables(text, path)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        cause = first.get("ctx", {}).get("error")
        keys = _in_file(values, first["loc"], first["type"])
        keys += cause.keys if isinstance(cause, KeyedError) else ()
        message = f"{dotted(keys)}: {_message(first)}" if keys else _message(first)
        line = line_of(text, keys) or text.rstrip("\n").count("\n") + 1
        raise FileError(path, line, message, _hint(first["type"])) from None


def _in_file(values: object, keys: Keys, kind: str) -> Keys:
    """``keys`` without what pydantic appends where a value may be of several types."""
    for number, key in enumerate(keys):
        try:
            values = values[key]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            return keys if kind == "missing" else keys[:number]
    return keys


def _message(error: ErrorDetails) -> str:
    message = error["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    if error["type"] in ("missing", "extra_forbidden", "value_error"):
        return message
    return f"{message}, got {error['input']!r}"


def _hint(kind: str) -> str:
    if kind == "extra_forbidden":
        return "remove the key, or look for its right spelling in the settings reference"
    if kind == "missing":
        return "add the key"
    return "correct the value"


def dotted(keys: Keys) -> str:
    """``('relationship', 3, 'child')`` as ``relationship[3].child``."""
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


def line_of(text: str, keys: Keys) -> int | None:
    """The line (from 1) where ``keys`` stand in the TOML ``text``, or the nearest above it.

    None when not even the first of ``keys`` is there.
    """
    best, depth = None, 0
    for number, path in _paths(text):
        if len(path) > depth and path == keys[: len(path)]:
            best, depth = number, len(path)
    return best


def _paths(text: str) -> Iterator[tuple[int, Keys]]:
    """Each line that opens a table or sets a key, with the full path of what it names."""
    table: Keys = ()
    counts: dict[Keys, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if header := _HEADER.fullmatch(line):
            table = ()
            for part in _parts(header[2]):
                table += (counts[table],) if table in counts else ()
                table += (part,)
                yield number, table
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table += (counts[table],)
                yield number, table
        elif key := _KEY.match(line):
            path = table
            for part in _parts(key[1]):
                path += (part,)
                yield number, path


def _parts(path: str) -> list[str]:
    return [part.strip("\"'") for part in re.findall(_PART, path)]
