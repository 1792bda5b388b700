"""The relationships as the monitoring keeps them: a row each, with the query that counts it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass

from psycopg import sql

from runbook.audit import query
from runbook.audit.target import Target
from runbook.operators import Comparisons
from runbook.relationships import Relationship
from runbook.schema import Schema
from runbook.session import Session
from runbook.statistics import UNKNOWN


@dataclass(frozen=True)
class Entry:
    """A row of the table ``relationships``.

    ``query`` yields one number and takes the time until which it may count as ``$1``; it is None
    where the rows cannot be counted, and then ``not_looked`` says why.
    """

    place: int
    relationship: str
    label: str
    child: str
    parent: str
    severity: str
    query: str | None
    not_looked: str | None


def make(
    session: Session,
    schema_name: str,
    relationships: Sequence[Relationship],
    schema: Schema,
    comparisons: Sequence[Comparisons],
) -> tuple[Entry, ...]:
    """The entries of all relationships: the worst severity first, then by name."""
    pairs = sorted(
        zip(relationships, comparisons, strict=True),
        key=lambda pair: (pair[0].alert.rank, pair[0].id),
    )
    return tuple(
        _entry(session, schema_name, place, Target(item, schema, comparison, UNKNOWN))
        for place, (item, comparison) in enumerate(pairs, 1)
    )


def _entry(session: Session, schema_name: str, place: int, target: Target) -> Entry:
    item = target.relationship
    why = target.not_looked or None
    return Entry(
        place=place,
        relationship=item.id,
        label=item.label,
        child=str(item.child),
        parent=str(item.parent),
        severity=item.alert.value,
        query=None if why else counting(target, schema_name).as_string(session),
        not_looked=why,
    )


def counting(target: Target, schema_name: str) -> sql.Composed:
    """The orphan query of the audit, which also looks at the clock for every row of the child.

    A statement's own time limit cannot be set from within it: PostgreSQL starts that clock when
    the statement arrives
    (https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-STATEMENT-TIMEOUT).
    """
    found = query.orphans(target.relationship, target.schema, target.comparisons, target.match)
    return sql.SQL(
        "SELECT pg_catalog.count(*) {} AND CASE WHEN pg_catalog.clock_timestamp() < $1 THEN true"
        " ELSE {}() END"
    ).format(found, sql.Identifier(schema_name, "out_of_time"))


def digest(entries: Sequence[Entry]) -> str:
    """SHA-256 (first 16 hex digits) of all entries: it changes when one of them does."""
    text = json.dumps([astuple(entry) for entry in entries], ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
