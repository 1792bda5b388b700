"""What came of one database of a fleet: small, without rows and without secrets."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict

from runbook.audit.outcome import Outcome
from runbook.findings import AuditState

MOST_NAMED = 5  # relationships with orphan rows that a result names


class State(StrEnum):
    """What came of a database; the worst that is true of it, and first the worst."""

    ORPHANS = "orphans"
    COULD_NOT_LOOK = "could not look"
    NOT_LOOKED = "not looked"
    CLEAN = "clean"

    @property
    def rank(self) -> int:
        return list(State).index(self)


class Result(BaseModel):
    """One database. ``state`` is ``clean`` only where every relationship was looked at exactly.

    ``keys`` counts relationships by the state of their key, ``worst`` names those with most orphan
    rows. ``structure`` is the fingerprint without foreign keys, ``fingerprint`` the one with them;
    both are empty where the catalog could not be read. ``attempts`` counts how often it was tried,
    ``lost_workers`` how many workers ended while they looked. ``seconds`` is the time of the look.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    database: str
    state: State
    reason: str = ""
    relationships: int = 0
    looked: int = 0
    orphan_rows: int = 0
    broken: int = 0
    keys: dict[str, int] = {}
    worst: tuple[tuple[str, int], ...] = ()
    fingerprint: str = ""
    structure: str = ""
    server_version: str = ""
    started: datetime
    finished: datetime
    seconds: float
    attempts: int = 1
    lost_workers: int = 0
    worker: str = ""


def of_outcome(database: str, found: Outcome) -> Result:
    """The result of a look that came to its end."""
    broken = [a for a in found.audits if a.state is AuditState.ORPHANS]
    broken.sort(key=lambda audit: (-(audit.orphans or 0), audit.relationship.label))
    state, reason = _state(found)
    return Result(
        database=database,
        state=state,
        reason=reason,
        relationships=len(found.audits),
        looked=found.looked,
        orphan_rows=found.orphans,
        broken=len(broken),
        keys=dict(sorted(Counter(row.state.value for row in found.census).items())),
        worst=tuple((a.relationship.label, a.orphans or 0) for a in broken[:MOST_NAMED]),
        fingerprint=found.fingerprint,
        structure=found.structure_fingerprint,
        server_version=found.server_version,
        started=found.started,
        finished=found.finished,
        seconds=(found.finished - found.started).total_seconds(),
    )


def _state(found: Outcome) -> tuple[State, str]:
    """The state of the whole database, and the first reason for what was not looked at."""
    states = {audit.state for audit in found.audits}
    open_ones = [a for a in found.audits if a.state not in (AuditState.CLEAN, AuditState.ORPHANS)]
    reason = f"{found.scope}: {open_ones[0].reason}" if open_ones else ""
    if AuditState.ORPHANS in states:
        return State.ORPHANS, reason
    if AuditState.COULD_NOT_LOOK in states:
        return State.COULD_NOT_LOOK, reason
    if open_ones or found.interrupted or not found.audits:
        return State.NOT_LOOKED, reason
    return State.CLEAN, ""
