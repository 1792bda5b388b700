"""A workflow that runs keeps its config version when the next one is drafted and activated.

So do its stages and its submission. ``invariant_3_frozen_workflows`` looks for rows in the
database that were not kept.
"""

from __future__ import annotations

from typing import LiteralString

from runbook.checks import Context, Outcome
from runbook.telecore.checks._sample import PREFIX, Sample
from runbook.telecore.checks._trial import Move, judged, walk

TITLE = "a workflow keeps its config version when a newer one becomes active"
CRITERION = "C4"
WRITES = True

DRAFT: LiteralString = """
    INSERT INTO public.config_versions
        (id, workspace_id, source_file_name, source_type, version_number, status,
         imported_by, imported_at, previous_version_id, created_at, updated_at)
    VALUES (%(next)s, %(workspaces)s, 'check.xlsx', 'APPROVAL_MATRIX', 2, 'DRAFT', %(users)s,
            now(), %(config_versions)s, now(), now())
"""
SUPERSEDE: LiteralString = """
    UPDATE public.config_versions SET status = 'SUPERSEDED', superseded_by_id = %(next)s
     WHERE id = %(config_versions)s
"""
ACTIVATE: LiteralString = """
    UPDATE public.config_versions SET status = 'ACTIVE', activated_at = now() WHERE id = %(next)s
"""
PROBE: LiteralString = """
    SELECT (SELECT config_version_id = %(config_versions)s FROM public.workflow_instances
             WHERE id = %(workflow_instances)s),
           (SELECT config_version_id = %(config_versions)s FROM public.workflow_stages
             WHERE id = %(workflow_stages)s),
           (SELECT config_version_id = %(config_versions)s FROM public.atp_submissions
             WHERE id = %(atp_submissions)s)
"""
KEPT = (True, True, True)
MOVES = (
    Move("a new draft is imported", DRAFT, KEPT),
    Move("it supersedes the active version", SUPERSEDE, KEPT),
    Move("it becomes active", ACTIVATE, KEPT),
)


def run(context: Context) -> Outcome:
    with context.trying() as owner:
        sample = Sample(owner).add("workflow_stages", "atp_submissions")
        values = {**sample.values, "next": f"{PREFIX}next-{sample['code']}"}
        rows = walk(owner, MOVES, PROBE, values)
    return judged(
        rows,
        "After each step: do workflow, stage and submission keep their config version",
        "changes of the configuration leave a running workflow alone",
    )
