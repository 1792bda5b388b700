"""A disposable copy is whole, or a sample with its parents, and nothing of it is left behind."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo

from runbook import disposable
from runbook.disposable import copying, dump
from runbook.disposable.rows import Reference
from runbook.errors import IncompleteError, UsageError
from tests.conftest import PASSWORDS, Connect
from tests.copies import TABLES, copied
from tests.places import HOSTILE, OWNER, READER, Dsn, Place

pytestmark = pytest.mark.slow


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache of the test's own, where the account of root's server can pass."""
    folder = Path(f"/tmp/fkr-copies-{os.getpid()}")  # noqa: S108 - pytest's own is closed to it
    folder.mkdir(mode=0o755, exist_ok=True)
    monkeypatch.setenv("RUNBOOK_CACHE", str(folder))
    for name in ("PGPASSWORD", "PGHOST"):
        monkeypatch.setenv(name, "of somebody else")
    yield folder
    shutil.rmtree(folder)


def databases(connect: Connect) -> set[str]:
    with connect("postgres", None) as admin:
        return {row[0] for row in admin.execute("SELECT datname FROM pg_database").fetchall()}


def test_a_copy_on_a_given_server_has_all_rows_and_is_dropped(
    place: Place, admin_dsn: str, connect: Connect
) -> None:
    place.run(TABLES)
    before = databases(connect)
    with copied(place, admin_dsn) as copy:
        assert databases(connect) - before == {copy.database, copy.empty}
        assert copy.role is None
        assert copy.sampled is None
        with copy.connect() as session:
            found = session.execute(f"SELECT count(*) FROM {place.schema}.orders").fetchone()
        with copy.administer(copy.empty) as session:
            empty = session.execute(f"SELECT count(*) FROM {place.schema}.orders").fetchone()
        assert (found, empty) == ((1000,), (0,))
        assert copy.read(schemas=(place.schema,)).fingerprint == place.read().fingerprint
    assert databases(connect) == before


def test_a_copy_is_dropped_when_what_used_it_fails(
    place: Place, admin_dsn: str, connect: Connect
) -> None:
    place.run(TABLES)
    before = databases(connect)

    def use() -> None:
        with copied(place, admin_dsn) as copy:
            holding = copy.connect()
            raise RuntimeError(f"holding is closed: {holding.closed}")

    with pytest.raises(RuntimeError, match="holding is closed: False"):
        use()
    assert databases(connect) == before


@pytest.mark.slow
def test_a_private_server_has_the_owner_the_roles_and_nothing_is_left(
    place: Place, cache: Path
) -> None:
    place.run(TABLES)
    left = cache / "copy-left"  # as of a program that was killed
    left.mkdir(mode=0o755)
    (left / "start.lock").touch()
    with disposable.copied(place.environment(), disposable.Wanted()) as copy:
        (folder,) = cache.glob("copy-*")
        assert not left.exists()
        assert folder.stat().st_mode & 0o777 == 0o700
        assert copy.database == place.database
        assert copy.role == OWNER
        with copy.connect() as session:
            who = session.execute(
                "SELECT current_user, rolsuper FROM pg_roles WHERE rolname = %s", (OWNER,)
            ).fetchone()
            kept = session.execute("SHOW fsync").fetchone()
            listens = session.execute("SHOW listen_addresses").fetchone()
            owner = session.execute(
                "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
            ).fetchone()
        assert (who, kept, listens, owner) == ((OWNER, False), ("on",), ("",), (OWNER,))
        without = conninfo.make_conninfo(
            copy.server.conninfo(copy.database, OWNER), passfile="/dev/null"
        )
        with pytest.raises(psycopg.OperationalError, match="no password supplied"):
            psycopg.connect(without)
    assert list(cache.glob("copy-*")) == []


def test_a_sample_brings_the_parents_along_and_invents_none(place: Place, admin_dsn: str) -> None:
    place.run(
        "CREATE TABLE a (id int PRIMARY KEY, half int GENERATED ALWAYS AS (id / 2) STORED);"
        "CREATE TABLE b (x int, y text, a int, PRIMARY KEY (x, y));"
        "CREATE TABLE c (id int PRIMARY KEY, x int, y text, FOREIGN KEY (x, y) REFERENCES b);"
        "INSERT INTO a SELECT n FROM generate_series(1, 100) n;"
        "INSERT INTO b SELECT n, 'it''s ' || n, 101 - n FROM generate_series(1, 100) n;"
        "INSERT INTO b VALUES (0, 'orphan', 900);"
        "INSERT INTO c SELECT n, 101 - n, 'it''s ' || 101 - n FROM generate_series(1, 100) n;"
        "INSERT INTO c VALUES (0, 0, 'orphan')"
    )
    wanted = Reference(place.name("b"), ("a",), place.name("a"), ("id",))
    with copied(place, admin_dsn, sample=5, references=(wanted,)) as copy:
        assert copy.sampled is not None
        rows = {table.table: count for table, count in copy.sampled.items()}
        with copy.administer() as session:
            broken = session.execute(
                f"SELECT count(*) FROM {place.schema}.b WHERE a < 900"
                f" AND a NOT IN (SELECT id FROM {place.schema}.a)"
            ).fetchone()
    assert broken == (0,)
    assert rows["c"] == 5
    assert 5 < rows["b"] <= 10
    assert 5 < rows["a"] <= 15


