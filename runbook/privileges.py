"""What the role of a session may do to tables, and what row security hides from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import LiteralString

from runbook.schema import TableName
from runbook.session import Session, fetch

PRIVILEGES: LiteralString = """
    SELECT n.nspname::text, c.relname::text,
           has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'),
           has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE'),
           row_security_active(c.oid)
      FROM unnest(%s::text[], %s::text[]) AS wanted (schema, name)
      JOIN pg_namespace n ON n.nspname = wanted.schema
      JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.name
     ORDER BY 1, 2
"""
STANDING: LiteralString = """
    SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'),
           has_function_privilege('pg_catalog.pg_control_system()', 'execute'),
           current_setting('max_connections')::int
             - current_setting('superuser_reserved_connections')::int
             - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')::int
"""


@dataclass(frozen=True)
class TablePrivileges:
    """Of one table: whether it can be read and written, and whether policies would hide rows."""

    table: TableName
    reads: bool
    writes: bool
    hidden: bool


@dataclass(frozen=True)
class Standing:
    """What the role may know of the server, and how many more sessions the server has room for."""

    sees_others: bool
    knows_server: bool
    free_sessions: int


def of_tables(session: Session, tables: Iterable[TableName]) -> tuple[TablePrivileges, ...]:
    """In the order of their names; a table that is not there is left out."""
    names = sorted(set(tables))
    rows = fetch(
        session, PRIVILEGES, [name.schema for name in names], [name.table for name in names]
    )
    return tuple(
        TablePrivileges(TableName(schema, table), reads, writes, hidden)
        for schema, table, reads, writes, hidden in rows
    )


def standing(session: Session) -> Standing:
    (row,) = fetch(session, STANDING)
    return Standing(*row)
