"""The last run of every environment, from the run records alone; no database is asked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from runbook import record, run_folders
from runbook.environment import Environment
from runbook.errors import IncompleteError
from runbook.findings import AuditState
from runbook.record import RunRecord
from runbook.settings import Settings
from runbook.verdict import State

RUN_ID = re.compile(r"\d{8}T\d{6}Z(-\d\d)?")
LOOKED = (AuditState.CLEAN, AuditState.ORPHANS)


class Count(BaseModel):
    """So many of a total."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    done: int
    total: int

    def __str__(self) -> str:
        return f"{self.done} of {self.total}"


class Standing(BaseModel):
    """Where an environment stands: what its newest whole run says, and whether that still holds.

    ``verdict`` is what the gate said in that run, and ``state`` what it is worth ``now``: STALE
    past ``fresh_for``, UNKNOWN without a run, with a record that cannot be read, or with one that
    this gate never judged; ``reason`` says which. ``later`` are runs after it that are not whole.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    environment: str
    gate: str
    state: State
    verdict: State | None = None
    reason: str = ""
    run: str = ""
    finished: datetime | None = None
    age_seconds: int | None = None
    fresh_for_seconds: int
    steps: Count | None = None
    steps_failed: tuple[str, ...] = ()
    checks_passed: Count | None = None
    relationships_looked_at: Count | None = None
    database: str = ""
    source: str = ""
    later: tuple[str, ...] = ()

    @property
    def fresh(self) -> bool:
        return self.age_seconds is not None and self.age_seconds <= self.fresh_for_seconds


def exit_code(standings: Sequence[Standing]) -> int:
    """1 when one is HOLD or NO-GO, else 3 when one is UNKNOWN or STALE, else 0.

    The order is that of a verdict: a known failure outweighs what is unknown.
    """
    codes = {standing.state.exit_code for standing in standings}
    return 1 if 1 in codes else max(codes, default=3)


def of(settings: Settings, environment: Environment, now: datetime) -> Standing:
    """The standing of one environment."""
    unknown = Standing(
        environment=environment.name,
        gate=environment.gate,
        state=State.UNKNOWN,
        fresh_for_seconds=_seconds(environment.fresh_for),
        later=_later(settings.runs / environment.name, ""),
    )
    folder = run_folders.newest(settings.runs, environment.name)
    if folder is None:
        return unknown.model_copy(update={"reason": "no run yet"})
    later = _later(folder.parent, folder.name)
    try:
        run = record.read(folder)
    except IncompleteError as error:
        return unknown.model_copy(
            update={"reason": error.message, "run": folder.name, "later": later}
        )
    return _of_run(unknown.model_copy(update={"later": later}), run, now)


def _of_run(unknown: Standing, run: RunRecord, now: datetime) -> Standing:
    verdict = run.verdict(unknown.gate)
    age = now - run.as_of
    said = unknown.model_copy(
        update={
            "verdict": verdict.state if verdict else None,
            "run": run.run_id,
            "finished": run.finished,
            "age_seconds": _seconds(age),
            "steps": _count([step.status == "succeeded" for step in run.steps]),
            "steps_failed": tuple(s.name for s in run.steps if s.status != "succeeded"),
            "checks_passed": _count([check.status == "passed" for check in run.checks]),
            "relationships_looked_at": _count([a.state in LOOKED for a in run.audits]),
            "database": run.server.database if run.server else "",
            "source": run.server.source if run.server else "",
        }
    )
    if verdict is None:
        judged = ", ".join(verdict.gate for verdict in run.verdicts) or "none"
        reason = f"the run was judged by {judged}, not by {unknown.gate}"
        return said.model_copy(update={"reason": reason})
    if age < timedelta(0):
        return said.model_copy(update={"reason": "the run ended in the future: check the clocks"})
    if not said.fresh:
        fresh_for = timedelta(seconds=said.fresh_for_seconds)
        reason = f"older than {spoken(fresh_for)}, said {verdict.state}"
        return said.model_copy(update={"state": State.STALE, "reason": reason})
    reason = verdict.reasons[0] if verdict.reasons and verdict.state is not State.GO else ""
    return said.model_copy(update={"state": verdict.state, "reason": reason})


def _count(answers: Sequence[bool]) -> Count:
    return Count(done=sum(answers), total=len(answers))


def _later(runs: Path, newest: str) -> tuple[str, ...]:
    """Runs after ``newest`` that are not whole: interrupted, killed, or still running."""
    found = []
    for folder in sorted(runs.glob("*")):
        if not RUN_ID.fullmatch(folder.name) or folder.name <= newest:
            continue
        has = (folder / record.FILE_NAME).exists()
        found.append(f"{folder.name} {'was interrupted' if has else 'has no record (yet)'}")
    return tuple(found)


def _seconds(span: timedelta) -> int:
    return int(span.total_seconds())


def spoken(span: timedelta) -> str:
    """``40 s``, ``12 min``, ``5 h`` or ``3 d``: the largest unit that is there at least twice."""
    seconds = _seconds(span)
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
