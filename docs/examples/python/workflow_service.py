"""Start a workflow so that every row it names exists, and belongs to the same workspace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import tuple_row

from runbook.references import InvalidReferenceError, Reference, validate_references


# --8<-- [start:order]
@dataclass(frozen=True)
class NewWorkflow:
    """What a caller asks for."""

    workspace_id: UUID
    config_version_id: str
    approval_policy_id: str
    scope_id: str
    site_id: str
    atp_category: str
    vendor_id: str | None = None

    def references(self) -> list[Reference]:
        """Every reference that is set; a vendor may be left out."""
        found = [
            Reference("workspace_id", self.workspace_id, "public.workspaces"),
            Reference("config_version_id", self.config_version_id, "public.config_versions"),
            Reference("approval_policy_id", self.approval_policy_id, "public.approval_policy_master"),
            Reference("scope_id", self.scope_id, "public.atp_scope_master"),
            Reference("site_id", self.site_id, "public.sites"),
        ]
        if self.vendor_id is not None:
            found.append(Reference("vendor_id", self.vendor_id, "public.vendor_master"))
        return found
# --8<-- [end:order]


# --8<-- [start:refused]
class RefusedError(Exception):
    """The order breaks a rule; ``errors`` says which, one for each field."""

    def __init__(self, errors: tuple[InvalidReferenceError, ...]) -> None:
        super().__init__("; ".join(str(error) for error in errors))
        self.errors = errors
# --8<-- [end:refused]


# --8<-- [start:rules]
# FOR SHARE and not FOR KEY SHARE: nobody may delete the version, and nobody may supersede it
# either, until the workflow that starts with it is committed.
STATUS = "SELECT status FROM public.config_versions WHERE id = %s FOR SHARE"

OF_WORKSPACE = """
    SELECT 'config_version_id', 'public.config_versions', id
      FROM public.config_versions WHERE id = %(config_version_id)s AND workspace_id = %(workspace_id)s
    UNION ALL
    SELECT 'approval_policy_id', 'public.approval_policy_master', id
      FROM public.approval_policy_master
     WHERE id = %(approval_policy_id)s AND workspace_id = %(workspace_id)s
    UNION ALL
    SELECT 'scope_id', 'public.atp_scope_master', id
      FROM public.atp_scope_master WHERE id = %(scope_id)s AND workspace_id = %(workspace_id)s
    UNION ALL
    SELECT 'vendor_id', 'public.vendor_master', id
      FROM public.vendor_master WHERE id = %(vendor_id)s AND workspace_id = %(workspace_id)s
"""
# --8<-- [end:rules]
