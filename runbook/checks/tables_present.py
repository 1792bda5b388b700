"""The tables that the relationships start from exist, as many as ``limits.tables`` expects.

Without that limit all of them are expected.
"""

from __future__ import annotations

from runbook.checks import Context, Outcome, failed, passed
from runbook.findings import Evidence

TITLE = "all tables that hold references exist"
CRITERION = "C1"


def run(context: Context) -> Outcome:
    names = sorted({item.child for item in context.core_relationships()})
    present = [name for name in names if name in context.schema.tables]
    limited = "tables" in context.settings.limits
    expected = int(context.settings.limit("tables")) if limited else len(names)
    tables = [context.schema.tables[name] for name in present]
    rows = [(table.name.label, len(table.columns), table.estimated_rows) for table in tables]
    evidence = Evidence.of(("table", "columns", "rows (estimate)"), rows, "Tables")
    facts = {"present": len(present), "expected": expected}
    message = f"{len(present)} of {expected} tables exist"
    if len(present) == expected:
        return passed(message, facts, evidence)
    return failed(message, max(1, abs(expected - len(present))), facts, evidence)
