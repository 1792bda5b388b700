"""Keeps an audit from a server that is busy with others."""

from __future__ import annotations

from typing import LiteralString

from runbook import session as sessions
from runbook.audit.work import Work
from runbook.errors import UsageError
from runbook.findings import counted
from runbook.session import Session, fetch

SECONDS = 2.0  # between two looks

SEES_OTHERS: LiteralString = """
    SELECT current_user::text, pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')
"""
ACTIVE: LiteralString = """
    SELECT count(*) FROM pg_catalog.pg_stat_activity
     WHERE state = 'active' AND application_name <> %s AND backend_type = 'client backend'
"""


def must_see_others(session: Session) -> None:
    """Without pg_read_all_stats the others' sessions look idle, and nobody would ever wait."""
    role, sees = fetch(session, SEES_OTHERS)[0]
    if not sees:
        raise UsageError(
            f"max_load: {role!r} may not see what other sessions do",
            f"GRANT pg_read_all_stats TO {role}, or do without max_load",
        )


def wait(work: Work, session: Session) -> None:
    """Wait while others keep the server busy; the budget goes on meanwhile."""
    most = work.limits.max_load
    if most is None:
        return
    while not work.stopped.is_set():
        left = work.left()
        active = fetch(session, ACTIVE, sessions.APPLICATION_NAME)[0][0]
        if active <= most or (left is not None and left <= 0):
            return
        others = counted(active, "session of others is", "sessions of others are")
        work.waits(f"waits: {others} active, at most {most}")
        work.stopped.wait(SECONDS)
