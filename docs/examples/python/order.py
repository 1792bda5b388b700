"""Check a request's references before anything is written: the first lines of a handler."""

from __future__ import annotations

from typing import Any

import psycopg

from runbook.references import Reference, reference_exists, validate_references


# --8<-- [start:one]
def site_is_known(connection: psycopg.Connection[Any], site_id: str) -> bool:
    """One reference: a yes or a no."""
    return reference_exists(connection, "sites", site_id)
    # --8<-- [end:one]


# --8<-- [start:many]
def faults_of_order(
    connection: psycopg.Connection[Any], order: dict[str, str | None]
) -> list[dict[str, object]]:
    """Many references to many tables: one round trip, and every fault at once.

    The list goes into the body of an answer 400 as it is; it is empty when all rows exist.
    """
    result = validate_references(
        connection,
        [
            Reference("workspace_id", order.get("workspace_id"), "workspaces"),
            Reference("config_version_id", order.get("config_version_id"), "config_versions"),
            Reference("site_id", order.get("site_id"), "sites"),
        ],
    )
    return [dict(error.to_json()) for error in result.errors]
    # --8<-- [end:many]
