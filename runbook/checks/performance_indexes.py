"""The tables carry enough plain indexes: valid, not unique, on the tables that count."""

from __future__ import annotations

from collections import Counter

from runbook.checks import Context, Outcome, failed, passed
from runbook.findings import Evidence

TITLE = "the performance indexes exist"
CRITERION = "I1"


def run(context: Context) -> Outcome:
    names = sorted({item.child for item in context.core_relationships()})
    counts = Counter(
        name.label
        for name in names
        for index in context.schema.tables[name].indexes
        if index.valid and not index.unique
    )
    found, floor = counts.total(), int(context.settings.limit("performance_indexes"))
    invalid = [
        index.name
        for name in names
        for index in context.schema.tables[name].indexes
        if not index.valid
    ]
    facts = {"found": found, "floor": floor, "invalid": len(invalid)}
    evidence = Evidence.of(("table", "indexes"), sorted(counts.items()), "Performance indexes")
    message = f"{found} performance indexes, expected at least {floor}"
    if invalid:
        return failed(f"{message}; not valid: {', '.join(invalid)}", len(invalid), facts, evidence)
    if found < floor:
        return failed(message, floor - found, facts, evidence)
    return passed(message, facts, evidence)
