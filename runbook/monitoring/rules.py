"""Alert rules for Prometheus; thresholds and the interval come with the metrics themselves."""

from __future__ import annotations

import json
from dataclasses import dataclass

PENDING = "5m"  # a scrape or two may fail


@dataclass(frozen=True)
class Rule:
    """An alert: its name, when it fires, how bad it is and what it says."""

    name: str
    expression: str
    severity: str
    summary: str
    pending: str = PENDING


RULES = (
    *(
        Rule(
            name=f"RunbookOrphans{severity.capitalize()}",
            expression=f'fk_runbook_orphan_rows{{severity="{severity}"}}'
            f' > fk_runbook_orphan_threshold{{severity="{severity}"}}',
            severity=severity,
            summary="{{ $labels.environment }}: {{ $value }} orphan rows in"
            " {{ $labels.relationship }}",
            pending="0m",
        )
        for severity in ("critical", "warning")
    ),
    Rule(
        name="RunbookCouldNotLook",
        expression='fk_runbook_relationship_state{fk_runbook_relationship_state="could not look"}'
        " == 1",
        severity="warning",
        summary="{{ $labels.environment }}: the orphan rows of {{ $labels.relationship }} could not"
        " be counted",
        pending="0m",
    ),
    Rule(
        name="RunbookHeartbeatStale",
        expression="time() - (fk_runbook_last_success_timestamp_seconds > 0"
        " or fk_runbook_installed_timestamp_seconds) > 2 * fk_runbook_interval_seconds",
        severity="critical",
        summary="{{ $labels.environment }}: no audit could look at everything for"
        " {{ $value | humanizeDuration }}",
    ),
    Rule(
        name="RunbookLogUnreadable",
        expression="fk_runbook_up == 0",
        severity="critical",
        summary="{{ $labels.environment }}: the monitoring's log cannot be read",
    ),
    Rule(
        name="RunbookMetricsAbsent",
        expression="absent(fk_runbook_up)",
        severity="critical",
        summary="no metrics of fk-runbook reach Prometheus",
    ),
)


def text() -> str:
    """The rules file, YAML. Every value is a JSON string, which YAML reads as it is."""
    lines = ["groups:", "  - name: fk-runbook", "    rules:"]
    for rule in RULES:
        lines += [
            f"      - alert: {rule.name}",
            f"        expr: {json.dumps(rule.expression)}",
            f"        for: {rule.pending}",
            "        labels:",
            f"          severity: {rule.severity}",
            "        annotations:",
            f"          summary: {json.dumps(rule.summary)}",
        ]
    return "\n".join(lines) + "\n"
