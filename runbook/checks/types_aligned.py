"""A referencing column has the type of the key that it refers to.

A pair of types that differ but that PostgreSQL accepts in a key (``varchar(100)`` to ``text``) is
aligned, with a remark.
"""

from __future__ import annotations

from runbook.checks import Context, Outcome, failed, passed
from runbook.findings import Evidence

TITLE = "every referencing column has the type of the key that it refers to"
CRITERION = "C2"


def run(context: Context) -> Outcome:
    rows, remarks, wrong = [], 0, 0
    for item, comparison in zip(context.relationships, context.comparisons, strict=True):
        child, parent = context.schema.tables[item.child], context.schema.tables[item.parent]
        mine = ", ".join(c.type for name in item.columns if (c := child.column(name)))
        theirs = ", ".join(c.type for name in item.references if (c := parent.column(name)))
        if comparison.incomparable:
            wrong += 1
            judgement = "not aligned: PostgreSQL has no equality between them"
        elif mine != theirs:
            remarks += 1
            judgement = "aligned, with a remark: the types differ, a key accepts them"
        else:
            continue
        rows.append((item.label, mine, theirs, judgement))
    total = len(context.relationships)
    facts = {"aligned": total - wrong, "total": total, "remarks": remarks}
    evidence = Evidence.of(
        ("relationship", "child type", "parent type", "judgement"),
        rows,
        "Column pairs whose types differ",
    )
    message = (
        f"{total - wrong} of {total} relationships have aligned types, {remarks} with a remark"
    )
    shown = (evidence,) if rows else ()
    if wrong:
        return failed(message, wrong, facts, *shown)
    return passed(message, facts, *shown)
