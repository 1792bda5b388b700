"""An audit as SARIF 2.1.0, for code scanning: findings point at the line that declares them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runbook import __version__, declarations
from runbook.audit.outcome import Outcome
from runbook.findings import Audit, AuditState, counted
from runbook.relationships import Alert, Relationships

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
RULES = {
    "orphan-rows": "Child rows refer to a parent that is missing",
    "not-looked": "A relationship was not or could not be looked at",
}
_LEVELS = {Alert.CRITICAL: "error", Alert.WARNING: "warning", Alert.BELOW: "note"}


def render(outcome: Outcome, relationships: Relationships, file: str, text: str) -> dict[str, Any]:
    """A SARIF log with one run. ``file`` is relationships.toml as a relative path, ``text`` it."""
    number = {item.id: place for place, item in enumerate(relationships)}
    results = []
    for audit in outcome.audits:
        if audit.state is AuditState.CLEAN:
            continue
        place = number.get(audit.relationship.id)
        line = None if place is None else declarations.line_of(text, ("relationship", place))
        results.append(_result(audit, Path(file).as_posix(), line))
    driver = {
        "name": "fk-runbook",
        "version": __version__,
        "rules": [{"id": rule, "shortDescription": {"text": said}} for rule, said in RULES.items()],
    }
    run = {
        "tool": {"driver": driver},
        "results": results,
        "properties": {"environment": outcome.environment, "scope": outcome.scope},
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _result(audit: Audit, file: str, line: int | None) -> dict[str, Any]:
    label = audit.relationship.label
    if audit.state is AuditState.ORPHANS:
        rule, level = "orphan-rows", _LEVELS[audit.relationship.alert]
        said = f"{label}: {counted(audit.orphans or 0, 'orphan row')}"
    else:
        rule, level = "not-looked", "warning"
        said = f"{label}: {audit.state}, {audit.reason}"
    place = {
        "physicalLocation": {
            "artifactLocation": {"uri": file},
            "region": {"startLine": line or 1},
        }
    }
    return {
        "ruleId": rule,
        "level": level,
        "message": {"text": said},
        "locations": [place],
        "partialFingerprints": {"relationship/v1": audit.relationship.id},
    }
