"""The batch validator: types, locks, round trips, memory, and the truth of random batches."""

from __future__ import annotations

import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import psycopg
import pytest

from runbook.embedded import EmbeddedServer
from runbook.references import (
    BatchValidation,
    Parent,
    Reference,
    validate_batch_references,
    validate_references,
)
from runbook.references.batch import CHUNK
from tests.conftest import Connect

POSTGRES_15 = Path("/usr/lib/postgresql/15/bin")
UUIDS = [UUID(int=n + 1) for n in range(4)]
TABLES = """
    CREATE SCHEMA b;
    CREATE DOMAIN b.code AS text CHECK (value <> 'forbidden');
    CREATE TYPE b.colour AS ENUM ('red', 'green');
    CREATE TABLE b.uuids (id uuid PRIMARY KEY);
    CREATE TABLE b.small (id smallint PRIMARY KEY);
    CREATE TABLE b.ints (id integer PRIMARY KEY);
    CREATE TABLE b.bigs (id bigint PRIMARY KEY);
    CREATE TABLE b.numbers (id numeric PRIMARY KEY);
    CREATE TABLE b.texts (id text PRIMARY KEY);
    CREATE TABLE b.short (id varchar(3) PRIMARY KEY);
    CREATE TABLE b.fixed (id char(5) PRIMARY KEY);
    CREATE TABLE b.codes (id b.code PRIMARY KEY);
    CREATE TABLE b.colours (id b.colour PRIMARY KEY);
    CREATE TABLE b.dates (id date PRIMARY KEY);
    CREATE TABLE b.unindexed (id text);
    INSERT INTO b.uuids SELECT n::text::uuid FROM unnest(%s::text[]) AS n;
    INSERT INTO b.small VALUES (1), (-5), (32767);
    INSERT INTO b.ints VALUES (1), (-5), (2147483647);
    INSERT INTO b.bigs VALUES (1), (-5), (9223372036854775807);
    INSERT INTO b.numbers VALUES (1), (-5), (1.50);
    INSERT INTO b.texts VALUES ('1'), ('a'), ('NULL'), ('a"b'), ('a\\b'), ('ä'), (' a');
    INSERT INTO b.short VALUES ('1'), ('a');
    INSERT INTO b.fixed VALUES ('1'), ('a');
    INSERT INTO b.codes VALUES ('1'), ('a');
    INSERT INTO b.colours VALUES ('red');
    INSERT INTO b.dates VALUES ('2025-12-29');
    INSERT INTO b.unindexed VALUES ('1'), (NULL), ('a'), ('a');
"""
NAMES = [
    "uuids", "small", "ints", "bigs", "numbers", "texts",
    "short", "fixed", "codes", "colours", "dates", "unindexed",
]  # fmt: skip
VALUES: list[object] = [
    None, "", "  ", True, False, 1.0, 1.5, b"1", ["1"], {"a": 1}, "\ud800", "a\0",
    1, -5, 0, 7, 32767, 32768, -32769, 2**31 - 1, 2**31, 2**63 - 1, 2**63, -(2**70),
    "1", " 1", "+1", "-5", "0x1", "1_000", "1.5", "1.50", "99999999999999999999", "a", "A", " a",
    "a ", "NULL", 'a"b', "a\\b", "ä", "abcd", "red", "blue", "forbidden", "2025-12-29", "29.12.25",
    UUIDS[0], UUID(int=99), str(UUIDS[1]), str(UUIDS[1]).upper(), UUIDS[2].hex,
    "{" + str(UUIDS[3]) + "}", "{" + str(UUIDS[3]), f"urn:uuid:{UUIDS[0]}", "not a uuid",
    "'; DROP TABLE b.texts; --",
]  # fmt: skip


def fill(admin: psycopg.Connection[Any]) -> None:
    head, tail = TABLES.split("    INSERT INTO b.uuids", 1)
    uuids, rest = tail.split(";", 1)
    admin.execute(head.encode())
    admin.execute(f"INSERT INTO b.uuids{uuids}".encode(), [[str(each) for each in UUIDS]])
    admin.execute(rest.encode())


@pytest.fixture(scope="module")
def filled(connect: Connect) -> Iterator[psycopg.Connection[Any]]:
    with connect("postgres", None) as admin:
        admin.execute("CREATE DATABASE of_batches")
    with connect("of_batches", None) as owner:
        fill(owner)
        yield owner
    with connect("postgres", None) as admin:
        admin.execute("DROP DATABASE of_batches WITH (FORCE)")


@pytest.fixture(scope="module")
def on_15() -> Iterator[psycopg.Connection[Any]]:
    with tempfile.TemporaryDirectory(prefix="fkr-test-") as folder:
        Path(folder).chmod(0o755)
        with (
            EmbeddedServer(Path(folder) / "server", POSTGRES_15) as server,
            psycopg.connect(server.conninfo(), autocommit=True) as admin,
        ):
            fill(admin)
            yield admin


def disagreements(connection: psycopg.Connection[Any], random: Random) -> list[Any]:
    """Where a batch of random records says other than one question for each value."""
    alone = {}
    for name in NAMES:
        for n, value in enumerate(VALUES):
            item = Reference("f", value, f"b.{name}")
            errors = validate_references(connection, [item]).errors
            alone[name, n] = errors[0].reason if errors else ""
    parents = {name: Parent(f"b.{name}") for name in NAMES}
    found = []
    for _ in range(8):
        picks = [{name: random.randrange(len(VALUES)) for name in NAMES} for _ in range(40)]
        records = [{name: VALUES[n] for name, n in each.items()} for each in picks]
        answer = validate_batch_references(
            connection, records, parents, chunk=random.choice([1, 7, 40]), most_errors=10_000
        )
        expected = [
            (index, name, reason)
            for index, each in enumerate(picks)
            for name in NAMES
            if (reason := alone[name, each[name]])
        ]
        got = [(each.index, each.error.field, each.error.reason) for each in answer.errors]
        found += [
            (index, name, VALUES[picks[index][name]], reason)
            for index, name, reason in set(expected) ^ set(got)
        ]
        if not found:
            assert got == expected, "the order"
    return found


