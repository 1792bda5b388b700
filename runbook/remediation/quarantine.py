"""The schema ``runbook_quarantine``: a register of remediations, and a table for each one's rows.

The register is in the database, so that a batch and its count are committed together, and what
was done can be undone from any machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

from psycopg import IsolationLevel, sql

from runbook import session as sessions
from runbook.environment import Change
from runbook.errors import UsageError
from runbook.remediation import statements
from runbook.remediation.document import Remediation
from runbook.remediation.remedy import Remedy
from runbook.schema import TableName
from runbook.session import Session, fetch

SCHEMA = "runbook_quarantine"

# the fields of the document that the database does not know by itself
FIELDS = tuple(name for name in Remediation.model_fields if name != "format")

# what another role made there could run its code with our rights, as a trigger or a view
OWNERS: LiteralString = """
    SELECT o.kind, r.rolname::text, r.rolsuper OR pg_catalog.pg_has_role(r.oid, 'USAGE')
      FROM (SELECT 'schema', n.nspowner FROM pg_catalog.pg_namespace n
             WHERE n.nspname = 'runbook_quarantine'
             UNION ALL
            SELECT 'register', c.relowner FROM pg_catalog.pg_class c
              JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = 'runbook_quarantine' AND c.relname = 'remediation') o (kind, owner)
      JOIN pg_catalog.pg_roles r ON r.oid = o.owner
"""
CLOSED = "pg_catalog"  # a search path in which nobody else can put anything


@contextmanager
def changing(session: Session, change: Change, statement: timedelta) -> Iterator[str]:
    """A writing transaction with every limit set; a lock is waited for ``change.lock``.

    Its search path is closed. It yields the path for the statements that fire triggers of the
    application, which may need the role's own: PostgreSQL's names go first, the role's follow.
    """
    session.isolation_level = IsolationLevel.READ_COMMITTED
    session.read_only = False
    with session.transaction():
        ((path,),) = fetch(session, "SELECT pg_catalog.current_setting('search_path')")
        sessions.set_local(
            session,
            search_path=CLOSED,
            row_security="off",
            lock_timeout=_milliseconds(change.lock),
            statement_timeout=_milliseconds(statement),
            idle_in_transaction_session_timeout=_milliseconds(change.statement),
        )
        own = f"{CLOSED}, {path}" if path.strip() else CLOSED
        yield own
        sessions.set_local(session, search_path=own)  # deferred triggers fire at COMMIT


def _milliseconds(value: timedelta) -> str:
    return f"{int(value.total_seconds() * 1000)}ms"


def found(session: Session) -> tuple[bool, bool]:
    """Whether the database has the schema, and the register in it.

    Raises :class:`UsageError` where either is a role's whose rights are not ours.
    """
    rows = fetch(session, OWNERS)
    for kind, owner, ours in rows:
        if not ours:
            what = (
                f"schema {SCHEMA!r}" if kind == "schema" else f"the register in schema {SCHEMA!r}"
            )
            raise UsageError(
                f"{what} belongs to the role {owner!r}, of which this one is no member",
                "connect as the role that made it, or let an administrator give it away",
            )
    kinds = {kind for kind, _, _ in rows}
    return "schema" in kinds, "register" in kinds


def every(session: Session) -> tuple[Remediation, ...]:
    """All remediations of the database, the newest first; none where there is no register."""
    if not all(found(session)):
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
    for item in known:
        if item.id == wanted:
            return item
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
