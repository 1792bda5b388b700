"""A workflow runs from its policy to its completion, and its submission is approved.

Policy and stages, instance, stages of the workflow, submission, each approval and its entry in
the action log: every step has to work and to be seen in the rows afterwards.
"""

from __future__ import annotations

from typing import LiteralString

from runbook.checks import Context, Outcome
from runbook.telecore.checks._sample import INSERTS, Sample
from runbook.telecore.checks._trial import Move, judged, walk

TITLE = "a workflow runs from its policy to its completion"
CRITERION = "C6"
WRITES = True

POLICY_STAGES: LiteralString = """
    INSERT INTO public.approval_policy_stages
        (id, policy_id, config_version_id, stage_number, stage_name, approval_role_id,
         assignment_mode, sequence_order)
    SELECT %(code)s || '-policy-' || n, %(approval_policy_master)s, %(config_versions)s, n,
           'check', %(approval_role_master)s, 'ROLE', n
      FROM pg_catalog.generate_series(1, 2) AS n
"""
STAGES: LiteralString = """
    INSERT INTO public.workflow_stages
        (id, workflow_instance_id, config_version_id, stage_number, approval_role_id,
         approver_user_id, status, policy_stage_id, created_at, updated_at)
    SELECT %(code)s || '-stage-' || stage_number, %(workflow_instances)s, config_version_id,
           stage_number, approval_role_id, %(users)s, 'PENDING', id, now(), now()
      FROM public.approval_policy_stages WHERE policy_id = %(approval_policy_master)s
"""
APPROVE_1: LiteralString = """
    UPDATE public.workflow_stages
       SET status = 'APPROVED', decided_by = %(users)s, decided_at = now(), updated_at = now()
     WHERE workflow_instance_id = %(workflow_instances)s AND stage_number = 1
"""
APPROVE_2: LiteralString = """
    UPDATE public.workflow_stages
       SET status = 'APPROVED', decided_by = %(users)s, decided_at = now(), updated_at = now()
     WHERE workflow_instance_id = %(workflow_instances)s AND stage_number = 2
"""
# The entries of the stages that are decided and have none yet.
LOG: LiteralString = """
    INSERT INTO public.workflow_stage_actions
        (id, workflow_stage_id, action_type, actor_user_id, action_at, created_at)
    SELECT s.id || '-approved', s.id, 'APPROVE', s.decided_by, s.decided_at, now()
      FROM public.workflow_stages s
     WHERE s.workflow_instance_id = %(workflow_instances)s AND s.status = 'APPROVED'
       AND NOT EXISTS (SELECT FROM public.workflow_stage_actions a WHERE a.workflow_stage_id = s.id)
"""
MOVE_ON: LiteralString = """
    UPDATE public.workflow_instances SET current_stage_number = 2, updated_at = now()
     WHERE id = %(workflow_instances)s
"""
COMPLETE: LiteralString = """
    UPDATE public.workflow_instances
       SET status = 'COMPLETED', completed_at = now(), updated_at = now()
     WHERE id = %(workflow_instances)s
"""
APPROVE: LiteralString = """
    UPDATE public.atp_submissions
       SET status = 'APPROVED', approved_at = now(), updated_at = now()
     WHERE id = %(atp_submissions)s
"""
PROBE: LiteralString = """
    SELECT (SELECT count(*) FROM public.approval_policy_stages
             WHERE policy_id = %(approval_policy_master)s),
           (SELECT status || ' at ' || current_stage_number FROM public.workflow_instances
             WHERE id = %(workflow_instances)s),
           (SELECT pg_catalog.string_agg(status, ' ' ORDER BY stage_number)
              FROM public.workflow_stages WHERE workflow_instance_id = %(workflow_instances)s),
           (SELECT count(*) FROM public.workflow_stage_actions a
              JOIN public.workflow_stages s ON s.id = a.workflow_stage_id
             WHERE s.workflow_instance_id = %(workflow_instances)s),
           (SELECT status FROM public.atp_submissions WHERE id = %(atp_submissions)s)
"""
FIRST, SECOND, DONE = "IN_PROGRESS at 1", "IN_PROGRESS at 2", "COMPLETED at 2"
NONE, ONE, BOTH = "PENDING PENDING", "APPROVED PENDING", "APPROVED APPROVED"
SENT = "PENDING_APPROVAL"
MOVES = (
    Move("a policy is created", INSERTS["approval_policy_master"], (0, None, None, 0, None)),
    Move("it gets two stages", POLICY_STAGES, (2, None, None, 0, None)),
    Move("a workflow starts", INSERTS["workflow_instances"], (2, FIRST, None, 0, None)),
    Move("it takes the stages over", STAGES, (2, FIRST, NONE, 0, None)),
    Move("the submission is handed in", INSERTS["atp_submissions"], (2, FIRST, NONE, 0, SENT)),
    Move("stage 1 is approved", APPROVE_1, (2, FIRST, ONE, 0, SENT)),
    Move("the approval is logged", LOG, (2, FIRST, ONE, 1, SENT)),
    Move("stage 2 is next", MOVE_ON, (2, SECOND, ONE, 1, SENT)),
    Move("stage 2 is approved", APPROVE_2, (2, SECOND, BOTH, 1, SENT)),
    Move("that is logged as well", LOG, (2, SECOND, BOTH, 2, SENT)),
    Move("the workflow is completed", COMPLETE, (2, DONE, BOTH, 2, SENT)),
    Move("the submission is approved", APPROVE, (2, DONE, BOTH, 2, "APPROVED")),
)
CAPTION = "After each step: stages of the policy, workflow, its stages, log entries, submission"


def run(context: Context) -> Outcome:
    with context.trying() as owner:
        sample = Sample(owner)
        sample.add("sites", "atp_scope_master", "vendor_master", "approval_role_master")
        rows = walk(owner, MOVES, PROBE, sample.values)
    return judged(rows, CAPTION, "steps of a workflow hold")
