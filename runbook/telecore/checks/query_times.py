"""The three queries that people wait for are fast enough: tasks, deadlines, configuration.

Each runs five times under EXPLAIN ANALYZE; the median of planning and execution counts. The
approver with the most pending tasks is asked for, so the query has something to do.
"""

from __future__ import annotations

from statistics import median
from typing import LiteralString

from runbook.checks import Context, Outcome, failed, passed
from runbook.findings import Evidence
from runbook.session import Session, fetch

TITLE = "pending tasks, deadlines and configuration are found fast enough"
CRITERION = "N1"

RUNS = 5
BUSIEST: LiteralString = """
    SELECT approver_user_id FROM public.workflow_stages
     WHERE status = 'PENDING' AND approver_user_id IS NOT NULL
     GROUP BY approver_user_id ORDER BY count(*) DESC, approver_user_id LIMIT 1
"""
PENDING_TASKS: LiteralString = """
    EXPLAIN (ANALYZE, TIMING OFF, SUMMARY ON, FORMAT JSON)
    SELECT s.id, s.stage_number, s.sla_due_at, w.id, w.site_id, w.scope_id
      FROM public.workflow_stages s
      JOIN public.workflow_instances w ON w.id = s.workflow_instance_id
     WHERE s.approver_user_id = %s AND s.status = 'PENDING' AND w.status = 'IN_PROGRESS'
     ORDER BY s.sla_due_at
"""
SLA: LiteralString = """
    EXPLAIN (ANALYZE, TIMING OFF, SUMMARY ON, FORMAT JSON)
    SELECT w.workspace_id, count(*), min(s.sla_due_at)
      FROM public.workflow_stages s
      JOIN public.workflow_instances w ON w.id = s.workflow_instance_id
     WHERE s.status = 'PENDING' AND s.sla_due_at < CURRENT_TIMESTAMP
     GROUP BY w.workspace_id
"""
CONFIG_LOOKUP: LiteralString = """
    EXPLAIN (ANALYZE, TIMING OFF, SUMMARY ON, FORMAT JSON)
    SELECT v.id, v.version_number, p.id
      FROM public.workspaces k
      JOIN public.config_versions v
        ON v.workspace_id = k.id AND v.source_type = 'APPROVAL_MATRIX' AND v.status = 'ACTIVE'
      JOIN public.approval_policy_master p ON p.workspace_id = k.id AND p.config_version_id = v.id
     WHERE k.code = %s
"""
QUERIES: tuple[tuple[str, str, LiteralString], ...] = (
    ("pending_tasks_ms", "pending tasks of the busiest approver", PENDING_TASKS),
    ("sla_ms", "overdue stages of each workspace", SLA),
    ("config_lookup_ms", "the policies in force in XLSMART-AVIAT", CONFIG_LOOKUP),
)


def run(context: Context) -> Outcome:
    busiest = fetch(context.session, BUSIEST)
    values = {
        "pending_tasks_ms": (busiest[0][0] if busiest else "",),
        "sla_ms": (),
        "config_lookup_ms": ("XLSMART-AVIAT",),
    }
    rows = []
    for name, says, query in QUERIES:
        taken = round(_milliseconds(context.session, query, values[name]), 2)
        limit = context.settings.limit(name)
        rows.append((name, says, taken, limit, "yes" if taken < limit else "no"))
    slow = [says for _, says, _, _, fine in rows if fine == "no"]
    facts = {name: taken for name, _, taken, _, _ in rows}
    evidence = Evidence.of(
        ("query", "ms (median of 5)", "limit", "within"), [row[1:] for row in rows], "Query times"
    )
    message = f"{len(rows) - len(slow)} of {len(rows)} queries are within their limits"
    if slow:
        return failed(f"{message}, not: {', '.join(slow)}", len(slow), facts, evidence)
    return passed(message, facts, evidence)


def _milliseconds(session: Session, query: LiteralString, values: tuple[str, ...]) -> float:
    """The median of planning plus execution, as the server measures it."""
    taken = []
    for _ in range(RUNS):
        plan = fetch(session, query, *values)[0][0][0]
        taken.append(float(plan["Planning Time"]) + float(plan["Execution Time"]))
    return median(taken)
