"""The tables carry as many validated CHECK constraints as ``limits.check_constraints`` expects.

Without that limit those that are there are expected to be validated.
"""

from __future__ import annotations

from runbook.checks import Context, Outcome, failed, passed
from runbook.findings import Evidence

TITLE = "the expected CHECK constraints exist and are validated"
CRITERION = "C1"


def run(context: Context) -> Outcome:
    names = sorted({item.child for item in context.core_relationships()})
    found = [
        (name.label, check.name, check.definition, check.validated)
        for name in names
        for check in context.schema.tables[name].checks
    ]
    valid = sum(validated for *_, validated in found)
    limited = "check_constraints" in context.settings.limits
    expected = int(context.settings.limit("check_constraints")) if limited else len(found)
    facts = {"found": len(found), "valid": valid, "expected": expected}
    rows = [(*row, "yes" if ok else "no") for *row, ok in found]
    evidence = Evidence.of(("table", "name", "definition", "validated"), rows, "CHECK constraints")
    message = f"{valid} validated CHECK constraints, expected at least {expected}"
    if valid >= expected:
        return passed(message, facts, evidence)
    return failed(message, expected - valid, facts, evidence)
