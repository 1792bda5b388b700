"""Rows that a writing check makes for itself: one of each table, in a workspace of their own.

Every id begins with ``check-`` and is made up anew, so that a check depends on no row of the
database and meets none. The rows live in a transaction that is rolled back; the check
``nothing_left_behind`` looks for those that did not go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, LiteralString
from uuid import uuid4

from runbook.session import Session

PREFIX = "check-"
_PLACEHOLDER = re.compile(r"%\((\w+)\)s")

# A placeholder named like a table is the id of the sample's row there, which is made first.
INSERTS: Mapping[str, LiteralString] = {
    "workspaces": """
        INSERT INTO public.workspaces
            (id, code, name, customer_group_id, vendor_owner_id, is_active, updated_at)
        VALUES (%(workspaces)s, %(code)s, 'made by a check', 'check', 'check', true, now())
    """,
    "users": """
        INSERT INTO public.users (id, email, name, role, is_active, updated_at)
        VALUES (%(users)s, %(code)s || '@check.invalid', 'made by a check', 'SME', true, now())
    """,
    "sites": """
        INSERT INTO public.sites (id, site_id, site_name, region, city, workspace_id, updated_at)
        VALUES (%(sites)s, %(code)s, 'check', 'check', 'check', %(workspaces)s, now())
    """,
    "documents": """
        INSERT INTO public.documents (id, title, file_name, updated_at)
        VALUES (%(documents)s, 'made by a check', 'check.pdf', now())
    """,
    "config_versions": """
        INSERT INTO public.config_versions
            (id, workspace_id, source_file_name, source_type, version_number, status,
             imported_by, imported_at, activated_at, created_at, updated_at)
        VALUES (%(config_versions)s, %(workspaces)s, 'check.xlsx', 'APPROVAL_MATRIX', %(number)s,
                'ACTIVE', %(users)s, now(), now(), now(), now())
    """,
    "atp_scope_master": """
        INSERT INTO public.atp_scope_master
            (id, workspace_id, config_version_id, scope_code, scope_name, scope_group, atp_type)
        VALUES (%(atp_scope_master)s, %(workspaces)s, %(config_versions)s, 'CHECK', 'check',
                'CHECK', 'BOTH')
    """,
    "vendor_master": """
        INSERT INTO public.vendor_master
            (id, workspace_id, config_version_id, vendor_code, vendor_name, vendor_type)
        VALUES (%(vendor_master)s, %(workspaces)s, %(config_versions)s, 'CHECK', 'check', 'CHECK')
    """,
    "approval_role_master": """
        INSERT INTO public.approval_role_master
            (id, workspace_id, config_version_id, role_code, role_name, hierarchy_order,
             stage_group)
        VALUES (%(approval_role_master)s, %(workspaces)s, %(config_versions)s, 'CHECK', 'check', 1,
                'REVIEW')
    """,
    "approval_policy_master": """
        INSERT INTO public.approval_policy_master
            (id, workspace_id, config_version_id, scope_id, atp_category, policy_version)
        VALUES (%(approval_policy_master)s, %(workspaces)s, %(config_versions)s,
                %(atp_scope_master)s, 'BOTH', '1.0')
    """,
    "approval_policy_stages": """
        INSERT INTO public.approval_policy_stages
            (id, policy_id, config_version_id, stage_number, stage_name, approval_role_id,
             assignment_mode, sequence_order, sla_hours, sla_days)
        VALUES (%(approval_policy_stages)s, %(approval_policy_master)s, %(config_versions)s,
                %(number)s, 'check', %(approval_role_master)s, 'ROLE', %(number)s, 48, 2)
    """,
    "cluster_master": """
        INSERT INTO public.cluster_master
            (id, workspace_id, config_version_id, scope_id, region_name, cluster_code)
        VALUES (%(cluster_master)s, %(workspaces)s, %(config_versions)s, %(atp_scope_master)s,
                'CHECK', 'CHECK')
    """,
    "cluster_approver_master": """
        INSERT INTO public.cluster_approver_master
            (id, workspace_id, cluster_id, config_version_id, approval_role_id, primary_user_id)
        VALUES (%(cluster_approver_master)s, %(workspaces)s, %(cluster_master)s,
                %(config_versions)s, %(approval_role_master)s, %(users)s)
    """,
    "workflow_instances": """
        INSERT INTO public.workflow_instances
            (id, workspace_id, config_version_id, approval_policy_id, site_id, vendor_id, scope_id,
             atp_category, status, current_stage_number, total_stages, started_at, created_by,
             created_at, updated_at)
        VALUES (%(workflow_instances)s, %(workspaces)s, %(config_versions)s,
                %(approval_policy_master)s, %(sites)s, %(vendor_master)s, %(atp_scope_master)s,
                'BOTH', 'IN_PROGRESS', 1, 2, now(), %(users)s, now(), now())
    """,
    "workflow_stages": """
        INSERT INTO public.workflow_stages
            (id, workflow_instance_id, config_version_id, stage_number, approval_role_id,
             approver_user_id, status, sla_due_at, created_at, updated_at)
        VALUES (%(workflow_stages)s, %(workflow_instances)s, %(config_versions)s, %(number)s,
                %(approval_role_master)s, %(users)s, 'PENDING', now(), now(), now())
    """,
    "workflow_stage_actions": """
        INSERT INTO public.workflow_stage_actions
            (id, workflow_stage_id, action_type, actor_user_id, action_at, created_at)
        VALUES (%(workflow_stage_actions)s, %(workflow_stages)s, 'ASSIGN', %(users)s, now(), now())
    """,
    "atp_submissions": """
        INSERT INTO public.atp_submissions
            (id, workspace_id, config_version_id, site_id, scope_id, vendor_id, atp_category,
             workflow_instance_id, status, submitted_at, created_by, created_at, updated_at)
        VALUES (%(atp_submissions)s, %(workspaces)s, %(config_versions)s, %(sites)s,
                %(atp_scope_master)s, %(vendor_master)s, 'BOTH', %(workflow_instances)s,
                'PENDING_APPROVAL', now(), %(users)s, now(), now())
    """,
    "atp_submission_documents": """
        INSERT INTO public.atp_submission_documents
            (id, workspace_id, submission_id, document_id, document_type, uploaded_at, created_at)
        VALUES (%(atp_submission_documents)s, %(workspaces)s, %(atp_submissions)s, %(documents)s,
                'CHECK', now(), now())
    """,
    "approver_overrides": """
        INSERT INTO public.approver_overrides
            (id, workspace_id, override_type, approval_role_id, from_user_id, to_user_id,
             override_reason, created_at)
        VALUES (%(approver_overrides)s, %(workspaces)s, 'REGION', %(approval_role_master)s,
                %(users)s, %(users)s, 'made by a check', now())
    """,
    "punchlists": """
        INSERT INTO public.punchlists
            (id, workflow_instance_id, status, issued_at, created_at, updated_at)
        VALUES (%(punchlists)s, %(workflow_instances)s, 'OPEN', now(), now(), now())
    """,
    "punchlist_items": """
        INSERT INTO public.punchlist_items
            (id, punchlist_id, item_code, description, status, created_at, updated_at)
        VALUES (%(punchlist_items)s, %(punchlists)s, 'CHECK', 'made by a check', 'OPEN', now(),
                now())
    """,
}


class Sample:
    """A workspace of its own; :meth:`add` makes its row of a table, with all that it needs.

    ``values`` holds what the statements take: the ids by table, ``code`` and ``number``.
    """

    def __init__(self, owner: Session) -> None:
        self._owner = owner
        self._made: set[str] = set()
        token = uuid4()
        self.values: dict[str, Any] = {t: f"{PREFIX}{t}-{token.hex}" for t in INSERTS}
        self.values |= {"workspaces": token, "code": f"{PREFIX}{token.hex}", "number": 1}

    def __getitem__(self, table: str) -> Any:
        """The id of the sample's row of ``table``."""
        return self.values[table]

    def add(self, *tables: str) -> Sample:
        """Insert the sample's rows of these tables, after the rows that they refer to."""
        for table in tables:
            if table in self._made:
                continue
            self._made.add(table)
            self.add(*(need for need in _PLACEHOLDER.findall(INSERTS[table]) if need in INSERTS))
            self._owner.execute(INSERTS[table], self.values)
        return self
