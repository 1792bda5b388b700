"""How PostgreSQL would compare a child column with a parent column in a foreign key.

Follows ``ATAddForeignKeyConstraint`` of PostgreSQL's ``tablecmds.c``: the equality operator comes
from the operator class of the parent's unique index, for the pair of types where the family has
one, else for the index's own type when the child's type is implicitly coercible to it. A plain
``=`` in a join can be another operator and give another answer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

from runbook.relationships import Relationship
from runbook.session import Session, fetch


@dataclass(frozen=True)
class Comparison:
    """``parent_column::left OPERATOR(schema.name) child_column::right COLLATE collation``.

    A cast is empty where PostgreSQL makes none; ``collation`` is None where both agree.
    """

    schema: str
    name: str
    left: str
    right: str
    collation: tuple[str, str] | None


@dataclass(frozen=True)
class Comparisons:
    """The comparison of each column pair of a relationship; empty ``pairs``: no usable index.

    ``incomparable`` names the first pair of types without an equality operator, or is None.
    """

    index: str
    pairs: tuple[Comparison, ...]
    incomparable: tuple[str, str] | None = None


COMPARISONS: LiteralString = """
WITH wanted AS (
    SELECT * FROM unnest(%s::int[], %s::int[], %s::text[], %s::text[], %s::text[],
                         %s::text[], %s::text[], %s::text[])
        AS w(relationship, place, ps, pt, pc, cs, ct, cc)
), resolved AS (
    SELECT w.relationship, w.place, p.oid AS parent, pa.attnum,
           pa.atttypid AS ptype, pa.attcollation AS pcoll,
           ca.atttypid AS ctype, ca.attcollation AS ccoll
      FROM wanted w
      JOIN pg_namespace pn ON pn.nspname = w.ps
      JOIN pg_class p ON p.relnamespace = pn.oid AND p.relname = w.pt
      JOIN pg_attribute pa ON pa.attrelid = p.oid AND pa.attname = w.pc AND NOT pa.attisdropped
      JOIN pg_namespace cn ON cn.nspname = w.cs
      JOIN pg_class c ON c.relnamespace = cn.oid AND c.relname = w.ct
      JOIN pg_attribute ca ON ca.attrelid = c.oid AND ca.attname = w.cc AND NOT ca.attisdropped
), target AS (
    SELECT relationship, min(parent) AS parent, array_agg(attnum ORDER BY attnum) AS columns
      FROM resolved GROUP BY relationship
), chosen AS (
    SELECT DISTINCT ON (t.relationship) t.relationship, i.indexrelid, i.indkey, i.indclass
      FROM target t
      JOIN pg_index i ON i.indrelid = t.parent AND i.indisunique AND i.indimmediate
           AND NOT i.indisexclusion
           AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
           AND i.indnkeyatts = cardinality(t.columns)
           AND (SELECT array_agg(k.attnum ORDER BY k.attnum)
                  FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, n)
                 WHERE k.n <= i.indnkeyatts) = t.columns
     ORDER BY t.relationship, i.indexrelid  -- as RelationGetIndexList has them
), typed AS (
    SELECT r.*, x.relname AS index, oc.opcfamily AS family, oc.opcintype AS itype,
           (WITH RECURSIVE b AS (SELECT t.oid, t.typtype, t.typbasetype FROM pg_type t
                                  WHERE t.oid = r.ctype
                                 UNION ALL
                                 SELECT t.oid, t.typtype, t.typbasetype
                                   FROM b JOIN pg_type t ON t.oid = b.typbasetype
                                  WHERE b.typtype = 'd')
            SELECT oid FROM b WHERE typtype <> 'd') AS cbase,
           (WITH RECURSIVE b AS (SELECT t.oid, t.typtype, t.typbasetype FROM pg_type t
                                  WHERE t.oid = r.ptype
                                 UNION ALL
                                 SELECT t.oid, t.typtype, t.typbasetype
                                   FROM b JOIN pg_type t ON t.oid = b.typbasetype
                                  WHERE b.typtype = 'd')
            SELECT oid FROM b WHERE typtype <> 'd') AS pbase
      FROM resolved r
      JOIN chosen ch USING (relationship)
      JOIN pg_class x ON x.oid = ch.indexrelid
      CROSS JOIN LATERAL unnest(ch.indkey::int2[], ch.indclass::oid[]) k(attnum, class)
      JOIN pg_opclass oc ON oc.oid = k.class
     WHERE k.attnum = r.attnum
), matched AS (
    SELECT t.*,
           (SELECT o.amopopr FROM pg_amop o WHERE o.amopfamily = t.family AND o.amopstrategy = 3
               AND o.amoplefttype = t.itype AND o.amoprighttype = t.cbase
               AND EXISTS (SELECT FROM pg_amop f WHERE f.amopfamily = t.family
                              AND f.amopstrategy = 3 AND f.amoplefttype = t.cbase
                              AND f.amoprighttype = t.cbase)) AS direct,
           (SELECT o.amopopr FROM pg_amop o WHERE o.amopfamily = t.family AND o.amopstrategy = 3
               AND o.amoplefttype = t.itype AND o.amoprighttype = t.itype) AS own,
           CASE WHEN t.itype = 'anyenum'::regtype
                THEN t.ctype = t.ptype AND t.ctype = t.cbase  -- it sees no enum in a domain
                WHEN t.itype = 'record'::regtype
                THEN (SELECT typtype FROM pg_type WHERE oid = t.cbase) = 'c'
                WHEN (SELECT typtype FROM pg_type WHERE oid = t.itype) = 'p'
                THEN t.cbase = t.pbase
                ELSE t.cbase = t.itype
                     OR EXISTS (SELECT FROM pg_cast k WHERE k.castsource = t.cbase
                                   AND k.casttarget = t.itype AND k.castcontext = 'i')
           END AS coercible,
           -- one of two collations may call equal what the other does not: refused since 18
           current_setting('server_version_num')::int >= 180000 AND t.pcoll <> t.ccoll
           AND (t.pcoll = 0 OR t.ccoll = 0
                OR EXISTS (SELECT FROM pg_collation k WHERE k.oid IN (t.pcoll, t.ccoll)
                              AND NOT k.collisdeterministic)) AS at_odds
      FROM typed t
)
SELECT m.relationship, m.index::text,
       format_type(m.ctype, NULL) || CASE WHEN NOT m.at_odds THEN ''
           ELSE coalesce(' collate ' || quote_ident(cc.collname), ' without a collation') END,
       format_type(m.ptype, NULL) || CASE WHEN NOT m.at_odds THEN ''
           ELSE coalesce(' collate ' || quote_ident(co.collname), ' without a collation') END,
       n.nspname::text, o.oprname::text,
       CASE WHEN l.typtype <> 'p' AND o.oprleft <> m.ptype THEN format_type(o.oprleft, -1)
            ELSE '' END,
       CASE WHEN r.typtype <> 'p' AND o.oprright <> m.ctype THEN format_type(o.oprright, -1)
            ELSE '' END,
       CASE WHEN m.pcoll <> 0 AND m.pcoll <> m.ccoll THEN cn.nspname::text END,
       co.collname::text
  FROM matched m
  LEFT JOIN pg_operator o ON o.oid = coalesce(m.direct, CASE WHEN m.coercible THEN m.own END)
       AND NOT m.at_odds
  LEFT JOIN pg_namespace n ON n.oid = o.oprnamespace
  LEFT JOIN pg_type l ON l.oid = o.oprleft
  LEFT JOIN pg_type r ON r.oid = o.oprright
  LEFT JOIN pg_collation co ON co.oid = m.pcoll
  LEFT JOIN pg_collation cc ON cc.oid = m.ccoll
  LEFT JOIN pg_namespace cn ON cn.oid = co.collnamespace
 ORDER BY m.relationship, m.place
