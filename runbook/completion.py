"""What the shell completes: the names of environments, read from runbook.toml and nowhere else."""

from __future__ import annotations

import tomllib
from pathlib import Path

import typer

from runbook import settings
from runbook.errors import UsageError


def environments(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Each environment that starts with ``incomplete``, with its title.

    Empty where there is no readable runbook.toml: a shell that completes must not print errors,
    and the command itself says what is wrong. Nothing is connected to.
    """
    try:
        folder = context.params.get("project") or settings.find()
        text = (Path(folder) / settings.FILE_NAME).read_text(encoding="utf-8")
        found = tomllib.loads(text).get("environments", {})
    except (OSError, ValueError, UsageError):  # a TOML or an encoding error is a ValueError
        return []
    if not isinstance(found, dict):
        return []
    return [
        (name, str(entry.get("title", "")) if isinstance(entry, dict) else "")
        for name, entry in found.items()
        if name.startswith(incomplete)
    ]
