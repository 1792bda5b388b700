"""Sessions: who gets in, what a transaction allows, and what is left afterwards."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from psycopg import conninfo, errors, sql

from runbook import connection, refusals
from runbook import session as sessions
from runbook.connection import Purpose
from runbook.environment import Connection, Environment
from runbook.errors import IncompleteError, UsageError
from runbook.session import Session
from tests.conftest import PASSWORDS, Connect
from tests.places import OWNER, READER, Dsn, Place

HINT = "check that the server runs and that host, database, role and passfile are right"
VARIABLE = "RUNBOOK_TEST_URL"


@pytest.fixture(autouse=True)
def no_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (connection.OVERRIDE_READER, connection.OVERRIDE_OWNER, VARIABLE):
        monkeypatch.delenv(name, raising=False)


def environment(**values: object) -> Environment:
    defaults = {"name": "staging", "gate": "g", "reader": Connection(variable=VARIABLE)}
    return Environment.model_validate(defaults | values)


def refusal(environment: Environment, purpose: Purpose = Purpose.READ) -> IncompleteError:
    with pytest.raises(IncompleteError) as caught:
        sessions.connect(environment, purpose).close()
    assert caught.value.exit_code == 3
    return caught.value


def connecting(dsn: str) -> str:
    """``connection to server …``, as libpq says where it went."""
    parts = conninfo.conninfo_to_dict(dsn)
    host, port = str(parts["host"]), parts["port"]
    if host.startswith("/"):
        return f'connection failed: connection to server on socket "{host}/.s.PGSQL.{port}" failed'
    address = socket.gethostbyname(host)  # psycopg resolves the name itself
    return f'connection failed: connection to server at "{address}", port {port} failed'


# --- where a connection comes from --------------------------------------------------------------


def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(UsageError) as caught:
        sessions.connect(environment())
    assert str(caught.value) == (
        "environment 'staging': the environment variable 'RUNBOOK_TEST_URL' is not set\n"
        "hint: export RUNBOOK_TEST_URL='host=… dbname=… user=…'"
        " (the password belongs into a passfile)"
    )
    assert caught.value.exit_code == 2


def test_a_role_that_the_environment_lacks_is_named() -> None:
    with pytest.raises(UsageError) as caught:
        sessions.connect(environment(), Purpose.WRITE)
    assert str(caught.value) == (
        "environment 'staging' has no owner connection\n"
        "hint: add [environments.staging.owner] to runbook.toml"
    )
    assert caught.value.exit_code == 2


def test_the_first_that_is_set_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    both = environment(
        reader={"variable": VARIABLE, "service": "staging"}, owner={"service": "st'aging"}
    )
    assert connection.connection_string(both, Purpose.READ) == "service=staging"
    assert connection.connection_string(both, Purpose.WRITE) == "service=st\\'aging"
    assert connection.source(both) == "service"
    monkeypatch.setenv(VARIABLE, "host=a")
    assert connection.connection_string(both, Purpose.READ) == "host=a"
    assert connection.source(both) == "variable"
    monkeypatch.setenv(connection.OVERRIDE_READER, "host=b")
    monkeypatch.setenv(connection.OVERRIDE_OWNER, "host=c")
    assert connection.connection_string(both, Purpose.READ) == "host=b"
    assert connection.connection_string(both, Purpose.WRITE) == "host=c"
    assert connection.source(both) == "dsn"


# --- who does not get in ------------------------------------------------------------------------


def test_an_unreachable_server_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    dsn = f"host=127.0.0.1 port={port} user=u password=S3cr3t dbname=d"
    monkeypatch.setenv(VARIABLE, dsn)
    assert str(refusal(environment())) == (
        f"environment 'staging': cannot connect as reader: {connecting(dsn)}: Connection refused"
        f" Is the server running on that host and accepting TCP/IP connections?\nhint: {HINT}"
    )


def test_a_wrong_database_is_reported(
    dsn: Dsn, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = dsn(f"no_{place.database}", READER)
    monkeypatch.setenv(connection.OVERRIDE_READER, wrong)
    error = refusal(environment())
    assert error.message == (
        f"environment 'staging': cannot connect as reader: {connecting(wrong)}:"
        f' FATAL: database "no_{place.database}" does not exist'
    )
    assert error.hint == HINT


def test_a_wrong_password_is_reported_without_it(
    dsn: Dsn, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = conninfo.make_conninfo(dsn(place.database, OWNER), password="S3cr3t")
    monkeypatch.setenv(connection.OVERRIDE_OWNER, wrong)
    error = refusal(environment(), Purpose.WRITE)
    assert error.message == (
        f"environment 'staging': cannot connect as owner: {connecting(wrong)}:"
        f' FATAL: password authentication failed for user "{OWNER}"'
    )


def test_a_malformed_string_is_reported_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, "postgresql://u:S3cr3t%zz@127.0.0.1/d")
    with pytest.raises(UsageError) as caught:
        sessions.connect(environment())
    assert caught.value.message == (
        "environment 'staging': not a connection string: invalid percent-encoded token: \"•••\""
    )
    assert caught.value.hint == (
        "write it as 'host=… dbname=… user=…' or as a postgresql:// address"
    )


def test_an_unknown_service_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSERVICEFILE", "/dev/null")
    monkeypatch.setenv("PGSYSCONFDIR", "/dev")
    found = refusal(environment(reader={"service": "nowhere"})).message
    assert found == (
        "environment 'staging': cannot connect as reader: connection is bad:"
        ' definition of service "nowhere" not found'
    )


def test_a_superuser_is_refused(
    admin_dsn: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect("postgres", None) as admin:
        row = admin.execute("SELECT current_user, rolsuper FROM pg_roles"
                            " WHERE rolname = current_user").fetchone()  # fmt: skip
    assert row is not None
    name, superuser = row
    if not superuser:
        pytest.skip("the given administrator is no superuser")
    monkeypatch.setenv(VARIABLE, admin_dsn)
    assert str(refusal(environment())) == (
        f"environment 'staging': {name!r} is a superuser\n"
        "hint: connect as a role that may only read: runbook grants staging prints one"
    )


def test_an_old_server_is_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with place.reading() as session:
        facts = sessions.server_facts(session)
    monkeypatch.setattr(refusals, "OLDEST_SERVER", facts.version_number + 1)
    error = refusal(place.environment())
    assert str(error) == (
        f"environment 'scratch': PostgreSQL {facts.version} is not supported,"
        " expected 15 or newer\nhint: upgrade the server, or audit a copy of it on a newer one"
    )


def test_a_refused_session_is_closed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "APPLICATION_NAME", place.schema)
    monkeypatch.setattr(refusals, "OLDEST_SERVER", 10**6)
    refusal(place.environment())
    statement = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
    with place.connect("postgres", None) as admin:
        for _ in range(100):  # the server's process needs a moment to end
            row = admin.execute(statement, (place.schema,)).fetchone()
            if row == (0,):
                break
            admin.execute("SELECT pg_sleep(0.02)")
    assert row == (0,)


# --- the server behind a session ----------------------------------------------------------------


@pytest.fixture
def reader(place: Place, overrides: None) -> Iterator[Session]:  # noqa: ARG001
    session = sessions.connect(place.environment())
    yield session
    session.close()


@pytest.fixture
def owner(place: Place, overrides: None) -> Iterator[Session]:  # noqa: ARG001
    session = sessions.connect(place.environment(), Purpose.WRITE)
    yield session
    session.close()


@pytest.fixture
def overrides(no_overrides: None, place: Place, dsn: Dsn, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    monkeypatch.setenv(connection.OVERRIDE_READER, dsn(place.database, READER))
    monkeypatch.setenv(connection.OVERRIDE_OWNER, dsn(place.database, OWNER))


def test_server_facts(place: Place, reader: Session) -> None:
    facts = sessions.server_facts(reader)
    assert (facts.database, facts.role) == (place.database, READER)
    assert facts.version_number == reader.info.server_version
    assert facts.version.split(".")[0] == str(facts.version_number // 10_000)
    assert facts.system_identifier.isdigit()
    assert (facts.superuser, facts.bypasses_row_security, facts.in_recovery) == (False,) * 3


def test_the_system_identifier_is_empty_where_it_may_not_be_read(
    place: Place, reader: Session
) -> None:
    place.run("REVOKE EXECUTE ON FUNCTION pg_control_system FROM PUBLIC", role=None)
    try:
        assert sessions.server_facts(reader).system_identifier == ""
    finally:
        place.run("GRANT EXECUTE ON FUNCTION pg_control_system TO PUBLIC", role=None)


def test_a_session_names_itself(reader: Session) -> None:
    row = reader.execute("SELECT current_setting('application_name')").fetchone()
    assert row == ("fk-runbook",)
    assert reader.prepare_threshold is None


# --- reading ------------------------------------------------------------------------------------

TABLE = "CREATE TABLE t (id int); INSERT INTO t VALUES (1)"
SETTINGS = (
    "search_path",
    "row_security",
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "transaction_read_only",
    "transaction_isolation",
)


def settings_of(session: Session) -> dict[str, str]:
    columns = sql.SQL(", ").join(
        sql.SQL("current_setting({})").format(sql.Literal(name)) for name in SETTINGS
    )
    row = session.execute(sql.SQL("SELECT {}").format(columns)).fetchone()
    assert row is not None
    return dict(zip(SETTINGS, row, strict=True))


def test_reading_sets_all_limits_and_leaves_none(place: Place, owner: Session) -> None:
    """Also for a role that may write: a reader of a production has grants sometimes."""
    limits = place.environment(statement="7s", lock="300ms", idle="9s")
    before = settings_of(owner)
    with sessions.reading(owner, limits):
        assert settings_of(owner) == {
            "search_path": "pg_catalog",
            "row_security": "off",
            "statement_timeout": "7s",
            "lock_timeout": "300ms",
            "idle_in_transaction_session_timeout": "9s",
            "transaction_read_only": "on",
            "transaction_isolation": "repeatable read",
        }
    assert settings_of(owner) == before
    assert owner.info.transaction_status is psycopg.pq.TransactionStatus.IDLE


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO {}.t VALUES (2)",
        "DELETE FROM {}.t",
        "CREATE TABLE {}.u (id int)",
        "ALTER TABLE {}.t ADD x int",
        "TRUNCATE {}.t",
        "SELECT nextval('{}.s')",
    ],
)
def test_reading_refuses_writes(place: Place, owner: Session, statement: str) -> None:
    place.run(TABLE + "; CREATE SEQUENCE s")
    with (
        pytest.raises(errors.ReadOnlySqlTransaction) as caught,
        sessions.reading(owner, place.environment()),
    ):
        owner.execute(statement.format(place.schema).encode())
    assert caught.value.sqlstate == "25006"
    assert not owner.closed


def test_reading_sees_one_snapshot(place: Place, reader: Session) -> None:
    place.run(TABLE)
    statement = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(place.schema, "t"))
    with sessions.reading(reader, place.environment()):
        assert reader.execute(statement).fetchone() == (1,)
        place.run("DELETE FROM t")
        assert reader.execute(statement).fetchone() == (1,)
    assert reader.execute(statement).fetchone() == (0,)


def test_reading_refuses_hidden_rows(place: Place, reader: Session) -> None:
    place.run(TABLE + "; ALTER TABLE t ENABLE ROW LEVEL SECURITY")
    statement = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(place.schema, "t"))
    assert reader.execute(statement).fetchone() == (0,)
    with (
        pytest.raises(errors.InsufficientPrivilege) as caught,
        sessions.reading(reader, place.environment()),
    ):
        reader.execute(statement)
    assert sessions.reason(caught.value) == (
        'query would be affected by row-level security policy for table "t" (42501)'
    )


def test_a_statement_that_takes_too_long_ends(place: Place, reader: Session) -> None:
    with (
        pytest.raises(errors.QueryCanceled) as caught,
        sessions.reading(reader, place.environment(statement="50ms")),
    ):
        reader.execute("SELECT pg_sleep(10)")
    assert sessions.reason(caught.value) == ("canceling statement due to statement timeout (57014)")


# --- trying -------------------------------------------------------------------------------------


def rows(place: Place) -> int:
    with place.connect(place.database, None) as admin:
        row = admin.execute(
            sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(place.schema, "t"))
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_trying_writes_and_rolls_back(place: Place, owner: Session) -> None:
    place.run(TABLE)
    before = settings_of(owner)
    with sessions.trying(owner, place.environment(lock="300ms")):
        now = settings_of(owner)
        assert (now["transaction_read_only"], now["lock_timeout"]) == ("off", "300ms")
        assert (now["transaction_isolation"], now["row_security"]) == ("read committed", "off")
        owner.execute(
            sql.SQL("INSERT INTO {} VALUES (2)").format(sql.Identifier(place.schema, "t"))
        )
        owner.execute(sql.SQL("CREATE TABLE {} ()").format(sql.Identifier(place.schema, "u")))
    assert rows(place) == 1
    assert place.name("u") not in place.read().tables
    assert settings_of(owner) == before


class OwnError(Exception):
    """Raised by a check's own code."""


