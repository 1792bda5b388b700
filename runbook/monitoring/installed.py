"""What of the monitoring is in a database, read from the catalog and from its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import LiteralString

from psycopg import sql
from psycopg.rows import args_row

from runbook.errors import UsageError
from runbook.monitoring.entries import Entry
from runbook.monitoring.objects import Sort
from runbook.monitoring.options import Options
from runbook.session import Session, fetch

MARK = "fk-runbook"
"""Begins the comment of everything that is ours."""
COMMENT = f"{MARK}: the monitoring of referential integrity"
IN_A_GIVEN = f"{COMMENT}, in a schema that was there"

NAMESPACE: LiteralString = """
    SELECT n.nspowner::regrole::text, pg_has_role(n.nspowner, 'USAGE'),
           coalesce(obj_description(n.oid, 'pg_namespace'), ''),
           EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid)
           OR EXISTS (SELECT FROM pg_proc p WHERE p.pronamespace = n.oid)
           OR EXISTS (SELECT FROM pg_type t WHERE t.typnamespace = n.oid)
      FROM pg_namespace n WHERE n.nspname = %s
"""
OBJECTS: LiteralString = """
    SELECT CASE c.relkind WHEN 'v' THEN 'view' ELSE 'table' END, c.relname::text,
           coalesce(obj_description(c.oid, 'pg_class'), ''), ''
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = %s AND c.relkind IN ('r', 'v')
    UNION ALL
    SELECT 'function', p.proname::text, coalesce(obj_description(p.oid, 'pg_proc'), ''), p.prosrc
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = %s
"""
# USAGE of the schema under an empty name, SELECT of its tables and views under theirs
GRANTED: LiteralString = """
    SELECT '', g.grantee::regrole::text, r.rolname::text
      FROM pg_namespace n, aclexplode(n.nspacl) g JOIN pg_roles r ON r.oid = g.grantee
     WHERE n.nspname = %s AND g.privilege_type = 'USAGE'
    UNION ALL
    SELECT c.relname::text, g.grantee::regrole::text, r.rolname::text
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) g
      JOIN pg_roles r ON r.oid = g.grantee
     WHERE n.nspname = %s AND g.privilege_type = 'SELECT' AND c.relkind IN ('r', 'v')
"""
SETTINGS: LiteralString = """
    SELECT s.version, s.digest,
           extract(epoch FROM s.run_every)::float8, extract(epoch FROM s.retention)::float8,
           extract(epoch FROM s.relationship_limit)::float8,
           extract(epoch FROM s.lock_limit)::float8, s.critical_above, s.warning_above, s.readers,
           s.schedule, s.cron_database
      FROM {settings} s
"""
ENTRIES: LiteralString = """
    SELECT r.place, r.relationship, r.label, r.child, r.parent, r.severity, r.query, r.not_looked
      FROM {relationships} r ORDER BY r.place
"""


@dataclass(frozen=True)
class Installed:
    """What is there. ``objects``: the comment and the source of each, by its sort and name.

    ``given``: the schema was there before. ``version``, ``digest`` and ``options`` are None where
    the settings are gone; ``granted`` are the pairs of a table or view (empty: the schema) and a
    role that may read it.
    """

    exists: bool = False
    given: bool = False
    objects: Mapping[tuple[Sort, str], tuple[str, str]] = field(default_factory=dict)
    version: int | None = None
    digest: str | None = None
    options: Options | None = None
    entries: tuple[Entry, ...] = ()
    granted: frozenset[tuple[str, str]] = frozenset()

    @property
    def missing(self) -> bool:
        """Whether nothing of it was installed, or its settings are gone."""
        return self.options is None


def read(session: Session, schema: str, to_change: bool = True) -> Installed:
    """Read it in the caller's transaction.

    Raises :class:`UsageError` for a schema that holds something else, and ``to_change`` it for one
    that is another role's.
    """
    rows = fetch(session, NAMESPACE, schema)
    if not rows:
        return Installed()
    owner, usable, comment, filled = rows[0]
    if filled and not comment.startswith(MARK):
        raise UsageError(
            f"schema {schema!r} exists and is not the monitoring's",
            "give the monitoring a schema of its own with --schema",
        )
    if to_change and not usable:
        raise UsageError(
            f"schema {schema!r} belongs to the role {owner}, of which this one is no member",
            "connect as the role that installed it",
        )
    return _read(session, schema, given=comment == IN_A_GIVEN)


def _read(session: Session, schema: str, *, given: bool) -> Installed:
    objects = {
        (Sort(sort), name): (comment, source)
        for sort, name, comment, source in fetch(session, OBJECTS, schema, schema)
    }
    granted = frozenset((name, role) for name, _, role in fetch(session, GRANTED, schema, schema))
    version = digest = options = None
    if (Sort.TABLE, "settings") in objects:
        statement = sql.SQL(SETTINGS).format(settings=sql.Identifier(schema, "settings"))
        row = session.execute(statement).fetchone()
        if row is not None:
            version, digest = int(row[0]), str(row[1])
            options = Options.model_validate(dict(zip(Options.model_fields, row[2:], strict=True)))
    entries: tuple[Entry, ...] = ()
    if (Sort.TABLE, "relationships") in objects:
        statement = sql.SQL(ENTRIES).format(relationships=sql.Identifier(schema, "relationships"))
        with session.cursor(row_factory=args_row(Entry)) as cursor:
            entries = tuple(cursor.execute(statement).fetchall())
    return Installed(True, given, objects, version, digest, options, entries, granted)
