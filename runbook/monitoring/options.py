"""What an installation of the monitoring is told."""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field

from runbook.relationships import Alert

SCHEMA = "runbook_monitor"
VERSION = 1  # of the objects in the schema; raised whenever one of them changes


class Options(BaseModel):
    """How often it runs, for how long its log is kept, and when orphan rows raise an alert.

    A relationship with more orphan rows than ``critical_above`` or ``warning_above`` is over its
    threshold; ``below`` has none. Counting one takes at most ``relationship_limit``, waiting for a
    lock ``lock_limit``. ``readers`` are the roles that may read all of it. ``schedule`` says what
    calls it, and ``cron_database`` where pg_cron is if that does.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    run_every: timedelta = Field(default=timedelta(days=1), gt=timedelta(0))
    retention: timedelta = Field(default=timedelta(days=90), gt=timedelta(0))
    relationship_limit: timedelta = Field(default=timedelta(minutes=5), gt=timedelta(0))
    lock_limit: timedelta = Field(default=timedelta(seconds=2), gt=timedelta(0))
    critical_above: int = Field(default=0, ge=0)
    warning_above: int = Field(default=10, ge=0)
    readers: tuple[str, ...] = ()
    schedule: str = "none"
    cron_database: str = ""

    def threshold(self, severity: Alert) -> int | None:
        """The orphan rows that are not an alert yet; None: no number is one."""
        return {Alert.CRITICAL: self.critical_above, Alert.WARNING: self.warning_above}.get(
            severity
        )
