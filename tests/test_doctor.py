"""What ``runbook doctor`` says of an environment, and how it is mended."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from runbook import connection, doctor, lock, replica
from runbook import session as sessions
from runbook.cli import app
from runbook.doctor import Point, State
from runbook.settings import Settings
from tests.conftest import Connect

READER = "telecore_reader"


def points(settings: Settings, name: str = "staging", **values: object) -> dict[str, Point]:
    environment = settings.environment(name).model_copy(update=values)
    return {point.about: point for point in doctor.examine(settings, environment)}


def test_all_that_works_is_named(settings: Settings, scratch: str, connect: Connect) -> None:
    with connect(scratch, None) as admin:
        (version,) = admin.execute("SHOW server_version").fetchone() or ("",)
    found = points(settings)
    assert {about: point.said for about, point in found.items() if point.state is State.WORKS} == {
        "notebooks": "papermill and its kernel are installed",
        "reader": f"{READER} in {scratch}, PostgreSQL {version}, from dsn",
        "way": "on this machine",
        "server": "a primary",
        "run": "no other is going on",
        "relationships": "57 found in the database",
        "tables": "19 of 19 can be read",
        "row security": "hides nothing",
        "reads only": f"{READER} may write to none of the tables",
        "owner": "telecore_owner, in transactions that are rolled back",
    }


def test_a_reader_that_cannot_connect(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(connection.OVERRIDE_READER, "host=/nowhere dbname=x user=y")
    found = points(settings)
    assert found["reader"].state is State.FAILS
    assert found["reader"].said.startswith("environment 'staging': cannot connect as reader: ")
    assert found["everything else"] == Point(
        "everything else", State.SKIPPED, "without a reader nothing can be looked at"
    )
    assert "tables" not in found


def test_tables_that_cannot_be_read(settings: Settings, scratch: str, connect: Connect) -> None:
    with connect("postgres", None) as admin:
        admin.execute(f"REVOKE pg_read_all_data FROM {READER}")
        try:
            with connect(scratch, None) as owner:
                owner.execute(f"GRANT SELECT ON public.users, public.sites TO {READER}")
            found = points(settings)["tables"]
        finally:
            admin.execute(f"GRANT pg_read_all_data TO {READER}")
    assert found == Point(
        "tables",
        State.FAILS,
        "2 of 19 can be read, not: approval_policy_master, approval_policy_stages,"
        " approval_role_master, approver_overrides, atp_scope_master and 12 more",
        f"runbook grants staging --role {READER}",
    )


def test_row_security_that_hides_rows(settings: Settings, scratch: str, connect: Connect) -> None:
    with connect(scratch, None) as admin:
        admin.execute("ALTER TABLE public.users ENABLE ROW LEVEL SECURITY")
    assert points(settings)["row security"] == Point(
        "row security",
        State.FAILS,
        f"hides rows from {READER}, so these are `could not look`: users",
        f"ALTER ROLE {READER} BYPASSRLS;",
    )


def test_a_reader_that_may_write(settings: Settings, scratch: str, connect: Connect) -> None:
    with connect(scratch, None) as admin:
        admin.execute(f"GRANT UPDATE ON public.users TO {READER}")
    found = points(settings)["reads only"]
    assert (found.state, found.said) == (
        State.LIMITED,
        f"{READER} may write to 1 table; the runbook does not, but nothing would keep it from that",
    )


def test_what_the_role_may_not_know(settings: Settings, connect: Connect) -> None:
    with connect("postgres", None) as admin:
        admin.execute(f"REVOKE pg_read_all_stats FROM {READER}")
    found = points(settings)
    assert found["load"] == Point(
        "load",
        State.LIMITED,
        "what others do on the server cannot be seen: no --max-load, no trust in a standby",
        f"GRANT pg_read_all_stats TO {READER};",
    )


def test_a_run_that_is_going_on(settings: Settings) -> None:
    environment = settings.environment("staging")
    with lock.alone(environment):
        found = points(settings)["run"]
    assert found.state is State.LIMITED
    assert found.said.startswith("one is going on: backend ")


def test_relationships_that_are_not_there(
    settings: Settings, scratch: str, connect: Connect
) -> None:
    with connect(scratch, None) as admin:
        admin.execute("ALTER TABLE public.users RENAME TO people")
    found = points(settings)["relationships"]
    assert found.state is State.FAILS
    assert "'public.users'" in found.said


LIMIT = timedelta(seconds=30)
LAG = "the replica is 31 s behind, expected at most 30 s"
WAITING = "the WAL receiver is waiting, expected streaming"
STANDBY_LOG = "look at the standby's log and its primary_conninfo"


@pytest.mark.parametrize(
    ("row", "doubt", "remedy"),
    [
        (
            (True, True, None, False, 1.0, "0/1"),
            replica.HIDDEN,
            f"on the primary: GRANT pg_read_all_stats TO {READER};",
        ),
        (
            (True, True, "streaming", True, 1.0, "0/1"),
            replica.PAUSED,
            "on the standby: SELECT pg_wal_replay_resume();",
        ),
        ((True, False, None, False, 1.0, "0/1"), replica.CUT_OFF, STANDBY_LOG),
        ((True, True, "waiting", False, 1.0, "0/1"), WAITING, STANDBY_LOG),
        (
            (True, True, "streaming", False, 31.4, "0/1"),
            LAG,
            "let it catch up, or raise replica_lag",
        ),
    ],
)
def test_what_a_standby_lacks_is_what_mends_it(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    row: tuple[object, ...],
    doubt: str,
    remedy: str,
) -> None:
    monkeypatch.setattr(replica, "read", lambda _session: replica.from_row(row))
    said = f"a standby, and {doubt}: nothing counts as looked at"
    assert points(settings, replica_lag=LIMIT)["server"] == Point(
        "server", State.FAILS, said, remedy
    )


def test_nothing_to_look_at_yet(
    settings: Settings, scratch: str, connect: Connect, tmp_path: Path
) -> None:
    file = tmp_path / "relationships.toml"
    file.write_text("", encoding="utf-8")
    found = settings.model_copy(
        update={"project": settings.project.model_copy(update={"relationships": file})}
    )
    with connect(scratch, None) as admin:
        admin.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        admin.execute(f"GRANT USAGE ON SCHEMA public TO {READER}")
    named = points(found)
    assert named["relationships"] == Point(
        "relationships",
        State.LIMITED,
        f"{file} declares none, and the database has no foreign key: nothing to look at yet",
        "runbook discover staging",
    )
    assert "tables" not in named


def test_the_same_superuser_is_named_where_it_is_allowed(
    settings: Settings, scratch: str, dsn: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(connection.OVERRIDE_READER, dsn(scratch))
    found = points(settings, superuser=True)["role"]
    assert found == Point(
        "role",
        State.LIMITED,
        "a superuser, allowed by superuser = true: nothing keeps it from writing",
        "runbook grants staging",
    )


def test_a_protected_environment_says_whose_consent_it_takes(settings: Settings) -> None:
    found = points(settings, protected=True, confirms="the DBA on duty")["owner"]
    assert found.said == (
        "telecore_owner, in transactions that are rolled back; protected: a run takes"
        " --confirm staging, and the DBA on duty"
    )


def test_few_sessions_are_left(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "SESSIONS_OF_A_RUN", 10_000)
    found = points(settings)["sessions"]
    assert found.state is State.LIMITED
    assert found.said.endswith("a run takes up to 10000")


def test_a_broken_session_is_no_health(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise psycopg.OperationalError("gone")

    monkeypatch.setattr(doctor, "_replica", broken)
    found = points(settings)["reader"]
    assert (found.state, found.said) == (State.FAILS, "the session broke: gone (connection lost)")


def test_the_command(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(settings.folder)
    shown = CliRunner().invoke(app, ["doctor", "staging", "--json", "--project", folder])
    assert shown.exit_code == 0
    assert json.loads(shown.stdout)[0] == {
        "about": "notebooks",
        "state": "works",
        "said": "papermill and its kernel are installed",
        "remedy": "",
    }
    assert "19 of 19" in CliRunner().invoke(app, ["doctor", "staging", "--project", folder]).stdout
    monkeypatch.setenv(connection.OVERRIDE_READER, "host=/nowhere dbname=x user=y")
    assert CliRunner().invoke(app, ["doctor", "staging", "--project", folder]).exit_code == 3


def test_grants_connect_to_nothing(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "connect", None)
    shown = CliRunner().invoke(
        app, ["grants", "staging", "--role", "me", "--project", str(settings.folder)]
    )
    assert shown.exit_code == 0
    assert 'GRANT USAGE ON SCHEMA "public" TO "me";' in shown.stdout
