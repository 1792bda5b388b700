"""A foreign key's refusal as the errors of a check, whatever the language of the server."""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from runbook.embedded import EmbeddedServer
from runbook.references import (
    InvalidReferenceError,
    Reference,
    StillReferencedError,
    asynchronous,
    from_database,
    translated,
)
from runbook.references.foreign_key import ForeignKey
from runbook.references.translation import Refusal, of_refusal
from tests.conftest import ROOT, Connect

POSTGRES_15 = Path("/usr/lib/postgresql/15/bin")
GERMAN = Path("/usr/share/locale/de/LC_MESSAGES/postgres-15.mo")
LANGUAGES = json.loads((ROOT / "tests" / "cases" / "refusals.json").read_text(encoding="utf-8"))[
    "languages"
]
TABLES = """
    CREATE SCHEMA k;
    CREATE TABLE k.p (a int, b text, PRIMARY KEY (a, b));
    CREATE TABLE k.c (x int, y text, CONSTRAINT pair FOREIGN KEY (x, y)
        REFERENCES k.p DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE k.same (a int PRIMARY KEY);
    CREATE SCHEMA l;
    CREATE TABLE l.same (a int CONSTRAINT same REFERENCES k.same);
    CREATE TABLE k."we""i)rd" ("a)=(b" text PRIMARY KEY, "up, »c«" text
        CONSTRAINT "an ""odd"" key" REFERENCES k."we""i)rd");
    CREATE TABLE k.whole (a int PRIMARY KEY) PARTITION BY RANGE (a);
    CREATE TABLE k.part PARTITION OF k.whole FOR VALUES FROM (0) TO (10);
    CREATE TABLE k.ofpart (a int CONSTRAINT ofpart_fk REFERENCES k.whole);
    INSERT INTO k.p VALUES (2, 'b');
    INSERT INTO k.c VALUES (2, 'b');
    INSERT INTO k.same VALUES (2);
    INSERT INTO l.same VALUES (2);
    INSERT INTO k."we""i)rd" VALUES ('top', 'top'), ('v)=("we"i)rd"', 'top'),
        ('low', 'v)=("we"i)rd"');
    INSERT INTO k.whole VALUES (2);
    INSERT INTO k.ofpart VALUES (2);
"""
# the statement; its kind; field, value and table with the catalog, and without it
CASES: dict[str, tuple[str, type, tuple[str, str | None, str], tuple[str, str | None, str]]] = {
    "two columns": (
        "INSERT INTO k.c VALUES (1, 'a)=(b')",
        InvalidReferenceError,
        ("x, y", "1, a)=(b", "k.p"),
        ("x, y", "1, a)=(b", "p"),
    ),
    "two columns of a parent": (
        "DELETE FROM k.p",
        StillReferencedError,
        ("a, b", "2, b", "k.c"),
        ("a, b", "2, b", "k.c"),
    ),
    "the same names on both sides": (
        "INSERT INTO l.same VALUES (1)",
        InvalidReferenceError,
        ("a", "1", "k.same"),
        ("a", "1", "same"),
    ),
    "the same names on both sides, a parent": (
        "DELETE FROM k.same",
        StillReferencedError,
        ("a", "2", "l.same"),
        ("a", "2", "l.same"),
    ),
    "to itself, with names of any characters": (
        "INSERT INTO k.\"we\"\"i)rd\" VALUES ('new', 'n)one')",
        InvalidReferenceError,
        ("up, »c«", "n)one", 'k.we"i)rd'),
        ("up, »c«", "*", "*"),
    ),
    "to itself, a parent": (
        'DELETE FROM k."we""i)rd" WHERE "a)=(b" LIKE \'v%\'',
        StillReferencedError,
        ("a)=(b", 'v)=("we"i)rd"', 'k.we"i)rd'),
        ("*", "*", 'k.we"i)rd'),
    ),
    "a partition that goes": (
        "ALTER TABLE k.whole DETACH PARTITION k.part",
        StillReferencedError,
        ("a", "2", "k.ofpart"),
        ("a", "2", "k.ofpart"),
    ),
}


