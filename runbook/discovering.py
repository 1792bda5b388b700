"""Discovers relationships in a database: declarations, then statistics, rows and statements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psycopg

from runbook import operators
from runbook.audit import engine as audits
from runbook.audit.target import targets
from runbook.discovery import candidates, data, engine, unnamed, use
from runbook.discovery.data import Inclusion, Rows, Spread
from runbook.discovery.proposal import Found, Proposal
from runbook.discovery.told import NOTHING, Told
from runbook.discovery.vocabulary import Vocabulary
from runbook.discovery.weights import WEIGHTS
from runbook.errors import IncompleteError
from runbook.findings import Audit
from runbook.relationships import Relationship
from runbook.schema import Schema, Shape, TableName
from runbook.session import Session, reason

SPREADS = """
SELECT n.nspname, c.relname, a.attname, c.reltuples,
       coalesce(s.null_frac, 0), s.n_distinct,
       CASE WHEN s.avg_width <= 40 AND format_type(a.atttypid, NULL) = ANY(%s)
            THEN coalesce(s.histogram_bounds::text::text[], '{}')
                 || coalesce(s.most_common_vals::text::text[], '{}') END,
       a.attidentity <> '' OR coalesce(pg_get_expr(d.adbin, d.adrelid) ~ '^nextval', false)
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_stats s
  ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname
  AND (NOT s.inherited OR c.relkind = 'p')
WHERE c.relkind IN ('r', 'p') AND c.reltuples >= 0 AND n.nspname = ANY(%s)
"""
TYPES = (
    "smallint", "integer", "bigint", "uuid", "text", "character varying", "character", "citext",
)  # fmt: skip
Say = Callable[[str], None]


@dataclass(frozen=True)
class Looked:
    """What was found, what it rests on, and what could not be looked at (empty: nothing)."""

    found: Found
    told: Told
    tests: int
    unread: tuple[str, ...]


def look(
    session: Session,
    schema: Schema,
    extra: Sequence[Proposal] = (),
    say: Say = lambda _: None,
    *,
    rows: bool = True,
) -> Looked:
    """Propose relationships with all evidence, in the caller's read-only transaction.

    Without ``rows`` the declarations are all that is looked at.

    Raises :class:`IncompleteError` when the connection is lost on the way.
    """
    if not rows:
        return Looked(engine.propose(schema, extra=extra), NOTHING, 0, ())
    vocabulary = Vocabulary(schema)
    alone = candidates.of(vocabulary)
    unread: list[str] = []
    say("reads the planner's statistics")
    known = Rows(_spreads(session, schema, unread))
    say("reads the joins in views, functions and statements")
    joins = use.read(session, schema, unread)
    silent = unnamed.of(vocabulary, alone, Told(known, joins))
    offered = {
        place: (*alone.get(place, ()), *silent.joined.get(place, ()))
        for place in dict.fromkeys((*alone, *silent.joined))
    }
    tests = (*data.tests(vocabulary, offered, known, WEIGHTS), *silent.tests())
    wanted = tuple({each.shape: each for each in tests}.values())
    say(f"counts the orphan rows of {len(wanted)} candidates")
    told = Told(Rows(known.spreads, _inclusions(session, schema, wanted)), joins)
    if session.closed:
        raise IncompleteError("the connection was lost during discovery", "run it again")
    found = engine.propose(schema, extra=extra, told=told)
    return Looked(found, told, len(wanted), tuple(unread))


def _spreads(
    session: Session, schema: Schema, unread: list[str]
) -> dict[tuple[TableName, str], Spread]:
    schemas = sorted({name.schema for name in schema.tables})
    try:
        with session.transaction():
            found = session.execute(SPREADS, (list(TYPES), schemas)).fetchall()
    except psycopg.Error as error:
        unread.append(f"the planner's statistics: {reason(error)}")
        return {}
    return {
        (TableName(row[0], row[1]), row[2]): spread
        for row in found
        if (spread := _spread(float(row[3]), float(row[4]), row[5], row[6], row[7])) is not None
    }


def _spread(
    rows: float,
    nulls: float,
    distinct: float | None,
    marks: Sequence[str] | None,
    numbered: bool,
) -> Spread | None:
    """``n_distinct`` is a share of the rows where it is negative, and missing for empty tables."""
    if distinct is None:
        return Spread(rows, 1.0, 0.0) if rows == 0 else None
    values = float(distinct) if distinct >= 0 else -float(distinct) * rows
    return Spread(rows, nulls, values, tuple(marks or ()), numbered)


def _inclusions(
    session: Session, schema: Schema, wanted: Sequence[Relationship]
) -> dict[Shape, Inclusion]:
    compared = operators.read(session, wanted)
    options = audits.Options(samples=0)
    found = [
        audits.one(session, target, options)
        for target in targets(session, wanted, schema, compared)
    ]
    return {audit.relationship.shape: _inclusion(audit) for audit in found}


def _inclusion(audit: Audit) -> Inclusion:
    return Inclusion(audit.orphans if audit.exact else None, audit.reason)
