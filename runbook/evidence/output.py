"""Where papermill writes a notebook that is being executed: through redaction, never past it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
from papermill.iorw import papermill_io

from runbook import record, redaction

SCHEME = "redacted:"


class RedactedNotebooks:
    """papermill's way to add a place: it calls ``write`` at the start, between and at the end."""

    def read(self, path: str) -> str:
        return _file(path).read_text(encoding="utf-8")

    def write(self, content: str, path: str) -> None:
        record.write_atomically(_file(path), redacted(content))

    def listdir(self, path: str) -> list[str]:
        return [str(entry) for entry in _file(path).iterdir()]

    def pretty_path(self, path: str) -> str:
        return path.removeprefix(SCHEME)


def place(path: Path) -> str:
    """``path`` as papermill's output, so that nothing is written there before it is redacted."""
    return f"{SCHEME}{path}"


def redacted(content: str) -> str:
    """The text of a notebook without secrets; the lines of each output are looked at together."""
    notebook: Any = nbformat.reads(content, as_version=4)
    return str(nbformat.writes(nbformat.from_dict(redaction.redact_values(notebook))))


def _file(path: str) -> Path:
    return Path(path.removeprefix(SCHEME))


papermill_io.register(SCHEME, RedactedNotebooks())
