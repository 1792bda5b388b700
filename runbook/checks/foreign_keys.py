"""Holds the relationships that count against the foreign keys that the database enforces."""

from __future__ import annotations

from runbook.checks import Context, Outcome, failed, passed
from runbook.findings import Evidence, KeyState

TITLE = "every relationship that counts is enforced by a valid foreign key"
CRITERION = "C1"

_FINE = (KeyState.ENFORCED, KeyState.EXCEPTED)


def run(context: Context) -> Outcome:
    wrong = [row for row in context.core if row.state not in _FINE]
    enforced = sum(row.state is KeyState.ENFORCED for row in context.core)
    facts = {"enforced": enforced, "expected": len(context.core), "not_enforced": len(wrong)}
    evidence = Evidence.of(
        ("relationship", "key", "reason"),
        [(row.relationship.label, row.state.value, row.reason) for row in wrong],
        "Relationships whose key is not enforced as decided",
    )
    message = f"{enforced} of {len(context.core)} foreign keys are enforced as decided"
    return failed(message, len(wrong), facts, evidence) if wrong else passed(message, facts)
