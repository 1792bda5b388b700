"""What an application decides once for all its checks."""

from __future__ import annotations

from dataclasses import dataclass

from runbook.references.cache import Cache
from runbook.references.declared import Declared
from runbook.references.metrics import Metrics


@dataclass(frozen=True)
class Setup:
    """The parents that may be asked for, the rows to remember, and where to count.

    Without ``declared`` any table may be asked for; then its name must not come from a request.
    """

    declared: Declared | None = None
    cache: Cache | None = None
    metrics: Metrics | None = None


PLAIN = Setup()
