"""Servers and sessions that nothing is done with: each refused by the real thing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from runbook import connection, lock, preflight, replica
from runbook import session as sessions
from runbook.connection import Purpose
from runbook.environment import Connection, Environment
from runbook.errors import IncompleteError
from runbook.settings import read as read_settings
from tests import project
from tests.conftest import Connect
from tests.pooler import IS_THERE, pooler
from tests.standby import Replication, replication

Dsn = Callable[..., str]
Through = Callable[[str], str]
READER, OWNER = "telecore_reader", "telecore_owner"
needs_pgbouncer = pytest.mark.skipif(not IS_THERE, reason="no PgBouncer on this machine")
DIRECTLY = "connect to the server itself, or through a pool that keeps a session's backend"


@pytest.fixture
def environment() -> Environment:
    way = Connection(variable="RUNBOOK_TEST_NOT_SET")
    return Environment(name="staging", reader=way, owner=way, writes=True, gate="g")


@pytest.fixture
def through(dsn: Dsn, telecore_staging: str, monkeypatch: pytest.MonkeyPatch) -> Through:
    """Leads the reader's connection there, without a text to staging; returns the text."""

    def lead(text: str) -> str:
        text = text or dsn(telecore_staging, READER)
        monkeypatch.setenv(connection.OVERRIDE_READER, text)
        return text

    lead("")
    return lead


def refused(environment: Environment, purpose: Purpose = Purpose.READ) -> str:
    with pytest.raises(IncompleteError) as caught:
        sessions.connect(environment, purpose).close()
    return str(caught.value)


# --- poolers --------------------------------------------------------------------------------------


@needs_pgbouncer
@pytest.mark.parametrize(
    ("mode", "size", "said"),
    [
        ("transaction", 1, "a connection pooler in transaction mode is in between"),
        ("transaction", 4, "a connection pooler in transaction mode is in between"),
        # it refuses BEGIN
        ("statement", 4, "a connection pooler is in between, and its mode cannot be told"),
    ],
)
def test_a_pooler_without_sessions_is_refused(
    environment: Environment, through: Through, mode: str, size: int, said: str
) -> None:
    with pooler(through(""), mode, size) as pool:
        through(pool)
        assert refused(environment) == f"environment 'staging': {said}\nhint: {DIRECTLY}"


@needs_pgbouncer
def test_a_pool_without_a_second_session_is_refused(
    environment: Environment, through: Through
) -> None:
    """In session mode with one backend the probe waits for ever; its mode cannot be told."""
    with pooler(through(""), "session", 1) as pool:
        through(pool)
        assert refused(environment) == (
            "environment 'staging': a connection pooler is in between, and its mode cannot be told"
            f"\nhint: {DIRECTLY}"
        )


@needs_pgbouncer
def test_a_refused_pool_is_left_clean(environment: Environment, through: Through) -> None:
    with pooler(through(""), "transaction", 1) as pool:
        through(pool)
        refused(environment)
        with psycopg.connect(pool, autocommit=True, prepare_threshold=None) as other:
            settings = ("default_transaction_read_only", "lock_timeout", "row_security")
            found = [other.execute(f"SHOW {name}".encode()).fetchone() for name in settings]
            locks = other.execute(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid ="
                " pg_backend_pid()"
            ).fetchone()
    assert found == [("off",), ("0",), ("on",)]
    assert locks == (0,)


@needs_pgbouncer
def test_a_pool_of_sessions_is_not_refused(environment: Environment, through: Through) -> None:
    with pooler(through(""), "session") as pool:
        through(pool)
        session = sessions.connect(environment)
        facts = sessions.server_facts(session)
        session.close()
    assert facts.pooled


def test_no_pooler_is_seen_where_there_is_none(environment: Environment, through: Through) -> None:
    through("")
    session = sessions.connect(environment)
    assert not sessions.server_facts(session).pooled
    session.close()


# --- two runs at once -----------------------------------------------------------------------------


def test_a_second_run_is_refused(
    environment: Environment, through: Through, telecore_staging: str
) -> None:
    through("")
    with lock.alone(environment):
        looking = sessions.connect(environment)
        holder = lock.holder(looking)
        looking.close()
        assert holder.startswith("backend ")
        with pytest.raises(IncompleteError) as caught, lock.alone(environment):
            raise AssertionError("a second one got the lock")
    assert str(caught.value) == (
        f"environment 'staging': another run is going on in database {telecore_staging!r}:"
        f" {holder}\nhint: wait until it has ended, or end it where it was started"
    )
    with lock.alone(environment):
        pass  # it is free again


def test_a_killed_run_leaves_no_lock(
    environment: Environment, through: Through, connect: Connect
) -> None:
    through("")
    with lock.alone(environment):
        looking = sessions.connect(environment)
        (pid,) = lock.holder(looking).split()[1:2]
        looking.close()
        with connect("postgres", None) as admin:
            admin.execute("SELECT pg_terminate_backend(%s, 5000)", (int(pid),))
        with lock.alone(environment):
            pass


