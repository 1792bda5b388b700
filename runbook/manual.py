"""The manual of the command line, for the site: made from the commands themselves.

mkdocs-macros loads it beside :mod:`runbook.site.macros`.
"""

from __future__ import annotations

from typing import Any

from typer.main import get_command

from runbook import markup
from runbook.cli import app


def commands() -> str:
    """Every command with its help text and options, as the program itself prints them."""
    parts: list[str] = []
    _command(get_command(app), "runbook", parts)
    return "\n\n".join(parts)


def _command(command: Any, path: str, parts: list[str]) -> None:
    children = getattr(command, "commands", {})
    if not children:
        help_text, _, rest = (command.help or "").partition("\n\n")
        parts.append(f"## {path}\n\n{markup.text(' '.join(help_text.split()))}")
        if rest.strip():
            parts.append(markup.code(rest.replace("\b", "").strip("\n")))
        rows = [
            (
                ", ".join(parameter.opts)
                if parameter.param_type_name == "option"
                else (parameter.name or "").upper(),
                getattr(parameter, "help", "") or "",
            )
            for parameter in command.params
        ]
        if rows:
            parts.append(markup.table(("", ""), rows, f"Arguments and options of {path}"))
    for name, child in sorted(children.items()):
        _command(child, f"{path} {name}", parts)


def define_env(registry: Any) -> None:
    """Called by mkdocs-macros at the start of a build."""
    registry.macro(commands)