"""


# The planner takes what unnest yields for a handful of rows and joins it in nested loops: all of
# 10,000 relationships at once would be a hundred million comparisons.
BATCH = 500


def read(session: Session, relationships: Sequence[Relationship]) -> tuple[Comparisons, ...]:
    """How each relationship would be compared, in their order; in the caller's transaction."""
    found: list[Comparisons] = []
    for first in range(0, len(relationships), BATCH):
        found += _batch(session, relationships[first : first + BATCH])
    return tuple(found)


def _batch(session: Session, relationships: Sequence[Relationship]) -> list[Comparisons]:
    rows = [
        (
            number,
            place,
            *(item.parent.schema, item.parent.table, reference),
            *(item.child.schema, item.child.table, column),
        )
        for number, item in enumerate(relationships)
        for place, (column, reference) in enumerate(zip(item.columns, item.references, strict=True))
    ]
    wanted = [list(values) for values in zip(*rows, strict=True)]
    found: defaultdict[int, list[tuple[object, ...]]] = defaultdict(list)
    for number, *values in fetch(session, COMPARISONS, *wanted):
        found[number].append(tuple(values))
    return [from_rows(found[number]) for number in range(len(relationships))]


def from_rows(rows: Sequence[tuple[object, ...]]) -> Comparisons:
    """The comparisons of one relationship from its rows, in the order of its columns."""
    pairs = []
    index = str(rows[0][0]) if rows else ""
    for _, child, parent, schema, name, left, right, collation_schema, collation in rows:
        if name is None:
            return Comparisons(index, (), (str(child), str(parent)))
        collate = (str(collation_schema), str(collation)) if collation_schema else None
        pairs.append(Comparison(str(schema), str(name), str(left), str(right), collate))
    return Comparisons(index, tuple(pairs))