@pytest.mark.parametrize("error", [OwnError("x"), KeyboardInterrupt()])
def test_trying_rolls_back_whatever_happens(
    place: Place, owner: Session, error: BaseException
) -> None:
    place.run(TABLE)

    def check() -> None:
        with sessions.trying(owner, place.environment()):
            owner.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(place.schema, "t")))
            raise error

    with pytest.raises(type(error)):
        check()
    assert rows(place) == 1


def test_trying_rolls_back_after_an_error_of_the_server(place: Place, owner: Session) -> None:
    place.run(TABLE)
    with sessions.trying(owner, place.environment()):
        owner.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(place.schema, "t")))
        with pytest.raises(errors.DivisionByZero), owner.transaction():
            owner.execute("SELECT 1 / 0")
        assert owner.execute("SELECT 1").fetchone() == (1,)
    assert rows(place) == 1


def test_a_commit_inside_trying_is_refused(place: Place, owner: Session) -> None:
    place.run(TABLE)
    with sessions.trying(owner, place.environment()):
        owner.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(place.schema, "t")))
        with pytest.raises(psycopg.ProgrammingError) as caught:
            owner.commit()
    assert str(caught.value) == (
        "Explicit commit() forbidden within a Transaction context. (Transaction will be"
        " automatically committed on successful exit from context.)"
    )
    assert rows(place) == 1


def test_one_session_can_read_after_it_tried(place: Place, owner: Session) -> None:
    with sessions.trying(owner, place.environment()):
        pass
    with sessions.reading(owner, place.environment()):
        assert settings_of(owner)["transaction_read_only"] == "on"


def test_a_short_time_to_connect_is_not_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """To libpq, 0 seconds are for ever."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setenv(VARIABLE, f"host=127.0.0.1 port={port} dbname=d user=u")
        error = refusal(environment(timeouts={"connect": "200ms"}))
    assert error.message == (
        "environment 'staging': cannot connect as reader: connection timeout expired"
    )


def test_passwords_are_only_in_the_string(place: Place, overrides: None) -> None:  # noqa: ARG001
    assert PASSWORDS[READER] in connection.connection_string(place.environment(), Purpose.READ)
    assert PASSWORDS[READER] not in repr(place.environment())
    assert place.environment().timeouts.connect == timedelta(seconds=10)
