"""There are enough active users to approve something: one who submits, one who decides."""

from __future__ import annotations

from typing import LiteralString

from runbook.checks import Context, Outcome, failed, passed
from runbook.session import fetch

TITLE = "there are enough active users"
CRITERION = ""

ACTIVE: LiteralString = "SELECT count(*) FROM public.users WHERE is_active"


def run(context: Context) -> Outcome:
    found = int(fetch(context.session, ACTIVE)[0][0])
    floor = int(context.settings.limit("active_users"))
    facts = {"found": found, "floor": floor}
    message = f"{found} active users, expected at least {floor}"
    return failed(message, floor - found, facts) if found < floor else passed(message, facts)
