"""A scratch PostgreSQL server for the tests, and databases on it.

``RUNBOOK_TEST_DSN`` (an administrator's connection string) uses a given server; otherwise each
test process starts an embedded one in a folder of its own.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import conninfo, sql

from runbook.embedded import EmbeddedServer
from runbook.settings import Settings
from runbook.settings import read as read_settings
from runbook.telecore import demo

ROOT = Path(__file__).resolve().parent.parent
PASSWORDS = {"telecore_owner": "owner's test password", "telecore_reader": "reader test password"}
pytest_plugins = (
    "tests.demonstration",
    "tests.browsing",
    "tests.commands",
    "tests.places",
    "tests.watched",
)
_numbers = count()


@pytest.fixture(scope="session")
def admin_dsn() -> Iterator[str]:
    """The connection string of an administrator of a scratch server."""
    given = os.environ.get("RUNBOOK_TEST_DSN")
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="fkr-test-") as folder:
        # pytest's own folders are closed to the unprivileged user that the server of root runs as
        Path(folder).chmod(0o755)
        with EmbeddedServer(Path(folder) / "server") as server:
            yield server.conninfo()


Connect = Callable[[str, str | None], "psycopg.Connection[Any]"]


@pytest.fixture(scope="session")
def dsn(admin_dsn: str) -> Callable[[str, str | None], str]:
    """``dsn(database, role)``: a connection string; role None is the administrator."""

    def build(database: str, role: str | None = None) -> str:
        if role is None:
            return conninfo.make_conninfo(admin_dsn, dbname=database)
        return conninfo.make_conninfo(
            admin_dsn, dbname=database, user=role, password=PASSWORDS[role]
        )

    return build


@pytest.fixture(scope="session")
def connect(dsn: Callable[[str, str | None], str]) -> Connect:
    def opened(database: str, role: str | None = None) -> psycopg.Connection[Any]:
        return psycopg.connect(dsn(database, role), autocommit=True)

    return opened


@pytest.fixture(scope="session")
def telecore_staging(connect: Connect) -> str:
    """The name of the staging database, as deployed on 2025-12-29. Only read it."""
    demo.prepare(connect, PASSWORDS, ("staging",))
    return "telecore_staging"


@pytest.fixture
def scratch(connect: Connect, telecore_staging: str) -> Iterator[str]:
    """The name of a copy of staging that the test may change."""
    name = f"scratch_{os.getpid()}_{next(_numbers)}"
    with connect("postgres", None) as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER telecore_owner").format(
                sql.Identifier(name), sql.Identifier(telecore_staging)
            )
        )
        yield name
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def settings(
    dsn: Callable[[str, str | None], str], scratch: str, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """This repository's settings, with every environment on the scratch database."""
    monkeypatch.setenv("RUNBOOK_READER_DSN", dsn(scratch, "telecore_reader"))
    monkeypatch.setenv("RUNBOOK_OWNER_DSN", dsn(scratch, "telecore_owner"))
    return read_settings(ROOT)


@pytest.hookimpl(trylast=True)  # after -m has had its say
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One test of the demo first, so that one process makes it while the others do the rest."""
    demo = [item for item in items if "demonstration" in getattr(item, "fixturenames", ())]
    items.sort(key=lambda item: 0 if item in demo[:1] else 2 if item in demo else 1)
