"""One step of an apply: attempts until it is settled, and what each fault means for the next."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

import psycopg

from runbook.environment import Change
from runbook.errors import IncompleteError
from runbook.findings import counted as number_of
from runbook.migration import blockers, settled
from runbook.migration.blockers import Blocker
from runbook.migration.log import Attempt, StepLog, StepOutcome
from runbook.migration.owner import LONGER, Owner, begin, limited, milliseconds, roll_back
from runbook.migration.plan import Plan, PlanStep, StepKind
from runbook.migration.settled import Settled
from runbook.session import Session, reason


class Phase(StrEnum):
    """When something looks on: right before a statement is sent, or once it has returned."""

    BEFORE = "before"
    AFTER = "after"


Observe = Callable[[PlanStep, int, Phase], None]

NO_LOCK, DEADLOCK, CANCELED, ORPHAN = "55P03", "40P01", "57014", "23503"
SCANS = (StepKind.VALIDATE, StepKind.REMEDIATE, StepKind.PROVE)
LOST = "the connection was lost"
BLOCKED = "an old transaction holds a conflicting lock"
SNAPSHOT = "an old transaction holds a snapshot"
BLOCKER = "end what blocks it or choose a quieter hour, and apply the same plan again"
UNSEEN = (
    "look for old transactions in pg_stat_activity, as a role of pg_read_all_stats, and apply the"
    " same plan again"
)
NEARLY = 0.9  # of its limit: a statement that was canceled earlier was canceled by somebody


class BlockedError(Exception):
    """Somebody's old transaction holds a conflicting lock; none was asked for."""

    def __init__(self, found: tuple[Blocker, ...]) -> None:
        super().__init__("blocked")
        self.found = found


