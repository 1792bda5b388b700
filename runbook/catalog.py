"""Reads what a database declares, from PostgreSQL's own catalogs.

Never from information_schema: to a role with ``pg_read_all_data`` it shows no foreign key at
all. Every reader is a query, and a pure function from its rows; all run in one snapshot.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, LiteralString

from runbook.schema import (
    Action,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Match,
    Schema,
    Table,
    TableName,
)
from runbook.session import Session, fetch

_OURS: LiteralString = """
    n.nspname NOT IN ('pg_catalog', 'information_schema', 'runbook_quarantine')
    AND n.nspname !~ '^pg_(toast|temp)'
    AND (%s::text[] IS NULL OR n.nspname = ANY (%s::text[]))
"""

TABLES: LiteralString = (
    """
    SELECT c.oid, n.nspname, c.relname, c.relkind::text, GREATEST(c.reltuples, 0)::bigint,
           EXISTS (SELECT FROM pg_inherits i JOIN pg_class k ON k.oid = i.inhrelid
                    WHERE i.inhparent = c.oid AND NOT k.relispartition),
           row_security_active(c.oid), pg_get_userbyid(c.relowner)::text, c.relpersistence::text,
           (SELECT ARRAY[rn.nspname, r.relname]::text[] FROM pg_inherits i
              JOIN pg_class r ON r.oid = i.inhparent
              JOIN pg_namespace rn ON rn.oid = r.relnamespace
             WHERE i.inhrelid = c.oid AND c.relispartition)
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND
"""
    + _OURS
)

COLUMNS: LiteralString = (
    """
    SELECT a.attrelid, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
           CASE WHEN a.attcollation <> t.typcollation THEN co.collname END, a.attgenerated::text
      FROM pg_attribute a
      JOIN pg_class c ON c.oid = a.attrelid
      JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_type t ON t.oid = a.atttypid
      LEFT JOIN pg_collation co ON co.oid = a.attcollation
     WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND
"""
    + _OURS
    + " ORDER BY a.attrelid, a.attnum"
)

INDEXES: LiteralString = (
    """
    SELECT i.indrelid, x.relname, i.indisunique, i.indisprimary, i.indimmediate,
           i.indisvalid AND i.indisready, i.indpred IS NOT NULL, i.indexprs IS NOT NULL,
           am.amname::text,
           EXISTS (SELECT FROM pg_constraint k
                    WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')),
           pg_get_indexdef(i.indexrelid),
           (SELECT coalesce(array_agg(coalesce(a.attname::text, '') ORDER BY k.place), '{}')
              FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, place)
              LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
             WHERE k.place <= i.indnkeyatts)
      FROM pg_index i
      JOIN pg_class c ON c.oid = i.indrelid
      JOIN pg_class x ON x.oid = i.indexrelid
      JOIN pg_am am ON am.oid = x.relam
      JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE
"""
    + _OURS
    + " ORDER BY i.indrelid, i.indisprimary DESC, x.relname"
)

CHECKS: LiteralString = (
    """
    SELECT k.conrelid, k.conname, pg_get_constraintdef(k.oid), k.convalidated
      FROM pg_constraint k
      JOIN pg_class c ON c.oid = k.conrelid
      JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE k.contype = 'c' AND k.conrelid <> 0 AND
"""
    + _OURS
    + " ORDER BY k.conrelid, k.conname"
)

# what key_from_row reads, before and after the number of disabled triggers
KEY_FIRST: LiteralString = """
    SELECT k.conname, n.nspname, c.relname, pn.nspname, p.relname,
           k.confdeltype::text, k.confupdtype::text, k.confmatchtype::text, k.condeferrable,
           k.convalidated,
           coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true),
           coalesce((to_jsonb(k) ->> 'conperiod')::boolean, false),
"""
KEY_ENDS: LiteralString = """,
           (SELECT array_agg(a.attname::text ORDER BY u.place)
              FROM unnest(k.conkey) WITH ORDINALITY u(attnum, place)
              JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum),
           (SELECT array_agg(a.attname::text ORDER BY u.place)
              FROM unnest(k.confkey) WITH ORDINALITY u(attnum, place)
              JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.attnum)
      FROM pg_constraint k
      JOIN pg_class c ON c.oid = k.conrelid
      JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_class p ON p.oid = k.confrelid
      JOIN pg_namespace pn ON pn.oid = p.relnamespace
