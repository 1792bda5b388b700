"""A run as JUnit XML, for the test reports of CI systems."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from runbook.audit.outcome import Outcome
from runbook.findings import AuditState, Status
from runbook.record import RunRecord

FILE_NAME = "junit.xml"

# XML 1.0 cannot hold these characters at all, escaped or not
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(run: RunRecord) -> str:
    """A suite for the checks and a suite for the steps; the unknown is an error or skipped."""
    root = ET.Element("testsuites", name=_text(f"{run.environment} {run.run_id}"))
    checks = ET.SubElement(root, "testsuite", name="checks")
    for result in run.checks:
        case = _case(checks, result.criterion or "other", result.check, result.seconds)
        kind = {
            Status.FAILED: "failure",
            Status.COULD_NOT_LOOK: "error",
            Status.NOT_LOOKED: "skipped",
        }.get(result.status)
        if kind:
            ET.SubElement(case, kind, message=_text(result.message))
    steps = ET.SubElement(root, "testsuite", name="steps")
    for step in run.steps:
        seconds = (
            (step.finished - step.started).total_seconds() if step.started and step.finished else 0
        )
        case = _case(steps, "step", step.name, seconds)
        if step.status == "failed":
            ET.SubElement(case, "error", message=_text(step.failure))
        elif step.status == "not run":
            ET.SubElement(case, "skipped", message=_text(step.failure))
    return _document(root)


def render_audits(found: Outcome) -> str:
    """A suite with a case for each relationship."""
    root = ET.Element("testsuites", name=_text(f"{found.environment} audit"))
    suite = ET.SubElement(root, "testsuite", name="audits")
    for audit in found.audits:
        name = _text(audit.relationship.label)
        case = _case(suite, audit.relationship.alert.value, name, audit.seconds)
        if audit.state is AuditState.ORPHANS:
            said = f"{audit.orphans} orphan rows: {', '.join(audit.samples)}"
            ET.SubElement(case, "failure", message=_text(said))
        elif audit.state is AuditState.NOT_LOOKED:
            ET.SubElement(case, "skipped", message=_text(audit.reason))
        elif audit.state is not AuditState.CLEAN:
            ET.SubElement(case, "error", message=_text(f"{audit.state}: {audit.reason}"))
    return _document(root)


def _case(suite: ET.Element, group: str, name: str, seconds: float) -> ET.Element:
    return ET.SubElement(
        suite, "testcase", classname=_text(group), name=_text(name), time=f"{seconds:.3f}"
    )


def _document(root: ET.Element) -> str:
    """The XML text, with the counts that readers expect on every suite."""
    for suite in root:
        suite.set("tests", str(len(suite)))
        for kind, attribute in (("failure", "failures"), ("error", "errors"), ("skipped",) * 2):
            suite.set(attribute, str(len(suite.findall(f"*/{kind}"))))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _text(value: str) -> str:
    return _FORBIDDEN.sub("\ufffd", value)
