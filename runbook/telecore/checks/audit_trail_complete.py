"""Every decision left its trace: who, when, and an entry in the action log.

A decided stage names who decided it and when, and its log holds that decision; a COMPLETED
workflow has an end and no stage that is undecided; the moments that rows were made and changed
cannot be NULL.
"""

from __future__ import annotations

from typing import LiteralString

from runbook.checks import Context, Outcome, failed, passed
from runbook.findings import Evidence, counted
from runbook.schema import TableName
from runbook.session import fetch

TITLE = "the audit trail is complete"
CRITERION = "I3"

TOTAL: LiteralString = """
    SELECT count(*) FROM public.workflow_stages WHERE status IN ('APPROVED', 'REJECTED')
"""
FAULTS: LiteralString = """
    WITH fault (place, id, says) AS (
        SELECT 'workflow_stages', s.id, 'decided, but not by whom or not when'
          FROM public.workflow_stages s
         WHERE s.status IN ('APPROVED', 'REJECTED')
           AND (s.decided_by IS NULL OR s.decided_at IS NULL)
        UNION ALL
        SELECT 'workflow_stages', s.id, 'decided, but its log has no such action'
          FROM public.workflow_stages s
         WHERE s.status IN ('APPROVED', 'REJECTED')
           AND NOT EXISTS (
               SELECT FROM public.workflow_stage_actions a
                WHERE a.workflow_stage_id = s.id
                  AND (s.status, a.action_type)
                      IN (('APPROVED', 'APPROVE'), ('REJECTED', 'REJECT')))
        UNION ALL
        SELECT 'workflow_instances', w.id, 'COMPLETED without its moment'
          FROM public.workflow_instances w
         WHERE w.status = 'COMPLETED' AND w.completed_at IS NULL
        UNION ALL
        SELECT 'workflow_instances', w.id, 'COMPLETED without a stage'
          FROM public.workflow_instances w
         WHERE w.status = 'COMPLETED'
           AND NOT EXISTS (
               SELECT FROM public.workflow_stages s WHERE s.workflow_instance_id = w.id)
        UNION ALL
        SELECT 'workflow_stages', s.id, 'PENDING in a workflow that is COMPLETED'
          FROM public.workflow_stages s
          JOIN public.workflow_instances w ON w.id = s.workflow_instance_id
         WHERE w.status = 'COMPLETED' AND s.status = 'PENDING'
    )
    SELECT place, says, count(*), pg_catalog.array_to_string(
               (pg_catalog.array_agg(id ORDER BY id))[1:5], ', ')
      FROM fault GROUP BY place, says ORDER BY place, says
"""
MOMENTS = {
    "config_versions": ("imported_at", "created_at", "updated_at"),
    "workflow_instances": ("created_at", "updated_at"),
    "workflow_stages": ("created_at", "updated_at"),
    "workflow_stage_actions": ("action_at", "created_at"),
    "approver_overrides": ("created_at",),
    "atp_submissions": ("created_at", "updated_at"),
    "atp_submission_documents": ("uploaded_at", "created_at"),
    "punchlists": ("issued_at", "created_at", "updated_at"),
    "punchlist_items": ("created_at", "updated_at"),
}


def run(context: Context) -> Outcome:
    decided = int(fetch(context.session, TOTAL)[0][0])
    found = [tuple(row) for row in fetch(context.session, FAULTS)]
    rows = sum(int(count) for _, _, count, _ in found)
    loose = _loose(context)
    found += [(table, f"{column} may be NULL", 1, "") for table, column in loose]
    facts = {"decided": decided, "rows": rows, "columns": len(loose)}
    if not found:
        return passed(f"{decided} decided stages have a complete trail", facts)
    evidence = Evidence.of(("table", "fault", "count", "examples"), found, "Gaps in the trail")
    failing = rows + len(loose)
    place, says, count, _ = found[0]
    return failed(
        f"{counted(failing, 'gap')} in the audit trail, the first: {count} of {place}, {says}",
        failing,
        facts,
        evidence,
    )


def _loose(context: Context) -> list[tuple[str, str]]:
    """The moments that a row may lack."""
    return [
        (table, name)
        for table, names in MOMENTS.items()
        for name in names
        if not (
            (column := context.schema.tables[TableName("public", table)].column(name))
            and column.not_null
        )
    ]
