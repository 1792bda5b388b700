"""The document ``remediation.json``: what was done about one relationship, by whom and why."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from runbook.remediation.remedy import Strategy


class Remediation(BaseModel):
    """One remediation, as the register in the database has it.

    ``kept_in`` is the quarantine table; ``rows`` were removed, changed, noted or (restore) made, in
    ``batches`` transactions. ``missing`` names the one missing parent that the rows referred to,
    empty for all. ``left`` of the rows that were meant were orphan rows at its end, None before.
    ``role`` did it, logged in as ``login``. ``without_key`` says why no key refused new orphan rows
    meanwhile.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    id: str
    environment: str
    database: str
    relationship: str
    strategy: Strategy
    subject: str
    kept_in: str
    to: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    source: str = ""
    minimum_age_seconds: float | None = None
    reason: str
    without_key: str = ""
    role: str
    login: str
    started: datetime
    finished: datetime | None = None
    rows: int = 0
    batches: int = 0
    left: int | None = None
    undone: datetime | None = None
    undone_by: str = ""
    undone_reason: str = ""

    @property
    def state(self) -> str:
        """``unfinished``, ``finished`` or ``undone``."""
        if self.undone:
            return "undone"
        return "finished" if self.finished else "unfinished"
