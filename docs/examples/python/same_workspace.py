"""Two columns that are one reference: a site that is of the same workspace."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import psycopg

from runbook.references import Reference, Validation, validate_references


# --8<-- [start:several]
def site_of_workspace(
    connection: psycopg.Connection[Any], workspace_id: UUID, site_id: str | None
) -> Validation:
    """Whether the workspace has the site; with no site at all there is nothing to check."""
    reference = Reference(
        ("workspace_id", "site_id"),
        (workspace_id, site_id),
        "public.sites",
        ("workspace_id", "id"),
        optional=True,  # MATCH SIMPLE, as PostgreSQL has it where a key says nothing
    )
    return validate_references(connection, [reference])
    # --8<-- [end:several]
