"""The schema ``runbook_quarantine``: a register of remediations, and a table for each one's rows.

The register is in the database, so that a batch and its count are committed together, and what
was done can be undone from any machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import psycopg
from psycopg import IsolationLevel, sql

from runbook import session as sessions
from runbook.audit import query
from runbook.environment import Change
from runbook.errors import IncompleteError, UsageError
from runbook.remediation import statements
from runbook.remediation.document import Remediation
from runbook.remediation.remedy import Remedy
from runbook.schema import TableName
from runbook.session import Session, fetch

SCHEMA = "runbook_quarantine"

# the fields of the document that the database does not know by itself
FIELDS = tuple(name for name in Remediation.model_fields if name != "format")

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
EXISTS: LiteralString = """
    SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'runbook_quarantine'),
           to_regclass('runbook_quarantine.remediation') IS NOT NULL
"""


@contextmanager
def changing(session: Session, change: Change, statement: timedelta) -> Iterator[None]:
    """A writing transaction with every limit set; a lock is waited for ``change.lock``.

    PostgreSQL's own names go first and the role's own path follows: triggers of the application
    fire in here, and may need it.
    """
    session.isolation_level = IsolationLevel.READ_COMMITTED
    session.read_only = False
    with session.transaction():
        ((path,),) = fetch(session, "SELECT current_setting('search_path')")
        sessions.set_local(
            session,
            search_path=f"pg_catalog, {path}" if path.strip() else "pg_catalog",
            row_security="off",
            lock_timeout=_milliseconds(change.lock),
            statement_timeout=_milliseconds(statement),
            idle_in_transaction_session_timeout=_milliseconds(change.statement),
        )
        yield


def _milliseconds(value: timedelta) -> str:
    return f"{int(value.total_seconds() * 1000)}ms"


def present(session: Session) -> bool:
    """Whether the database has a register."""
    ((_, register),) = fetch(session, EXISTS)
    return bool(register)


def every(session: Session) -> tuple[Remediation, ...]:
    """All remediations of the database, the newest first; none where there is no register."""
    if not present(session):
        return ()
    columns = statements.plain(FIELDS)
    rows = session.execute(
        sql.SQL("SELECT {} FROM {} ORDER BY started DESC, id DESC").format(
            columns, sql.Identifier(SCHEMA, "remediation")
        )
    ).fetchall()
    return tuple(from_row(row) for row in rows)


def from_row(row: tuple[Any, ...]) -> Remediation:
    """A remediation from its row, whose columns are :data:`FIELDS`."""
    return Remediation.model_validate(dict(zip(FIELDS, row, strict=True)))


def of_id(session: Session, wanted: str) -> Remediation:
    """The remediation of that id; raises :class:`UsageError` where the register has none."""
    known = every(session)
    for found in known:
        if found.id == wanted:
            return found
    names = ", ".join(item.id for item in known[:3])
    raise UsageError(
        f"no remediation {wanted!r}, expected one of: {names or 'none is on record'}",
        "runbook remediate ENVIRONMENT --list shows them all",
    )


def held(session: Session, wanted: str) -> Remediation:
    """The same, its row locked until the end of the transaction: nobody else works on it."""
    session.execute(
        "SELECT FROM runbook_quarantine.remediation WHERE id = %s FOR UPDATE", (wanted,)
    )
    return of_id(session, wanted)


def unfinished(session: Session, remedy: Remedy) -> Remediation | None:
    """The remediation of the same relationship that was cut short, if it can be gone on with."""
    for item in every(session):
        if item.relationship == remedy.relationship.id and item.state == "unfinished":
            if (item.strategy, item.to, item.missing, item.source) == (
                remedy.strategy,
                remedy.to,
                remedy.missing,
                remedy.source_name,
            ):
                return item
            raise UsageError(
                f"remediation {item.id} ({item.strategy}) of {item.relationship} is not finished",
                f"go on with it by the same words, or take it back: --undo {item.id}",
            )
    return None


def begin(session: Session, remedy: Remedy, document: Remediation) -> None:
    """Make the quarantine table and its line in the register, in the caller's transaction."""
    ((schema, register),) = fetch(session, EXISTS)
    try:
        if not schema:
            session.execute("CREATE SCHEMA runbook_quarantine")
        if not register:
            session.execute(REGISTER)
    except psycopg.errors.InsufficientPrivilege:
        raise IncompleteError(
            f"{document.role!r} may not make the schema {SCHEMA!r} in {document.database!r}",
            f"as an administrator: CREATE SCHEMA {SCHEMA} AUTHORIZATION {document.role}",
        ) from None
    for statement in making(remedy, kept_in(document)):
        session.execute(statement)
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


def kept_in(document: Remediation) -> TableName:
    return TableName.parse(document.kept_in)


def table_for(remedy: Remedy, wanted: str) -> TableName:
    """The name of a remediation's table: that of its rows' table, and its id; at most 63 bytes."""
    end = "_" + wanted.lower().replace("-", "_")
    start = remedy.subject.name.table.encode()[: 63 - len(end)].decode(errors="ignore")
    return TableName(SCHEMA, start + end)


def next_id(session: Session, moment: datetime) -> str:
    """An id that begins with the moment and that the register does not have yet."""
    wanted = f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    known = {item.id for item in every(session)}
    number = 1
    while (name := wanted if number == 1 else f"{wanted}-{number}") in known:
        number += 1
    return name


def add(session: Session, wanted: str, rows: int) -> None:
    """Count a batch of ``rows``, in its own transaction."""
    session.execute(
        "UPDATE runbook_quarantine.remediation SET rows = rows + %s, batches = batches + 1"
        " WHERE id = %s",
        (rows, wanted),
    )


def finish(session: Session, wanted: str, left: int) -> None:
    session.execute(
        'UPDATE runbook_quarantine.remediation SET finished = clock_timestamp(), "left" = %s'
        " WHERE id = %s",
        (left, wanted),
    )


def mark_undone(session: Session, wanted: str, reason: str) -> None:
    session.execute(
        "UPDATE runbook_quarantine.remediation SET undone = clock_timestamp(),"
        " undone_by = session_user, undone_reason = %s WHERE id = %s",
        (reason, wanted),
    )
