"""Faults of a server while it is looked at, one test each: what was not measured is never clean.

The faults of a run with notebooks are in test_survival.py, poolers and standbys in
test_refusals.py, what makes a count wrong in test_hazards.py.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import errors, sql

from runbook import catalog, operators, relationships
from runbook import session as sessions
from runbook.audit import engine, lookalikes, parallel
from runbook.audit.engine import Options
from runbook.audit.target import targets
from runbook.audit.work import Limits
from runbook.environment import Environment
from runbook.errors import UsageError
from runbook.findings import Audit, AuditState
from runbook.operators import Comparisons
from runbook.relationships import Relationships
from runbook.schema import Schema
from runbook.session import ServerFacts, Session
from tests.places import OWNER, READER, Place, opened
from tests.standby import Server, single

PAIR = (
    "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int);"
    "INSERT INTO p VALUES (1); INSERT INTO c VALUES (1, 1);"
)
BIG = (
    "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int);"
    "INSERT INTO p SELECT generate_series(1, 200000);"
    "INSERT INTO c SELECT n, n FROM generate_series(1, 200000) n; ANALYZE p, c"
)
SOON = {"lock": "100ms"}
LITTLE = Options(memory=1)  # as little as there is: 4 MB


@dataclass(frozen=True)
class Looked:
    """What an audit needs of a place."""

    environment: Environment
    relationships: Relationships
    schema: Schema
    comparisons: tuple[Comparisons, ...]


@contextmanager
def looking(place: Place, children: tuple[str, ...] = ("c",)) -> Iterator[tuple[Session, Looked]]:
    """A session with the snapshot, and what was read before anything is counted."""
    environment = place.environment(**SOON)
    with place.reading() as session:
        items = Relationships(
            tuple(place.relationship(child, "p", "p", "id") for child in children)
        )
        schema = catalog.read(session, [place.schema])
        yield session, Looked(environment, items, schema, operators.read(session, items.items))


def audited(
    place: Place,
    options: Options = LITTLE,
    meanwhile: Callable[[], None] = lambda: None,
    **timeouts: str,
) -> Audit:
    """The audit of ``c.p``; ``meanwhile`` something happens between looking and counting."""
    with looking(place) as (session, before):
        looked = replace(before, environment=place.environment(**(timeouts or SOON)))
        meanwhile()
        (audit,) = parallel.in_snapshot(session, looked, options, Limits(jobs=1))
    return audit


def unknown(audit: Audit) -> str:
    assert (audit.state, audit.orphans) == (AuditState.COULD_NOT_LOOK, None)
    return audit.reason


@contextmanager
def setting(place: Place, name: str, value: str) -> Iterator[None]:
    """A setting of the reader's sessions that only a superuser may change."""
    where = sql.SQL("ALTER ROLE {} IN DATABASE {} SET {} TO {}").format(
        sql.Identifier(READER), sql.Identifier(place.database), sql.SQL(name), sql.Literal(value)
    )
    with place.connect("postgres", None) as admin:
        admin.execute(where)
        try:
            yield
        finally:
            admin.execute(f"ALTER ROLE {READER} IN DATABASE {place.database} RESET {name}")


# --- limits ---------------------------------------------------------------------------------------


def test_a_statement_that_takes_too_long(place: Place) -> None:
    place.run(BIG)
    said = unknown(audited(place, statement="1ms"))
    assert said == "canceling statement due to statement timeout (57014)"


def test_a_lock_that_a_writer_holds(place: Place) -> None:
    place.run(PAIR)
    with place.connect(place.database, OWNER) as writer, writer.transaction():
        lock = f"LOCK TABLE {place.schema}.c IN ACCESS EXCLUSIVE MODE".encode()

        def take() -> None:
            writer.execute(lock)

        said = unknown(audited(place, meanwhile=take))
    assert said == "canceling statement due to lock timeout (55P03)"


def test_a_statement_that_somebody_cancels(place: Place) -> None:
    place.run(PAIR)
    with place.connect(place.database, OWNER) as writer, writer.transaction():

        def take() -> None:
            writer.execute(f"LOCK TABLE {place.schema}.c IN ACCESS EXCLUSIVE MODE".encode())
            threading.Thread(target=cancel, args=(place,), daemon=True).start()

        said = unknown(audited(place, meanwhile=take, lock="20s"))
    assert said == "canceling statement due to user request (57014)"


