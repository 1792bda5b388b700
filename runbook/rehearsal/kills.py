"""Kills the program at every statement boundary of a plan, and looks what another run makes of it.

Each boundary has a fresh copy of the schema, without rows: a child process applies the plan and
kills itself there (SIGKILL), a second run goes to the end, and the catalog is compared with that
of a run that nobody disturbed.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import LiteralString

import psycopg

from runbook.disposable import Copy
from runbook.disposable.server import opened
from runbook.environment import Change
from runbook.errors import IncompleteError, RunbookError
from runbook.migration.execution import Phase, apply
from runbook.migration.plan import Plan, PlanStep
from runbook.redaction import redact
from runbook.rehearsal.outcome import Kill
from runbook.server import Session

JOBS = 2  # boundaries at a time
SECONDS = 120  # for a run on tables without rows
NAME = "rehearsal, killed"
BEFORE_ALL = -1

CATALOG: LiteralString = """
    SELECT format('constraint %I.%I %I: %s, valid %s, enforced %s', n.nspname, c.relname,
                  k.conname, pg_get_constraintdef(k.oid), k.convalidated,
                  coalesce(to_jsonb(k) ->> 'conenforced', 'true'))
      FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
     UNION ALL
    SELECT format('index %s, valid %s, ready %s', pg_get_indexdef(i.indexrelid), i.indisvalid,
                  i.indisready)
      FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
"""
BACKENDS: LiteralString = """
    SELECT count(*) FROM pg_catalog.pg_stat_activity
     WHERE datname = current_database() AND application_name = %s
"""

Boundary = tuple[str, int]
"""The step, and the number of the statement after which it is; -1: before its first."""


def catalog_of(session: Session) -> frozenset[str]:
    """The constraints and indexes of a database, a line each."""
    return frozenset(str(row[0]) for row in session.execute(CATALOG).fetchall())


def rehearse_kills(
    copy: Copy, plan: Plan, change: Change, say: Callable[[int, str], None]
) -> tuple[Kill, ...]:
    """Kill at every boundary of ``plan``, each relationship's steps by themselves.

    ``say`` is called with how many steps there are, and with one that is done. Raises
    :class:`IncompleteError` when an undisturbed run does not come to its end.
    """
    found: list[Kill] = []
    copy.server.restart(guarantees=False)  # it is the program that is killed, not the server
    for relationship in plan.relationships:
        own = tuple(step for step in plan.steps if step.relationship == relationship)
        part = plan.model_copy(update={"steps": own})
        with _database(copy, "undisturbed") as name:
            boundaries, wanted = _undisturbed(copy, name, part, change)
        killed = partial(_killed, copy, Expected(part, change, wanted))
        with ThreadPoolExecutor(JOBS) as pool:
            found += pool.map(killed, boundaries)
        for step in own:
            say(len(plan.steps), f"killed in {step.id}")
    return tuple(found)


@contextmanager
def _database(copy: Copy, why: str) -> Iterator[str]:
    """A fresh copy of the schema."""
    name = copy.server.new_name(why)
    copy.server.create(name, copy.empty)
    try:
        yield name
    finally:
        copy.server.drop(name)


def _undisturbed(
    copy: Copy, name: str, plan: Plan, change: Change
) -> tuple[list[Boundary], frozenset[str]]:
    """The boundaries of an undisturbed run, and the catalog that it leaves.

    What is before a later step's first statement is where the step before it ended.
    """
    boundaries: list[Boundary] = []

    def observe(step: PlanStep, number: int, phase: Phase) -> None:
        if phase is Phase.AFTER:
            boundaries.append((step.id, number))
        elif not boundaries:
            boundaries.append((step.id, BEFORE_ALL))

    log = apply(plan, lambda: copy.connect(name, "rehearsal"), change, observe)
    if log.exit_code:
        raise IncompleteError(
            f"the plan does not come to its end on a copy without rows: {log.failure}",
            log.hint or "look at the steps of the rehearsal",
        )
    return boundaries, _catalog(copy, name)


def _catalog(copy: Copy, name: str) -> frozenset[str]:
    with closing(copy.administer(name)) as looking:
        return catalog_of(looking)


@dataclass(frozen=True)
class Expected:
    """What is applied, and the catalog that it should come to."""

    plan: Plan
    change: Change
    catalog: frozenset[str]


def _killed(copy: Copy, expected: Expected, boundary: Boundary) -> Kill:
    step, statement = boundary
    with _database(copy, "killed") as name:
        message = _kill(copy, name, expected, boundary)
        if message:
            return Kill(step=step, statement=statement, converged=False, message=message)
        _wait_for_backend(copy, name)
        log = apply(expected.plan, lambda: copy.connect(name, "rehearsal"), expected.change)
        found = _catalog(copy, name)
    differences = tuple(
        [f"missing: {line}" for line in sorted(expected.catalog - found)]
        + [f"too much: {line}" for line in sorted(found - expected.catalog)]
    )
    return Kill(
        step=step,
        statement=statement,
        converged=not differences and not log.exit_code,
        differences=differences,
        message=log.failure,
    )


def _kill(copy: Copy, name: str, expected: Expected, boundary: Boundary) -> str:
    """Apply in a child process until it kills itself at ``boundary``; or why it did not."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["runbook.rehearsal.kills"])
    said, say = context.Pipe(duplex=False)
    where = copy.server.conninfo(name, copy.role)
    child = context.Process(
        target=apply_until, args=(where, expected.plan, expected.change, boundary, say)
    )
    child.start()
    say.close()  # so that the end of the child is the end of what it says
    child.join(SECONDS)
    if child.is_alive():
        child.kill()
        child.join()
        return f"it was not reached within {SECONDS} s"
    if child.exitcode == -signal.SIGKILL:
        return ""
    try:
        return f"the run ended before it: {said.recv()}"
    except EOFError:
        return f"the run ended before it, exit code {child.exitcode}"


def apply_until(
    conninfo: str, plan: Plan, change: Change, boundary: Boundary, say: Connection
) -> None:
    """Apply ``plan``, and die of SIGKILL at ``boundary``; what the child process does.

    Where it is not reached, ``say`` is sent why.
    """

    def observe(step: PlanStep, number: int, phase: Phase) -> None:
        at = number if phase is Phase.AFTER else BEFORE_ALL if number == 0 else None
        if (step.id, at) == boundary:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        log = apply(plan, lambda: opened(conninfo, NAME), change, observe)
    except (RunbookError, psycopg.Error) as error:
        say.send(redact(" ".join(str(error).split())))
    else:
        say.send(log.failure or "all steps were done")


def _wait_for_backend(copy: Copy, name: str) -> None:
    """Until the server has noticed that the killed program is gone."""
    deadline = time.monotonic() + SECONDS
    with closing(copy.administer(name)) as looking:
        while time.monotonic() < deadline:
            row = looking.execute(BACKENDS, (f"fk-runbook {NAME}",)).fetchone()
            if row == (0,):
                return
            time.sleep(0.01)
    raise IncompleteError(
        f"the backend of a killed program still works after {SECONDS} s",
        "look at the server of the copy",
    )
