"""Import records only if every reference in all of them exists."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import Any, LiteralString

import psycopg

from runbook.references import BatchValidation, Parent, validate_batch_references

# --8<-- [start:import]
PARENTS = {
    "workspace_id": Parent("public.workspaces"),
    "config_version_id": Parent("public.config_versions"),
    "scope_id": Parent("public.atp_scope_master"),
    "site_id": Parent("public.sites"),
    "vendor_id": Parent("public.vendor_master", optional=True),
}
COPY: LiteralString = """
    COPY public.atp_submissions
        (workspace_id, config_version_id, scope_id, site_id, vendor_id, atp_category) FROM STDIN
"""


def import_submissions(
    connection: psycopg.Connection[Any], lines: Iterable[str]
) -> BatchValidation:
    """Insert the submissions of a CSV file, all of them or none.

    The errors have the index of their record, which counts from 0 and from below the header.
    """
    records: list[dict[str, Any]] = [
        record | {"vendor_id": record["vendor_id"] or None} for record in csv.DictReader(lines)
    ]
    with connection.transaction():
        # one round trip for many records; the lock keeps the parents until the commit
        found = validate_batch_references(connection, records, PARENTS, lock=True)
        if found.valid:
            with connection.cursor().copy(COPY) as copy:
                for record in records:
                    fields = [*PARENTS, "atp_category"]
                    copy.write_row([record[field] for field in fields])
    return found
    # --8<-- [end:import]