def test_hostile_names_are_copied(place: Place, admin_dsn: str) -> None:
    names = [name for name in HOSTILE if name != "x" * 63][:8]
    for name in names:
        quoted = '"' + name.replace('"', '""') + '"'
        place.run(
            f"CREATE TABLE {quoted} ({quoted} text PRIMARY KEY, p text);"
            f"INSERT INTO {quoted} VALUES ('a', 'b'), ('b', 'b')"
        )
    wanted = tuple(Reference(place.name(n), ("p",), place.name(n), (n,)) for n in names)
    with copied(place, admin_dsn, sample=1, references=wanted) as copy:
        assert copy.sampled is not None
        assert {table.table: rows for table, rows in copy.sampled.items()} == dict.fromkeys(
            names, 2
        )


@pytest.mark.parametrize("sample", [None, 5])
def test_rows_that_row_level_security_hides_are_said(
    place: Place, admin_dsn: str, connect: Connect, sample: int | None
) -> None:
    secured = "ALTER TABLE {0} ENABLE ROW LEVEL SECURITY; INSERT INTO {0} VALUES (1)"
    for table in ('"T"', "u"):
        place.run(f"CREATE TABLE {table} (id int PRIMARY KEY);{secured.format(table)}")
    before = databases(connect)
    with pytest.raises(IncompleteError) as caught, copied(place, admin_dsn, sample=sample):
        pass
    assert caught.value.message == (
        "the database cannot be dumped: row-level security hides rows of"
        f" {place.schema}.\"T\" and 1 more table from the role 'telecore_reader'"
    )
    assert caught.value.hint == (
        'as a superuser: ALTER ROLE "telecore_reader" BYPASSRLS; or read as the role that owns the'
        " tables"
    )
    assert databases(connect) == before
    with connect("postgres", None) as admin:
        admin.execute('ALTER ROLE "telecore_reader" BYPASSRLS')
    try:
        with copied(place, admin_dsn, sample=sample) as copy, copy.administer() as session:
            found = session.execute(f'SELECT id FROM {place.schema}."T"').fetchall()
    finally:
        with connect("postgres", None) as admin:
            admin.execute('ALTER ROLE "telecore_reader" NOBYPASSRLS')
    assert found == [(1,)]
    place.run('DROP TABLE "T", u')


def test_a_table_that_the_reader_may_not_read_is_said(place: Place, admin_dsn: str) -> None:
    place.run("CREATE TABLE t (id int)")
    with place.connect(place.database, None) as admin:
        admin.execute(f"REVOKE pg_read_all_data FROM {READER}")
        try:
            with pytest.raises(IncompleteError) as caught, copied(place, admin_dsn):
                pass
        finally:
            admin.execute(f"GRANT pg_read_all_data TO {READER}")
    assert caught.value.message.startswith(
        "the database cannot be dumped: pg_dump failed: query failed: ERROR:  permission denied for"
    )
    assert caught.value.hint == (
        "let the reader read all tables (GRANT pg_read_all_data), or try again"
    )


def test_what_psql_stumbles_over_is_said(place: Place, admin_dsn: str, connect: Connect) -> None:
    place.run("CREATE TABLE t (id int)")
    target = conninfo.make_conninfo(admin_dsn, dbname=place.database)
    with connect(place.database, READER) as reader, dump.address(reader) as source:
        use = dump.programs(reader.info.server_version)
        with pytest.raises(IncompleteError) as caught:
            dump.pipe(use, source, target, dump.BEFORE_ROWS)
        schemas = reader.execute("SELECT min(nspname) FROM pg_namespace WHERE nspname ~ '^s[0-9]'")
        ((first,),) = schemas.fetchall()
    assert caught.value.message == (
        f'the copy cannot be made: psql failed: ERROR:  schema "{first}" already exists'
    )
    assert caught.value.hint == "give a server that has what the database needs with --into"


def test_no_program_old_enough_is_said() -> None:
    with pytest.raises(IncompleteError) as caught:
        dump.programs(990001)
    assert caught.value.message == "no pg_dump of PostgreSQL 99 or newer was found"
    assert caught.value.hint == (
        "install PostgreSQL's client programs, or fk-runbook[demo], and see that pg_dump,"
        " pg_restore and psql are on the PATH"
    )


