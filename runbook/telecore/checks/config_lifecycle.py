"""A config version goes from DRAFT to ACTIVE to SUPERSEDED, and its successor takes its place."""

from __future__ import annotations

from typing import LiteralString

from runbook.checks import Context, Outcome
from runbook.telecore.checks._sample import PREFIX, Sample
from runbook.telecore.checks._trial import Move, judged, walk

TITLE = "a config version goes from DRAFT to ACTIVE to SUPERSEDED"
CRITERION = "C3"
WRITES = True

DRAFT: LiteralString = """
    INSERT INTO public.config_versions
        (id, workspace_id, source_file_name, source_type, version_number, status,
         imported_by, imported_at, created_at, updated_at)
    VALUES (%(first)s, %(workspaces)s, 'check.xlsx', 'APPROVAL_MATRIX', 1, 'DRAFT',
            %(users)s, now(), now(), now())
"""
NEXT_DRAFT: LiteralString = """
    INSERT INTO public.config_versions
        (id, workspace_id, source_file_name, source_type, version_number, status,
         imported_by, imported_at, previous_version_id, created_at, updated_at)
    VALUES (%(second)s, %(workspaces)s, 'check.xlsx', 'APPROVAL_MATRIX', 2, 'DRAFT',
            %(users)s, now(), %(first)s, now(), now())
"""
ACTIVATE_FIRST: LiteralString = """
    UPDATE public.config_versions SET status = 'ACTIVE', activated_at = now() WHERE id = %(first)s
"""
SUPERSEDE: LiteralString = """
    UPDATE public.config_versions SET status = 'SUPERSEDED', superseded_by_id = %(second)s
     WHERE id = %(first)s
"""
ACTIVATE_SECOND: LiteralString = """
    UPDATE public.config_versions SET status = 'ACTIVE', activated_at = now() WHERE id = %(second)s
"""
ARCHIVE: LiteralString = """
    UPDATE public.config_versions SET status = 'ARCHIVED', archived_at = now() WHERE id = %(first)s
"""
PROBE: LiteralString = """
    SELECT a.status, b.status, a.superseded_by_id = %(second)s
      FROM (VALUES (%(first)s, %(second)s)) AS v (a, b)
      LEFT JOIN public.config_versions a ON a.id = v.a
      LEFT JOIN public.config_versions b ON b.id = v.b
"""
MOVES = (
    Move("a draft is imported", DRAFT, ("DRAFT", None, None)),
    Move("the draft becomes active", ACTIVATE_FIRST, ("ACTIVE", None, None)),
    Move("a second draft is imported", NEXT_DRAFT, ("ACTIVE", "DRAFT", None)),
    Move("it supersedes the active one", SUPERSEDE, ("SUPERSEDED", "DRAFT", True)),
    Move("the second becomes active", ACTIVATE_SECOND, ("SUPERSEDED", "ACTIVE", True)),
    Move("the first is archived", ARCHIVE, ("ARCHIVED", "ACTIVE", True)),
)


def run(context: Context) -> Outcome:
    with context.trying() as owner:
        sample = Sample(owner).add("workspaces", "users")
        first = f"{PREFIX}first-{sample['code']}"
        values = {**sample.values, "first": first, "second": f"{PREFIX}second-{sample['code']}"}
        rows = walk(owner, MOVES, PROBE, values)
    return judged(rows, "The life of a config version", "steps of a config version's life hold")
