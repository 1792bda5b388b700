"""The values that steps record for pages and actions to quote, from what they found."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Collection, Iterable

from runbook.findings import Audit, AuditState, CensusRow, KeyState, Value
from runbook.impact import Impact
from runbook.relationships import Relationship, Relationships
from runbook.selftest import SelfTest
from runbook.settings import Settings


def of_census(settings: Settings, rows: tuple[CensusRow, ...]) -> dict[str, Value]:
    """Counts by key state: ``relationships.total``, ``foreign_keys.missing``, ``core.…``."""
    facts: dict[str, Value] = {}
    core = [row for row in rows if settings.is_core(row.relationship)]
    for prefix, some in (("", list(rows)), ("core.", core)):
        facts[f"{prefix}relationships.total"] = len(some)
        for state in KeyState:
            name = f"{prefix}foreign_keys.{state.value.replace(' ', '_')}"
            facts[name] = sum(row.state is state for row in some)
    facts["outer.relationships.total"] = len(rows) - len(core)
    names = _names([row.relationship for row in rows])
    for row in rows:
        facts[f"relationship.{names[row.relationship.id]}.key"] = row.state.value
    return facts


def _names(relationships: Iterable[Relationship]) -> dict[str, str]:
    """A name for the facts of each relationship, by its id.

    Its label; with the parent where one column has two (``notes.owner_id to users.id``).
    """
    items = tuple(relationships)
    often = Counter(item.label for item in items)
    return {
        item.id: item.label if often[item.label] == 1 else f"{item.label} to {item.target}"
        for item in items
    }


def of_audits(
    settings: Settings, audits: tuple[Audit, ...], relationships: Relationships
) -> dict[str, Value]:
    """Counts of orphan rows: ``orphans.rows``, ``audits.looked``, ``relationship.….orphans``.

    The audits of keys that are no relationships are ``undeclared.…``.
    """
    facts: dict[str, Value] = {}
    declared = [audit for audit in audits if audit.relationship in relationships.items]
    others = [audit for audit in audits if audit not in declared]
    core = [audit for audit in declared if settings.is_core(audit.relationship)]
    for prefix, some in (("", declared), ("core.", core), ("undeclared.", others)):
        looked = [a for a in some if a.state in (AuditState.CLEAN, AuditState.ORPHANS)]
        facts[f"{prefix}audits.total"] = len(some)
        facts[f"{prefix}audits.looked"] = len(looked)
        whole = len(looked) == len(some)
        facts[f"{prefix}orphans.rows"] = sum(a.orphans or 0 for a in looked) if whole else None
        facts[f"{prefix}orphans.relationships"] = (
            sum(a.state is AuditState.ORPHANS for a in looked) if whole else None
        )
    names = _names(audit.relationship for audit in audits)
    for audit in audits:
        name = names[audit.relationship.id]
        facts[f"relationship.{name}.orphans"] = audit.orphans
        facts[f"relationship.{name}.audit"] = audit.state.value
    facts["audits.seconds"] = round(sum(audit.seconds for audit in audits), 3)
    return facts


IMPACT = (
    "impact.table",
    "impact.keys",
    "impact.rows",
    "impact.insert.without_ms",
    "impact.insert.with_ms",
    "impact.insert.cost_ms",
    "impact.insert.trigger_ms",
    "impact.insert.share_percent",
)


def of_impact(found: Impact) -> dict[str, Value]:
    """The values of ``IMPACT``; medians, in milliseconds."""
    values = (
        found.table.label,
        len(found.keys),
        len(found.with_keys),
        round(statistics.median(found.without), 3),
        round(statistics.median(found.with_keys), 3),
        round(found.cost_ms, 3),
        round(statistics.median(found.triggers), 3),
        round(100 * found.share),
    )
    return dict(zip(IMPACT, values, strict=True))


def of_self_test(test: SelfTest | None) -> dict[str, Value]:
    """What was planted and what was found of it; all unknown where nobody could look."""
    known = test if test is not None and test.available else None
    return {
        "self_test.available": known is not None,
        "self_test.planted": known.planted if known else None,
        "self_test.found": known.found if known else None,
        "self_test.missed": len(known.missed) if known else None,
        "self_test.invented": len(known.invented) if known else None,
    }


def known(settings: Settings, checks: Collection[str]) -> tuple[frozenset[str], tuple[str, ...]]:
    """The names of all facts that steps record by themselves, and what other names begin with.

    Notebooks name the facts of their step, and checks their own: only the part before is known.
    """
    items = settings.relationships().items
    names = {*of_census(settings, ()), *of_audits(settings, (), Relationships(())), *IMPACT}
    names |= {*of_self_test(None)}
    names |= {f"checks.{check}.{part}" for check in checks for part in ("status", "failing")}
    for item in items:
        names |= {f"relationship.{item.label}.{part}" for part in ("key", "orphans", "audit")}
    heads = [f"{step.name}." for step in settings.step]
    return frozenset(names), (*heads, *(f"checks.{check}." for check in checks))
