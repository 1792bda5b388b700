"""The demo: prepare the databases of the case that ships, run the runbook on each, judge itself.

It succeeds when every run found exactly the defects that were planted, whatever the verdicts are.
"""

from __future__ import annotations

import importlib
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import conninfo

from runbook import connection, run
from runbook.embedded import EmbeddedServer
from runbook.environment import Connection
from runbook.errors import IncompleteError, UsageError
from runbook.record import RunRecord
from runbook.redaction import redact
from runbook.settings import Settings


@dataclass(frozen=True)
class Result:
    """The run of one environment, and what is wrong with it as a proof of the instrument."""

    run: RunRecord
    faults: tuple[str, ...]


def prepare(settings: Settings, dsn: str | None, progress: Callable[[str], None]) -> None:
    """Make the demo's databases where they are missing, embedded or on the server of ``dsn``.

    ``dsn`` is an administrator's connection string; the environments' variables are then set for
    this process and its kernels, so that nothing is written to disk.
    """
    if not settings.demo:
        raise UsageError(
            f"{settings.folder} declares no demo", "run an environment: runbook run ENVIRONMENT"
        )
    package: Any = importlib.import_module(f"runbook.{settings.demo}.demo")
    roles = sorted(_roles(settings))
    try:
        if dsn is None:
            server: EmbeddedServer = connection.embedded_server()
            package.prepare(
                lambda database, role: psycopg.connect(
                    server.conninfo(database, role), autocommit=True
                ),
                server.passwords(roles),
                tuple(settings.environments),
                progress,
            )
            return
        passwords = {role: secrets.token_urlsafe(24) for role in roles}

        def text(database: str, role: str | None) -> str:
            login = {"user": role, "password": passwords[role]} if role else {}
            return conninfo.make_conninfo(dsn, dbname=database, **login)

        package.prepare(
            lambda database, role: psycopg.connect(text(database, role), autocommit=True),
            passwords,
            tuple(settings.environments),
            progress,
        )
        for way in _ways(settings):
            os.environ[way.variable] = text(way.embedded, way.role)
    except psycopg.Error as error:
        raise IncompleteError(
            f"the demo's databases cannot be made: {redact(' '.join(str(error).split()))}",
            "check the server, or start afresh: runbook demo --reset",
        ) from None


def _ways(settings: Settings) -> list[Connection]:
    """The connections that the demo serves."""
    both = [way for e in settings.environments.values() for way in (e.reader, e.owner)]
    return [way for way in both if way is not None and way.embedded]


def _roles(settings: Settings) -> set[str]:
    return {way.role for way in _ways(settings)}


def execute(
    settings: Settings, names: Sequence[str], progress: Callable[[str, str, str], None]
) -> tuple[Result, ...]:
    """Run the runbook on each environment; ``progress`` gets environment, step and state."""
    results = []
    for name in names:
        environment = settings.environment(name)
        found = run.execute(
            settings,
            environment,
            lambda step, state, name=name: progress(name, step, state),  # type: ignore[misc]
        )
        results.append(Result(found, faults(found)))
    return tuple(results)


def faults(found: RunRecord) -> tuple[str, ...]:
    """Why a run does not prove the instrument; empty when it found exactly what was planted."""
    lines = [
        f"step {step.name} {step.status}: {step.failure}"
        for step in found.steps
        if step.status != "succeeded"
    ]
    facts = {name: value for step in found.steps for name, value in step.facts.items()}
    if not facts.get("self_test.available"):
        return (*lines, "the self-test found no record of planted defects")
    counts = {name: facts[f"self_test.{name}"] for name in ("missed", "invented")}
    lines += [f"defects {name}: {count}" for name, count in counts.items() if count]
    return tuple(lines)
