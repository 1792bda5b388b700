"""The census: what should hold against what the database enforces.

Every relationship ends in exactly one key state, with the reason in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from runbook.errors import UsageError
from runbook.findings import CensusRow, KeyState
from runbook.operators import Comparisons
from runbook.relationships import Relationship, Relationships
from runbook.schema import Action, ForeignKey, Schema, Table


def unresolved(relationships: Relationships, schema: Schema) -> tuple[str, ...]:
    """A sentence for each table or column that a relationship names and the database lacks."""
    faults = []
    for item in relationships:
        for name, columns in ((item.child, item.columns), (item.parent, item.references)):
            table = schema.tables.get(name)
            if table is None:
                near = schema.nearest(name)
                guess = f", the nearest is {near!r}" if near else ""
                faults.append(f"{item.source}: no table {str(name)!r}{guess}")
                continue
            for column in columns:
                if table.column(column) is None:
                    known = [column.name for column in table.columns]
                    close = get_close_matches(column, known, n=1, cutoff=0.5)
                    guess = f", the nearest is {close[0]!r}" if close else ""
                    faults.append(f"{item.source}: no column {column!r} in {str(name)!r}{guess}")
    return tuple(dict.fromkeys(faults))


def resolve(relationships: Relationships, schema: Schema, place: str) -> None:
    """Raise :class:`UsageError` when a relationship names what the database does not have."""
    faults = unresolved(relationships, schema)
    if faults:
        more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise UsageError(
            f"{place}: " + "; ".join(faults[:3]) + more,
            "correct the names, or check that this is the right database and schema",
        )


def take(
    relationships: Relationships, schema: Schema, comparisons: Sequence[Comparisons]
) -> tuple[CensusRow, ...]:
    """Hold each relationship against the keys of ``schema``; pure, in the same order."""
    return tuple(
        _row(relationships, item, schema, comparison)
        for item, comparison in zip(relationships, comparisons, strict=True)
    )


def undeclared(relationships: Relationships, schema: Schema) -> tuple[ForeignKey, ...]:
    """Keys that the database has and no relationship mentions."""
    return tuple(key for key in schema.foreign_keys if key.shape not in relationships.shapes)


def _row(
    relationships: Relationships, item: Relationship, schema: Schema, comparison: Comparisons
) -> CensusRow:
    exemption = relationships.exception_for(item)
    same = schema.keys_like(item.shape)
    remarks = _remarks(item, schema)
    if len(same) > 1:
        names = ", ".join(repr(key.name) for key in same)
        remarks += (f"{len(same)} keys do the same: {names}",)
    if exemption is not None and not same:
        reason = f"{exemption.reason} ({exemption.owner}, review by {exemption.review_by})"
        return CensusRow(item, KeyState.EXCEPTED, None, reason, remarks)
    if same:
        rows = [CensusRow(item, *_state(item, key), remarks) for key in same]
        return min(rows, key=lambda row: list(KeyState).index(row.state))
    other = next(
        (
            key
            for key in schema.keys_of(item.child)
            if set(key.columns) == set(item.columns) and key.shape not in relationships.shapes
        ),
        None,
    )
    if other is not None:
        references = ", ".join(other.references)
        reason = f"{other.name!r} refers to {other.parent}({references})"
        return CensusRow(item, KeyState.MISMATCHED, other, reason, remarks)
    why = impossible(item, schema, comparison)
    if why:
        return CensusRow(item, KeyState.IMPOSSIBLE, None, why, remarks)
    return CensusRow(item, KeyState.MISSING, None, "no foreign key", remarks)


def _state(item: Relationship, key: ForeignKey) -> tuple[KeyState, ForeignKey, str]:
    reasons = []
    state = KeyState.ENFORCED
    if key.on_delete is not item.on_delete:
        state = KeyState.MISMATCHED
        reasons.append(f"on delete is {key.on_delete}, expected {item.on_delete}")
    if item.on_update is not None and key.on_update is not item.on_update:
        state = KeyState.MISMATCHED
        reasons.append(f"on update is {key.on_update}, expected {item.on_update}")
    if item.match is not None and key.match is not item.match:
        state = KeyState.MISMATCHED
        reasons.append(f"match is {key.match}, expected {item.match}")
    if not key.validated:
        state = KeyState.NOT_VALID
        reasons.append("never validated: rows from before the key were not looked at")
    if key.disabled_triggers:
        state = KeyState.NOT_ENFORCED
        reasons.append(f"{key.disabled_triggers} of its triggers are disabled")
    if not key.enforced:
        state = KeyState.NOT_ENFORCED
        reasons.append("declared NOT ENFORCED")
    return state, key, "; ".join(reversed(reasons))


def impossible(item: Relationship, schema: Schema, comparison: Comparisons) -> str:
    """Why PostgreSQL would refuse the key before it looks at a row; empty when it would not."""
    child, parent = schema.tables[item.child], schema.tables[item.parent]
    for table in (child, parent):
        if table.kind not in ("r", "p"):
            return f"{table.name} is not a table that can hold or be the target of a key"
    if child.persistence == "p" and parent.persistence != "p":
        return f"{parent.name} is unlogged, and {child.name} is not"
    if generated := _generated(item, child):
        return generated
    if comparison.incomparable:
        mine, theirs = comparison.incomparable
        return f"no equality operator between {mine} and {theirs}"
    if not comparison.pairs:
        return _no_index(item, parent)
    return ""


def _generated(item: Relationship, child: Table) -> str:
    for column in (found for name in item.columns if (found := child.column(name))):
        if column.generated == "v":
            return f"column {column.name!r} is a virtual generated column"
        if column.generated and item.on_delete in (Action.SET_NULL, Action.SET_DEFAULT):
            return f"column {column.name!r} is generated: on delete {item.on_delete} cannot set it"
    return ""


def _no_index(item: Relationship, parent: Table) -> str:
    wanted = ", ".join(item.references)
    over = [i for i in parent.indexes if i.unique and set(i.columns) == set(item.references)]
    if not over:
        return f"no unique key on {parent.name}({wanted})"
    index = over[0]
    why = (
        "partial"
        if index.partial
        else "deferrable"
        if not index.immediate
        else "not valid"
        if not index.valid
        else "one without overlaps"
    )
    return f"the unique index {index.name!r} on {parent.name}({wanted}) is {why}"


def _remarks(item: Relationship, schema: Schema) -> tuple[str, ...]:
    remarks = []
    child, parent = schema.tables[item.child], schema.tables[item.parent]
    for name, reference in zip(item.columns, item.references, strict=True):
        column, target = child.column(name), parent.column(reference)
        if column and target and column.type != target.type:
            remarks.append(f"{name} is {column.type}, {reference} is {target.type}")
        if column and column.not_null and item.on_delete is Action.SET_NULL:
            remarks.append(f"{name} is NOT NULL: on delete set null would fail")
    if child.index_leading_with(item.columns) is None:
        remarks.append("no index leads with the child columns: deletes of a parent scan the child")
    return tuple(remarks)
