"""Audits many relationships beside each other, all in one exported snapshot.

One session exports the snapshot and keeps it; each worker looks at one relationship in a short
transaction of its own, so that thousands of tables do not run out of locks. Relationships of the
same child table are neighbours in the queue and share its pages, the largest tables come first.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Protocol

import psycopg

from runbook import replica
from runbook import session as sessions
from runbook.audit import engine, quiet
from runbook.audit.engine import Options
from runbook.audit.strategy import Strategy
from runbook.audit.target import Target, targets
from runbook.audit.work import Limits, Work
from runbook.environment import Environment
from runbook.errors import RunbookError
from runbook.findings import Audit, AuditState
from runbook.operators import Comparisons
from runbook.relationships import Relationships
from runbook.schema import Schema
from runbook.session import Session, fetch, reason

ATTEMPTS = 3
RETRIED = ("40001",)  # a standby cancels what conflicts with its replay
CANCELED = "57014"
INTERRUPTED = "interrupted"
SPENT = "the time budget was used up; --sample estimates what it leaves"
KEPT_FOR_ESTIMATES = 0.2  # of the budget
POLL_SECONDS = 0.1


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
    if limits.max_load is not None:
        quiet.must_see_others(exporter)
    (snapshot,) = fetch(exporter, "SELECT pg_export_snapshot()")[0]
    # the workers' time is the exporter's idle time: its own limit would end them all
    exporter.execute("SET LOCAL idle_in_transaction_session_timeout = '24h'")
    found = targets(exporter, looked.relationships.items, looked.schema, looked.comparisons)
    return Work(
        environment=looked.environment,
        exporter=exporter,
        snapshot=str(snapshot),
        options=replace(options, memory=looked.environment.load.memory // limits.jobs),
        limits=limits,
        progress=progress,
        queue=order(found, limits),
    )


def order(targets: Sequence[Target], limits: Limits) -> deque[Target]:
    """Relationships of one table together; the largest child tables first.

    With a budget the smallest come first, so that what is left over is little in number.
    """
    sign = -1 if limits.budget is None else 1
    return deque(
        sorted(
            targets,
            key=lambda target: (
                sign * target.statistics.child_pages,
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
        for thread in threads:
            while thread.is_alive():  # in short waits, so that Ctrl-C is heard
                thread.join(timeout=POLL_SECONDS)
    except KeyboardInterrupt:
        work.stop()
        for thread in threads:
            thread.join(timeout=10)
        _settle(work, waiting)
        raise
    _settle(work, waiting)
    return work.done


def _settle(work: Work, waiting: Sequence[Target]) -> None:
    """Say what became of all that was waiting, and whether the data can still be trusted."""
    _mark(work, waiting)
    doubt = _doubt(work)
    if doubt:
        _distrust(work, waiting, doubt)


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
    why = INTERRUPTED if work.stopped.is_set() else "no worker finished it"
    for target in targets:
        if target.relationship.id not in work.done:
            state = AuditState.NOT_LOOKED if work.stopped.is_set() else AuditState.COULD_NOT_LOOK
            work.done[target.relationship.id] = Audit(target.relationship, state, reason=why)


def _worker(work: Work) -> None:
    session: Session | None = None
    while (target := work.next()) is not None:
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
    except RunbookError as error:
        failed = Audit(target.relationship, AuditState.COULD_NOT_LOOK, reason=error.message)
        work.keep(failed)
        return None
    with work.lock:
        work.open.add(session)
    return session


def _look(work: Work, session: Session, target: Target) -> tuple[Audit, str | None]:
    """One relationship in a short transaction; the SQLSTATE when that itself failed.

    Where estimates are wanted for what there is no time to count, a part of the budget is kept
    for them.
    """
    options, share = work.options, KEPT_FOR_ESTIMATES if work.options.estimate else 0.0
    try:
        quiet.wait(work, session)
        left = work.left(share)
        if left is None or left > 0:
            audit, code = _within(work, session, target, options, left)
            if code != CANCELED or left is None or _more_than_nothing(work.left(share)):
                return audit, code
        left = work.left()
        if not options.estimate or not _more_than_nothing(left):
            return Audit(target.relationship, AuditState.NOT_LOOKED, reason=SPENT), None
        options = replace(options, strategy=Strategy.SAMPLE)
        return _within(work, session, target, options, left)
    except psycopg.Error as error:
        failed = Audit(target.relationship, AuditState.COULD_NOT_LOOK, reason=reason(error))
        return failed, error.sqlstate


def _more_than_nothing(seconds: float | None) -> bool:
    return seconds is not None and seconds > 0


def _within(
    work: Work, session: Session, target: Target, options: Options, left: float | None
) -> tuple[Audit, str | None]:
    """Look, with no statement longer than what is ``left`` of the budget."""
    environment = work.environment
    if left is not None:
        limit = min(environment.timeouts.statement, timedelta(seconds=left))
        limit = max(limit, timedelta(milliseconds=1))  # 0 would be no limit
        timeouts = environment.timeouts.model_copy(update={"statement": limit})
        environment = environment.model_copy(update={"timeouts": timeouts})
    with sessions.reading(session, environment, work.snapshot):
        return engine.attempt(session, target, options, left)
