"""Makes the register and the quarantine tables, closed to everybody but their owner."""

from __future__ import annotations

from typing import LiteralString

import psycopg
from psycopg import sql

from runbook.audit import query
from runbook.errors import IncompleteError
from runbook.remediation import quarantine, statements
from runbook.remediation.document import Remediation
from runbook.remediation.quarantine import FIELDS, SCHEMA
from runbook.remediation.remedy import Remedy
from runbook.schema import TableName
from runbook.session import Session, fetch

REGISTER: LiteralString = """
    CREATE TABLE runbook_quarantine.remediation (
        id text PRIMARY KEY,
        environment text NOT NULL,
        database text NOT NULL,
        relationship text NOT NULL,
        strategy text NOT NULL,
        subject text NOT NULL,
        kept_in text NOT NULL,
        "to" text[] NOT NULL,
        missing text[] NOT NULL,
        source text NOT NULL,
        minimum_age_seconds float8,
        reason text NOT NULL,
        without_key text NOT NULL,
        role text NOT NULL,
        login text NOT NULL,
        started timestamptz NOT NULL,
        finished timestamptz,
        rows bigint NOT NULL DEFAULT 0,
        batches integer NOT NULL DEFAULT 0,
        "left" bigint,
        undone timestamptz,
        undone_by text NOT NULL DEFAULT '',
        undone_reason text NOT NULL DEFAULT ''
    )
"""
# default privileges may give to others what is made here; the schema under an empty name
GIVEN: LiteralString = """
    SELECT DISTINCT CASE g.grantee WHEN 0 THEN '' ELSE pg_catalog.pg_get_userbyid(g.grantee) END
      FROM (SELECT '' AS name, n.nspacl AS rights, n.nspowner AS owner
              FROM pg_catalog.pg_namespace n WHERE n.nspname = 'runbook_quarantine'
             UNION ALL
            SELECT c.relname::text, c.relacl, c.relowner FROM pg_catalog.pg_class c
              JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = 'runbook_quarantine' AND c.relkind = 'r') o
     CROSS JOIN LATERAL pg_catalog.aclexplode(o.rights) g
     WHERE o.name = %s AND g.grantee <> o.owner
"""


def begin(session: Session, remedy: Remedy, document: Remediation) -> None:
    """Make the quarantine table and its line in the register, in the caller's transaction."""
    schema, register = quarantine.found(session)
    try:
        if not schema:
            session.execute("CREATE SCHEMA runbook_quarantine")
            _close(session, "")
        if not register:
            session.execute(REGISTER)
            _close(session, "remediation")
    except psycopg.errors.InsufficientPrivilege:
        raise IncompleteError(
            f"{document.role!r} may not make the schema {SCHEMA!r} in {document.database!r}",
            f"as an administrator: CREATE SCHEMA {SCHEMA} AUTHORIZATION {document.role}",
        ) from None
    kept = quarantine.kept_in(document)
    for statement in making(remedy, kept):
        session.execute(statement)
    _close(session, kept.table)
    values = document.model_dump(mode="python")
    names = FIELDS
    session.execute(
        sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
            sql.Identifier(SCHEMA, "remediation"),
            statements.plain(names),
            sql.SQL(", ").join(sql.Placeholder() for _ in names),
        ),
        [list(v) if isinstance(v := values[name], tuple) else v for name in names],
    )


def making(remedy: Remedy, kept: TableName) -> tuple[sql.Composed, ...]:
    """The statements that make a quarantine table: the very columns, and no constraint of them."""
    row, image, batch, at = statements.own_names(remedy.columns)
    create = sql.SQL(
        "CREATE TABLE {kept} AS\nSELECT NULL::bigint AS {row}, NULL::text AS {image},"
        " NULL::integer AS {batch}, NULL::timestamptz AS {at},\n       {columns}\n"
        "  FROM {subject} fk WITH NO DATA"
    ).format(
        kept=statements.table(kept),
        row=sql.Identifier(row),
        image=sql.Identifier(image),
        batch=sql.Identifier(batch),
        at=sql.Identifier(at),
        columns=statements.listed("fk", remedy.columns),
        subject=query.table(remedy.subject),
    )
    key = sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({}, {})").format(
        statements.table(kept), sql.Identifier(row), sql.Identifier(image)
    )
    return create, key


def _close(session: Session, table: str) -> None:
    """Take from others what default privileges have given them of a table, or of the schema."""
    own = sql.SQL("SCHEMA {}").format(sql.Identifier(SCHEMA))
    if table:
        own = sql.SQL("TABLE {}").format(sql.Identifier(SCHEMA, table))
    for (name,) in fetch(session, GIVEN, table):
        role = sql.Identifier(name) if name else sql.SQL("PUBLIC")
        session.execute(sql.SQL("REVOKE ALL ON {} FROM {}").format(own, role))
