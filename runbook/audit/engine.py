"""Counts the orphan rows of relationships, one by one, in one snapshot.

A statement that fails makes its relationship ``could not look``, never ``clean``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import psycopg
from psycopg import sql

from runbook.audit import query
from runbook.findings import Audit, AuditState
from runbook.operators import Comparisons
from runbook.relationships import Relationship
from runbook.schema import Match, Schema
from runbook.session import Session, reason

SAMPLES = 5


def count(
    session: Session,
    relationships: Sequence[Relationship],
    schema: Schema,
    comparisons: Sequence[Comparisons],
    progress: Callable[[Audit], None] = lambda _audit: None,
) -> tuple[Audit, ...]:
    """Audit each relationship inside the caller's read-only transaction, in order."""
    audits = []
    for relationship, comparison in zip(relationships, comparisons, strict=True):
        audit = _one(session, relationship, schema, comparison)
        progress(audit)
        audits.append(audit)
    return tuple(audits)


def _one(
    session: Session, relationship: Relationship, schema: Schema, comparison: Comparisons
) -> Audit:
    if any(k.temporal and k.shape == relationship.shape for k in schema.foreign_keys):
        return Audit(
            relationship,
            AuditState.NOT_LOOKED,
            reason="a key with PERIOD compares ranges, which is not counted yet",
        )
    if not comparison.pairs:
        return Audit(
            relationship,
            AuditState.NOT_LOOKED,
            reason="PostgreSQL could not compare the two sides: the key is impossible",
        )
    started = time.perf_counter()
    try:
        with session.transaction():  # a savepoint: a failure must not end the whole snapshot
            return _counted(session, relationship, schema, comparison, started)
    except psycopg.Error as error:
        return Audit(
            relationship,
            AuditState.COULD_NOT_LOOK,
            seconds=time.perf_counter() - started,
            reason=reason(error),
        )


def _counted(
    session: Session,
    relationship: Relationship,
    schema: Schema,
    comparison: Comparisons,
    started: float,
) -> Audit:
    found = query.orphans(relationship, schema, comparison, match_of(relationship, schema))
    row = session.execute(query.count(found, relationship)).fetchone()
    seconds = time.perf_counter() - started
    if row is None:
        raise psycopg.DataError("the counting statement returned no row")
    orphans, distinct = row
    return Audit(
        relationship,
        AuditState.ORPHANS if orphans else AuditState.CLEAN,
        orphans=orphans,
        distinct=distinct,
        strategy="anti-join",
        exact=True,
        seconds=seconds,
        samples=_samples(session, relationship, schema, found) if orphans else (),
    )


def _samples(
    session: Session, relationship: Relationship, schema: Schema, found: sql.Composed
) -> tuple[str, ...]:
    key = schema.tables[relationship.child].primary_key
    if key is None:
        return ()
    statement = query.samples(found, key.columns) + sql.Literal(SAMPLES)
    return tuple(row[0] for row in session.execute(statement).fetchall())


def match_of(relationship: Relationship, schema: Schema) -> Match:
    """MATCH FULL where the database declares the key so, else MATCH SIMPLE."""
    for key in schema.keys_of(relationship.child):
        if key.shape == relationship.shape:
            return key.match
    return Match.SIMPLE
