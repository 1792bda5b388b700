"""The workspace of the rollout was seeded, and is in use."""

from __future__ import annotations

from typing import LiteralString

from runbook.checks import Context, Outcome, failed, passed
from runbook.session import fetch

TITLE = "the workspace XLSMART-AVIAT exists and is active"
CRITERION = ""

CODE = "XLSMART-AVIAT"
WORKSPACE: LiteralString = """
    SELECT id::text, coalesce(is_active, false) FROM public.workspaces WHERE code = %s
"""


def run(context: Context) -> Outcome:
    rows = fetch(context.session, WORKSPACE, CODE)
    if not rows:
        return failed(f"no workspace {CODE!r}", 1, {"found": False})
    identifier, active = rows[0]
    facts = {"found": True, "active": active, "id": identifier}
    if not active:
        return failed(f"the workspace {CODE!r} is not active", 1, facts)
    return passed(f"the workspace {CODE!r} exists and is active", facts)
