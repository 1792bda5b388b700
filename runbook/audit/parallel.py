"""Audits many relationships beside each other, all in one exported snapshot.

One session exports the snapshot and keeps it; each worker looks at one relationship in a short
transaction of its own, so that thousands of tables do not run out of locks. Relationships of the
same child table are neighbours in the queue and share its pages, the largest tables come first.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Protocol

import psycopg

from runbook import replica
from runbook import session as sessions
from runbook.audit import engine
from runbook.audit.engine import Options
from runbook.audit.target import Target, targets
from runbook.audit.work import Limits, Work
from runbook.environment import Environment
from runbook.errors import IncompleteError
from runbook.findings import Audit, AuditState
from runbook.operators import Comparisons
from runbook.relationships import Relationships
from runbook.schema import Schema
from runbook.session import Session, fetch, reason

ATTEMPTS = 3
RETRIED = ("40001",)  # a standby cancels what conflicts with its replay
INTERRUPTED = "interrupted"
POLL_SECONDS = 0.1
LOAD_SECONDS = 2.0


class Looked(Protocol):
    """What was read before anything is counted: :class:`runbook.checks.Context` is one."""

    @property
    def environment(self) -> Environment: ...
    @property
    def relationships(self) -> Relationships: ...
    @property
    def schema(self) -> Schema: ...
    @property
    def comparisons(self) -> tuple[Comparisons, ...]: ...


def in_snapshot(
    exporter: Session,
    looked: Looked,
    options: Options,
    limits: Limits | None = None,
    progress: Callable[[Audit], None] = lambda _audit: None,
) -> tuple[Audit, ...]:
    """Audit all relationships in the snapshot of ``exporter``'s transaction, in their order."""
    work = prepare(exporter, looked, options, limits or Limits(), progress)
    found = run(work)
    return tuple(found[item.id] for item in looked.relationships)


def prepare(
    exporter: Session,
    looked: Looked,
    options: Options,
    limits: Limits,
    progress: Callable[[Audit], None],
) -> Work:
    """Export the snapshot and queue every relationship; ``exporter`` has to stay open."""
    (snapshot,) = fetch(exporter, "SELECT pg_export_snapshot()")[0]
    # the workers' time is the exporter's idle time: its own limit would end them all
    exporter.execute("SET LOCAL idle_in_transaction_session_timeout = '24h'")
    found = targets(exporter, looked.relationships.items, looked.schema, looked.comparisons)
    return Work(
        environment=looked.environment,
        exporter=exporter,
        snapshot=str(snapshot),
        options=options,
        limits=limits,
        progress=progress,
        queue=order(found),
    )


def order(targets: Sequence[Target]) -> deque[Target]:
    """The largest child tables first, relationships of one table together."""
    return deque(
        sorted(
            targets,
            key=lambda target: (
                -target.statistics.child_pages,
                target.relationship.child,
                target.relationship.id,
            ),
        )
    )


def run(work: Work) -> dict[str, Audit]:
    """Look at everything in the queue; returns the audits by relationship id.

    On a standby whose data may be too old, before or after, nothing counts as looked at.
    KeyboardInterrupt cancels the statements on the server, keeps what is finished and comes out
    again; what was not finished is then ``not looked``, with the reason ``interrupted``.
    """
    waiting = list(work.queue)
    doubt = _doubt(work)
    if doubt:
        work.queue.clear()
        _distrust(work, waiting, doubt)
        return work.done
    threads = [
        threading.Thread(target=_worker, args=(work,), daemon=True, name=f"audit-{number}")
        for number in range(max(1, min(work.limits.jobs, len(waiting))))
    ]
    for thread in threads:
        thread.start()
    try:
        while any(thread.is_alive() for thread in threads):
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        work.stop()
        for thread in threads:
            thread.join(timeout=10)
        _mark(work, waiting)
        raise
    _mark(work, waiting)
    doubt = _doubt(work)
    if doubt:
        _distrust(work, waiting, doubt)
    return work.done


def _doubt(work: Work) -> str:
    """Why the server's data may be too old; empty when they are not, or it cannot be asked."""
    try:
        found = replica.read(work.exporter)
    except psycopg.Error as error:
        # gone on a primary, the audits that still needed its snapshot say so themselves
        return f"the standby cannot be asked again: {reason(error)}" if work.standby else ""
    work.standby = found.in_recovery
    return found.doubt(work.environment.replica_lag)


def _distrust(work: Work, targets: Sequence[Target], doubt: str) -> None:
    for target in targets:
        item = target.relationship
        work.done[item.id] = Audit(item, AuditState.COULD_NOT_LOOK, reason=doubt)


def _mark(work: Work, targets: Sequence[Target]) -> None:
    """What nobody finished was not looked at, and says why."""
    why = INTERRUPTED if work.stopped.is_set() else "no worker could be opened for it"
    for target in targets:
        if target.relationship.id not in work.done:
            state = AuditState.NOT_LOOKED if work.stopped.is_set() else AuditState.COULD_NOT_LOOK
            work.done[target.relationship.id] = Audit(target.relationship, state, reason=why)


def _worker(work: Work) -> None:
    session: Session | None = None
    while (target := work.next()) is not None:
        _wait_for_quiet(work, session)
        for attempt in range(1, ATTEMPTS + 1):
            if session is None or session.closed:
                session = _opened(work, target)
            if session is None:
                break
            audit, code = _look(work, session, target)
            if work.stopped.is_set() and audit.state is AuditState.COULD_NOT_LOOK:
                audit = replace(audit, state=AuditState.NOT_LOOKED, reason=INTERRUPTED)
            elif (code in RETRIED or session.closed) and attempt < ATTEMPTS:
                continue
            work.keep(audit)
            break
    if session is not None:
        with work.lock:
            work.open.discard(session)
        session.close()


def _opened(work: Work, target: Target) -> Session | None:
    try:
        session = sessions.connect(work.environment)
    except IncompleteError as error:
        failed = Audit(target.relationship, AuditState.COULD_NOT_LOOK, reason=error.message)
        work.keep(failed)
        return None
    with work.lock:
        work.open.add(session)
    return session


def _look(work: Work, session: Session, target: Target) -> tuple[Audit, str | None]:
    """One relationship in a short transaction; the SQLSTATE when that itself failed."""
    left = work.left()
    if left is not None and left <= 0:
        why = "the time budget was used up"
        return Audit(target.relationship, AuditState.NOT_LOOKED, reason=why), None
    environment = work.environment
    if left is not None:
        limit = min(environment.timeouts.statement, timedelta(seconds=left))
        timeouts = environment.timeouts.model_copy(update={"statement": limit})
        environment = environment.model_copy(update={"timeouts": timeouts})
    try:
        with sessions.reading(session, environment, work.snapshot):
            audit, code = engine.attempt(session, target, work.options)
    except psycopg.Error as error:
        failed = Audit(target.relationship, AuditState.COULD_NOT_LOOK, reason=reason(error))
        return failed, error.sqlstate
    return audit, code


ACTIVE = """
    SELECT count(*) FROM pg_catalog.pg_stat_activity
     WHERE state = 'active' AND application_name <> %s AND backend_type = 'client backend'
"""


def _wait_for_quiet(work: Work, session: Session | None) -> None:
    """Wait while others keep the server busy; the budget goes on meanwhile."""
    if work.limits.max_load is None or session is None or session.closed:
        return
    while not work.stopped.is_set():
        left = work.left()
        active = fetch(session, ACTIVE, sessions.APPLICATION_NAME)[0][0]
        if active <= work.limits.max_load or (left is not None and left <= 0):
            return
        work.stopped.wait(LOAD_SECONDS)
