"""Invariant 1: an ACTIVE config version cannot be deleted while a workflow uses it.

The version that is tried is named by one workflow and by nothing else, so that it is the
workflow's own reference that has to stop the delete.
"""

from __future__ import annotations

from typing import LiteralString

from runbook.checks import Context, Outcome, failed, passed
from runbook.telecore.checks._sample import PREFIX, Sample
from runbook.telecore.checks._trial import refusal

TITLE = "invariant 1: an ACTIVE config version in use cannot be deleted"
CRITERION = "C3"
WRITES = True

VERSION: LiteralString = """
    INSERT INTO public.config_versions
        (id, workspace_id, source_file_name, source_type, version_number, status,
         imported_by, imported_at, activated_at, created_at, updated_at)
    VALUES (%(used)s, %(workspaces)s, 'check.xlsx', 'SCOPE_CONFIG', 1, 'ACTIVE', %(users)s,
            now(), now(), now(), now())
"""
USE: LiteralString = """
    UPDATE public.workflow_instances SET config_version_id = %(used)s
     WHERE id = %(workflow_instances)s
"""
DELETE: LiteralString = "DELETE FROM public.config_versions WHERE id = %(used)s"


def run(context: Context) -> Outcome:
    with context.trying() as owner:
        sample = Sample(owner).add("workflow_instances")
        values = {**sample.values, "used": f"{PREFIX}used-{sample['code']}"}
        owner.execute(VERSION, values)
        owner.execute(USE, values)
        found = refusal(owner, DELETE, values)
    if found is None:
        return failed(
            "an ACTIVE config version was deleted although a workflow uses it",
            1,
            {"refused": False},
        )
    return passed(
        f"the delete is refused by {found.constraint!r} ({found.sqlstate})",
        {"refused": True, "sqlstate": found.sqlstate, "constraint": found.constraint},
    )