def fill(admin: psycopg.Connection[Any]) -> None:
    admin.execute(TABLES.encode())


@pytest.fixture(scope="module")
def filled(connect: Connect) -> Iterator[psycopg.Connection[Any]]:
    with connect("postgres", None) as admin:
        admin.execute("CREATE DATABASE of_refusals")
    with connect("of_refusals", None) as owner:
        fill(owner)
        yield owner
    with connect("postgres", None) as admin:
        admin.execute("DROP DATABASE of_refusals WITH (FORCE)")


@pytest.fixture(scope="module")
def in_german() -> Iterator[psycopg.Connection[Any]]:
    with (
        tempfile.TemporaryDirectory(prefix="fkr-test-") as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        Path(folder).chmod(0o755)
        patch.setenv("LANGUAGE", "de")  # for gettext; the locale of Germany need not be installed
        with (
            EmbeddedServer(Path(folder) / "server", POSTGRES_15) as server,
            psycopg.connect(server.conninfo(), autocommit=True) as admin,
        ):
            admin.execute("SET lc_messages = 'C.UTF-8'")
            fill(admin)
            yield admin


def refused(connection: psycopg.Connection[Any], *statements: str) -> psycopg.Error:
    try:
        with connection.transaction():
            for statement in statements:
                connection.execute(statement.encode())
    except psycopg.Error as error:
        return error
    raise AssertionError(f"not refused: {statements}")


def check_cases(connection: psycopg.Connection[Any]) -> None:
    for name, (statement, kind, known, guessed) in CASES.items():
        for source, expected in ((connection, known), (None, guessed)):
            with pytest.raises(InvalidReferenceError) as caught, translated(source=source):
                raise refused(connection, statement)
            found = (caught.value.field, caught.value.value, caught.value.table)
            assert type(caught.value) is kind, name
            for got, wanted in zip(found, expected, strict=True):
                assert wanted in (got, "*"), (name, found)


def test_a_refusal_says_field_value_and_table(filled: psycopg.Connection[Any]) -> None:
    check_cases(filled)


@pytest.mark.slow
@pytest.mark.postgres15
@pytest.mark.skipif(not GERMAN.exists(), reason="needs Debian's PostgreSQL 15 with its languages")
def test_a_server_that_speaks_german_is_understood(in_german: psycopg.Connection[Any]) -> None:
    said = refused(in_german, "INSERT INTO k.c VALUES (1, 'a')").diag
    assert said.message_detail == "Schlüssel (x, y)=(1, a) ist nicht in Tabelle »p« vorhanden."
    check_cases(in_german)


def written(template: str, *names: str) -> str:
    """The template with its names in the order that it says."""
    rest = iter(names)
    return re.sub(
        r"%(?:(\d)\$)?s", lambda m: names[int(m[1]) - 1] if m[1] else next(rest), template
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_of_the_server_is_understood(language: str) -> None:
    tables = ["child", "parent", "table", "Schlüssel", "of (all)"]
    for table, parent, up in product(tables, ["parent", "of (all)"], ["up", "id"]):
        for known in (True, False):
            check_language(LANGUAGES[language], table, parent, up, known=known)


def check_language(
    texts: dict[str, list[str]], table: str, parent: str, up: str, *, known: bool
) -> None:
    """Every refusal of a key ``table`` (``up``) to ``parent`` (id), with the catalog or without."""
    key = ForeignKey((up,), ("id",), "s", parent) if known else None
    names = {"insert": (table, "fk"), "delete": (parent, "fk", table), "detach": ("part", "fk")}
    for kind, (message, detail, blind) in texts.items():
        field, other, to = (
            (up, parent, f"s.{parent}" if known else parent)
            if kind == "insert"
            else ("id", table, f"c.{table}")
        )
        value = f'v (up)=(1) (id)=("{table}"' if known or ")" not in other else "v"
        for text, shown in (
            (written(detail, field, value, other), value),
            (written(blind, other), None),
        ):
            said = Refusal(False, "c", table, "fk", written(message, *names[kind]), text)
            error = of_refusal(said, (), key)
            assert (type(error) is InvalidReferenceError) is (kind == "insert"), said
            if known or ")" not in other:  # the rest takes the catalog
                found = (error.field, error.value, error.table)
                assert found == (field if known or shown else "fk", shown, to), said


def test_a_role_that_may_not_read_the_key_learns_the_field_and_no_value(
    filled: psycopg.Connection[Any],
) -> None:
    filled.execute("CREATE ROLE blind")
    try:
        filled.execute("GRANT USAGE ON SCHEMA k TO blind")
        filled.execute("GRANT INSERT ON k.c TO blind")
        error = refused(
            filled,
            "SET LOCAL ROLE blind",
            "INSERT INTO k.c VALUES (1, 'a')",
            "SET CONSTRAINTS ALL IMMEDIATE",
        )
    finally:
        filled.execute("DROP OWNED BY blind")
        filled.execute("DROP ROLE blind")
    alone = from_database(error)
    assert alone is not None
    assert (alone.field, alone.value, alone.table) == ("pair", None, "p")
    with pytest.raises(InvalidReferenceError) as caught, translated(source=filled):
        raise error
    assert str(caught.value) == "x, y: expected a reference to k.p, got None: no such row"
    given = from_database(error, [Reference(("x", "y"), (1, "a"), "k.p", ("a", "b"))])
    assert given is not None
    assert given.field == "pair", "what the server does not say is not taken from the references"
    key = ForeignKey(("x", "y"), ("a", "b"), "k", "p")
    given = from_database(error, [Reference(("x", "y"), (1, "a"), "k.p", ("a", "b"))], key)
    assert given is not None
    assert str(given) == "x, y: expected a reference to k.p, got '1, a': no such row"


def test_a_source_that_cannot_be_asked_leaves_the_refusal(
    filled: psycopg.Connection[Any], connect: Connect, dsn: Any
) -> None:
    error = refused(filled, "INSERT INTO l.same VALUES (1)")
    with connect("of_refusals", None) as closed:
        pass
    unopened = ConnectionPool(dsn("of_refusals", None), open=False)
    with connect("of_refusals", None) as failed, failed.transaction(force_rollback=True):
        with pytest.raises(psycopg.errors.DivisionByZero):
            failed.execute("SELECT 1 / 0")
        for source in (failed, closed, unopened):
            with pytest.raises(InvalidReferenceError) as caught, translated(source=source):
                raise error
            assert caught.value.table == "same", "the name in the detail"
    with (
        ConnectionPool(dsn("of_refusals", None), open=True) as pool,
        pytest.raises(InvalidReferenceError) as caught,
        translated(source=pool),
    ):
        raise error
    assert caught.value.table == "k.same"


@pytest.mark.usefixtures("filled")
def test_asynchronous_code_gets_the_same(dsn: Any) -> None:
    async def run() -> InvalidReferenceError:
        address = dsn("of_refusals", None)
        async with await psycopg.AsyncConnection.connect(address) as connection:
            with pytest.raises(InvalidReferenceError) as caught:
                async with asynchronous.translated(source=connection), connection.transaction():
                    await connection.execute("INSERT INTO l.same VALUES (1)")
            with pytest.raises(psycopg.errors.DivisionByZero):
                async with asynchronous.translated(source=connection), connection.transaction():
                    await connection.execute("SELECT 1 / 0")
        return caught.value

    assert str(asyncio.run(run())) == "a: expected a reference to k.same, got '1': no such row"


def test_what_is_no_refusal_of_a_key_stays_as_it_is(filled: psycopg.Connection[Any]) -> None:
    own = "DO $$ BEGIN RAISE 'no (a)=(1) in \"p\"' USING ERRCODE = '23503'; END $$"
    for statement in ("SELECT 1 / 0", own):
        error = refused(filled, statement)
        assert from_database(error) is None
        with pytest.raises(type(error)), translated(source=filled):
            raise error
