"""What the planner knows of a relationship's two tables: sizes, distinct values, a usable index.

Read from the catalogs in one query; a table that was never analyzed says so with None. The
partitions come from pg_inherits: pg_partition_tree would lock each until the transaction ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

from runbook.relationships import Relationship
from runbook.session import Session, fetch


@dataclass(frozen=True)
class Statistics:
    """Of one relationship. Rows and distinct values are the planner's estimates.

    ``skip_columns`` are the child columns in the order of a btree index that leads with them, or
    empty: such an index lets the next distinct value be found without reading the rows between.
    """

    child_rows: float | None
    child_pages: int
    parent_rows: float | None
    key_width: int
    distinct: float | None
    skip_columns: tuple[str, ...]


UNKNOWN = Statistics(None, 0, None, 8, None, ())

# An index serves a skip scan when it is a whole btree (or leaves out only NULLs), leads with the
# child columns, all in one direction and in the type's own order, and when equal values of the
# type are the same value: then one of them stands for all.
STATISTICS: LiteralString = """
WITH wanted AS (
    SELECT n, cs, ct, ps, pt, string_to_array(columns, E'\\x01') AS columns
      FROM unnest(%s::int[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[])
           AS w(n, cs, ct, ps, pt, columns)
), found AS (
    SELECT w.*, c.oid AS child, c.relkind AS kind, p.oid AS parent, p.relkind AS parent_kind
      FROM wanted w
      JOIN pg_namespace cn ON cn.nspname = w.cs
      JOIN pg_class c ON c.relnamespace = cn.oid AND c.relname = w.ct
      JOIN pg_namespace pn ON pn.nspname = w.ps
      JOIN pg_class p ON p.relnamespace = pn.oid AND p.relname = w.pt
), sized AS (
    SELECT f.*,
           l.rows AS partition_rows, l.pages AS partition_pages
      FROM found f
      LEFT JOIN LATERAL (
           WITH RECURSIVE part AS (SELECT f.child AS oid WHERE f.kind = 'p'
                                    UNION ALL
                                   SELECT i.inhrelid FROM part
                                     JOIN pg_inherits i ON i.inhparent = part.oid)
           SELECT CASE WHEN min(c.reltuples) < 0 THEN NULL ELSE sum(c.reltuples) END::float8
                       AS rows, sum(c.relpages)::bigint AS pages
             FROM part JOIN pg_class c ON c.oid = part.oid WHERE c.relkind = 'r') l ON true
)
SELECT s.n,
       CASE WHEN s.kind = 'p' THEN s.partition_rows
            WHEN c.reltuples < 0 THEN NULL ELSE c.reltuples::float8 END,
       CASE WHEN s.kind = 'p' THEN s.partition_pages ELSE c.relpages END,
       CASE WHEN p.reltuples < 0 THEN NULL ELSE p.reltuples::float8 END,
       (SELECT coalesce(sum(st.avg_width), 8)::int FROM pg_stats st
         WHERE st.schemaname = s.cs AND st.tablename = s.ct AND st.attname = ANY (s.columns)
           AND st.inherited = (s.kind = 'p')),
       (SELECT CASE WHEN count(*) < cardinality(s.columns) THEN NULL
                    ELSE exp(sum(ln(greatest(1, CASE WHEN st.n_distinct >= 0 THEN st.n_distinct
                         ELSE -st.n_distinct * greatest(c.reltuples, 1) END)))) END
          FROM pg_stats st
         WHERE st.schemaname = s.cs AND st.tablename = s.ct AND st.attname = ANY (s.columns)
           AND st.inherited = (s.kind = 'p')),
       (SELECT led.columns FROM pg_index i
          JOIN pg_class x ON x.oid = i.indexrelid
          JOIN pg_am am ON am.oid = x.relam AND am.amname = 'btree'
         CROSS JOIN LATERAL (
               SELECT array_agg(a.attname::text ORDER BY k.place) AS columns,
                      bool_and(oc.opcdefault AND k.coll = a.attcollation
                               AND coalesce(co.collisdeterministic, true)
                               AND (b.oid = ANY (ARRAY['int2', 'int4', 'int8', 'text', 'varchar',
                                    'uuid', 'date', 'timestamp', 'timestamptz', 'numeric', 'oid',
                                    'bytea', 'bool']::regtype[]) OR b.typtype = 'e')) AS usable,
                      count(DISTINCT k.options) = 1 AS one_direction
                 FROM unnest(i.indkey::int2[], i.indclass::oid[], i.indcollation::oid[],
                             i.indoption::int2[])
                      WITH ORDINALITY k(attnum, class, coll, options, place)
                 JOIN pg_attribute a ON a.attrelid = s.child AND a.attnum = k.attnum
                 JOIN pg_type t ON t.oid = a.atttypid
                 JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype
                                                ELSE t.oid END
                 JOIN pg_opclass oc ON oc.oid = k.class
                 LEFT JOIN pg_collation co ON co.oid = a.attcollation
                WHERE k.place <= cardinality(s.columns)) led
         WHERE i.indrelid = s.child AND s.kind = 'r' AND i.indisvalid AND i.indisready
           AND EXISTS (SELECT FROM pg_attribute first WHERE first.attrelid = s.child
                          AND first.attnum = i.indkey[0] AND first.attname = ANY (s.columns))
           AND i.indexprs IS NULL
           AND (i.indpred IS NULL
                OR pg_get_expr(i.indpred, i.indrelid) IN (
                   SELECT format('(%%I IS NOT NULL)', k) FROM unnest(s.columns) k))
           AND led.usable AND led.one_direction AND led.columns @> s.columns
           AND cardinality(led.columns) = cardinality(s.columns)
         ORDER BY i.indnatts, i.indexrelid LIMIT 1)
  FROM sized s
  JOIN pg_class c ON c.oid = s.child
  JOIN pg_class p ON p.oid = s.parent
"""


def read(session: Session, relationships: Sequence[Relationship]) -> tuple[Statistics, ...]:
    """The statistics of each relationship, in order; in the caller's transaction."""
    rows = [
        (
            number,
            *(item.child.schema, item.child.table),
            *(item.parent.schema, item.parent.table),
            "\x01".join(item.columns),
        )
        for number, item in enumerate(relationships)
    ]
    wanted = [list(values) for values in zip(*rows, strict=True)] or [[] for _ in range(6)]
    found = {number: values for number, *values in fetch(session, STATISTICS, *wanted)}
    return tuple(from_row(found.get(number)) for number in range(len(relationships)))


def from_row(row: Sequence[object] | None) -> Statistics:
    """The statistics of one relationship; without a row nothing is known."""
    if row is None:
        return UNKNOWN
    rows, pages, parent_rows, width, distinct, columns = row
    known = None if rows is None else float(str(rows))
    values = None if distinct is None else float(str(distinct))
    names = tuple(columns) if isinstance(columns, list) else ()
    if values is not None and len(names) > 1 and parent_rows is not None:
        # the product of the columns' distinct values counts pairs that never occur together;
        # apart from orphan values, there are no more than parents
        values = min(values, max(float(str(parent_rows)), 1.0))
    return Statistics(
        child_rows=known,
        child_pages=int(str(pages or 0)),
        parent_rows=None if parent_rows is None else float(str(parent_rows)),
        key_width=int(str(width or 8)),
        distinct=values if known is None or values is None else min(values, known),
        skip_columns=names,
    )
