"""Start a workflow so that every row it names exists, and belongs to the same workspace."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, LiteralString
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import tuple_row

from runbook.references import (
    InvalidReferenceError,
    Reference,
    translated,
    validate_references,
)


# --8<-- [start:order]
@dataclass(frozen=True)
class NewWorkflow:
    """What a caller asks for; a vendor may be left out."""

    workspace_id: UUID
    config_version_id: str
    approval_policy_id: str
    scope_id: str
    site_id: str
    atp_category: str
    vendor_id: str | None = None

    def references(self) -> list[Reference]:
        """Every reference that is set."""
        tables = {
            "workspace_id": "public.workspaces",
            "config_version_id": "public.config_versions",
            "approval_policy_id": "public.approval_policy_master",
            "scope_id": "public.atp_scope_master",
            "site_id": "public.sites",
        }
        if self.vendor_id is not None:
            tables["vendor_id"] = "public.vendor_master"
        return [Reference(field, getattr(self, field), table) for field, table in tables.items()]
        # --8<-- [end:order]


# --8<-- [start:refused]
class RefusedError(Exception):
    """The order breaks a rule; ``errors`` has one entry for each field at fault."""

    def __init__(self, *errors: InvalidReferenceError) -> None:
        super().__init__("; ".join(str(error) for error in errors))
        self.errors = errors
        # --8<-- [end:refused]


# --8<-- [start:rules]
# FOR SHARE, which is more than FOR KEY SHARE: until we commit nobody can supersede the version.
RULES: LiteralString = """
    SELECT config.status,
           config.workspace_id = %(workspace_id)s,
           policy.workspace_id = %(workspace_id)s,
           scope.workspace_id = %(workspace_id)s,
           site.workspace_id IS NULL OR site.workspace_id = %(workspace_id)s,
           vendor.workspace_id = %(workspace_id)s
      FROM public.config_versions AS config
      JOIN public.approval_policy_master AS policy ON policy.id = %(approval_policy_id)s
      JOIN public.atp_scope_master AS scope ON scope.id = %(scope_id)s
      JOIN public.sites AS site ON site.id = %(site_id)s
      LEFT JOIN public.vendor_master AS vendor ON vendor.id = %(vendor_id)s
     WHERE config.id = %(config_version_id)s
       FOR SHARE OF config
"""
OWNED = ("config_version_id", "approval_policy_id", "scope_id", "site_id", "vendor_id")


def broken_rules(
    connection: psycopg.Connection[Any], order: NewWorkflow
) -> list[InvalidReferenceError]:
    """What is wrong with rows that exist: another workspace, or a version that is not ACTIVE."""
    tables = {reference.field: reference.table for reference in order.references()}
    cursor = psycopg.Cursor(connection, row_factory=tuple_row)
    ((status, *ours),) = cursor.execute(RULES, asdict(order)).fetchall()
    errors = [
        InvalidReferenceError(field, getattr(order, field), tables[field], "of another workspace")
        for field, mine in zip(OWNED, ours, strict=True)
        if field in tables and not mine
    ]
    if status != "ACTIVE":
        field = "config_version_id"
        reason = f"{status} and not ACTIVE"
        errors.append(InvalidReferenceError(field, getattr(order, field), tables[field], reason))
    return errors
    # --8<-- [end:rules]


# --8<-- [start:create]
INSERT: LiteralString = """
    INSERT INTO public.workflow_instances
        (id, workspace_id, config_version_id, approval_policy_id, scope_id, site_id, vendor_id,
         atp_category, status, started_at)
    VALUES (%(id)s, %(workspace_id)s, %(config_version_id)s, %(approval_policy_id)s, %(scope_id)s,
            %(site_id)s, %(vendor_id)s, %(atp_category)s, 'IN_PROGRESS', now())
"""


def create_workflow_instance(connection: psycopg.Connection[Any], order: NewWorkflow) -> str:
    """Insert the workflow and return its id; raises RefusedError and writes nothing otherwise.

    Where the database has the foreign keys as well, their refusal is the same kind of error:
    InvalidReferenceError.
    """
    with translated(order.references(), connection), connection.transaction():
        # first the lock, then the rules, then the row: all in one transaction
        missing = validate_references(connection, order.references(), lock=True).errors
        if missing:
            raise RefusedError(*missing)
        broken = broken_rules(connection, order)
        if broken:
            raise RefusedError(*broken)
        workflow = f"wfi_{uuid4().hex}"
        connection.execute(INSERT, {"id": workflow, **asdict(order)})
    return workflow
    # --8<-- [end:create]
