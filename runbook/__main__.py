"""``python -m runbook`` is the command ``runbook``."""

from __future__ import annotations

from runbook.cli import main

main()
