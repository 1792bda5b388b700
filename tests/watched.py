"""A schema of a test's own with a project that watches it, on PostgreSQL 18 and on 15.

The fixture ``watched`` is one; its monitoring is in a schema of its own too.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import conninfo, sql

from runbook import watching
from runbook.embedded import EmbeddedServer
from runbook.environment import Environment
from runbook.monitoring.log import Log, Result
from runbook.relationships import Relationship
from runbook.schema import TableName
from runbook.settings import Settings
from runbook.settings import read as read_settings
from runbook.watching import Done, Request
from tests.conftest import PASSWORDS, Connect
from tests.places import Place, opened, scratch_database

POSTGRES_15 = Path("/usr/lib/postgresql/15/bin")
Dsn = Callable[[str, str | None], str]
TOML = """
[project]
title = "Watched"
relationships = "relationships.toml"
schemas = [{schema}]

[environments.scratch]
reader = {{ variable = "RUNBOOK_TEST_NOT_SET" }}
owner = {{ variable = "RUNBOOK_TEST_NOT_SET" }}
writes = true
gate = "ready"
change = {{ }}

[[gate]]
name = "ready"
title = "Ready"
"""


@dataclass(frozen=True)
class Server:
    """A scratch server, as the fixtures ``connect`` and ``dsn``."""

    connect: Connect
    dsn: Dsn


def of(server: EmbeddedServer) -> Server:
    def dsn(database: str, role: str | None = None) -> str:
        own = server.conninfo()
        if role is None:
            return conninfo.make_conninfo(own, dbname=database)
        return conninfo.make_conninfo(own, dbname=database, user=role, password=PASSWORDS[role])

    def connect(database: str, role: str | None = None) -> psycopg.Connection[Any]:
        return psycopg.connect(dsn(database, role), autocommit=True)

    return Server(connect, dsn)


@pytest.fixture(
    scope="module",
    params=[
        "embedded",
        pytest.param(
            "15",
            marks=[
                pytest.mark.postgres15,
                pytest.mark.skipif(not POSTGRES_15.exists(), reason="needs Debian's PostgreSQL 15"),
            ],
        ),
    ],
)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    if request.param == "embedded":
        connect, dsn = (request.getfixturevalue(name) for name in ("connect", "dsn"))
        yield Server(connect, dsn)
        return
    with tempfile.TemporaryDirectory(prefix="fkr-watched-") as folder:
        Path(folder).chmod(0o755)
        with EmbeddedServer(Path(folder) / "server", POSTGRES_15) as found:
            yield of(found)


@dataclass
class Watched:
    """A place, its project in ``folder``, and the monitoring of it in ``schema``."""

    place: Place
    folder: Path
    schema: str

    @property
    def settings(self) -> Settings:
        return read_settings(self.folder)

    @property
    def environment(self) -> Environment:
        return self.settings.environment("scratch")

    def declare(self, *items: Relationship) -> None:
        """Write relationships.toml; a JSON string is one of TOML's."""
        lines = []
        for item in items:
            lines += [
                "[[relationship]]",
                f"child = {_text(_written(item.child))}",
                f"columns = {_text(list(item.columns))}",
                f"parent = {_text(_written(item.parent))}",
                f"references = {_text(list(item.references))}",
                f'alert = "{item.alert}"',
                f'match = "{item.match}"' if item.match else "",
            ]
        path = self.folder / "relationships.toml"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def install(self, **given: object) -> Done:
        return self._apply(new=True, given=given)

    def upgrade(self, **given: object) -> Done:
        return self._apply(new=False, given=given)

    def _apply(self, *, new: bool, given: dict[str, object]) -> Done:
        request = Request(self.schema, new, given)
        return watching.apply(self.settings, self.environment, request)

    def audit(self) -> dict[str, Result]:
        """Run it, and the newest results by their relationships' ids."""
        return {result.relationship: result for result in self.log().results}

    def log(self) -> Log:
        return watching.audit(self.environment, self.schema)

    def run(self, statement: str, role: str | None = "telecore_owner") -> list[tuple[Any, ...]]:
        """A statement in which ``{m}`` is the monitoring's schema."""
        with self.place.connect(self.place.database, role) as session:
            text = sql.SQL(statement).format(m=sql.Identifier(self.schema))
            cursor = session.execute(text)
            return cursor.fetchall() if cursor.description else []


def _written(name: TableName) -> str:
    parts = ('"' + part.replace('"', '""') + '"' for part in (name.schema, name.table))
    return ".".join(parts)


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


@pytest.fixture(scope="module")
def watched_database(server: Server) -> Iterator[str]:
    with scratch_database(server.connect) as name:
        yield name


@pytest.fixture
def watched(
    server: Server, watched_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Watched:
    place = opened(server.connect, server.dsn, watched_database, monkeypatch)
    text = TOML.format(schema=json.dumps(place.schema))
    (tmp_path / "runbook.toml").write_text(text, encoding="utf-8")
    return Watched(place, tmp_path, f"monitor_{place.schema}")