def test_the_password_is_in_no_command_line_and_in_a_private_file(
    place: Place, connect: Connect
) -> None:
    with connect(place.database, OWNER) as session, dump.address(session) as text:
        passfile = Path(conninfo.conninfo_to_dict(text)["passfile"])  # type: ignore[arg-type]
        assert PASSWORDS[OWNER] not in text
        assert PASSWORDS[OWNER] in passfile.read_text()
        assert passfile.stat().st_mode & 0o777 == 0o600
        assert passfile.parent.stat().st_mode & 0o777 == 0o700
        with psycopg.connect(text) as again:
            assert again.execute("SELECT current_user").fetchone() == (OWNER,)
    assert not passfile.parent.exists()


def test_a_password_with_every_sign_of_a_password_file(
    connect: Connect, place: Place, dsn: Dsn
) -> None:
    word = r"a:b\c 'd\\:"
    with connect("postgres", None) as admin:
        admin.execute(
            psycopg.sql.SQL("CREATE ROLE signs LOGIN PASSWORD {}").format(psycopg.sql.Literal(word))
        )
    try:
        text = conninfo.make_conninfo(dsn(place.database, OWNER), user="signs", password=word)
        with (
            psycopg.connect(text) as session,
            dump.address(session) as address,
            psycopg.connect(address) as again,
        ):
            assert again.execute("SELECT current_user").fetchone() == ("signs",)
    finally:
        with connect("postgres", None) as admin:
            admin.execute("DROP ROLE signs")


def test_a_server_that_is_not_there_is_said(place: Place, tmp_path: Path) -> None:
    nowhere = f"host={tmp_path} user=x password=hidden-word"
    with pytest.raises(IncompleteError) as caught, copied(place, nowhere):
        pass
    assert caught.value.message.startswith(
        "the copy's server: cannot connect: connection is bad: connection to server on socket"
    )
    assert "hidden-word" not in str(caught.value)
    assert caught.value.hint == "check that it runs, and that its role may create databases"


def test_a_connection_string_that_is_none_is_said(place: Place) -> None:
    with pytest.raises(UsageError) as caught, copied(place, "what is this"):
        pass
    assert caught.value.message.startswith('--into: not a connection string: missing "=" after')
    assert caught.value.hint == (
        "write it as 'host=… dbname=… user=…' or as a postgresql:// address"
    )


def test_a_role_that_may_make_no_database_is_said(place: Place, dsn: Dsn) -> None:
    with pytest.raises(IncompleteError) as caught, copied(place, dsn(place.database, READER)):
        pass
    assert caught.value.message == "the copy's server: permission denied to create database"
    assert caught.value.hint == "give a role that may create databases, or leave --into out"


def test_a_copy_without_room_is_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.run(TABLES)
    monkeypatch.setattr(copying, "ROOM", 10.0**9)
    with place.reading() as reader, pytest.raises(IncompleteError) as caught:
        copying._size(reader, private_server=True, sampled=False)
    assert re.fullmatch(r"the copy needs about \d+ MB, \d+ MB are free", caught.value.message)
    assert caught.value.hint == (
        "copy a sample with --sample-rows 10000, set RUNBOOK_CACHE to a larger disk, or give a"
        " server with --into"
    )


def test_pg_dump_does_not_wait_long_for_a_lock(place: Place, admin_dsn: str) -> None:
    place.run("CREATE TABLE held (id int)")
    ready, done = threading.Event(), threading.Event()

    def hold() -> None:
        with place.connect(place.database, OWNER) as session, session.transaction():
            session.execute(f"LOCK TABLE {place.schema}.held IN ACCESS EXCLUSIVE MODE")
            ready.set()
            done.wait(20)

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    ready.wait(20)
    began = time.monotonic()
    environment = place.environment(lock="100ms")
    try:
        with (
            pytest.raises(IncompleteError) as caught,
            disposable.copied(environment, disposable.Wanted(into=admin_dsn)),
        ):
            pass
    finally:
        done.set()
        thread.join()
    assert time.monotonic() - began < 10
    assert caught.value.message == (  # pg_dump limits its statements while it takes the locks
        "the database cannot be dumped: pg_dump failed: query failed: ERROR:  canceling statement"
        " due to statement timeout"
    )


def test_nothing_of_the_programs_is_left_when_a_dump_is_interrupted(
    place: Place, admin_dsn: str, monkeypatch: pytest.MonkeyPatch, connect: Connect
) -> None:
    place.run(TABLES)
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    class Interrupted(popen):  # type: ignore[misc, valid-type]
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)
            if isinstance(arguments[0], list) and "--version" not in arguments[0]:
                started.append(self)

        def wait(self, timeout: float | None = None) -> int:
            if len(started) == 2 and not interrupted:
                interrupted.append(True)
                raise KeyboardInterrupt
            return int(super().wait(timeout))

    interrupted: list[bool] = []
    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    before = databases(connect)
    with pytest.raises(KeyboardInterrupt), copied(place, admin_dsn):
        pass
    assert [process.poll() is not None for process in started[:2]] == [True, True]
    assert databases(connect) == before
