"""Who a server is, and who we are to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg.rows import TupleRow

from runbook.errors import IncompleteError

Session = psycopg.Connection[TupleRow]


@dataclass(frozen=True)
class ServerFacts:
    """The server behind a session; ``system_identifier`` is empty where it may not be read.

    ``superuser`` also when the role that logged in is one. ``pooled``: the backend is not the one
    that the connection was announced by, so a connection pooler is in between.
    """

    version: str
    version_number: int
    system_identifier: str
    database: str
    role: str
    in_recovery: bool
    superuser: bool
    bypasses_row_security: bool
    pooled: bool = False


SERVER_FACTS: LiteralString = """
    SELECT current_setting('server_version'), current_setting('server_version_num')::int,
           current_database()::text, current_user::text, pg_is_in_recovery(),
           rolsuper OR EXISTS (SELECT FROM pg_catalog.pg_roles
                                WHERE rolname = session_user AND rolsuper),
           rolbypassrls OR rolsuper, pg_backend_pid()
      FROM pg_catalog.pg_roles WHERE rolname = current_user
"""
MAY_READ_CONTROL: LiteralString = (
    "SELECT has_function_privilege('pg_catalog.pg_control_system()', 'execute')"
)
SYSTEM_IDENTIFIER: LiteralString = (
    "SELECT system_identifier::text FROM pg_catalog.pg_control_system()"
)


def server_facts(session: Session) -> ServerFacts:
    """Ask the server who it is and who we are to it."""
    row = session.execute(SERVER_FACTS).fetchone()
    if row is None:
        raise IncompleteError("the server does not know the role of this session", "reconnect")
    # asked first, and not in the same statement: PostgreSQL checks before it filters
    may_read = session.execute(MAY_READ_CONTROL).fetchone()
    identifier = session.execute(SYSTEM_IDENTIFIER).fetchone() if may_read == (True,) else None
    version, number, database, role, recovery, superuser, bypass, pid = row
    return ServerFacts(
        version=version,
        version_number=number,
        system_identifier=str(identifier[0]) if identifier else "",
        database=database,
        role=role,
        in_recovery=recovery,
        superuser=superuser,
        bypasses_row_security=bypass,
        pooled=pid != session.info.backend_pid,
    )
