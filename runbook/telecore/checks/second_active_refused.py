"""A second ACTIVE config version of the same workspace and source type is refused (23505).

And nothing more than that is refused: another source type and another workspace have one each.
"""

from __future__ import annotations

from typing import LiteralString
from uuid import uuid4

from runbook.checks import Context, Outcome, failed, passed
from runbook.findings import Evidence
from runbook.telecore.checks._sample import INSERTS, PREFIX, Sample
from runbook.telecore.checks._trial import refusal

TITLE = "a second ACTIVE config version is refused"
CRITERION = "C3"
WRITES = True

UNIQUE_VIOLATION = "23505"
ACTIVE: LiteralString = """
    INSERT INTO public.config_versions
        (id, workspace_id, source_file_name, source_type, version_number, status,
         imported_by, imported_at, activated_at, created_at, updated_at)
    VALUES (%(another)s, %(workspaces)s, 'check.xlsx', %(source_type)s, 2, %(status)s,
            %(users)s, now(), now(), now(), now())
"""
ACTIVATE: LiteralString = """
    UPDATE public.config_versions SET status = 'ACTIVE' WHERE id = %(another)s
"""


def run(context: Context) -> Outcome:
    with context.trying() as owner:
        sample = Sample(owner).add("config_versions")
        second = {
            **sample.values,
            "another": f"{PREFIX}another-{sample['code']}",
            "source_type": "APPROVAL_MATRIX",
            "status": "ACTIVE",
        }
        elsewhere = {**second, "workspaces": uuid4(), "code": f"{PREFIX}{uuid4().hex}"}
        owner.execute(INSERTS["workspaces"], elsewhere)
        tried = [
            ("inserted as ACTIVE", "refused", refusal(owner, ACTIVE, second)),
            (
                "inserted as ACTIVE, of another source type",
                "accepted",
                refusal(owner, ACTIVE, {**second, "source_type": "CLUSTER_MAPPING"}),
            ),
            (
                "inserted as ACTIVE, in another workspace",
                "accepted",
                refusal(owner, ACTIVE, elsewhere),
            ),
        ]
        owner.execute(ACTIVE, {**second, "status": "DRAFT"})
        tried.insert(1, ("a draft made ACTIVE", "refused", refusal(owner, ACTIVATE, second)))
    rows = []
    for what, wanted, found in tried:
        answer = f"refused ({found.sqlstate})" if found else "accepted"
        right = "accepted" if wanted == "accepted" else f"refused ({UNIQUE_VIOLATION})"
        rows.append((what, right, answer, "yes" if answer == right else "no"))
    wrong = [row for row in rows if row[-1] == "no"]
    facts = {"held": len(rows) - len(wrong), "total": len(rows)}
    evidence = Evidence.of(("second version", "expected", "found", "holds"), rows, "What was tried")
    if wrong:
        said = "; ".join(f"{what}: {answer}, expected {right}" for what, right, answer, _ in wrong)
        return failed(said, len(wrong), facts, evidence)
    return passed("a second ACTIVE config version is refused, and nothing more", facts, evidence)
