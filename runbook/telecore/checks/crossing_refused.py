"""Whether the database itself would refuse a row that refers to another workspace.

Foreign keys alone do not: each is satisfied by a row of any workspace. So this is listed and
counts towards no criterion; the rows that cross are counted by ``invariant_4_workspace_isolation``.
"""

from __future__ import annotations

from typing import LiteralString

from runbook.checks import Context, Outcome, failed, passed
from runbook.findings import Evidence
from runbook.telecore.checks._sample import Sample
from runbook.telecore.checks._trial import refusal

TITLE = "a row that refers to another workspace is refused"
CRITERION = ""
WRITES = True

# What a workflow, a cluster and an override name, each of another workspace in turn.
CROSSINGS: tuple[tuple[str, str, LiteralString], ...] = (
    (
        "workflow_instances.config_version_id",
        "config_versions",
        "UPDATE public.workflow_instances SET config_version_id = %(theirs)s"
        " WHERE id = %(workflow_instances)s",
    ),
    (
        "workflow_instances.approval_policy_id",
        "approval_policy_master",
        "UPDATE public.workflow_instances SET approval_policy_id = %(theirs)s"
        " WHERE id = %(workflow_instances)s",
    ),
    (
        "workflow_instances.scope_id",
        "atp_scope_master",
        "UPDATE public.workflow_instances SET scope_id = %(theirs)s"
        " WHERE id = %(workflow_instances)s",
    ),
    (
        "workflow_instances.vendor_id",
        "vendor_master",
        "UPDATE public.workflow_instances SET vendor_id = %(theirs)s"
        " WHERE id = %(workflow_instances)s",
    ),
    (
        "approver_overrides.cluster_id",
        "cluster_master",
        "UPDATE public.approver_overrides SET cluster_id = %(theirs)s"
        " WHERE id = %(approver_overrides)s",
    ),
    (
        "approver_overrides.approval_role_id",
        "approval_role_master",
        "UPDATE public.approver_overrides SET approval_role_id = %(theirs)s"
        " WHERE id = %(approver_overrides)s",
    ),
)


def run(context: Context) -> Outcome:
    with context.trying() as owner:
        ours = Sample(owner).add("workflow_instances", "approver_overrides")
        other = Sample(owner).add(*(table for _, table, _ in CROSSINGS))
        rows = []
        for label, table, statement in CROSSINGS:
            found = refusal(owner, statement, {**ours.values, "theirs": other[table]})
            rows.append((label, f"refused ({found.sqlstate})" if found else "accepted"))
    accepted = sum(answer == "accepted" for _, answer in rows)
    facts = {"refused": len(rows) - accepted, "accepted": accepted, "total": len(rows)}
    evidence = Evidence.of(("reference", "answer"), rows, "References to another workspace")
    if accepted:
        return failed(
            f"{accepted} of {len(rows)} references to another workspace are accepted",
            accepted,
            facts,
            evidence,
        )
    return passed(f"{len(rows)} references to another workspace are refused", facts, evidence)
