"""From census, audits and schema to a plan; pure, the same plan for the same input.

One relationship after the other, the most urgent first, so that whatever is cut short leaves whole
keys behind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from psycopg import sql

from runbook import __version__
from runbook.audit import query
from runbook.census import impossible
from runbook.findings import Audit, CensusRow, KeyState
from runbook.migration import ddl, presuppositions
from runbook.migration.naming import Names
from runbook.migration.plan import LeftOut, Plan, PlannedKey, PlanStep
from runbook.migration.presuppositions import takes_no_not_valid
from runbook.migration.stepping import Steps
from runbook.migration.surroundings import Surroundings
from runbook.operators import Comparisons
from runbook.relationships import Relationship
from runbook.schema import Action, ForeignKey, Match, Schema
from runbook.server import ServerFacts


@dataclass(frozen=True)
class Ground:
    """What a plan is made from; ``comparisons`` and ``audits`` are by relationship id.

    A relationship without an audit was not looked at.
    """

    schema: Schema
    surroundings: Surroundings
    comparisons: Mapping[str, Comparisons]
    audits: Mapping[str, Audit] = field(default_factory=dict)


def plan(
    census: Sequence[CensusRow],
    ground: Ground,
    environment: str,
    server: ServerFacts,
    planned: datetime,
) -> Plan:
    """The steps for all relationships that are not enforced as decided, and the rest with why."""
    rows = sorted(census, key=lambda row: (row.relationship.priority.rank, row.relationship.id))
    names = Names(census, ground.surroundings)
    steps: list[PlanStep] = []
    keys: list[PlannedKey] = []
    left_out: list[LeftOut] = []
    made = Steps(ground.schema, ground.surroundings, ground.audits, names.of_index)
    for row in rows:
        reason = _why_not(row, ground)
        if reason:
            left_out.append(LeftOut(relationship=_id(row), state=row.state, reason=reason))
            continue
        key = _key(row, ground, names)
        keys.append(key)
        item = replace(row.relationship, on_update=key.on_update, match=key.match)
        counting = ddl.text(_orphans(item, ground))
        steps.extend(made.of(item, key, counting))
    steps = [
        step.model_copy(update={"id": f"{number:03d}-{step.kind}"})
        for number, step in enumerate(steps, 1)
    ]
    indexed = frozenset(step.relationship for step in steps if step.kind == "index")
    presupposed = presuppositions.sentences(
        keys,
        indexed,
        ground.schema,
        [ground.comparisons[key.relationship] for key in keys],
        ground.surroundings.partitions,
    )
    return Plan(
        environment=environment,
        planned=planned,
        tool_version=__version__,
        database=server.database,
        system_identifier=server.system_identifier,
        server_version=server.version_number,
        fingerprint=presuppositions.fingerprint(presupposed),
        steps=tuple(steps),
        left_out=tuple(left_out),
        keys=tuple(keys),
        presupposes=presupposed,
    )


def _id(row: CensusRow) -> str:
    return row.relationship.id


def _alike(row: CensusRow, ground: Ground) -> tuple[ForeignKey, ...]:
    """The keys that are there for it: of its shape, or of its columns to another parent."""
    same = ground.schema.keys_like(row.relationship.shape)
    return same or ((row.key,) if row.key else ())


def _wanted(item: Relationship) -> PlannedKey:
    return PlannedKey(
        relationship=item.id,
        child=str(item.child),
        columns=item.columns,
        parent=str(item.parent),
        references=item.references,
        on_delete=item.on_delete,
        on_update=item.on_update,
        match=item.match,
        priority=item.priority,
        why=item.why,
    )


def _key(row: CensusRow, ground: Ground, names: Names) -> PlannedKey:
    """The key to make, or the one that is there and needs nothing but to be validated."""
    wanted = _wanted(row.relationship)
    alike = _alike(row, ground)
    right = [key for key in alike if wanted.is_that_of(key)]
    right.sort(key=lambda key: (not key.validated, key.name))
    replaces = tuple(key.name for key in alike if not wanted.is_that_of(key))
    if right:
        values = {"name": right[0].name, "match": wanted.match or right[0].match}
        state = {"declared": True, "validated": right[0].validated, "replaces": replaces}
        return wanted.model_copy(update=values | state)
    before = next((key for key in alike if wanted.has_shape_of(key)), None)
    undecided = _undecided(wanted, before, ground)
    name = names.of_key(row.relationship)
    return wanted.model_copy(update={"name": name, "replaces": replaces, **undecided})


def _undecided(
    wanted: PlannedKey, before: ForeignKey | None, ground: Ground
) -> dict[str, Action | Match | str | None]:
    """What nobody decided: as of the key ``before`` that is replaced, else PostgreSQL's own.

    Each partition's key has to be exactly as that of the partitioned table before 18, which else
    would not take it over: it would scan under ACCESS EXCLUSIVE.
    """
    if before:
        late = ground.surroundings.declared(before.child, before.name).late
        on_update, match = before.on_update, before.match
    elif takes_no_not_valid(ground.schema.tables[wanted.child_name], ground.schema.server_version):
        late, on_update, match = "", Action.NO_ACTION, Match.SIMPLE
    else:
        return {}
    return {
        "late": late,
        "on_update": wanted.on_update or on_update,
        "match": wanted.match or match,
    }


def _why_not(row: CensusRow, ground: Ground) -> str:
    """Why nothing is done about a relationship; empty where something is."""
    item = row.relationship
    if row.state in (KeyState.EXCEPTED, KeyState.IMPOSSIBLE):
        return row.reason
    wanted, alike = _wanted(item), _alike(row, ground)
    right = [key for key in alike if wanted.is_that_of(key)]
    if any(key.temporal for key in alike):
        return "a key with PERIOD is left as it is"
    if len(right) == len(alike) and any(key.validated for key in right):
        names = " and ".join(repr(key.name) for key in right)
        return f"enforced by {names}"
    for key in alike:
        if key.child != item.child:
            return f"{item.child} is a partition: {key.child} has its key {key.name!r}, change that"
    if right:
        return ""
    return _refused(item, ground)


def _refused(item: Relationship, ground: Ground) -> str:
    """Why PostgreSQL would refuse the key, or would refuse its work later."""
    why = impossible(item, ground.schema, ground.comparisons[item.id])
    if why:
        return why
    table = ground.schema.tables[item.child]
    for column in (found for name in item.columns if (found := table.column(name))):
        if not column.not_null:
            continue
        if item.on_delete is Action.SET_NULL:
            return (
                f"column {column.name!r} is NOT NULL: every delete of a parent would fail (23502)"
            )
        default = (item.child, column.name) in ground.surroundings.defaults
        if item.on_delete is Action.SET_DEFAULT and not default:
            return (
                f"column {column.name!r} is NOT NULL and has no default:"
                " every delete of a parent would fail (23502)"
            )
    parts = ground.surroundings.leaves(item.child)
    other = [str(part.name) for part in parts if part.kind != "r"]
    if other:
        return f"the partition {other[0]} is no ordinary table and can hold no key"
    return ""


def _orphans(item: Relationship, ground: Ground) -> sql.Composed:
    match = item.match or Match.SIMPLE
    found = query.orphans(item, ground.schema, ground.comparisons[item.id], match)
    return sql.SQL("SELECT count(*) {}").format(found)