def test_a_batch_says_of_every_value_what_a_question_for_it_alone_says(
    filled: psycopg.Connection[Any],
) -> None:
    assert disagreements(filled, Random(7)) == []  # noqa: S311 - the seed is the point


@pytest.mark.postgres15
@pytest.mark.skipif(not POSTGRES_15.exists(), reason="needs Debian's PostgreSQL 15")
def test_the_same_on_a_server_that_cannot_test_a_value(on_15: psycopg.Connection[Any]) -> None:
    assert disagreements(on_15, Random(15)) == []  # noqa: S311 - the seed is the point


def trips(connection: psycopg.Connection[Any], work: Any, trace: Path) -> tuple[int, Any]:
    """How often the server was ready again, as libpq saw it, and the result."""
    with trace.open("wb") as stream:
        connection.pgconn.trace(stream.fileno())
        result = work()
        connection.pgconn.untrace()
    return trace.read_text(errors="replace").count("\tReadyForQuery"), result


def test_a_chunk_is_one_round_trip_and_bad_values_cost_three_more(
    filled: psycopg.Connection[Any], tmp_path: Path
) -> None:
    parents = {"u": "b.uuids", "t": "b.texts"}
    good = [{"u": str(UUIDS[0]), "t": "a"}] * 100

    def batch(records: list[dict[str, str]]) -> BatchValidation:
        return validate_batch_references(filled, records, parents, chunk=50)

    assert trips(filled, lambda: batch(good), tmp_path / "a") == (
        2,  # the types, the first chunk; the second has nothing that was not found
        BatchValidation(100, 0),
    )
    bad = [{"u": f"no uuid {n}", "t": "a"} for n in range(50)]
    count, found = trips(filled, lambda: batch(bad), tmp_path / "b")
    assert (count, found.failed) == (4, 50)
    wrong = [Reference(f"f{n}", f"no uuid {n}", "b.uuids") for n in range(500)]
    wrong += [Reference("t", "a", "b.texts")]
    count, validation = trips(filled, lambda: validate_references(filled, wrong), tmp_path / "c")
    assert (count, len(validation.errors)) == (4, 500)


def test_a_batch_with_a_lock_keeps_the_parents(connect: Connect, scratch: str) -> None:
    with (
        connect(scratch, "telecore_owner") as first,
        connect(scratch, "telecore_owner") as second,
    ):
        second.execute("SET lock_timeout = '200ms'")
        records = [{"v": "cfg_1_matrix_4"}, {"v": "cfg_none"}]
        with first.transaction():
            found = validate_batch_references(first, records, {"v": "config_versions"}, lock=True)
            assert [each.index for each in found.errors] == [1]
            with pytest.raises(psycopg.errors.LockNotAvailable):
                second.execute("DELETE FROM config_versions WHERE id = 'cfg_1_matrix_4'")
        second.execute("DELETE FROM config_versions WHERE id = 'cfg_1_matrix_4'")
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is asserted in full
            validate_batch_references(first, records, {"v": "config_versions"}, lock=True)
    assert str(caught.value) == (
        "lock=True needs an open transaction, got a connection in autocommit mode outside one;"
        " call it inside connection.transaction()"
    )


def test_a_failed_batch_undoes_itself_alone(filled: psycopg.Connection[Any]) -> None:
    with filled.transaction(force_rollback=True):
        filled.execute("INSERT INTO b.texts VALUES ('new')")
        records = [{"u": "no uuid", "t": "new"}]
        parents = {"u": "b.uuids", "t": "b.texts"}
        found = validate_batch_references(filled, records, parents)
        assert [each.error.field for each in found.errors] == ["u"]
        with pytest.raises(psycopg.errors.UndefinedColumn):
            validate_batch_references(filled, records, {"t": Parent("b.texts", "nothing")})
        assert filled.execute("SELECT count(*) FROM b.texts").fetchone() == (8,)


def test_memory_is_that_of_a_chunk_and_not_of_the_records(
    filled: psycopg.Connection[Any],
) -> None:
    def peak(records: int) -> int:
        tracemalloc.start()
        found = validate_batch_references(
            filled,
            ({"t": f"none {n}"} for n in range(records)),
            {"t": "b.texts"},
            chunk=2_000,
            most_errors=10,
        )
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (found.checked, found.failed, len(found.errors)) == (records, records, 10)
        return size

    assert peak(40_000) < 1.5 * peak(4_000)


def test_a_million_references_are_checked_and_every_fault_is_found(
    filled: psycopg.Connection[Any],
) -> None:
    """Two hundred thousand records against five parents, every fault of them found."""
    size = 200_000
    names = ["texts", "short", "codes", "fixed", "unindexed"]
    records = (dict.fromkeys(names[:4], "a") | {"unindexed": f"{n}"} for n in range(size))
    found = validate_batch_references(
        filled, records, {name: f"b.{name}" for name in names}, most_errors=3
    )
    assert (found.checked, found.failed) == (size, size - 1)
    assert [each.index for each in found.errors] == [0, 2, 3]
    assert size > CHUNK
