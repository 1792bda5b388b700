"""Invariant 2: the rows have at most one ACTIVE config version per workspace and source type.

This counts the rows; ``unique_active_config`` looks at the index that should prevent it, and
``second_active_refused`` tries it.
"""

from __future__ import annotations

from typing import LiteralString

from runbook.checks import Context, Outcome, failed, passed
from runbook.findings import Evidence
from runbook.session import fetch

TITLE = "invariant 2: at most one ACTIVE config version per workspace and source type"
CRITERION = "C3"

ACTIVE: LiteralString = """
    SELECT workspace_id::text, source_type, count(*), pg_catalog.string_agg(id, ', ' ORDER BY id)
      FROM public.config_versions
     WHERE status = 'ACTIVE'
     GROUP BY workspace_id, source_type
     ORDER BY 1, 2
"""


def run(context: Context) -> Outcome:
    groups = fetch(context.session, ACTIVE)
    wrong = [row for row in groups if row[2] > 1]
    facts = {"groups": len(groups), "several": len(wrong)}
    if not wrong:
        return passed(f"{len(groups)} workspaces and source types have one ACTIVE version", facts)
    evidence = Evidence.of(
        ("workspace", "source type", "ACTIVE", "config versions"), wrong, "More than one ACTIVE"
    )
    return failed(
        f"{len(wrong)} of {len(groups)} workspaces and source types have several ACTIVE versions",
        len(wrong),
        facts,
        evidence,
    )
