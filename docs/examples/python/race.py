"""The race that a check without a lock loses, with two sessions, at the worst moment."""

from __future__ import annotations

from typing import Any, LiteralString

import psycopg

from runbook.references import reference_exists

POLICY_TABLE = "public.approval_policy_master"

# --8<-- [start:race]
# a copy of any workflow, which will refer to the policy
INSERT: LiteralString = """
    INSERT INTO public.workflow_instances
        (id, workspace_id, config_version_id, approval_policy_id, scope_id, site_id, atp_category)
    SELECT 'wfi_race', workspace_id, config_version_id, %s, scope_id, site_id, atp_category
      FROM public.workflow_instances LIMIT 1
"""
DELETE: LiteralString = "DELETE FROM public.approval_policy_master WHERE id = %s"


def insert_while_deleting(
    writer: psycopg.Connection[Any],
    deleter: psycopg.Connection[Any],
    policy: str,
    *,
    lock: bool,
) -> str:
    """Check a policy in one session, delete it in the other, then insert the workflow.

    Says what became of the delete: it went through, or it had to wait and gave up.
    """
    with writer.transaction():
        if not reference_exists(writer, POLICY_TABLE, policy, lock=lock):
            raise LookupError(policy)
        try:
            with deleter.transaction():
                deleter.execute("SET LOCAL lock_timeout = '200ms'")
                deleter.execute(DELETE, [policy])
                outcome = "deleted"
        except psycopg.errors.LockNotAvailable:
            outcome = "had to wait"
        writer.execute(INSERT, [policy])
    return outcome
    # --8<-- [end:race]


# --8<-- [start:serializable]
USED: LiteralString = """
    SELECT id FROM public.workflow_instances WHERE approval_policy_id = %s LIMIT 1
"""


def insert_while_deleting_serializable(
    writer: psycopg.Connection[Any], deleter: psycopg.Connection[Any], policy: str
) -> str:
    """The same without locks, both transactions SERIALIZABLE, and the delete looks first.

    Says which of them the server refused; its program has to try again from the start.
    """
    writer.isolation_level = deleter.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
    outcome = "the insert was refused"
    try:
        with writer.transaction():
            if not reference_exists(writer, POLICY_TABLE, policy):
                raise LookupError(policy)
            try:
                with deleter.transaction():
                    if deleter.execute(USED, [policy]).fetchone() is None:
                        deleter.execute(DELETE, [policy])
            except psycopg.errors.SerializationFailure:
                outcome = "the delete was refused"
            writer.execute(INSERT, [policy])
    except psycopg.errors.SerializationFailure:
        return outcome
    return outcome if outcome == "the delete was refused" else "both went through"
    # --8<-- [end:serializable]
