"""Databases in other encodings than UTF-8, through to orphan rows and a site."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Connect
from tests.places import READER, Dsn, scratch_database
from tests.starting import Beginner

pytestmark = pytest.mark.slow
SCRIPT = """
    CREATE TABLE "Straße" ("straße_id" text PRIMARY KEY);
    CREATE TABLE "Häuser" (id int PRIMARY KEY, "straße_id" text REFERENCES "Straße");
    CREATE INDEX ON "Häuser" ("straße_id");
    INSERT INTO "Straße" VALUES ('Köln'), ('Ulm');
    INSERT INTO "Häuser" VALUES (1, 'Köln'), (2, NULL);
    ALTER TABLE "Häuser" DISABLE TRIGGER ALL;
    INSERT INTO "Häuser" VALUES (3, 'Höhe');
    ALTER TABLE "Häuser" ENABLE TRIGGER ALL;
"""
NO_UTF8 = """
    CREATE TABLE "caf\xe9" (id int PRIMARY KEY);
"""


@pytest.fixture(params=["LATIN1", "SQL_ASCII"])
def beginner(
    request: pytest.FixtureRequest, tmp_path: Path, connect: Connect, dsn: Dsn
) -> Iterator[Beginner]:
    with scratch_database(connect, request.param) as name:
        with connect(name, None) as owner:
            owner.execute("SET client_encoding = 'UTF8'")
            owner.execute(SCRIPT.encode())
        yield Beginner(tmp_path, dsn(name, READER))


@pytest.mark.parametrize("client", ["", "LATIN1"])
def test_another_encoding_is_looked_at(beginner: Beginner, client: str) -> None:
    given = {"PGCLIENTENCODING": client} if client else {}
    done = beginner("init", "--dsn", beginner.dsn, **given)
    assert done.returncode == 0, done.stderr
    assert "2 tables, 2 of them can be read; 1 foreign key\n" in done.stdout
    done = beginner.connected("audit", "staging", **given)
    assert done.returncode == 1, done.stderr
    assert "Häuser.straße_id" in done.stdout
    assert "staging: 1 orphan row, 1 of 1 relationships looked at" in done.stdout
    done = beginner.connected("run", "staging", **given)
    assert done.returncode == 1, done.stderr
    assert beginner("site", "build").returncode == 0
    pages = beginner.folder / "site" / "results" / "relationships"
    (page,) = pages.glob("*.html")
    assert "straße_id" in page.read_text()


def test_text_that_is_no_text_is_told(tmp_path: Path, connect: Connect, dsn: Dsn) -> None:
    with scratch_database(connect, "SQL_ASCII") as name:
        with connect(name, None) as owner:
            owner.execute("SET client_encoding = 'SQL_ASCII'")
            owner.execute(NO_UTF8.encode("latin-1"))
        done = Beginner(tmp_path, "")("init", "--dsn", dsn(name, READER))
    assert done.returncode == 3
    assert done.stderr.endswith(
        'error: the catalog cannot be read: invalid byte sequence for encoding "UTF8": 0xe9'
        " 0x5f 0x70 (22021)\n"
        "hint: a name there is no UTF-8: rename what has it, or look at other schemas: --schema\n"
    )
