"""What the log says: the newest result of every relationship, and when the last audit ended.

Nothing is counted here. Read in the caller's transaction, by the reader.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import LiteralString

from psycopg import sql
from psycopg.rows import dict_row
from pydantic import BaseModel, ConfigDict

from runbook.findings import AuditState
from runbook.relationships import Alert
from runbook.session import Session, fetch

PRESENT: LiteralString = """
    SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = %s AND c.relname IN ('comprehensive_report', 'heartbeat', 'settings')
"""
HEARTBEAT: LiteralString = """
    SELECT s.version, s.digest, s.installed_at,
           extract(epoch FROM s.run_every)::float8 AS run_every,
           h.run, h.started_at, h.finished_at, h.last_success, clock_timestamp() AS now
      FROM {settings} s LEFT JOIN {heartbeat} h ON true
"""
REPORT: LiteralString = """
    SELECT r.relationship, r.label, r.severity, r.state, r.orphans, r.error, r.threshold,
           r.over_threshold, r.since, r.trend, r.seconds, r.run, r.at
      FROM {report} r ORDER BY r.place
"""


class Standing(StrEnum):
    """How the installation stands; the worst of what is true."""

    MISSING = "missing"
    OUTDATED = "outdated"
    STALE = "stale"
    UP_TO_DATE = "up to date"


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True)


class Result(_Document):
    """The newest result of a relationship.

    ``orphans`` is None unless it was counted, ``error`` says why not. ``since`` is the oldest
    result in the log from which on the state was the same.
    """

    relationship: str
    label: str
    severity: Alert
    state: AuditState
    orphans: int | None
    error: str | None
    threshold: int | None
    over_threshold: bool
    since: datetime | None
    trend: str
    seconds: float | None
    run: int | None
    at: datetime | None


class Log(_Document):
    """The newest results and the heartbeat; ``run`` is None before the first audit.

    ``last_success`` is the end of the newest audit that could look at everything.
    """

    version: int
    digest: str
    installed_at: datetime
    run_every: timedelta
    run: int | None
    started_at: datetime | None
    finished_at: datetime | None
    last_success: datetime | None
    now: datetime
    results: tuple[Result, ...]

    @property
    def age(self) -> timedelta:
        """Since the last success, or since the installation where there was none."""
        return self.now - (self.last_success or self.installed_at)

    @property
    def stale(self) -> bool:
        return self.age > 2 * self.run_every

    def of(self, state: AuditState) -> tuple[Result, ...]:
        return tuple(result for result in self.results if result.state is state)


class Status(_Document):
    """The state of an environment's monitoring; ``log`` is None where it is missing."""

    environment: str
    database: str
    schema_name: str
    standing: Standing
    reasons: tuple[str, ...]
    log: Log | None

    @property
    def exit_code(self) -> int:
        """0 nothing is wrong, 1 something is, 3 something could not be looked at."""
        if self.standing is not Standing.UP_TO_DATE or self.log is None:
            return 1
        if any(result.over_threshold for result in self.log.results):
            return 1
        return 3 if self.log.of(AuditState.COULD_NOT_LOOK) else 0


def read(session: Session, schema: str) -> Log | None:
    """The log in ``schema``; None where the monitoring is not installed there.

    Raises psycopg.Error where the role may not read it.
    """
    ((present,),) = fetch(session, PRESENT, schema)
    if present != 3:
        return None
    names = {name: sql.Identifier(schema, name) for name in ("settings", "heartbeat")}
    with session.cursor(row_factory=dict_row) as cursor:
        beat = cursor.execute(sql.SQL(HEARTBEAT).format(**names)).fetchone()
        if beat is None:
            return None
        report = sql.Identifier(schema, "comprehensive_report")
        results = cursor.execute(sql.SQL(REPORT).format(report=report)).fetchall()
    return Log.model_validate(beat | {"results": results})


def status(
    environment: str, database: str, schema: str, found: Log | None, outdated: tuple[str, ...]
) -> Status:
    """``outdated`` says what an upgrade would change."""
    standing, reasons = Standing.UP_TO_DATE, list(outdated)
    if found is None:
        standing, reasons = Standing.MISSING, [f"nothing is installed in schema {schema!r}"]
    elif outdated:
        standing = Standing.OUTDATED
    elif found.stale:
        standing = Standing.STALE
    if found and found.stale:
        reasons.append(stale_reason(found))
    return Status(
        environment=environment,
        database=database,
        schema_name=schema,
        standing=standing,
        reasons=tuple(reasons),
        log=found,
    )


def stale_reason(found: Log) -> str:
    """Why the heartbeat is stale, in words."""
    limit = spoken(2 * found.run_every)
    if found.last_success is None:
        return f"no audit could look at everything in the {spoken(found.age)} since installation"
    return f"the last audit that could look at everything is {spoken(found.age)} old, over {limit}"


def spoken(length: timedelta) -> str:
    """``45 s``, ``12 min``, ``3 h``, ``4 d``."""
    seconds = length.total_seconds()
    for unit, name, most in ((1, "s", 90), (60, "min", 5400), (3600, "h", 172_800)):
        if seconds < most:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86_400:.0f} d"