def test_nobody_holds_a_lock_that_nobody_took(environment: Environment, through: Through) -> None:
    through("")
    session = sessions.connect(environment)
    assert lock.holder(session) == ""
    session.close()


# --- superusers -----------------------------------------------------------------------------------


def test_a_role_that_a_superuser_assumes_is_refused(
    environment: Environment, dsn: Dsn, telecore_staging: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SET ROLE can be undone, so the role that logged in counts."""
    monkeypatch.setenv("STAGING_AS_ADMIN", dsn(telecore_staging))
    way = Connection(variable="STAGING_AS_ADMIN", assume=READER)
    target = environment.model_copy(update={"reader": way})
    assert refused(target) == (
        f"environment 'staging': {READER!r} is a superuser\n"
        "hint: connect as a role that may only read: runbook grants staging prints one"
    )
    allowed = target.model_copy(update={"superuser": True})
    session = sessions.connect(allowed)
    assert session.execute("SELECT current_user::text").fetchone() == (READER,)
    session.close()


def test_a_role_that_may_not_be_assumed_is_reported(
    environment: Environment, dsn: Dsn, telecore_staging: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGING_AS_READER", dsn(telecore_staging, READER))
    way = Connection(variable="STAGING_AS_READER", assume=OWNER)
    assert refused(environment.model_copy(update={"reader": way})) == (
        f"environment 'staging': cannot assume the role {OWNER!r}: permission denied to set role"
        f' "{OWNER}" (42501)\n'
        f"hint: GRANT {OWNER} TO {READER}, or leave assume out"
    )


# --- standbys -------------------------------------------------------------------------------------


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(None, marks=pytest.mark.slow, id="18"),
        pytest.param(
            Path("/usr/lib/postgresql/15/bin"),
            marks=[pytest.mark.slow, pytest.mark.postgres15],
            id="15",
        ),
    ],
)
def servers(request: pytest.FixtureRequest) -> Iterator[Replication]:
    if request.param and not request.param.is_dir():
        pytest.skip("PostgreSQL 15 is not installed")
    with replication(request.param) as both:
        with both.primary.connect("postgres") as admin:
            admin.execute(f"CREATE ROLE {READER} LOGIN IN ROLE pg_read_all_data, pg_read_all_stats")
            admin.execute(f"CREATE ROLE {OWNER} LOGIN")
        both.catch_up()
        yield both


@pytest.fixture
def on_replica(servers: Replication, monkeypatch: pytest.MonkeyPatch) -> Replication:
    monkeypatch.setenv(connection.OVERRIDE_READER, servers.replica.dsn("postgres", READER))
    monkeypatch.setenv(connection.OVERRIDE_OWNER, servers.replica.dsn("postgres", OWNER))
    return servers


@pytest.mark.usefixtures("on_replica")
def test_nothing_is_written_on_a_standby(environment: Environment) -> None:
    assert refused(environment, Purpose.WRITE) == (
        "environment 'staging': the server is a standby, nothing can be written there\n"
        "hint: let the owner's connection lead to the primary"
    )


def test_a_standby_that_streams_is_not_refused(
    environment: Environment, on_replica: Replication
) -> None:
    on_replica.catch_up()
    session = sessions.connect(environment)
    replica.refuse(environment, session)
    with lock.alone(environment):
        assert lock.holder(session)
    session.close()


def test_a_lagging_and_a_broken_standby_are_refused(
    environment: Environment, on_replica: Replication
) -> None:
    session = sessions.connect(environment)
    impatient = environment.model_copy(update={"replica_lag": timedelta(microseconds=1)})
    with pytest.raises(IncompleteError) as caught:
        replica.refuse(impatient, session)
    assert str(caught.value) == (
        "environment 'staging': the replica is 0 s behind, expected at most 1e-06 s\n"
        "hint: let the standby catch up, or connect to the primary"
    )
    on_replica.cut_off()
    try:
        with pytest.raises(IncompleteError) as caught:
            replica.refuse(environment, session)
    finally:
        on_replica.join()
        session.close()
    assert str(caught.value) == (
        "environment 'staging': no WAL receiver runs: the replica is cut off from its primary\n"
        "hint: let the standby catch up, or connect to the primary"
    )


@pytest.mark.usefixtures("on_replica")
def test_no_run_begins_on_a_lagging_standby(environment: Environment) -> None:
    impatient = environment.model_copy(update={"replica_lag": timedelta(microseconds=1)})
    with pytest.raises(IncompleteError) as caught:
        preflight.look(read_settings(project.ROOT), impatient)
    assert caught.value.message == (
        "environment 'staging': the replica is 0 s behind, expected at most 1e-06 s"
    )
