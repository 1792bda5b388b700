"""How long a step takes, from rows and the last audit."""

from __future__ import annotations

from runbook.findings import Audit

LOCAL_SECONDS = 0.02  # to lock and alter without a scan
# a second, below what was measured with text keys on two busy cores: 1.6 to 3.4 million validated,
# 0.8 to 1.1 million indexed
VALIDATED_ROWS = 1_400_000
INDEXED_ROWS = 700_000


def index(rows: int) -> float:
    return round(LOCAL_SECONDS + rows / INDEXED_ROWS, 2)


def validation(rows: int, audit: Audit | None, *, partition: bool) -> float | None:
    """At least what the audit took: it may have had a shorter way than a scan.

    Of a ``partition`` the audit's own rows and time say nothing.
    """
    if audit is None or not audit.exact:
        return None
    known = 0.0 if partition else audit.seconds
    seen = rows if partition else max(rows, audit.rows or 0)
    return round(max(known, LOCAL_SECONDS + seen / VALIDATED_ROWS), 2)
