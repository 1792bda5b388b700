"""What the commands say on standard error: lines for people, or one JSON object a line.

With ``--log-format json`` nothing else is on standard error: what other code prints there, such as
a warning of Python's, becomes an object too.
"""

from __future__ import annotations

import io
import json
import sys
import threading
from datetime import UTC, datetime
from enum import StrEnum
from typing import NoReturn, TextIO

from rich.console import Console
from rich.markup import escape

WIDEST = 10_000  # columns: rich must not fold what becomes one object

err = Console(stderr=True, highlight=False)

Field = str | int | None


class Format(StrEnum):
    """How messages are written."""

    TEXT = "text"
    JSON = "json"


class Level(StrEnum):
    """How much a message weighs; ``error`` goes with an exit code or a failed step."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Lines(io.TextIOBase):
    """A stream that writes JSON objects to ``below``, one a line, and makes one of other text."""

    def __init__(self, below: TextIO, command: str) -> None:
        self._below = below
        self._command = command
        self._rest = ""
        self._lock = threading.RLock()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def write(self, text: str) -> int:
        """Text that nobody gave a level: every line of it that is not blank is a warning."""
        with self._lock:
            *whole, self._rest = (self._rest + text).split("\n")
            for line in whole:
                if line.strip():
                    self.emit(Level.WARNING, line.rstrip())
        return len(text)

    def emit(self, level: Level, message: str, **fields: Field) -> None:
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        values = {"time": time, "level": level.value, "command": self._command, "message": message}
        with self._lock:
            self._below.write(json.dumps(values | fields, ensure_ascii=False) + "\n")
            self._below.flush()

    def close(self) -> None:
        """Whoever closes standard error at exit gets the last unfinished line out."""
        if self._rest:
            self.write("\n")
        super().close()


_lines: Lines | None = None


def as_json(command: str) -> None:
    """From now on standard error holds JSON objects; ``command`` is in each of them."""
    global _lines  # noqa: PLW0603 - standard error is one per process, and so is its format
    if _lines is None:
        _lines = Lines(sys.stderr, command)
        sys.stderr = _lines
        err.width = WIDEST
        err.no_color = True


def is_json() -> bool:
    return _lines is not None


def emit(level: Level, message: str, **fields: Field) -> bool:
    """Write the message as an object; False, and nothing written, where lines are text."""
    if _lines is None:
        return False
    _lines.emit(level, message, **fields)
    return True


def fail(message: str, hint: str, exit_code: int) -> NoReturn:
    """Say what is wrong and what to do next, and leave."""
    fields: dict[str, Field] = {"hint": hint, "exit_code": exit_code}
    if not emit(Level.ERROR, message, **fields):
        err.print(f"[red]error:[/red] {escape(message)}", soft_wrap=True)
        if hint:
            err.print(f"hint: {escape(hint)}", soft_wrap=True)
    sys.exit(exit_code)