@dataclass
class Applying:
    """What the steps of an apply share; ``hint`` says what to do about the step that failed."""

    plan: Plan
    change: Change
    owner: Owner
    observe: Observe
    say: Callable[[str], None]
    hint: str = ""
    _sent: float = field(default_factory=time.monotonic)

    def step(self, step: PlanStep) -> StepLog:
        """Bring ``step`` to an end; only KeyboardInterrupt and what ``observe`` raises come out."""
        self.say(f"{step.id}: {step.title}")
        started, tried = time.monotonic(), list[Attempt]()
        last = started
        try:
            while True:
                last = time.monotonic()
                found = self._attempt(step, tried, started)
                if found:
                    break
        except IncompleteError as error:
            self.hint = error.hint
            found = Settled(StepOutcome.FAILED, error.message)
        self.say(f"{step.id}: {found.outcome}{f', {found.message}' if found.message else ''}")
        return StepLog(
            id=step.id,
            kind=step.kind,
            relationship=step.relationship,
            outcome=found.outcome,
            message=found.message,
            seconds=round(time.monotonic() - started, 4),
            waited=round(last - started, 4),
            attempts=tuple(tried),
            locks=found.locks,
            orphans=found.orphans,
        )

    def _attempt(self, step: PlanStep, tried: list[Attempt], started: float) -> Settled | None:
        """What came of one attempt; None: try again."""
        session = self.owner.session()
        begun = self._sent = time.monotonic()
        try:
            with limited(session, self._limit(step)):
                found = self._perform(session, step, again=bool(tried))
        except BlockedError as error:
            why = BLOCKED if any(found.table for found in error.found) else SNAPSHOT
            tried.append(_attempt(begun - started, 0.0, "", why, error.found))
            self._again(step, tried)
            return None
        except psycopg.Error as error:
            return self._faulted(session, step, error, tried, begun - started)
        if found.outcome is StepOutcome.ALREADY and any(a.reason == LOST for a in tried):
            return Settled(StepOutcome.DONE, "it had been committed when the connection was lost")
        return found

    def _faulted(
        self,
        session: Session,
        step: PlanStep,
        error: psycopg.Error,
        tried: list[Attempt],
        at: float,
    ) -> Settled | None:
        """Roll back, note the fault, and say whether it settles the step (else: try again)."""
        took, said = time.monotonic() - self._sent, reason(error)
        lost, found = session.closed, tuple[Blocker, ...]()
        if not lost:
            try:
                roll_back(session)  # before anything else: until then every statement is 25P02
                found = self._blockers(session, step)
            except psycopg.OperationalError:
                if not session.closed:
                    raise
                lost = True
        state = error.sqlstate or ""
        known = ("", LOST) if lost else (state, said)
        tried.append(_attempt(at, took, *known, found))
        if lost:
            self.say(f"{step.id}: {LOST}; connects again and reads the catalog")
            self._again(step, tried)
            return None
        if state == ORPHAN and step.kind in (StepKind.VALIDATE, StepKind.ATTACH):
            return Settled(StepOutcome.ORPHANS, said)
        timed_out = took >= self._limit(step).total_seconds() * NEARLY
        if state in (NO_LOCK, DEADLOCK) or (state == CANCELED and timed_out and self._short(step)):
            self._again(step, tried)
            return None
        raise IncompleteError(said, self._hint(state, timed_out))

    def _again(self, step: PlanStep, tried: list[Attempt]) -> None:
        """Wait before the next attempt; raise :class:`IncompleteError` after the last."""
        attempt = tried[-1]
        who = "; ".join(attempt.blockers[:3]) or attempt.reason
        if len(tried) >= self.change.attempts:
            raise IncompleteError(
                f"gave up after {number_of(len(tried), 'attempt')}: {who}",
                UNSEEN if concurrently(step) and not attempt.blockers else BLOCKER,
            )
        self.say(f"{step.id}: attempt {len(tried)} of {self.change.attempts}: {who}")
        self.owner.pause()

    def _hint(self, state: str, timed_out: bool) -> str:
        if state == CANCELED and timed_out:
            return "raise change.scan in runbook.toml, and apply the same plan again"
        if state == CANCELED:
            return "somebody canceled it: ask who, and apply the same plan again"
        return "mend what the server names, and apply the same plan again"

    def _short(self, step: PlanStep) -> bool:
        return step.kind not in SCANS and not concurrently(step)

    def _limit(self, step: PlanStep) -> timedelta:
        return self.change.statement if self._short(step) else self.change.scan

    # --- what an attempt does -------------------------------------------------------------------

    def _perform(self, session: Session, step: PlanStep, *, again: bool) -> Settled:
        if step.kind in (StepKind.REMEDIATE, StepKind.PROVE):
            return self._counted(session, step)
        key = self.plan.key_of(step)
        done = settled.already(session, step, key)
        if done:
            return done
        if concurrently(step):
            if again:  # who made it fail may still be there: it is not built in vain once more
                self._wait_for_old(session, step, self.change.lock * LONGER)
            return self._built(session, step)
        if self._short(step):
            self._wait_for_old(session, step, self.change.pause)
        return self._altered(session, step)

    def _blockers(self, session: Session, step: PlanStep) -> tuple[Blocker, ...]:
        find = blockers.of_building if concurrently(step) else blockers.holders
        return find(session, step.locks)

    def _wait_for_old(self, session: Session, step: PlanStep, age: timedelta) -> None:
        old = age.total_seconds()
        found = self._blockers(session, step)
        found = tuple(b for b in found if b.pid is None or (b.seconds or 0) > old)
        if found:
            raise BlockedError(found)

    def _altered(self, session: Session, step: PlanStep) -> Settled:
        """The statements in one transaction, the catalog read again once it holds the locks."""
        key = self.plan.key_of(step)
        lock = self.change.lock * (1 if self._short(step) else LONGER)
        try:
            begin(session, lock, self._limit(step))
            for number, statement in enumerate(step.statements):
                self._send(session, step, number, statement)
                if number == 0 and len(step.statements) > 1:
                    done = settled.already(session, step, key)
                    if done:
                        return done
            locks = blockers.held(session)
            self._send(session, step, len(step.statements), "COMMIT")
        finally:
            roll_back(session)
        return Settled(StepOutcome.DONE, locks=locks)

    def _built(self, session: Session, step: PlanStep) -> Settled:
        """CREATE INDEX CONCURRENTLY, after a failed one of that name is out of the way."""
        (statement,) = step.statements
        session.execute(
            "SELECT set_config('lock_timeout', %s, false), set_config('statement_timeout', %s,"
            " false)",
            (milliseconds(self.change.lock * LONGER), milliseconds(self.change.scan)),
        )
        try:
            if settled.leftover(session, step):
                self.say(f"{step.id}: drops the invalid index {step.name!r} of an earlier attempt")
                self._sent = time.monotonic()
                session.execute(step.undo.encode())
            self._send(session, step, 0, statement)
        finally:
            if not session.closed:
                session.execute("RESET lock_timeout")
                session.execute("RESET statement_timeout")
        settled.require_index(session, step, self.plan.key_of(step))
        return Settled(StepOutcome.DONE)

    def _counted(self, session: Session, step: PlanStep) -> Settled:
        """The orphan rows now; and for the proof, what the catalog says of the key."""
        try:
            begin(session, self.change.lock * LONGER, self.change.scan)
            session.execute("SET TRANSACTION READ ONLY")
            orphans = 0
            for number, statement in enumerate(step.statements):
                orphans = int(self._send(session, step, number, statement))
            faults = settled.faults(session, step, self.plan)
        finally:
            roll_back(session)
        return settled.counted(step, orphans, faults)

    def _send(self, session: Session, step: PlanStep, number: int, statement: str) -> int:
        """Send one statement; returns the first value of its first row, or 0."""
        self.observe(step, number, Phase.BEFORE)
        self._sent = time.monotonic()
        answer = session.execute(statement.encode())
        row = answer.fetchone() if answer.description else None
        self.observe(step, number, Phase.AFTER)
        return int(row[0]) if row else 0


def _attempt(
    at: float, seconds: float, sqlstate: str, why: str, found: tuple[Blocker, ...]
) -> Attempt:
    return Attempt(
        at=round(at, 4),
        seconds=round(seconds, 4),
        sqlstate=sqlstate,
        reason=why,
        blockers=tuple(map(str, found)),
    )


def concurrently(step: PlanStep) -> bool:
    """Whether it runs outside a transaction: an index that is built while others write."""
    return step.kind is StepKind.INDEX and " CONCURRENTLY " in step.statements[0]
