"""What `runbook audit` found, as a document: to print, to keep, and to resume from."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from runbook.audit.lookalikes import Lookalike
from runbook.errors import IncompleteError
from runbook.findings import Audit, AuditState, CensusRow

FILE_NAME = "audit.json"
LOOKED = (AuditState.CLEAN, AuditState.ORPHANS)


class Outcome(BaseModel):
    """Census and audits of one look at an environment.

    ``position`` is the server's write-ahead log position when the snapshot was taken; ``resumed``
    counts the audits that were taken over from an earlier, interrupted look. ``lookalikes`` are
    no orphan rows, and count for nothing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    environment: str
    database: str
    server_version: str
    fingerprint: str
    structure_fingerprint: str = ""
    position: str
    started: datetime
    finished: datetime
    interrupted: bool
    resumed: int
    census: tuple[CensusRow, ...]
    audits: tuple[Audit, ...]
    lookalikes: tuple[Lookalike, ...] = ()

    @property
    def looked(self) -> int:
        return sum(audit.state in LOOKED for audit in self.audits)

    @property
    def scope(self) -> str:
        """``45 of 45 relationships looked at``, and the names of the rest."""
        rest = [a.relationship.label for a in self.audits if a.state not in LOOKED]
        names = f", not: {', '.join(rest[:10])}" if rest else ""
        more = f" and {len(rest) - 10} more" if len(rest) > 10 else ""
        return f"{self.looked} of {len(self.audits)} relationships looked at{names}{more}"

    @property
    def orphans(self) -> int:
        """Orphan rows that were counted exactly."""
        return sum(audit.orphans or 0 for audit in self.audits if audit.exact)

    @property
    def exit_code(self) -> int:
        """1 with orphan rows, 3 when something was not looked at exactly, else 0."""
        if any(audit.state is AuditState.ORPHANS for audit in self.audits):
            return 3 if self.interrupted else 1
        return 0 if self.looked == len(self.audits) and not self.interrupted else 3


def read(path: Path) -> Outcome:
    """Read a kept outcome; raises :class:`IncompleteError` when it is none."""
    try:
        return Outcome.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise IncompleteError(
            f"{path}: cannot be read: {error.strerror}",
            "there is nothing to resume: run the audit without --resume",
        ) from None
    except (ValidationError, UnicodeDecodeError):
        raise IncompleteError(
            f"{path}: not an audit's outcome",
            "remove the file and run the audit without --resume",
        ) from None


def finished_before(outcome: Outcome, fingerprint: str) -> dict[str, Audit]:
    """The audits that need not be done again, by relationship id; none after a change of schema."""
    if outcome.fingerprint != fingerprint:
        return {}
    return {audit.relationship.id: audit for audit in outcome.audits if audit.state in LOOKED}
