"""No row that counts refers to a parent that is missing.

A relationship that was not or could not be looked at makes the check ``could not look``, unless
orphans were found elsewhere: then it has failed already.
"""

from __future__ import annotations

from runbook.checks import Context, Outcome, could_not_look, failed, passed
from runbook.findings import AuditState, Evidence, counted

TITLE = "no orphan rows"
CRITERION = "C1"


def run(context: Context) -> Outcome:
    audits = [audit for audit in context.audits if context.settings.is_core(audit.relationship)]
    looked = [a for a in audits if a.state in (AuditState.CLEAN, AuditState.ORPHANS)]
    broken = [a for a in audits if a.state is AuditState.ORPHANS]
    rows = sum(audit.orphans or 0 for audit in broken)
    facts = {
        "rows": rows,
        "relationships": len(broken),
        "looked": len(looked),
        "total": len(audits),
    }
    evidence = Evidence.of(
        ("relationship", "alert", "orphan rows", "examples"),
        [
            (a.relationship.label, a.relationship.alert.value, a.orphans, ", ".join(a.samples))
            for a in broken
        ],
        "Relationships with orphan rows",
    )
    scope = f"{len(looked)} of {len(audits)} relationships looked at"
    if broken:
        return failed(
            f"{counted(rows, 'orphan row')} in {counted(len(broken), 'relationship')}, {scope}",
            rows,
            facts,
            evidence,
        )
    if len(looked) < len(audits) or not audits:
        names = ", ".join(a.relationship.label for a in audits if a not in looked)
        return could_not_look(f"{scope}, not looked at: {names or 'all'}", facts)
    return passed(f"no orphan rows, {scope}", facts)