"""

# A partition's clone of a key has a parent constraint; counting it would count the key twice, but
# its triggers are the key's.
# conenforced and conperiod exist from 18 on: reading the row as JSON works on older servers.
FOREIGN_KEYS: LiteralString = (
    """
    WITH RECURSIVE clones AS (
        SELECT k.oid AS key, k.oid FROM pg_constraint k
         WHERE k.contype = 'f' AND k.conparentid = 0
         UNION ALL
        SELECT clones.key, s.oid FROM pg_constraint s JOIN clones ON s.conparentid = clones.oid
    ), disabled AS (  -- once for all keys: in a subquery of each it scans pg_trigger for each
        SELECT clones.key, count(*) AS triggers
          FROM pg_trigger t JOIN clones ON t.tgconstraint = clones.oid
         WHERE t.tgenabled NOT IN ('O', 'A') GROUP BY clones.key
    )
"""
    + KEY_FIRST
    + "coalesce(d.triggers, 0)"
    + KEY_ENDS
    + """
      LEFT JOIN disabled d ON d.key = k.oid
     WHERE k.contype = 'f' AND k.conparentid = 0 AND
"""
    + _OURS
    + " ORDER BY n.nspname, c.relname, k.conname"
)

EXTENSIONS: LiteralString = "SELECT extname::text FROM pg_extension ORDER BY extname"

_ACTIONS = {
    "a": Action.NO_ACTION,
    "r": Action.RESTRICT,
    "c": Action.CASCADE,
    "n": Action.SET_NULL,
    "d": Action.SET_DEFAULT,
}


def read(session: Session, schemas: Sequence[str] | None = None) -> Schema:
    """Read the declarations of ``schemas`` (None: all but PostgreSQL's own).

    The session must be in a transaction (:func:`runbook.session.reading`), so that all readers
    see the same snapshot.
    """
    wanted = list(schemas) if schemas is not None else None
    filters = (wanted, wanted)
    columns = _grouped(fetch(session, COLUMNS, *filters), column_from_row)
    indexes = _grouped(fetch(session, INDEXES, *filters), index_from_row)
    checks = _grouped(fetch(session, CHECKS, *filters), check_from_row)
    tables = {}
    for oid, schema, name, kind, rows, inherited, security, owner, persistence, whole in fetch(
        session, TABLES, *filters
    ):
        table = TableName(schema, name)
        tables[table] = Table(
            name=table,
            kind=kind,
            columns=tuple(columns[oid]),
            indexes=tuple(indexes[oid]),
            checks=tuple(checks[oid]),
            estimated_rows=rows,
            has_inheritance_children=inherited,
            row_security=security,
            owner=owner,
            persistence=persistence,
            partition_of=TableName(*whole) if whole else None,
        )
    return Schema(
        tables=tables,
        foreign_keys=tuple(key_from_row(row) for row in fetch(session, FOREIGN_KEYS, *filters)),
        extensions=tuple(row[0] for row in fetch(session, EXTENSIONS)),
        server_version=session.info.server_version,
    )


def _grouped(rows: Sequence[tuple[Any, ...]], from_row: Any) -> defaultdict[int, list[Any]]:
    """``rows`` by their first value, a table's oid; the rest goes through ``from_row``."""
    groups: defaultdict[int, list[Any]] = defaultdict(list)
    for oid, *values in rows:
        groups[oid].append(from_row(values))
    return groups


def column_from_row(row: Sequence[Any]) -> Column:
    name, kind, not_null, collation, generated = row
    return Column(name, kind, not_null, collation, generated)


def index_from_row(row: Sequence[Any]) -> Index:
    name, unique, primary, immediate, valid, partial, expressions, method, owned, text, names = row
    return Index(
        name=name,
        columns=tuple(names),
        unique=unique,
        primary=primary,
        immediate=immediate,
        valid=valid,
        partial=partial,
        expressions=expressions,
        method=method,
        of_constraint=owned,
        definition=text,
    )


def check_from_row(row: Sequence[Any]) -> CheckConstraint:
    name, definition, validated = row
    return CheckConstraint(name, definition, validated)


def key_from_row(row: Sequence[Any]) -> ForeignKey:
    name, schema, table, parent_schema, parent, delete, update, match, deferrable = row[:9]
    validated, enforced, temporal, disabled, columns, references = row[9:]
    return ForeignKey(
        name=name,
        child=TableName(schema, table),
        columns=tuple(columns),
        parent=TableName(parent_schema, parent),
        references=tuple(references),
        on_delete=_ACTIONS[delete],
        on_update=_ACTIONS[update],
        match=Match.FULL if match == "f" else Match.SIMPLE,
        deferrable=deferrable,
        validated=validated,
        enforced=enforced,
        temporal=temporal,
        disabled_triggers=disabled,
    )
