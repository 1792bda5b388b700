"""What foreign keys cost: a quick look in a rolled back transaction, and the whole on a copy."""

from __future__ import annotations

from runbook.impact.inserts import Impact, busiest, measure

__all__ = ["Impact", "busiest", "measure"]