def cancel(place: Place) -> None:
    """Cancel the statement of ours that waits for a lock, as a DBA would."""
    with place.connect("postgres", None) as admin:
        for _ in range(200):
            rows = admin.execute(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock' AND application_name = 'fk-runbook'"
            ).fetchall()
            if rows:
                return
            time.sleep(0.05)


def test_a_long_reader_is_in_nobodys_way(place: Place) -> None:
    place.run(PAIR)
    with place.connect(place.database, OWNER) as other, other.transaction():
        other.execute(f"SELECT FROM {place.schema}.c".encode())
        assert audited(place).state is AuditState.CLEAN


def test_an_idle_transaction_that_the_server_ends(place: Place) -> None:
    place.run(PAIR)
    with suppress(errors.IdleInTransactionSessionTimeout), place.reading(idle="50ms") as session:
        items = (place.relationship("c", "p", "p", "id"),)
        schema = catalog.read(session, [place.schema])
        (target,) = targets(session, items, schema, operators.read(session, items))
        time.sleep(0.3)
        said = unknown(engine.one(session, target, LITTLE))
    assert said in {
        "terminating connection due to idle-in-transaction timeout (25P03)",
        "the connection is lost (connection lost)",
    }


def test_a_transaction_that_takes_too_long(place: Place) -> None:
    if place.read().server_version < 170000:
        pytest.skip("transaction_timeout came with PostgreSQL 17")
    place.run(PAIR)
    with (
        looking(place) as (session, before),
        place.connect(place.database, OWNER) as writer,
        writer.transaction(),
        setting(place, "transaction_timeout", "40ms"),
    ):
        writer.execute(f"LOCK TABLE {place.schema}.p IN ACCESS EXCLUSIVE MODE".encode())
        looked = replace(before, environment=place.environment(**SOON | {"lock": "5s"}))
        (audit,) = parallel.in_snapshot(session, looked, LITTLE, Limits(jobs=1))
    said = unknown(audit)
    assert said == "terminating connection due to transaction timeout (25P04)"


def test_temporary_files_that_the_server_limits(place: Place) -> None:
    place.run(
        "CREATE TABLE p (id text PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p text);"
        "INSERT INTO c SELECT n, md5(n::text) || md5(n::text) FROM generate_series(1, 200000) n;"
        "ANALYZE p, c"
    )
    with looking(place) as (session, looked), setting(place, "temp_file_limit", "64kB"):
        (audit,) = parallel.in_snapshot(session, looked, LITTLE, Limits(jobs=1))
    said = unknown(audit).replace('"', "")  # older servers do not quote the name
    assert said == "temporary file size exceeds temp_file_limit (64kB) (53400)"


def test_a_session_that_breaks_as_it_begins(place: Place) -> None:
    place.run(PAIR)

    def broken(_session: Session) -> ServerFacts:
        raise psycopg.OperationalError("gone")

    with looking(place) as (session, looked), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sessions, "server_facts", broken)
        (audit,) = parallel.in_snapshot(session, looked, LITTLE, Limits(jobs=1))
    assert unknown(audit) == (
        "environment 'scratch': the session broke as it began: gone (connection lost)"
    )


def test_no_session_is_free(place: Place) -> None:
    place.run(PAIR)
    with place.connect("postgres", None) as admin, looking(place) as (session, looked):
        admin.execute(f"ALTER ROLE {READER} CONNECTION LIMIT 0")
        try:
            (audit,) = parallel.in_snapshot(session, looked, LITTLE, Limits(jobs=1))
        finally:
            admin.execute(f"ALTER ROLE {READER} CONNECTION LIMIT -1")
    assert unknown(audit).endswith(f'FATAL: too many connections for role "{READER}"')


# --- sessions that are lost -----------------------------------------------------------------------


def test_a_worker_that_is_ended_is_replaced(place: Place) -> None:
    place.run(PAIR)
    ended = False

    attempt = engine.attempt

    def end_once(session: Session, *rest: Any) -> tuple[Audit, str | None]:
        nonlocal ended
        if not ended:
            ended = True
            with place.connect("postgres", None) as admin:
                admin.execute("SELECT pg_terminate_backend(%s, 5000)", (session.info.backend_pid,))
        return attempt(session, *rest)

    with looking(place) as (session, looked), pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "attempt", end_once)
        (audit,) = parallel.in_snapshot(session, looked, LITTLE, Limits(jobs=1))
    assert ended
    assert audit.state is AuditState.CLEAN


