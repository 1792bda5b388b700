"""Disposable copies of a database: made from a dump or a sample, and gone afterwards."""

from __future__ import annotations

from runbook.disposable.copying import Copy, Wanted, copied
from runbook.disposable.server import CopyServer, given, private

__all__ = ["Copy", "CopyServer", "Wanted", "copied", "given", "private"]
