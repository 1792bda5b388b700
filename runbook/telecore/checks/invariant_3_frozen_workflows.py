"""Invariant 3: no row left the config version that its workflow started with.

A workflow's policy, stages and submission are of its own config version; that version is no
draft, and was active when the workflow started. A workflow whose version is missing (an orphan)
or of another workspace (invariant 4) is counted there and not here.
"""

from __future__ import annotations

from typing import LiteralString

from runbook.checks import Context, Outcome, failed, passed
from runbook.findings import Evidence
from runbook.session import fetch

TITLE = "invariant 3: workflows keep the config version that they started with"
CRITERION = "C4"

TOTAL: LiteralString = "SELECT count(*) FROM public.workflow_instances"
FAULTS: LiteralString = """
    WITH own AS (
        SELECT w.id, w.config_version_id, w.approval_policy_id, w.started_at,
               v.status, v.activated_at
          FROM public.workflow_instances w
          JOIN public.config_versions v
            ON v.id = w.config_version_id AND v.workspace_id = w.workspace_id
    ), fault (place, id, says) AS (
        SELECT 'workflow_instances', o.id, 'its policy is of another config version'
          FROM own o JOIN public.approval_policy_master p ON p.id = o.approval_policy_id
         WHERE p.config_version_id <> o.config_version_id
        UNION ALL
        SELECT 'workflow_instances', id, 'its config version is a draft'
          FROM own WHERE status = 'DRAFT'
        UNION ALL
        SELECT 'workflow_instances', id, 'its config version became active after it started'
          FROM own WHERE activated_at > started_at
        UNION ALL
        SELECT 'workflow_stages', s.id, 'its workflow is of another config version'
          FROM own o JOIN public.workflow_stages s ON s.workflow_instance_id = o.id
         WHERE s.config_version_id <> o.config_version_id
        UNION ALL
        SELECT 'atp_submissions', s.id, 'its workflow is of another config version'
          FROM own o JOIN public.atp_submissions s ON s.workflow_instance_id = o.id
         WHERE s.config_version_id <> o.config_version_id
    )
    SELECT place, says, count(*), pg_catalog.array_to_string(
               (pg_catalog.array_agg(id ORDER BY id))[1:5], ', ')
      FROM fault GROUP BY place, says ORDER BY place, says
"""


def run(context: Context) -> Outcome:
    total = int(fetch(context.session, TOTAL)[0][0])
    faults = fetch(context.session, FAULTS)
    rows = sum(int(count) for _, _, count, _ in faults)
    facts = {"workflows": total, "faults": rows}
    if not faults:
        return passed(f"{total} workflows keep the config version they started with", facts)
    evidence = Evidence.of(("table", "fault", "rows", "examples"), faults, "Not kept")
    place, says, count, _ = faults[0]
    return failed(
        f"rows that do not keep the config version of their workflow: {rows},"
        f" the first: {count} of {place}, {says}",
        rows,
        facts,
        evidence,
    )
