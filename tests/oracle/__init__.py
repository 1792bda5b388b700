"""PostgreSQL as the oracle: random schemas on which the runbook must say what the server says."""

from __future__ import annotations
