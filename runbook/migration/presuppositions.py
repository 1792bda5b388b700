"""What a plan presupposes, in sentences, and whether a database still is so.

What the plan's own steps make or drop is not among them, so that a plan still fits after a part of
it is done.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import psycopg

from runbook import catalog, operators
from runbook import session as sessions
from runbook.environment import Change
from runbook.errors import IncompleteError
from runbook.migration import surroundings
from runbook.migration.owner import LONGER, begin, limited, roll_back
from runbook.migration.plan import Plan, PlannedKey, StepKind
from runbook.migration.surroundings import Partition
from runbook.operators import Comparisons
from runbook.relationships import Relationship
from runbook.schema import Schema, Table, TableName
from runbook.session import Session

NOT_VALID_ON_PARTITIONED = 180000  # the server from which a partitioned table takes NOT VALID
Partitions = Mapping[TableName, tuple[Partition, ...]]


def sentences(
    keys: Sequence[PlannedKey],
    indexed: frozenset[str],
    schema: Schema,
    comparisons: Sequence[Comparisons],
    partitions: Partitions,
) -> tuple[str, ...]:
    """What the steps for ``keys`` presuppose; ``indexed`` are the relationships with an index step.

    Sorted, each once. ``comparisons`` are in the order of ``keys``.
    """
    found: set[str] = set()
    for key, comparison in zip(keys, comparisons, strict=True):
        for name, columns in ((key.child_name, key.columns), (key.parent_name, key.references)):
            found.update(_table(name, columns, schema.tables.get(name)))
        found.add(f"{key.relationship}: compared by {_compared(comparison)}")
        found.update(
            f"key {other.name!r} on {key.child}: {key.relationship},"
            f" on delete {other.on_delete}, not as decided"
            for other in schema.keys_of(key.child_name)
            if key.has_shape_of(other)
            and not key.is_that_of(other)
            and other.name not in key.replaces
        )
        child = schema.tables.get(key.child_name)
        if child is not None and key.relationship not in indexed:
            serving = child.index_leading_with(key.columns) is not None
            found.add(f"{key.relationship}: {'an' if serving else 'no'} index serves it")
        if child is not None and child.kind == "p":
            found.update(_partitioned(key.child_name, schema.server_version, partitions))
    return tuple(sorted(found))


def takes_no_not_valid(table: Table, version: int) -> bool:
    """Whether a key on ``table`` has to be valid at once: each partition gets one before."""
    return table.kind == "p" and version < NOT_VALID_ON_PARTITIONED


def fingerprint(found: Sequence[str]) -> str:
    """SHA-256 of the sentences, its first 16 hex digits."""
    return hashlib.sha256("\n".join(found).encode()).hexdigest()[:16]


def check(session: Session, plan: Plan, change: Change) -> None:
    """Raise :class:`IncompleteError` that says what differs from what ``plan`` presupposes."""
    try:
        with limited(session, change.scan):
            begin(session, change.lock * LONGER, change.scan)
            try:
                now = _read(session, plan)
            finally:
                roll_back(session)
    except psycopg.Error as error:
        raise IncompleteError(
            f"the catalog cannot be read: {sessions.reason(error)}",
            "somebody may be changing the schema: try again",
        ) from None
    if fingerprint(now) == plan.fingerprint:
        return
    gone = [f"expected {line!r}" for line in plan.presupposes if line not in now]
    new = [f"got {line!r}" for line in now if line not in plan.presupposes]
    told = [*gone, *new]
    more = f"; and {len(told) - 4} more" if len(told) > 4 else ""
    raise IncompleteError(
        f"the database is not as the plan presupposes: {'; '.join(told[:4])}{more}",
        f"make a new plan: runbook migrate plan {plan.environment}",
    )


def _read(session: Session, plan: Plan) -> tuple[str, ...]:
    tables = [name for key in plan.keys for name in (key.child_name, key.parent_name)]
    wanted = sorted({name.schema for name in tables})
    items = [
        Relationship(key.child_name, key.columns, key.parent_name, key.references)
        for key in plan.keys
    ]
    return sentences(
        plan.keys,
        frozenset(step.relationship for step in plan.steps if step.kind is StepKind.INDEX),
        catalog.read(session, wanted),
        operators.read(session, items),
        surroundings.partitions(session, wanted),
    )


def _table(name: TableName, columns: Sequence[str], table: Table | None) -> list[str]:
    if table is None:
        return [f"table {name}: not there"]
    kinds = {"r": "table", "p": "partitioned table"}
    kept = "unlogged " if table.persistence == "u" else ""
    found = [f"table {name}: a {kept}{kinds.get(table.kind, table.kind)}"]
    for wanted in columns:
        column = table.column(wanted)
        if column is None:
            found.append(f"column {name}.{wanted}: not there")
            continue
        words = [column.type]
        words += [f"collate {column.collation}"] if column.collation else []
        words += ["not null"] if column.not_null else []
        words += ["generated"] if column.generated else []
        found.append(f"column {name}.{wanted}: {' '.join(words)}")
    return found


def _compared(comparison: Comparisons) -> str:
    if not comparison.pairs:
        return "nothing"
    return ", ".join(
        f"{pair.schema}.{pair.name}"
        + (f" of {pair.left or '-'} and {pair.right or '-'}" if pair.left or pair.right else "")
        + (f" collate {'.'.join(pair.collation)}" if pair.collation else "")
        for pair in comparison.pairs
    )


def _partitioned(child: TableName, version: int, partitions: Partitions) -> list[str]:
    """From 18 on the key goes on the partitioned table, whatever partitions it has."""
    if version >= NOT_VALID_ON_PARTITIONED:
        return [f"table {child}: the server takes NOT VALID on a partitioned table"]
    found = [f"table {child}: the server takes no NOT VALID on a partitioned table"]
    return found + [f"partition {part.name} of {child}" for part in partitions.get(child, ())]
