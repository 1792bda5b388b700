"""A schema of a test's own, owned by ``telecore_owner`` and read by ``telecore_reader``.

The reader has nothing but ``pg_read_all_data``. The fixture ``place`` is such a schema, in the
``database`` of its test module.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

import pytest
from psycopg import sql

from runbook import catalog, connection, operators
from runbook import session as sessions
from runbook.environment import Connection, Environment, Timeouts
from runbook.operators import Comparisons
from runbook.relationships import Relationship
from runbook.schema import ForeignKey, Schema, Table, TableName
from runbook.session import Session
from runbook.telecore import demo
from tests.conftest import PASSWORDS, Connect

_numbers = count()
OWNER, READER = "telecore_owner", "telecore_reader"
Dsn = Callable[[str, str | None], str]

HOSTILE = (
    'dou"ble', "sin'gle", "50%", "%s", "%(x)s", "{}", "{0}", "line\nbreak", "back\\slash", "$$",
    "$1", "x" * 63, "ä" * 31, "🦆" * 15, "a.b", "SELECT", "select", " lead", "ta\tb", "\u202ertl",
    "zero\u200bwidth", "-- c", "; drop", "`tick`", "<b>", "a, b", "a)b",
)  # fmt: skip


LOCALE = " ENCODING {} LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C'"


@contextmanager
def scratch_database(connect: Connect, encoding: str = "") -> Iterator[str]:
    """An empty database of telecore_owner, gone afterwards."""
    demo.prepare(connect, PASSWORDS, ())  # the roles alone
    name = f"fkr_{os.getpid()}_{next(_numbers)}"
    with connect("postgres", None) as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} OWNER telecore_owner TEMPLATE template0").format(
                sql.Identifier(name)
            )
            + (sql.SQL(LOCALE).format(sql.Literal(encoding)) if encoding else sql.SQL(""))
        )
        yield name
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@dataclass
class Place:
    """A schema of its own for one test, and the sessions to fill and to read it."""

    connect: Connect
    database: str
    schema: str = field(default_factory=lambda: f"s{next(_numbers)}")

    def __post_init__(self) -> None:
        statement = sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(self.schema))
        with self.connect(self.database, OWNER) as owner:
            owner.execute(statement)

    def run(self, script: str, role: str | None = OWNER) -> None:
        """Execute statements with this schema as the search path; role None: a superuser."""
        with self.connect(self.database, role) as session:
            session.execute(
                sql.SQL("SET search_path TO {}, public").format(sql.Identifier(self.schema))
            )
            session.execute(script.encode())

    def environment(self, **timeouts: str) -> Environment:
        way = Connection(variable="RUNBOOK_TEST_NOT_SET")
        limits = Timeouts.model_validate(timeouts)
        return Environment(
            name="scratch", reader=way, owner=way, writes=True, gate="g", timeouts=limits
        )

    @contextmanager
    def reading(self, **timeouts: str) -> Iterator[Session]:
        """The reader's session in its read-only transaction."""
        environment = self.environment(**timeouts)
        session = sessions.connect(environment)
        try:
            with sessions.reading(session, environment):
                yield session
        finally:
            session.close()

    def read(self) -> Schema:
        with self.reading() as session:
            return catalog.read(session, [self.schema])

    def name(self, table: str) -> TableName:
        return TableName(self.schema, table)

    def table(self, name: str) -> Table:
        return self.read().tables[self.name(name)]

    def key(self) -> ForeignKey:
        (key,) = self.read().foreign_keys
        return key

    def relationship(
        self, child: str, columns: str, parent: str, references: str, **values: object
    ) -> Relationship:
        """Columns are separated by spaces."""
        ends = (self.name(child), tuple(columns.split()), self.name(parent))
        return Relationship(*ends, tuple(references.split()), **values)  # type: ignore[arg-type]

    def compare(self, *relationships: Relationship) -> tuple[Comparisons, ...]:
        with self.reading() as session:
            return operators.read(session, relationships)


def opened(connect: Connect, dsn: Dsn, database: str, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A place in ``database``, which the runbook's own sessions reach by its two roles."""
    monkeypatch.setenv(connection.OVERRIDE_READER, dsn(database, READER))
    monkeypatch.setenv(connection.OVERRIDE_OWNER, dsn(database, OWNER))
    return Place(connect, database)


@pytest.fixture(scope="module")
def database(connect: Connect) -> Iterator[str]:
    with scratch_database(connect) as name:
        yield name


@pytest.fixture
def place(connect: Connect, dsn: Dsn, database: str, monkeypatch: pytest.MonkeyPatch) -> Place:
    return opened(connect, dsn, database, monkeypatch)
