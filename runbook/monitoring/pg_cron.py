"""The schedule in pg_cron, which lives in one database of a server and runs jobs in all of them.

https://github.com/citusdata/pg_cron
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import LiteralString

from runbook.monitoring import audit_function
from runbook.session import Session, fetch, set_local

DAILY = "0 2 * * *"
HISTORY_AT = "15 3 * * *"
PRESENT: LiteralString = "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron')"
JOBS: LiteralString = """
    SELECT j.jobname::text, j.schedule, j.command, j.database FROM cron.job j
     WHERE j.jobname = ANY (%s) AND j.username = current_user AND j.active ORDER BY j.jobname
"""
UNSCHEDULE: LiteralString = """
    SELECT j.jobname::text, cron.unschedule(j.jobid) FROM cron.job j
     WHERE j.jobname = ANY (%s) AND j.username = current_user ORDER BY j.jobname
"""
HISTORY: LiteralString = (
    "DELETE FROM cron.job_run_details WHERE end_time < now() - interval '{seconds} s'"
    " AND jobid IN (SELECT jobid FROM cron.job WHERE jobname = {audit} OR jobname = {history})"
)


@dataclass(frozen=True, order=True)
class CronJob:
    """A job by its name: cron's five fields, the statement, and the database it runs in."""

    name: str
    at: str
    command: str
    database: str


def present(session: Session) -> bool:
    """Whether the extension is in the session's database."""
    return bool(fetch(session, PRESENT)[0][0])


def names(database: str, schema: str) -> tuple[str, str]:
    """Of the audit's job, and of the job that forgets what pg_cron has kept of both."""
    name = f"fk-runbook monitor {database}.{schema}"
    return name, f"{name} history"


def wanted(
    database: str, schema: str, at: str, retention: timedelta, own_database: str
) -> tuple[CronJob, ...]:
    """The two jobs of the audit in ``database``; ``own_database`` is pg_cron's."""
    audit, history = names(database, schema)
    forget = HISTORY.format(
        seconds=int(retention.total_seconds()), audit=_literal(audit), history=_literal(history)
    )
    run = f'SELECT * FROM "{schema}".{audit_function.NAME}()'
    return (
        CronJob(audit, at, run, database),
        CronJob(history, HISTORY_AT, forget, own_database),
    )


def _literal(text: str) -> str:
    """The same text for every session: pg_cron compares and keeps commands as they are."""
    quoted = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"E'{quoted}'"


def scheduled_at(session: Session, database: str, schema: str) -> str:
    """When the audit's job runs; daily where there is none."""
    _own_rows(session)
    rows = fetch(session, JOBS, [names(database, schema)[0]])
    return str(rows[0][1]) if rows else DAILY


def schedule(session: Session, jobs_wanted: Sequence[CronJob], own_database: str) -> list[str]:
    """Schedule what is not scheduled like this; the names of the jobs that were.

    In a database other than pg_cron's it needs EXECUTE on ``cron.schedule_in_database``.
    """
    _own_rows(session)
    asked = [job.name for job in jobs_wanted]
    there = {CronJob(*row) for row in fetch(session, JOBS, asked)}
    changed = [job for job in jobs_wanted if job not in there]
    for job in changed:
        if job.database == own_database:
            session.execute("SELECT cron.schedule(%s, %s, %s)", (job.name, job.at, job.command))
        else:
            session.execute(
                "SELECT cron.schedule_in_database(%s, %s, %s, %s)",
                (job.name, job.at, job.command, job.database),
            )
    return [job.name for job in changed]


def unschedule(session: Session, database: str, schema: str) -> list[str]:
    """Take both jobs back; the names of those that were there."""
    _own_rows(session)
    rows = fetch(session, UNSCHEDULE, list(names(database, schema)))
    return [row[0] for row in rows]


def _own_rows(session: Session) -> None:
    """pg_cron's policies show a role its own jobs alone, and those are what is asked for."""
    set_local(session, row_security="on")
