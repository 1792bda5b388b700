"""What the numbers of a run say about the decision: add the missing keys (A), or leave them (B)."""

from __future__ import annotations

from runbook import markup, migration, report
from runbook.facts import Facts
from runbook.findings import AuditState, CensusRow, KeyState, counted
from runbook.record import RunRecord
from runbook.settings import Settings


def options(run: RunRecord) -> str:
    """What each option comes to in this environment, in numbers."""
    return report.show(migration.options(run.census)).content


def recommend(settings: Settings, facts: Facts, run: RunRecord) -> str:
    """The recommendation, and each number that it rests on, as HTML."""
    core = [row for row in run.census if settings.is_core(row.relationship)]
    missing = [row for row in core if row.state is KeyState.MISSING]
    impossible = [row for row in core if row.state is KeyState.IMPOSSIBLE]
    if not core:
        said = "Nothing can be recommended: the run took no census."
    elif not missing and not impossible:
        said = "There is nothing to decide: no core key is missing."
    elif len(impossible) > len(missing):
        said = "Option B: PostgreSQL would refuse more of the keys than it would take."
    else:
        said = "Option A: add the missing keys."
    items = "".join(f"<li>{markup.text(line)}</li>" for line in _because(facts, run, core))
    return f"<p><strong>{markup.text(said)}</strong></p><ul>{items}</ul>"


def _because(facts: Facts, run: RunRecord, core: list[CensusRow]) -> list[str]:
    missing = [row for row in core if row.state is KeyState.MISSING]
    impossible = sum(row.state is KeyState.IMPOSSIBLE for row in core)
    scans = sum(any("no index leads" in remark for remark in row.remarks) for row in missing)
    audits = {audit.relationship.id: audit for audit in run.audits}
    found = [audits.get(row.relationship.id) for row in missing]
    known = [a for a in found if a and a.state in (AuditState.CLEAN, AuditState.ORPHANS)]
    orphans = sum(audit.orphans or 0 for audit in known)
    keys = counted(len(missing), "core key is", "core keys are")
    rows = counted(orphans, "orphan row")
    children = counted(scans, "child", "children")
    looked = f"{len(known):,} of {len(missing):,} were looked at"
    lines = [
        f"{keys} missing, {impossible:,} of the core relationships cannot have one",
        f"{rows} would have to be mended before all of them can be validated; {looked}",
        f"{children} would need an index first, or deletes of a parent scan it",
    ]
    cost = facts.by_name.get(f"{run.environment}.impact.insert.cost_ms")
    if cost and isinstance(cost.value, int | float):
        lines.append(f"the keys cost an insert {cost.value:.2f} ms, as measured")
    else:
        lines.append("what the keys cost an insert was not measured here: a run does not write")
    return lines
