"""Delete a policy that nobody uses: the other half of every check on insert."""

from __future__ import annotations

from typing import Any, LiteralString

import psycopg

from runbook.references import StillReferencedError

# --8<-- [start:delete]
LOCK: LiteralString = "SELECT id FROM public.approval_policy_master WHERE id = %s FOR UPDATE"
USED: LiteralString = """
    SELECT id FROM public.workflow_instances WHERE approval_policy_id = %s LIMIT 1
"""
DELETE: LiteralString = "DELETE FROM public.approval_policy_master WHERE id = %s"


def delete_policy(connection: psycopg.Connection[Any], policy: str) -> None:
    """Delete a policy; raises StillReferencedError while a workflow refers to it.

    The lock comes first and waits for every session that has looked this policy up with a lock.
    The search is a statement of its own, so under READ COMMITTED it sees what they committed.
    """
    with connection.transaction():
        connection.execute(LOCK, [policy])
        if connection.execute(USED, [policy]).fetchone() is not None:
            raise StillReferencedError("id", policy, "public.workflow_instances")
        connection.execute(DELETE, [policy])
        # --8<-- [end:delete]
