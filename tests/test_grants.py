"""The least privileged role: it can do all the looking, and no writing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo, errors, sql

from runbook import connection, doctor, grants, record, run_folders
from runbook import session as sessions
from runbook.doctor import State
from runbook.grants import Wanted
from runbook.settings import Settings
from tests import project
from tests.conftest import Connect

ROLE = 'least "$role$" of all'
PASSWORD = "the least password"


@pytest.fixture
def least(
    connect: Connect, dsn: Callable[..., str], scratch: str, settings: Settings
) -> Iterator[str]:
    """The connection string of the role that the script makes in a copy of staging."""
    text = grants.script("staging", settings.relationships(), Wanted(ROLE))
    with connect(scratch, None) as admin:
        for _ in range(2):  # it can be run again
            admin.execute(text.encode())
        admin.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(ROLE), sql.Literal(PASSWORD))
        )
        yield conninfo.make_conninfo(dsn(scratch), user=ROLE, password=PASSWORD)
        admin.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(ROLE)))
        admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(ROLE)))


@pytest.mark.slow
def test_the_role_runs_the_whole_runbook(least: str, tmp_path: Path) -> None:
    text = (project.ROOT / "runbook.toml").read_text(encoding="utf-8")
    text = text.replace('"runbook/telecore/', f'"{project.ROOT}/runbook/telecore/')
    for name in ("docs", "notebooks", "mkdocs.yml"):
        (tmp_path / name).symlink_to(project.ROOT / name)
    (tmp_path / "runbook.toml").write_text(text, encoding="utf-8")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("RUNBOOK_", "PG"))}
    done = subprocess.run(
        [sys.executable, "-m", "runbook", "run", "production", "--dsn", least],
        cwd=tmp_path,
        env=clean | {"PYTHONPATH": str(project.ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    folder = run_folders.newest(tmp_path / "runs", "production")
    assert folder, done.stderr
    run = record.read(folder)
    assert {step.name: step.failure for step in run.steps if step.status != "succeeded"} == {}
    assert run.server is not None
    assert (run.server.role, bool(run.server.system_identifier)) == (ROLE, True)
    unknown = {
        check.check: check.message for check in run.checks if check.status == "could not look"
    }
    assert unknown == {}
    facts = {name: value for step in run.steps for name, value in step.facts.items()}
    assert facts["self_test.available"] is False  # the role may not read the schema demo
    assert {audit.state.value for audit in run.audits} == {"clean"}


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO public.workspaces SELECT * FROM public.workspaces",
        "UPDATE public.users SET id = id",
        "DELETE FROM public.users",
        "TRUNCATE public.users",
        "CREATE TABLE public.mine (id int)",
        "ALTER TABLE public.users ADD COLUMN mine int",
        "CREATE SCHEMA mine",
        "SELECT lo_create(0)",
    ],
)
def test_the_role_writes_nothing(least: str, statement: str) -> None:
    with psycopg.connect(least, autocommit=True) as session:
        if "lo_create" not in statement or session.info.server_version >= 160000:
            with pytest.raises(errors.ReadOnlySqlTransaction):
                session.execute(statement.encode())
        session.execute("SET default_transaction_read_only = off")  # it is only a belt
        if "lo_create" in statement:
            return  # PostgreSQL lets every role make large objects, before 16 even read-only
        with pytest.raises(errors.InsufficientPrivilege):
            session.execute(statement.encode())


def test_the_doctor_finds_nothing_wrong_with_it(
    least: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(connection.OVERRIDE_READER, least)
    points = doctor.examine(settings, settings.environment("production"))
    (skipped,) = [point for point in points if point.state is not State.WORKS]
    assert (skipped.about, skipped.state) == ("writing checks", State.SKIPPED)
    assert skipped.said.startswith("writing checks are not allowed in production; skipped: ")


def test_the_declared_tables_alone(connect: Connect, scratch: str, settings: Settings) -> None:
    text = grants.script(
        "staging", settings.relationships(), Wanted("declared_only", declared=True)
    )
    assert "ALL TABLES" not in text
    with connect(scratch, None) as admin:
        admin.execute("CREATE TABLE public.other (id int)")
        admin.execute(text.encode())
        try:
            admin.execute("SET ROLE declared_only")
            admin.execute("SELECT FROM public.users LIMIT 1")
            with pytest.raises(errors.InsufficientPrivilege):
                admin.execute("SELECT FROM public.other")
        finally:
            admin.execute("RESET ROLE")
            admin.execute("DROP OWNED BY declared_only")
            admin.execute("DROP ROLE declared_only")


def test_a_name_cannot_end_the_comment(settings: Settings) -> None:
    text = grants.script("x\nDROP TABLE users;", settings.relationships(), Wanted())
    assert "\nDROP" not in text


def test_row_security_is_bypassed_only_where_asked(settings: Settings) -> None:
    items = settings.relationships()
    assert "BYPASSRLS" not in grants.script("staging", items, Wanted())
    assert 'ALTER ROLE "fk_runbook_reader" BYPASSRLS;' in grants.script(
        "staging", items, Wanted(bypass=True)
    )


def test_a_session_of_the_role_opens(
    least: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(connection.OVERRIDE_READER, least)
    session = sessions.connect(settings.environment("staging"))
    assert sessions.server_facts(session).role == ROLE
    session.close()