@pytest.mark.slow
@pytest.mark.parametrize("how", ["kill -9 of a backend", "restart"])
def test_a_server_that_goes_down(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    with single(restart_after_crash="on") as server:
        place = on(server, monkeypatch)
        place.run(PAIR)

        def go_down() -> None:
            if how == "restart":
                server.stop()
                server.start()
            else:
                with server.connect("postgres") as victim:
                    os.kill(victim.info.backend_pid, signal.SIGKILL)
                    with suppress(psycopg.OperationalError):
                        victim.execute("SELECT 1")
                time.sleep(1)

        with suppress(psycopg.OperationalError):
            assert unknown(audited(place, meanwhile=go_down))
        assert audited(place).state is AuditState.CLEAN  # a new session, and a new snapshot


def on(server: Server, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A place in the database postgres of a server of its own."""
    with server.connect("postgres") as admin:
        admin.execute(f"CREATE ROLE {OWNER} LOGIN")
        admin.execute(f"CREATE ROLE {READER} LOGIN IN ROLE pg_read_all_data")
        admin.execute(f"GRANT CREATE ON DATABASE postgres TO {OWNER}")
    return opened(server.connect, server.dsn, "postgres", monkeypatch)


# --- size -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_more_tables_than_one_transaction_can_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short transaction each: at the default settings 10,000 tables are the same case."""
    children = tuple(f"c{number}" for number in range(800))
    with single(max_connections="12", max_locks_per_transaction="10") as server:
        place = on(server, monkeypatch)
        place.run("CREATE TABLE p (id int PRIMARY KEY, deleted_at timestamptz)")
        for child in children:
            place.run(f"CREATE TABLE {child} (id int PRIMARY KEY, p int)")
        with place.reading() as session, pytest.raises(errors.OutOfMemory):
            lock_all(session, [f"{place.schema}.{child}" for child in children])
        with looking(place, children) as (session, looked):
            audits = parallel.in_snapshot(session, looked, LITTLE)
            apart = lookalikes.measure(
                session, looked.relationships.items, looked.schema, looked.comparisons
            )
    assert {(a.state, a.reason) for a in audits} == {(AuditState.CLEAN, "")}
    assert {(item.rows, item.reason) for item in apart} == {(0, "")}
    assert len(apart) == len(children)


def lock_all(session: Session, tables: list[str]) -> None:
    """As an audit in one transaction would."""
    for table in tables:
        session.execute(f"SELECT FROM {table}".encode())


def test_a_table_of_1600_columns(place: Place) -> None:
    columns = ", ".join(f"c{number} int" for number in range(1598))
    place.run("CREATE TABLE p (id int PRIMARY KEY)")
    place.run(f"CREATE TABLE c (id int PRIMARY KEY, p int, {columns})")
    started = time.monotonic()
    assert audited(place).state is AuditState.CLEAN
    assert time.monotonic() - started < 5


# --- names and kinds ------------------------------------------------------------------------------


def test_a_foreign_table_is_not_counted_as_clean(place: Place) -> None:
    place.run(
        "CREATE TABLE p (id int PRIMARY KEY); CREATE FOREIGN DATA WRAPPER nothing;"
        "CREATE SERVER far FOREIGN DATA WRAPPER nothing;"
        "CREATE FOREIGN TABLE c (id int, p int) SERVER far",
        role=None,
    )
    try:
        assert unknown(audited(place)) == 'foreign-data wrapper "nothing" has no handler (55000)'
    finally:
        place.run("DROP FOREIGN DATA WRAPPER nothing CASCADE", role=None)


def test_a_name_with_nul_is_refused(tmp_path: Path) -> None:
    """libpq would cut it off there, and look at another table."""
    path = tmp_path / "relationships.toml"
    path.write_text(
        '[[relationship]]\nchild = "c\\u0000d"\ncolumns = ["p"]\nparent = "p"\n'
        'references = ["id"]\n',
        encoding="utf-8",
    )
    with pytest.raises(UsageError) as caught:
        relationships.read(path)
    assert str(caught.value) == (
        f"{path}:2: relationship[0].child: a name cannot hold a NUL character: 'c\\x00d'\n"
        "hint: correct the value"
    )
