"""What is looked at before a run starts: fail early, with nothing written and no kernel started."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from runbook import checks, context, measures, replica, session
from runbook.connection import Purpose
from runbook.environment import Environment
from runbook.errors import UsageError
from runbook.server import ServerFacts
from runbook.settings import FILE_NAME, Settings

OWN_CHECKS = ("documents_complete", "key_cost")  # steps obtain these without a check module


@dataclass(frozen=True)
class Seen:
    """The server that a run is about to look at, and the fingerprint of its schema."""

    server: ServerFacts
    fingerprint: str


def look(settings: Settings, environment: Environment) -> Seen:
    """Connect, and resolve every name that runbook.toml and the relationships give.

    Raises :class:`UsageError` for a wrong name, :class:`IncompleteError` when the environment
    cannot be reached.
    """
    _names(settings)
    reader = session.connect(environment, Purpose.READ)
    try:
        server = session.server_facts(reader)
        with session.reading(reader, environment):
            replica.refuse(environment, reader)
            seen = context.look(settings, environment, reader)
    finally:
        reader.close()
    if not settings.step:
        raise UsageError(
            f"{settings.folder / FILE_NAME} has no [[step]]: a run would look at nothing",
            "name the notebooks to run, or count orphan rows alone: runbook audit ENVIRONMENT",
        )
    return Seen(server, seen.schema.fingerprint)


def _names(settings: Settings) -> None:
    """Everything that runbook.toml names and that no connection is needed to look for."""
    place = settings.folder / FILE_NAME
    known = {*checks.of_project(settings), *OWN_CHECKS}
    for gate in settings.gate:
        for name in (*(entry.check for entry in gate.accept), *gate.ignore):
            if name not in known:
                near = get_close_matches(name, known, n=1)
                guess = f", the nearest is {near[0]!r}" if near else ""
                raise UsageError(
                    f"{place}: gate {gate.name!r} names no check: {name!r}{guess}",
                    "correct the name",
                )
    _facts(settings, known)
    files = [settings.project.notebooks / entry.notebook for entry in settings.step]
    for file in (*files, *filter(None, (settings.project.history,))):
        if not settings.path(file).is_file():
            raise UsageError(f"{place}: {str(file)!r}: no such file", "correct the name")
    core = settings.project.core
    if core and not any(item.group == core for item in settings.relationships()):
        raise UsageError(
            f"{place}: project.core: no relationship has the group {core!r}",
            "correct the name, or leave it out to count all relationships",
        )


def _facts(settings: Settings, known_checks: set[str]) -> None:
    """An action whose fact nobody measures would never be open, and its acceptances never hold."""
    names, heads = measures.known(settings, known_checks)
    for number, action in enumerate(settings.action):
        if action.fact in names or action.fact.startswith(heads):
            continue
        near = get_close_matches(action.fact, names, n=1)
        guess = f", the nearest is {near[0]!r}" if near else ""
        raise UsageError(
            f"{settings.folder / FILE_NAME}: action[{number}].fact: no step measures"
            f" {action.fact!r}{guess}",
            "correct the name",
        )
