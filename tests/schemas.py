"""A large schema for pictures: relationships, and a state for each, always the same."""

from __future__ import annotations

import random
from datetime import UTC, datetime

from runbook.findings import Audit, AuditState, CensusRow, KeyState
from runbook.record import RunRecord
from runbook.relationships import Relationship
from runbook.schema import TableName
from tests.test_record import RUN

AREAS = ("order", "invoice", "ticket", "asset", "route", "batch", "claim", "survey", "contract")
PARTS = ("head", "line", "event", "note", "file", "status", "price", "tax", "audit", "link")
SCHEMAS = ("public", "billing", "crm", "warehouse")
HUBS = tuple(TableName("public", name) for name in ("tenants", "users", "countries"))
LOOKED = datetime(2026, 11, 23, 9, tzinfo=UTC)


def large(tables: int = 1000, relationships: int = 2500) -> tuple[Relationship, ...]:
    """Areas in schemas, tables that nearly all others refer to, cycles, references to itself."""
    chance = random.Random(3)  # noqa: S311 - no secret depends on it
    names = [
        TableName(schema, f"{area}_{part}{turn or ''}")
        for turn in range(1 + tables // 360)
        for part in PARTS
        for area in AREAS
        for schema in SCHEMAS
    ][: tables - len(HUBS)]
    areas: dict[tuple[str, str], list[TableName]] = {}
    pairs: dict[tuple[TableName, TableName], None] = {}
    for name in names:
        older = areas.setdefault((name.schema, name.table.split("_")[0]), [])
        for parent in chance.sample(older, min(len(older), chance.choice((0, 1, 1, 2)))):
            pairs.setdefault((name, parent))
        pairs.setdefault((name, HUBS[0] if chance.random() < 0.6 else HUBS[1]))
        if chance.random() < 0.05:
            pairs.setdefault((name, name))
        older.append(name)
    for hub in HUBS[:2]:
        pairs.setdefault((hub, HUBS[2]))
    while len(pairs) < relationships:
        pairs.setdefault((chance.choice(names), chance.choice(names)))
    return tuple(
        Relationship(child, (f"{parent.table}_id",), parent, ("id",))
        for child, parent in list(pairs)[:relationships]
    )


def audit(item: Relationship, state: AuditState, orphans: int | None = None) -> Audit:
    exact = state in (AuditState.CLEAN, AuditState.ORPHANS)
    return Audit(item, state, orphans, exact=exact, strategy="anti-join")


def run(environment: str, *found: tuple[Relationship, KeyState, Audit | None]) -> RunRecord:
    """A record of a run that found these keys and rows."""
    census = (
        CensusRow(item, state, None, "" if state is KeyState.ENFORCED else "why")
        for item, state, _ in found
    )
    audits = (found_rows for _, _, found_rows in found if found_rows)
    update = {"environment": environment, "started": LOOKED, "finished": LOOKED}
    return RUN.model_copy(update=update | {"census": tuple(census), "audits": tuple(audits)})


def of_all_states(environment: str, items: tuple[Relationship, ...], seed: int = 1) -> RunRecord:
    """Most keys enforced and most rows clean, and some of every other state."""
    chance = random.Random(seed)  # noqa: S311 - as above
    found = []
    for item in items:
        (key,) = chance.choices(list(KeyState), (60, 4, 1, 25, 3, 2, 5))
        (rows,) = chance.choices(list(AuditState), (80, 10, 2, 4, 4))
        orphans = {AuditState.CLEAN: 0, AuditState.ORPHANS: chance.randint(1, 40_000)}.get(rows)
        if rows is AuditState.ESTIMATED:
            orphans = 500
        found.append((item, key, audit(item, rows, orphans)))
    return run(environment, *found)
