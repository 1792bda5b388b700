"""Looks at a stranger's database: who we are there, what may be read, which keys should hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg.errors import CharacterNotInRepertoire

from runbook import catalog, discovering, prisma, privileges, replica, session
from runbook.discovering import Looked, Say
from runbook.environment import Environment
from runbook.errors import IncompleteError, UsageError
from runbook.findings import counted
from runbook.prisma import Declared
from runbook.privileges import TablePrivileges
from runbook.schema import Schema
from runbook.server import ServerFacts

SHOWN = 5  # names of tables


@dataclass(frozen=True)
class Seen:
    """The server, what it declares, what our role may do to each table with rows, and what was
    found there.
    """

    server: ServerFacts
    schema: Schema
    tables: tuple[TablePrivileges, ...]
    looked: Looked

    def sentences(self) -> tuple[str, ...]:
        """What may be read, in words; what will be missing from an audit is said."""
        server, tables = self.server, counted(len(self.tables), "table")
        readable = sum(table.reads for table in self.tables)
        keys = counted(len(self.schema.foreign_keys), "foreign key")
        said = [
            f"PostgreSQL {server.version}, database {server.database}, as {server.role}",
            f"{tables}, {readable:,} of them can be read; {keys}",
        ]
        closed = [table for table in self.tables if not table.reads]
        if closed:
            said.append(f"cannot be read, so orphan rows there cannot be counted: {_names(closed)}")
        said += [f"could not look at {why}" for why in self.looked.unread]
        hidden = [table for table in self.tables if table.hidden]
        if hidden:
            said.append(f"row security hides rows, so these cannot be counted: {_names(hidden)}")
        return tuple(said)


def look(
    environment: Environment,
    schemas: Sequence[str] | None,
    declared: Declared | None = None,
    say: Say = lambda _: None,
    *,
    rows: bool = True,
) -> Seen:
    """Connect, read the catalog and look for relationships, all in one snapshot.

    ``declared`` are those of an application. Without ``rows`` no row of a table, no statistics and
    no statement is read.

    Raises :class:`UsageError` for a superuser where the environment allows none, and where there
    is no table; :class:`IncompleteError` when the database cannot be looked at.
    """
    anyone = environment.model_copy(update={"superuser": True})  # refused below, in our own words
    reader = session.connect(anyone)
    try:
        facts = session.server_facts(reader)
        if facts.superuser and not environment.superuser:
            raise UsageError(
                f"{facts.role!r} is a superuser, expected a role that may only read",
                "connect as another role, or allow this one: runbook init --superuser",
            )
        with session.reading(reader, environment):
            replica.refuse(environment, reader)
            schema = catalog.read(reader, schemas)
            tables = [table.name for table in schema.tables.values() if table.kind in ("r", "p")]
            allowed = privileges.of_tables(reader, tables)
            if tables:
                extra = prisma.proposals(declared, schema) if declared else ()
                looked = discovering.look(reader, schema, extra, say, rows=rows)
    except psycopg.Error as error:
        hint = "somebody may be changing the schema: try again"
        if isinstance(error, CharacterNotInRepertoire):  # SQL_ASCII holds any bytes
            hint = (
                "a name there is no UTF-8: rename what has it, or look at other schemas: --schema"
            )
        raise IncompleteError(
            f"the catalog cannot be read: {session.reason(error)}", hint
        ) from None
    finally:
        reader.close()
    if not tables:
        where = f"the schemas {', '.join(schemas)}" if schemas else f"database {facts.database!r}"
        raise UsageError(
            f"no table in {where} that {facts.role!r} can see",
            "check the database's name and --schema",
        )
    return Seen(facts, schema, allowed, looked)


def _names(tables: Sequence[TablePrivileges]) -> str:
    names = ", ".join(table.table.label for table in tables[:SHOWN])
    more = len(tables) - SHOWN
    return f"{names} and {more} more" if more > 0 else names
