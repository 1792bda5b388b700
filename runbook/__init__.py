"""Documentation of a database's referential integrity that is executed, not written."""

from __future__ import annotations

__version__ = "0.1.0"
