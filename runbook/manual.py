"""The manual of the command line, made from the commands themselves: for the site and for man.

``root`` is the program as click sees it (``typer.main.get_command``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from runbook import __version__, markup


@dataclass(frozen=True)
class Page:
    """A command: what it is called, what it does, the rest of its help, its parameters."""

    path: str
    summary: str
    rest: str
    rows: tuple[tuple[str, str], ...]


def pages(root: Any) -> tuple[Page, ...]:
    """The program itself, then every command in the order of the alphabet."""
    return (_page(root, "runbook"), *_below(root, "runbook"))


def _below(command: Any, path: str) -> Iterator[Page]:
    for name, child in sorted(getattr(command, "commands", {}).items()):
        inner = f"{path} {name}"
        if getattr(child, "commands", None):
            yield from _below(child, inner)
        else:
            yield _page(child, inner)


def _page(command: Any, path: str) -> Page:
    summary, _, rest = (command.help or "").partition("\n\n")
    rows = [(_spelling(parameter), _meaning(parameter)) for parameter in command.params]
    return Page(path, " ".join(summary.split()), rest.replace("\b", "").strip("\n"), tuple(rows))


def _spelling(parameter: Any) -> str:
    if parameter.param_type_name == "option":
        return ", ".join([*parameter.opts, *parameter.secondary_opts])
    return str(parameter.metavar or (parameter.name or "").upper())


def _meaning(parameter: Any) -> str:
    """The help text, with the variable that stands for it and its default where it has one."""
    notes = []
    if getattr(parameter, "envvar", None):
        notes.append(f"environment variable {parameter.envvar}")
    default = parameter.default
    if parameter.param_type_name == "option" and default not in (None, "", (), False, True):
        notes.append(f"default {default.value if isinstance(default, Enum) else default}")
    text = getattr(parameter, "help", "") or ""
    return f"{text} ({'; '.join(notes)})" if notes else text


def commands(root: Any) -> str:
    """Every command with its help text and options, as Markdown."""
    parts: list[str] = []
    for page in pages(root):
        parts.append(f"## {page.path}\n\n{markup.text(page.summary)}")
        if page.rest:
            parts.append(markup.code(page.rest))
        if page.rows:
            caption = f"Arguments and options of {page.path}"
            parts.append(markup.table(("", ""), page.rows, caption))
    return "\n\n".join(parts)


def man_page(root: Any) -> str:
    """The same as a manual page of section 1, in the macros of man(7)."""
    program, *others = pages(root)
    lines = [
        f'.TH RUNBOOK 1 "" "fk\\-runbook {_roff(__version__)}" "User Commands"',
        ".SH NAME",
        f"runbook \\- {_roff(program.summary.rstrip('.'))}",
        ".SH SYNOPSIS",
        ".B runbook",
        "[OPTIONS] COMMAND [ARGUMENTS]",
        ".SH DESCRIPTION",
        *_of_page(program),
        ".SH COMMANDS",
    ]
    for page in others:
        lines += [f".SS {_roff(page.path)}", _roff(page.summary), *_of_page(page)]
    return "\n".join(lines) + "\n"


def _of_page(page: Page) -> Iterator[str]:
    if page.rest:
        yield from (".PP", ".nf", *map(_roff, page.rest.split("\n")), ".fi")
    for name, meaning in page.rows:
        yield from (".TP", f".B {_roff(name)}", _roff(meaning) or "\\&")


def _roff(text: str) -> str:
    """One line of text that no formatter takes for a request or an escape."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text
