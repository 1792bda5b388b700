"""Mends in batches, each a transaction of its own that is there whole or not at all."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg

from runbook import session as sessions
from runbook.environment import Change
from runbook.errors import IncompleteError, UsageError
from runbook.remediation import mending, proof, quarantine, statements, survey
from runbook.remediation.document import Remediation
from runbook.remediation.mending import Batch
from runbook.remediation.remedy import Remedy, Strategy
from runbook.session import Session

ROUND = 100  # batches whose rows are looked up by one scan of the child

Places = list[tuple[int, str]]
"""Rows by the oid of their table or partition, and their ctid."""
Say = Callable[[str], None]
"""Called with what was just done, or what is waited for."""


@dataclass(frozen=True)
class Batches:
    """The batches of one remediation, done by one session of the owner."""

    session: Session
    remedy: Remedy
    change: Change
    document: Remediation
    say: Say

    def apply(self) -> Remediation:
        """Mend until nothing is left that can be; the remediation as the register has it then.

        Raises :class:`IncompleteError` where it was cut short: the batches before are kept.
        """
        here = f"remediation {self.document.id}"
        again = (
            "the batches before are kept: the same command goes on,"
            f" or --undo {self.document.id} takes them back"
        )
        try:
            for rows in self._every():
                self.say(f"{rows:,} rows")
            return self._finished()
        except KeyboardInterrupt:
            raise IncompleteError(f"{here}: interrupted", again) from None
        except psycopg.errors.QueryCanceled as error:
            raise IncompleteError(
                f"{here}: {sessions.reason(error)}",
                f"lower change.batch or raise change.statement; {again}",
            ) from None
        except psycopg.Error as error:
            raise IncompleteError(f"{here}: {sessions.reason(error)}", again) from None

    def _every(self) -> Iterator[int]:
        """The rows of each batch as it is done; ends when nothing more can be mended.

        Rows that somebody wrote meanwhile have moved: what is left after whole rounds is locked as
        it is found, which takes a scan for each batch.
        """
        mended = True
        while mended:
            mended = False
            for places in self._round():
                rows = self._batch(places)
                mended = mended or rows > 0
                yield rows
        while self.remedy.strategy is not Strategy.RESTORE and (rows := self._batch(None)):
            yield rows

    def _round(self) -> Iterator[Places]:
        """Where the rows of the next batches are; for restore the statement finds them itself."""
        if self.remedy.strategy is Strategy.RESTORE:
            yield []
            return
        size = self.change.batch
        with quarantine.changing(self.session, self.change, self.change.scan):
            places = self._places(size * ROUND, self.document)
        for first in range(0, len(places), size):
            yield places[first : first + size]

    def _places(self, most: int, document: Remediation, *, lock: bool = False) -> Places:
        kept = quarantine.kept_in(document)
        found = statements.candidates(self.remedy, kept, most, lock=lock)
        return [(int(part), str(place)) for part, place in self.session.execute(found)]

    def _batch(self, places: Places | None) -> int:
        """Mend one batch and return its rows; again after a lock that was not to be had."""
        change = self.change
        for attempt in range(1, change.attempts + 1):
            try:
                return self._attempt(places)
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
                reason = sessions.reason(error)
            if attempt < change.attempts:
                self.say(f"waits: {reason}, attempt {attempt} of {change.attempts}")
                # far longer than the timeout, or whoever waits behind us starves
                time.sleep(change.pause.total_seconds() * random.uniform(0.5, 1.5))  # noqa: S311
        raise IncompleteError(
            f"remediation {self.document.id}: no lock in {change.attempts} attempts: {reason}",
            "see who holds one in pg_locks; the same command goes on with the rest",
        )

    def _attempt(self, places: Places | None) -> int:
        session, remedy = self.session, self.remedy
        with quarantine.changing(session, self.change, self.change.statement) as path:
            now = quarantine.held(session, self.document.id)
            if now.state != "unfinished":
                raise UsageError(
                    f"remediation {now.id} is {now.state} meanwhile", "see --list and begin anew"
                )
            lock = statements.lock(remedy)
            if lock is not None:
                session.execute(lock)
            if places is None:
                places = self._places(self.change.batch, now, lock=True)
            batch = Batch.of(now.batches + 1, now.rows, places, self.change.batch)
            statement = mending.mend(remedy, quarantine.kept_in(now), batch)
            sessions.set_local(session, search_path=path)
            kept = session.execute(statement).rowcount
            sessions.set_local(session, search_path=quarantine.CLOSED)
            rows = kept // 2 if remedy.strategy.changes else kept
            if rows:
                self._refuse_in_vain(now)
                quarantine.add(session, now.id, rows)
            return rows

    def _refuse_in_vain(self, now: Remediation) -> None:
        """Raise where a trigger has undone what was done: the next batch would do it again."""
        found = proof.in_vain(self.remedy, quarantine.kept_in(now), now.rows)
        if found is None:
            return
        (number,) = survey.one(self.session, found)
        if number:
            raise IncompleteError(
                f"remediation {now.id}: {number:,} of the rows of a batch"
                f" {proof.SAID[self.remedy.strategy]}: a trigger of {self.remedy.subject.name}"
                " stands against it",
                "disable the trigger for as long as it takes: nothing of this batch was kept; the"
                f" same command goes on, or --undo {now.id} takes back the batches before",
            )

    def _finished(self) -> Remediation:
        with quarantine.changing(self.session, self.change, self.change.scan):
            left, *_ = survey.one(self.session, statements.count(self.remedy))
            quarantine.finish(self.session, self.document.id, left)
            return quarantine.of_id(self.session, self.document.id)
