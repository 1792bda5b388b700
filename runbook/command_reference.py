"""The reference of the command line as a macro; mkdocs-macros loads it beside the site's own."""

from __future__ import annotations

from typing import Any

from typer.main import get_command

from runbook import manual
from runbook.cli import app


def define_env(registry: Any) -> None:
    """Called by mkdocs-macros at the start of a build."""

    def commands() -> str:
        return manual.commands(get_command(app))

    registry.macro(commands)
