"""The demo's self-test: does a run find exactly what :mod:`runbook.telecore.defects` planted?

The record is ``demo.planted``; nothing here looks for a defect itself. Orphan rows and rows that
cross workspaces are compared by their number per relationship and by the keys of the examples,
foreign keys by their state.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import LiteralString

from runbook.findings import Audit, AuditState, CensusRow, CheckResult, KeyState, Status
from runbook.selftest import SelfTest
from runbook.session import Session, fetch

CROSSING = "invariant_4_workspace_isolation"
KEY_STATES = {
    "key_missing": KeyState.MISSING,
    "key_not_valid": KeyState.NOT_VALID,
    "key_mismatched": KeyState.MISMATCHED,
    "key_trigger_disabled": KeyState.NOT_ENFORCED,
}
RECORD_EXISTS: LiteralString = """
    SELECT count(*) FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = 'demo' AND c.relname = 'planted' AND c.relkind = 'r'
"""
RECORD: LiteralString = """
    SELECT kind, relationship, coalesce(child_key, '') FROM demo.planted ORDER BY id
"""
UNAVAILABLE = SelfTest(planted=0, found=0, missed=(), invented=(), available=False)

Keys = Mapping[str, set[str]]


@dataclass
class _Comparison:
    """What has been compared so far."""

    planted: int = 0
    found: int = 0
    missed: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)

    def rows(
        self, where: str, what: str, planted: Collection[str], found: int, examples: Sequence[str]
    ) -> None:
        """Compare the rows of one relationship: their number, and the examples that are named."""
        strangers = [key for key in examples if key not in planted]
        hits = max(0, min(len(planted), found - len(strangers)))
        self.planted += len(planted)
        self.found += hits
        if hits < len(planted):
            self.missed.append(f"{where}: found {hits} of {len(planted)} planted {what}")
        self.invented += [f"{where}: {key!r} is among the {what}, not planted" for key in strangers]
        more = found - len(planted)
        if more > 0 and not strangers:
            self.invented.append(f"{where}: {more} more {what} than the {len(planted)} planted")


def compare(
    session: Session,
    audits: Sequence[Audit],
    census: Sequence[CensusRow],
    results: Mapping[str, CheckResult],
) -> SelfTest:
    """Hold what a run found against ``demo.planted``; not available where there is no record."""
    if not fetch(session, RECORD_EXISTS)[0][0]:
        return UNAVAILABLE
    record: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for kind, relationship, key in fetch(session, RECORD):
        record[kind][relationship].add(key)
    comparison = _Comparison()
    _unknown(comparison, record, census)
    _orphans(comparison, record["orphan"], record["null_reference"], audits, census)
    _keys(comparison, record, census)
    _crossings(comparison, record["cross_workspace"], results.get(CROSSING), census)
    return SelfTest(
        comparison.planted,
        comparison.found,
        tuple(comparison.missed),
        tuple(comparison.invented),
        available=True,
    )


def _unknown(
    comparison: _Comparison, record: Mapping[str, Keys], census: Sequence[CensusRow]
) -> None:
    """What was planted where no relationship is declared, or as a kind that nobody compares."""
    known = {row.relationship.source for row in census}
    kinds = {"orphan", "null_reference", "cross_workspace", *KEY_STATES}
    for kind, relationships in record.items():
        for relationship, keys in relationships.items():
            if kind not in kinds:
                why = f"planted {kind!r}, a kind that is not compared"
            elif relationship not in known:
                why = f"planted {kind!r}, but the relationship is not declared"
            else:
                continue
            comparison.planted += len(keys)
            comparison.missed.append(f"{relationship}: {why}")


def _orphans(
    comparison: _Comparison,
    planted: Keys,
    nulls: Keys,
    audits: Sequence[Audit],
    census: Sequence[CensusRow],
) -> None:
    looked = {audit.relationship.source: audit for audit in audits}
    for where in (row.relationship.source for row in census):
        keys, audit = planted.get(where, set()), looked.get(where)
        state = audit.state if audit else AuditState.NOT_LOOKED
        if audit is None or state not in (AuditState.CLEAN, AuditState.ORPHANS):
            comparison.planted += len(keys)
            comparison.missed.append(f"{where}: {state}, orphan rows are planted: {len(keys)}")
            continue
        empty = [key for key in audit.samples if key in nulls.get(where, set())]
        comparison.invented += [f"{where}: {key!r} refers to nothing, no orphan" for key in empty]
        examples = [key for key in audit.samples if key not in empty]
        comparison.rows(where, "orphan rows", keys, (audit.orphans or 0) - len(empty), examples)


def _keys(comparison: _Comparison, record: Mapping[str, Keys], census: Sequence[CensusRow]) -> None:
    """Every planted state of a key is found, and no key is in another state than planted."""
    wanted = {where: s for kind, s in KEY_STATES.items() for where in record.get(kind, {})}
    for row in census:
        where, state = row.relationship.source, row.state
        planted = wanted.get(where)
        comparison.planted += planted is not None
        if planted is state:
            comparison.found += 1
        elif planted is not None:
            comparison.missed.append(f"{where}: the key is {state}, planted as {planted}")
        elif state not in (KeyState.ENFORCED, KeyState.EXCEPTED):
            comparison.invented.append(f"{where}: the key is {state}, not planted")


def _crossings(
    comparison: _Comparison,
    planted: Keys,
    result: CheckResult | None,
    census: Sequence[CensusRow],
) -> None:
    if result is None or not result.status.known:
        state = result.status if result else Status.NOT_LOOKED
        total = sum(len(keys) for keys in planted.values())
        comparison.planted += total
        comparison.missed.append(f"{CROSSING}: {state}, rows that cross are planted: {total}")
        return
    sources = {row.relationship.label: row.relationship.source for row in census}
    found: dict[str, tuple[int, list[str]]] = {}
    for evidence in result.evidence:
        for label, number, examples in evidence.rows:
            where = sources.get(str(label), str(label))
            found[where] = int(number or 0), str(examples).split(", ")
    for where in sorted({*found, *(planted.keys() & set(sources.values()))}):
        count, keys = found.get(where, (0, []))
        comparison.rows(where, "rows that cross", planted.get(where, set()), count, keys)
