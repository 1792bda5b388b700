"""Plans and applies for the tests: a place's relationships, its owner's sessions, its catalog."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from runbook import catalog, census, operators
from runbook import session as sessions
from runbook.audit import engine
from runbook.connection import Purpose
from runbook.environment import Change
from runbook.migration import execution, planning, surroundings
from runbook.migration.log import ApplyLog, StepLog, StepOutcome
from runbook.migration.plan import Plan, PlanStep
from runbook.relationships import Relationship, Relationships
from runbook.session import Session
from tests.conftest import Connect
from tests.places import Place

PLANNED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
QUICK = Change.model_validate(
    {"lock": "100ms", "attempts": 5, "pause": "200ms", "statement": "2s", "scan": "20s"}
)
ALL_DONE = (StepOutcome.DONE, StepOutcome.ALREADY)
# every foreign key, index and table of a schema, by oid and by what it is
CATALOG = """
    SELECT 'constraint', k.oid::bigint, k.conname::text, k.convalidated,
           pg_get_constraintdef(k.oid)
      FROM pg_constraint k WHERE k.connamespace = %s::regnamespace
     UNION ALL
    SELECT 'relation', c.oid::bigint, c.relname::text,
           coalesce((SELECT indisvalid FROM pg_index WHERE indexrelid = c.oid), true),
           coalesce((SELECT pg_get_indexdef(c.oid) WHERE c.relkind IN ('i', 'I')), '')
      FROM pg_class c WHERE c.relnamespace = %s::regnamespace
     ORDER BY 1, 3, 5
"""


def make_plan(place: Place, *items: Relationship, audited: bool = True, version: int = 0) -> Plan:
    """The plan of these relationships as the place is now, audited unless not ``audited``.

    With ``version`` as for a server of that version.
    """
    wanted = Relationships(items)
    with place.reading() as session:
        schema = catalog.read(session, [place.schema])
        schema = replace(schema, server_version=version or schema.server_version)
        compared = operators.read(session, items)
        audits = engine.count(session, items, schema, compared) if audited else ()
        ground = planning.Ground(
            schema,
            surroundings.read(session, [place.schema]),
            {item.id: c for item, c in zip(items, compared, strict=True)},
            {audit.relationship.id: audit for audit in audits},
        )
        rows = census.take(wanted, schema, compared)
        return planning.plan(rows, ground, "scratch", sessions.server_facts(session), PLANNED)


def owner(place: Place, **timeouts: str) -> Callable[[], Session]:
    """Opens the owner's session, with all that is refused."""
    environment = place.environment(**timeouts)
    return lambda: sessions.connect(environment, Purpose.WRITE)


def apply(place: Place, plan: Plan, change: Change = QUICK, **options: Any) -> ApplyLog:
    return execution.apply(plan, owner(place), change, **options)


def outcomes(log: ApplyLog) -> dict[str, StepOutcome]:
    return {step.id: step.outcome for step in log.steps}


def step_of(log: ApplyLog, kind: str) -> StepLog:
    (found,) = [step for step in log.steps if step.kind == kind]
    return found


def planned(plan: Plan, kind: str) -> PlanStep:
    (found,) = [step for step in plan.steps if step.kind == kind]
    return found


def catalog_of(connect: Connect, place: Place, oids: bool = False) -> list[tuple[Any, ...]]:
    """The keys, indexes and tables of the place; with ``oids`` also which ones they are."""
    with connect(place.database, None) as admin:
        rows = admin.execute(CATALOG, [f'"{place.schema}"'] * 2).fetchall()
    return [row if oids else (row[0], *row[2:]) for row in rows]
