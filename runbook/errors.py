"""Every error that the command line turns into a message and an exit code.

::

    RunbookError                 anything that stops the work
    ├── UsageError               exit 2: wrong usage, settings or files; nothing was started
    │   └── FileError            … in a file, with its line and key
    ├── EvidenceError            exit 1: a run record's digests or its signature are wrong
    └── IncompleteError          exit 3: it could not be looked at, or was cut short

An error says what is wrong and where (``message``) and what to do next (``hint``).
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar


class RunbookError(Exception):
    """Stops the work. ``message`` says what and where, ``hint`` the next action."""

    exit_code: ClassVar[int] = 3

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


class UsageError(RunbookError):
    """The command line, a settings file or a relationships file is wrong: exit code 2."""

    exit_code = 2


class FileError(UsageError):
    """A file cannot be used; the message starts with ``path:line`` or ``path:line:column``.

    ``line`` and ``column`` count from 1; ``line`` is None where the fault has no place in the text.
    """

    def __init__(
        self,
        path: Path | str,
        line: int | None,
        message: str,
        hint: str = "",
        column: int | None = None,
    ) -> None:
        place = f"{path}:{line}" if line is not None else str(path)
        place += f":{column}" if line is not None and column is not None else ""
        super().__init__(f"{place}: {message}", hint)
        self.path = Path(path)
        self.line = line
        self.column = column


class EvidenceError(RunbookError):
    """A run record or a bundle is not what was recorded or signed: exit code 1."""

    exit_code = 1


class IncompleteError(RunbookError):
    """Something could not be looked at, or the work was cut short: exit code 3."""
