"""Makes a disposable copy of an environment's database: roles, schema, and rows or a sample."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

from runbook import catalog, credentials, session
from runbook.connection import Purpose
from runbook.disposable import dump
from runbook.disposable.filling import filling
from runbook.disposable.rows import Reference
from runbook.disposable.server import CopyServer, given, private
from runbook.embedded.files import cache_folder
from runbook.environment import Environment
from runbook.errors import IncompleteError
from runbook.findings import counted as number_of
from runbook.schema import Schema, TableName
from runbook.server import Session, server_facts

ROOM = 2.0  # times the database's size: its files, and the WAL of writing them

ROLES: LiteralString = """
    SELECT rolname::text, rolbypassrls FROM pg_catalog.pg_roles
     WHERE rolname !~ '^pg_' AND rolname <> 'postgres' ORDER BY rolname
"""
MEMBERS: LiteralString = """
    SELECT r.rolname::text, m.rolname::text FROM pg_catalog.pg_auth_members a
      JOIN pg_catalog.pg_roles r ON r.oid = a.roleid
      JOIN pg_catalog.pg_roles m ON m.oid = a.member
     WHERE m.rolname !~ '^pg_' AND m.rolname <> 'postgres' AND r.rolname <> 'postgres'
     ORDER BY r.rolname, m.rolname
"""
DATABASE_OWNER: LiteralString = """
    SELECT pg_get_userbyid(datdba)::text FROM pg_catalog.pg_database
     WHERE datname = current_database()
"""
# of the tables that pg_dump would dump, as the role that it would be
HIDDEN: LiteralString = """
    SELECT format('%I.%I', n.nspname, c.relname), current_user::text
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relrowsecurity AND n.nspname !~ '^pg_' AND row_security_active(c.oid)
     ORDER BY n.nspname, c.relname
"""


@dataclass(frozen=True)
class Wanted:
    """What is copied: all rows, or about ``sample`` rows of a table; and where: ``into`` or ours.

    ``references`` are followed for a sample's parents beside the declared keys.
    """

    sample: int | None = None
    into: str = ""
    references: tuple[Reference, ...] = ()
    schemas: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Copy:
    """A copy of a database: ``database`` on ``server``, changed as ``role`` (None: who made it).

    ``sampled`` maps a table to its rows where the copy is a sample; ``seconds`` is how long it
    took, ``size`` bytes what it takes.
    """

    server: CopyServer
    database: str
    empty: str
    role: str | None
    version: int
    size: int
    seconds: float
    sampled: dict[TableName, int] | None = None

    def connect(self, database: str = "", name: str = "copy") -> Session:
        """A session as the role that changes it."""
        return self.server.connect(database or self.database, self.role, name)

    def administer(self, database: str = "") -> Session:
        """A session as who made the copy."""
        return self.server.connect(database or self.database, None, "copy, administration")

    def read(self, database: str = "", schemas: tuple[str, ...] | None = None) -> Schema:
        with closing(self.administer(database)) as looking, looking.transaction():
            looking.execute("SET LOCAL search_path = pg_catalog")
            return catalog.read(looking, schemas)


def _silent(_what: str) -> None:
    """For those who do not want to hear it."""


@contextmanager
def copied(
    environment: Environment, wanted: Wanted, say: Callable[[str], None] = _silent
) -> Iterator[Copy]:
    """A copy of the environment's database, gone at the end whatever happens.

    Raises :class:`IncompleteError` when it cannot be dumped or restored, with the reason.
    """
    with ExitStack() as stack:
        reader = stack.enter_context(closing(session.connect(environment)))
        owner = stack.enter_context(closing(session.connect(environment, Purpose.WRITE)))
        session.same_database(reader, owner)
        _require_every_row(reader)
        use = dump.programs(reader.info.server_version)
        server = stack.enter_context(given(wanted.into) if wanted.into else private())
        began = time.monotonic()
        size = _size(reader, private_server=not wanted.into, sampled=wanted.sample is not None)
        role = _role(reader, owner, server)
        name = server.name_for(reader.info.dbname)
        server.create(name)
        empty = server.new_name("empty")
        server.create(empty)
        sampled = None
        with filling(environment, reader, server, use) as fill:
            if wanted.sample is None:
                say(f"dumps {size / 2**20:.0f} MB into {server.where}")
                fill.whole(name)
            else:
                say(f"copies a sample of {wanted.sample} rows a table into {server.where}")
                sampled = fill.sample(name, wanted.sample, wanted.references, wanted.schemas)
            fill.empty(empty)
        with closing(server.connect(name)) as filled:
            filled.execute("ANALYZE")
            version = filled.info.server_version
        owner.close()
        reader.close()  # nothing of the source is needed from here on
        yield Copy(server, name, empty, role, version, size, time.monotonic() - began, sampled)


def _require_every_row(reader: Session) -> None:
    """Raise :class:`IncompleteError` where row-level security may hide rows from the reader."""
    hidden = session.fetch(reader, HIDDEN)
    if not hidden:
        return
    (table, role), others = hidden[0], len(hidden) - 1
    more = f" and {number_of(others, 'more table')}" if others else ""
    quoted = sql.Identifier(role).as_string(reader)
    raise IncompleteError(
        f"the database cannot be dumped: row-level security hides rows of {table}{more} from the"
        f" role {role!r}",
        f"as a superuser: ALTER ROLE {quoted} BYPASSRLS; or read as the role that owns the tables",
    )


def _size(reader: Session, *, private_server: bool, sampled: bool) -> int:
    """The source's size in bytes; raises :class:`IncompleteError` where a copy has no room."""
    row = reader.execute("SELECT pg_database_size(current_database())").fetchone()
    size = int(row[0]) if row else 0
    if private_server and not sampled:
        above = cache_folder()
        free = shutil.disk_usage(above if above.exists() else above.parent).free
        if free < size * ROOM:
            raise IncompleteError(
                f"the copy needs about {size * ROOM / 2**20:.0f} MB, {free / 2**20:.0f} MB are"
                " free",
                "copy a sample with --sample-rows 10000, set RUNBOOK_CACHE to a larger disk, or"
                " give a server with --into",
            )
    return size


def _role(reader: Session, owner: Session, server: CopyServer) -> str | None:
    """Make the source's roles on our own server; the one that changes the copy, or None."""
    facts = server_facts(owner)
    if server.private is None:
        return None
    roles = session.fetch(reader, ROLES)
    members = session.fetch(reader, MEMBERS)
    ((server.owner,),) = session.fetch(reader, DATABASE_OWNER)
    with closing(server.connect("postgres")) as admin:
        for name, bypass in roles:
            admin.execute(
                sql.SQL("CREATE ROLE {} {}").format(
                    sql.Identifier(name), sql.SQL("BYPASSRLS" if bypass else "NOBYPASSRLS")
                )
            )
        for role, member in members:
            admin.execute(
                sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), sql.Identifier(member))
            )
        if facts.superuser:
            return None
        password = server.private.passwords([facts.role])[facts.role]
        credentials.remember("", password)
        admin.execute(
            sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(
                sql.Identifier(facts.role), sql.Literal(password)
            )
        )
    return facts.role
