"""Checks: one module each, its id is the name of its file.

A check module has a docstring that says what it proves, the constants ``TITLE`` (a sentence that
is true when it passes) and ``CRITERION`` (the id in runbook.toml that it belongs to, or ``""``),
optionally ``WRITES = True``, and ``run(context) -> Outcome``.

The checks of a project live in a package of its own, named in runbook.toml.
"""

from __future__ import annotations

import importlib
import pkgutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg

from runbook import session as sessions
from runbook.connection import Purpose, no_writing
from runbook.environment import Environment
from runbook.errors import RunbookError, UsageError
from runbook.findings import Audit, CensusRow, CheckResult, Evidence, Status, Value
from runbook.operators import Comparisons
from runbook.relationships import Relationship, Relationships
from runbook.schema import Schema
from runbook.session import Session
from runbook.settings import Settings


@dataclass(frozen=True)
class Outcome:
    """What a check says; ``failing`` counts what is wrong, above zero exactly when it failed."""

    status: Status
    message: str
    failing: int = 0
    facts: Mapping[str, Value] = field(default_factory=dict)
    evidence: tuple[Evidence, ...] = ()


def passed(message: str, facts: Mapping[str, Value] | None = None, *evidence: Evidence) -> Outcome:
    return Outcome(Status.PASSED, message, 0, facts or {}, evidence)


def failed(
    message: str, failing: int, facts: Mapping[str, Value] | None = None, *evidence: Evidence
) -> Outcome:
    if failing < 1:
        raise ValueError(f"a failed check counts at least one failure, got {failing}")
    return Outcome(Status.FAILED, message, failing, facts or {}, evidence)


def not_looked(message: str) -> Outcome:
    return Outcome(Status.NOT_LOOKED, message)


def could_not_look(
    message: str, facts: Mapping[str, Value] | None = None, *evidence: Evidence
) -> Outcome:
    return Outcome(Status.COULD_NOT_LOOK, message, 0, facts or {}, evidence)


@dataclass(frozen=True)
class Context:
    """What a check may use. ``session`` is the reader's, inside a read-only transaction."""

    settings: Settings
    environment: Environment
    relationships: Relationships
    session: Session
    schema: Schema
    comparisons: tuple[Comparisons, ...]
    census: tuple[CensusRow, ...]
    audits: tuple[Audit, ...] = ()

    @contextmanager
    def trying(self) -> Iterator[Session]:
        """The owner's session in a transaction that is rolled back, for a check that writes."""
        owner = sessions.connect(self.environment, Purpose.WRITE)
        try:
            sessions.same_database(self.session, owner)
            with sessions.trying(owner, self.environment):
                yield owner
        finally:
            owner.close()

    @property
    def core(self) -> tuple[CensusRow, ...]:
        """The census rows that count for gates."""
        return tuple(row for row in self.census if self.settings.is_core(row.relationship))

    def core_relationships(self) -> tuple[Relationship, ...]:
        return tuple(row.relationship for row in self.core)


@dataclass(frozen=True)
class Check:
    """A check module, loaded."""

    id: str
    title: str
    criterion: str
    writes: bool
    about: str
    run: Callable[[Context], Outcome]


def load(packages: Sequence[str]) -> dict[str, Check]:
    """The checks of these packages by id; a later package replaces an earlier one's check."""
    found: dict[str, Check] = {}
    for package in packages:
        try:
            module = importlib.import_module(package)
        except ModuleNotFoundError as error:
            raise UsageError(
                f"no Python package {package!r} of checks: {error}",
                "correct project.checks in runbook.toml, or install the package",
            ) from None
        for entry in pkgutil.iter_modules(module.__path__):
            if not entry.name.startswith("_"):
                found[entry.name] = _from_module(
                    entry.name, importlib.import_module(f"{package}.{entry.name}")
                )
    return found


def _from_module(name: str, module: Any) -> Check:
    return Check(
        id=name,
        title=module.TITLE,
        criterion=module.CRITERION,
        writes=getattr(module, "WRITES", False),
        about=(module.__doc__ or "").strip(),
        run=module.run,
    )


def of_project(settings: Settings) -> dict[str, Check]:
    """The product's checks and the project's own."""
    own = [settings.project.checks] if settings.project.checks else []
    return load([__name__, *own])


def perform(check: Check, context: Context) -> CheckResult:
    """Run ``check``; an error of the database or of the connection is ``could not look``."""
    started = time.perf_counter()
    refusal = no_writing(context.environment) if check.writes else ""
    if refusal:
        outcome = not_looked(refusal)
    else:
        try:
            with context.session.transaction():  # a savepoint: the snapshot outlives a failure
                outcome = check.run(context)
        except psycopg.Error as error:
            outcome = could_not_look(sessions.reason(error))
        except RunbookError as error:
            outcome = could_not_look(error.message)
    return CheckResult(
        check=check.id,
        title=check.title,
        criterion=check.criterion,
        status=outcome.status,
        message=outcome.message,
        failing=outcome.failing,
        facts=dict(outcome.facts),
        evidence=outcome.evidence,
        seconds=round(time.perf_counter() - started, 3),
    )
