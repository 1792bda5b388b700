"""What lies around the rows of a remediation: who refers to them, triggers, rules, their key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString

from runbook import operators
from runbook.audit.target import match_of
from runbook.errors import IncompleteError
from runbook.relationships import Relationship
from runbook.remediation.remedy import Dependent, KeyColumn, Strategy
from runbook.schema import Action, Schema, TableName
from runbook.session import Session, fetch

PRIMARY_KEY: LiteralString = """
    SELECT a.attname::text, n.nspname::text, o.oprname::text
      FROM pg_catalog.pg_index i
      JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
      JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace
      JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
      JOIN pg_catalog.pg_am am ON am.oid = x.relam AND am.amname = 'btree'
     CROSS JOIN LATERAL unnest(i.indkey::int2[], i.indclass::oid[])
           WITH ORDINALITY k(attnum, class, place)
      JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
      JOIN pg_catalog.pg_opclass oc ON oc.oid = k.class
      JOIN pg_catalog.pg_amop ao ON ao.amopfamily = oc.opcfamily AND ao.amopstrategy = 3
           AND ao.amoplefttype = oc.opcintype AND ao.amoprighttype = oc.opcintype
      JOIN pg_catalog.pg_operator o ON o.oid = ao.amopopr
      JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
     WHERE i.indisprimary AND i.indisvalid AND s.nspname = %s AND c.relname = %s
       AND k.place <= i.indnkeyatts
     ORDER BY k.place
"""

# ON DELETE SET NULL (columns); as JSON, because the column is not there before PostgreSQL 15
NULLED: LiteralString = """
    SELECT a.attname::text FROM pg_catalog.pg_constraint k
      JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     CROSS JOIN LATERAL unnest(k.conkey) WITH ORDINALITY own (attnum, place)
      JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = own.attnum
     WHERE k.contype = 'f' AND n.nspname = %s AND c.relname = %s AND k.conname = %s
       AND to_jsonb(k) -> 'confdelsetcols' @> to_jsonb(own.attnum)
     ORDER BY own.place
"""

# a key that refers to a partition reaches its rows as much as one that refers to the whole
SHARING: LiteralString = """
    WITH RECURSIVE own AS (
        SELECT c.oid FROM pg_catalog.pg_class c
          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = %s AND c.relname = %s
    ), part AS (
        SELECT oid FROM own
         UNION ALL
        SELECT i.inhrelid FROM part JOIN pg_catalog.pg_inherits i ON i.inhparent = part.oid
          JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relispartition
    ), whole AS (
        SELECT oid FROM own
         UNION ALL
        SELECT i.inhparent FROM whole JOIN pg_catalog.pg_inherits i ON i.inhrelid = whole.oid
          JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relispartition
    )
    SELECT n.nspname::text, c.relname::text
      FROM (SELECT oid FROM part UNION SELECT oid FROM whole) found
      JOIN pg_catalog.pg_class c ON c.oid = found.oid
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
"""

# a partition can have triggers of its own
TRIGGERS: LiteralString = """
    WITH RECURSIVE part AS (
        SELECT c.oid FROM pg_catalog.pg_class c
          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = %s AND c.relname = %s
         UNION ALL
        SELECT i.inhrelid FROM part JOIN pg_catalog.pg_inherits i ON i.inhparent = part.oid
          JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relispartition
    )
    SELECT DISTINCT t.tgname::text COLLATE "C" FROM part
      JOIN pg_catalog.pg_trigger t ON t.tgrelid = part.oid
     WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')
       AND t.tgtype::int & CASE %s WHEN 'INSERT' THEN 4 WHEN 'DELETE' THEN 8 ELSE 16 END <> 0
     ORDER BY 1
"""

RULES: LiteralString = """
    SELECT r.rulename::text COLLATE "C" FROM pg_catalog.pg_rewrite r
      JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = %s AND c.relname = %s AND r.ev_enabled IN ('O', 'A')
       AND r.ev_type = CASE %s WHEN 'INSERT' THEN '3' WHEN 'DELETE' THEN '4' ELSE '2' END::"char"
     ORDER BY 1
"""


def primary_key(session: Session, table: TableName) -> tuple[KeyColumn, ...]:
    """The columns of a table's primary key; empty without one that btree compares."""
    return tuple(KeyColumn(*row) for row in fetch(session, PRIMARY_KEY, table.schema, table.table))


def sharing(session: Session, table: TableName) -> frozenset[TableName]:
    """The table, its partitions, and the tables of which it is one: they share rows."""
    rows = fetch(session, SHARING, table.schema, table.table)
    return frozenset(TableName(*row) for row in rows)


def nulled(session: Session, item: Relationship, schema: Schema) -> tuple[str, ...]:
    """The columns that its key's ON DELETE SET NULL names; empty where it names none."""
    keys = [key for key in schema.keys_like(item.shape) if key.on_delete is Action.SET_NULL]
    for key in keys:
        rows = fetch(session, NULLED, item.child.schema, item.child.table, key.name)
        if rows:
            return tuple(row[0] for row in rows)
    return ()


def triggers(session: Session, table: TableName, event: str) -> tuple[str, ...]:
    """The triggers that fire when a row of ``table`` meets ``event``, those of keys left out."""
    return tuple(row[0] for row in fetch(session, TRIGGERS, table.schema, table.table, event))


def rules(session: Session, table: TableName, event: str) -> tuple[str, ...]:
    """The rules that rewrite ``event`` on ``table``."""
    return tuple(row[0] for row in fetch(session, RULES, table.schema, table.table, event))


def dependents(
    session: Session,
    item: Relationship,
    strategy: Strategy,
    schema: Schema,
    declared: Sequence[Relationship],
) -> tuple[Dependent, ...]:
    """Who refers to the rows that ``strategy`` takes away or whose referred columns it changes.

    By a foreign key of the database, or by a relationship of the file that has none. Raises
    :class:`IncompleteError` for one that cannot be counted.
    """
    if not (strategy.removes or strategy.changes):
        return ()
    keys = [
        Relationship(key.child, key.columns, key.parent, key.references, match=key.match)
        for key in schema.foreign_keys
    ]
    same = sharing(session, item.child)
    every = {other.shape: other for other in (*declared, *keys) if other.parent in same}
    found = tuple(
        other
        for other in every.values()
        if strategy.removes or set(other.references) & set(item.columns)
    )
    compared = operators.read(session, found) if found else ()
    for other, comparisons in zip(found, compared, strict=True):
        temporal = any(key.temporal for key in schema.keys_like(other.shape))
        if temporal or not comparisons.pairs or schema.tables[other.child].kind not in "rp":
            raise IncompleteError(
                f"{other.id}: it cannot be told whether its rows refer to the rows of {item.child}",
                "use flag or restore, which take no row away",
            )
    return tuple(
        Dependent(other, comparisons, match_of(other, schema))
        for other, comparisons in zip(found, compared, strict=True)
    )
