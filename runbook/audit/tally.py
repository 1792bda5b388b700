"""How far an audit is: rows that were looked at, and an estimate of the time that is left."""

from __future__ import annotations

import time
from collections.abc import Sequence

from runbook.audit.target import Target
from runbook.findings import Audit

START_PAGES = 100  # what beginning with a relationship costs, in pages that could be read


class Tally:
    """Counts what is done of ``targets``."""

    def __init__(self, targets: Sequence[Target]) -> None:
        self._rows = {t.relationship.id: int(t.statistics.child_rows or 0) for t in targets}
        self._unknown = any(t.statistics.child_rows is None for t in targets)
        self._pages = {t.relationship.id: START_PAGES + t.statistics.child_pages for t in targets}
        self._done = self._rows_done = self._pages_done = 0
        self._started = time.monotonic()

    def after(self, audit: Audit) -> str:
        """Count this audit as done and say how far all is."""
        name = audit.relationship.id
        self._done += name in self._rows
        self._rows_done += self._rows.get(name, 0)
        self._pages_done += self._pages.get(name, 0)
        said = f"{audit.relationship.label}: {audit.state}"
        left = self.seconds_left()
        return f"{said}; {self._far()}" + (f", about {_spoken(left)} left" if left >= 1 else "")

    def _far(self) -> str:
        """In rows, or in relationships where the planner does not know a table's rows."""
        if not self._unknown:
            return f"{self._rows_done:,} of {sum(self._rows.values()):,} rows"
        rows = f", at least {self._rows_done:,} rows" if self._rows_done else ""
        return f"{self._done} of {len(self._rows)} relationships{rows} (a table was never analyzed)"

    def seconds_left(self) -> float:
        """By the pages that are left and the pace so far; the planner's sizes are estimates."""
        if not self._pages_done:
            return 0.0
        pace = (time.monotonic() - self._started) / self._pages_done
        return pace * (sum(self._pages.values()) - self._pages_done)


def _spoken(seconds: float) -> str:
    """``40 s``, ``5 min``, ``3 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
