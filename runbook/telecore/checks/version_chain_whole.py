"""The config versions of a workspace and source type form whole chains.

A previous version exists, is of the same workspace and source type and has a lower number, so
that no chain can run in a circle; a version that was activated is named by its previous one as
its successor, and the other way round; what is SUPERSEDED says by which version.
"""

from __future__ import annotations

from typing import LiteralString

from runbook.checks import Context, Outcome, failed, passed
from runbook.findings import Evidence, counted
from runbook.session import fetch

TITLE = "the chains of config versions are whole"
CRITERION = "C3"

TOTAL: LiteralString = "SELECT count(*) FROM public.config_versions"
FAULTS: LiteralString = """
    SELECT v.id, v.previous_version_id, 'the previous version is missing'
      FROM public.config_versions v
      LEFT JOIN public.config_versions p ON p.id = v.previous_version_id
     WHERE v.previous_version_id IS NOT NULL AND p.id IS NULL
    UNION ALL
    SELECT v.id, p.id, 'the previous version is of another workspace or source type'
      FROM public.config_versions v
      JOIN public.config_versions p ON p.id = v.previous_version_id
     WHERE (p.workspace_id, p.source_type) IS DISTINCT FROM (v.workspace_id, v.source_type)
    UNION ALL
    SELECT v.id, p.id, 'the previous version has no lower number'
      FROM public.config_versions v
      JOIN public.config_versions p ON p.id = v.previous_version_id
     WHERE p.version_number >= v.version_number
    UNION ALL
    SELECT v.id, v.superseded_by_id, 'the superseding version is missing'
      FROM public.config_versions v
      LEFT JOIN public.config_versions s ON s.id = v.superseded_by_id
     WHERE v.superseded_by_id IS NOT NULL AND s.id IS NULL
    UNION ALL
    SELECT v.id, s.id, 'the superseding version names another previous one'
      FROM public.config_versions v
      JOIN public.config_versions s ON s.id = v.superseded_by_id
     WHERE s.previous_version_id IS DISTINCT FROM v.id
    UNION ALL
    SELECT v.id, s.id, 'its successor was activated, but it names no superseding version'
      FROM public.config_versions v
      JOIN public.config_versions s ON s.previous_version_id = v.id
     WHERE s.activated_at IS NOT NULL AND v.superseded_by_id IS NULL AND v.status <> 'SUPERSEDED'
    UNION ALL
    SELECT v.id, NULL, 'it is SUPERSEDED, but by no version'
      FROM public.config_versions v
     WHERE v.status = 'SUPERSEDED' AND v.superseded_by_id IS NULL
     ORDER BY 1, 3
"""


def run(context: Context) -> Outcome:
    total = int(fetch(context.session, TOTAL)[0][0])
    faults = fetch(context.session, FAULTS)
    facts = {"versions": total, "faults": len(faults)}
    if not faults:
        return passed(f"{total} config versions form whole chains", facts)
    evidence = Evidence.of(("config version", "refers to", "fault"), faults, "Broken chains")
    first = f"{faults[0][0]}: {faults[0][2]}"
    return failed(
        f"{counted(len(faults), 'fault')} in the chains of {total} config versions,"
        f" the first: {first}",
        len(faults),
        facts,
        evidence,
    )
