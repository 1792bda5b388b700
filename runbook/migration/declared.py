"""What the catalog says of one table's foreign keys and indexes, read in the caller's transaction.

Narrow queries: some run while others wait for the lock that we hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString

from runbook import catalog
from runbook.migration.plan import PlannedKey
from runbook.schema import ForeignKey, Table, TableName
from runbook.session import Session, fetch

# those of catalog.FOREIGN_KEYS, of one table; a partition's clones too
KEYS: LiteralString = (
    catalog.KEY_FIRST
    + """
           (WITH RECURSIVE clones AS (
                SELECT k.oid UNION ALL
                SELECT s.oid FROM pg_constraint s JOIN clones ON s.conparentid = clones.oid)
            SELECT count(*) FROM pg_trigger t JOIN clones ON t.tgconstraint = clones.oid
             WHERE t.tgenabled NOT IN ('O', 'A'))
"""
    + catalog.KEY_ENDS
    + """
     WHERE k.contype = 'f' AND n.nspname = %s AND c.relname = %s
       AND NOT EXISTS (  -- a partition of the parent has a clone of the key on the same child
           SELECT FROM pg_constraint up WHERE up.oid = k.conparentid AND up.conrelid = k.conrelid)
     ORDER BY k.conname
"""
)
NAMED: LiteralString = """
    SELECT EXISTS (SELECT FROM pg_constraint k
                     JOIN pg_class c ON c.oid = k.conrelid
                     JOIN pg_namespace n ON n.oid = c.relnamespace
                    WHERE n.nspname = %s AND c.relname = %s AND k.conname = %s)
"""
INDEXES: LiteralString = """
    SELECT x.relname, i.indisunique, i.indisprimary, i.indimmediate,
           i.indisvalid AND i.indisready, i.indpred IS NOT NULL, i.indexprs IS NOT NULL,
           am.amname::text, false, pg_get_indexdef(i.indexrelid),
           (SELECT coalesce(array_agg(coalesce(a.attname::text, '') ORDER BY k.place), '{}')
              FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, place)
              LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
             WHERE k.place <= i.indnkeyatts)
      FROM pg_index i
      JOIN pg_class c ON c.oid = i.indrelid
      JOIN pg_class x ON x.oid = i.indexrelid
      JOIN pg_am am ON am.oid = x.relam
      JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = %s AND c.relname = %s
     ORDER BY x.relname
"""
RELATION: LiteralString = """
    SELECT coalesce(t.relname::text, ''), coalesce(tn.nspname::text, ''),
           coalesce(i.indisvalid AND i.indisready, true)
      FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace
      LEFT JOIN pg_index i ON i.indexrelid = r.oid
      LEFT JOIN pg_class t ON t.oid = i.indrelid
      LEFT JOIN pg_namespace tn ON tn.oid = t.relnamespace
     WHERE n.nspname = %s AND r.relname = %s
"""


@dataclass(frozen=True)
class Relation:
    """What has a name that an index is to have; ``table`` is None where it is no index."""

    table: TableName | None
    valid: bool


def keys(session: Session, table: TableName) -> tuple[ForeignKey, ...]:
    """The foreign keys that ``table`` declares or has from its partitioned table."""
    return tuple(
        catalog.key_from_row(row) for row in fetch(session, KEYS, table.schema, table.table)
    )


def as_decided(session: Session, table: TableName, wanted: PlannedKey) -> ForeignKey | None:
    """The key of ``table`` that is as decided, a valid one first."""
    found = [key for key in keys(session, table) if wanted.is_that_of(key)]
    return max(found, key=lambda key: key.validated, default=None)


def constraint_exists(session: Session, table: TableName, name: str) -> bool:
    ((found,),) = fetch(session, NAMED, table.schema, table.table, name)
    return bool(found)


def indexes(session: Session, table: TableName) -> Table:
    """``table`` with its indexes, and nothing else of it."""
    rows = fetch(session, INDEXES, table.schema, table.table)
    return Table(table, "r", (), tuple(catalog.index_from_row(row) for row in rows))


def relation(session: Session, schema: str, name: str) -> Relation | None:
    """What is called ``name`` in ``schema`` already; None: nothing."""
    rows = fetch(session, RELATION, schema, name)
    if not rows:
        return None
    table, table_schema, valid = rows[0]
    return Relation(TableName(table_schema, table) if table else None, valid)
