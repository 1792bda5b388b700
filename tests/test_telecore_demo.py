"""The demo's databases are built once, kept while right, and never in place of another's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from runbook.errors import UsageError
from runbook.telecore import defects, demo, seed
from tests.conftest import PASSWORDS, Connect

SMALL = f"telecore_test_{os.getpid()}"


@pytest.fixture
def small(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Staging under another name, so that these tests leave the shared database alone."""
    monkeypatch.setattr(demo, "ENVIRONMENTS", {"staging": demo.Environment(SMALL, 1)})
    monkeypatch.setattr(seed, "ROWS_AT_SCALE_1", 6_500)
    yield SMALL
    with connect("postgres", None) as admin:
        admin.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(SMALL))
        )


def prepare(connect: Connect) -> list[str]:
    lines: list[str] = []
    demo.prepare(connect, PASSWORDS, ("staging",), lines.append)
    return lines


def oid_and_comment(connect: Connect) -> tuple[Any, ...] | None:
    with connect("postgres", None) as admin:
        return admin.execute(
            "SELECT oid, shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s",
            [SMALL],
        ).fetchone()


def comment(connect: Connect, text: str | None) -> None:
    with connect("postgres", None) as admin:
        admin.execute(
            sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(SMALL), sql.Literal(text))
        )


def test_a_finished_database_is_kept(connect: Connect, small: str) -> None:
    lines = prepare(connect)
    assert lines[:-1] == [
        "staging: creating the tables",
        "staging: loading 6,500 rows",
        "staging: planting what is wrong",
    ]
    first = oid_and_comment(connect)
    assert first is not None
    assert str(first[1]).startswith("fk-runbook demo ")
    assert prepare(connect) == [f"staging: {small} is up to date"]
    assert oid_and_comment(connect) == first


@pytest.mark.parametrize(
    ("found", "said"), [(None, "half-made"), ("fk-runbook demo 0123456789abcdef", "outdated")]
)
def test_a_half_made_or_outdated_database_is_built_again(
    connect: Connect, small: str, found: str | None, said: str
) -> None:
    prepare(connect)
    first = oid_and_comment(connect)
    comment(connect, found)
    with connect(small, demo.OWNER):  # a forgotten session does not stop it
        assert prepare(connect)[0] == f"staging: {small} is {said}, dropping it"
    second = oid_and_comment(connect)
    assert first is not None
    assert second is not None
    assert first[0] != second[0]
    assert first[1] == second[1]


def test_development_is_built_again_when_a_superuser_comes(
    connect: Connect, small: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "ENVIRONMENTS", {"development": demo.Environment(SMALL, 1)})
    lines: list[str] = []
    for may, said in [
        (False, "triggers stay enabled, the administrator is no superuser"),
        (False, f"{small} is up to date"),
        (True, f"{small} is outdated, dropping it"),
    ]:
        lines.clear()
        with monkeypatch.context() as patch:
            if not may:
                patch.setattr(defects, "may_disable_triggers", lambda _admin: False)
            demo.prepare(connect, PASSWORDS, ("development",), lines.append)
        assert f"development: {said}" in lines


def test_an_interrupted_build_is_seen(
    connect: Connect, small: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(defects, "create_record", stop)
        with pytest.raises(KeyboardInterrupt):
            prepare(connect)
    left = oid_and_comment(connect)
    assert left is not None
    assert left[1] is None
    assert prepare(connect)[0] == f"staging: {small} is half-made, dropping it"


@pytest.mark.parametrize("text", [None, "the accounts of 2024"])
def test_the_database_of_somebody_else_is_refused(
    connect: Connect, small: str, text: str | None
) -> None:
    with connect("postgres", None) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(small)))
        who = admin.execute("SELECT current_user").fetchone()
    comment(connect, text)
    assert who is not None
    before = oid_and_comment(connect)
    with pytest.raises(UsageError) as refused:
        prepare(connect)
    assert refused.value.message == (
        f"database {small!r} exists and is not a demo database, its owner is {who[0]!r}"
    )
    assert refused.value.hint == "use another server, or rename or drop that database"
    assert oid_and_comment(connect) == before


def test_an_unknown_environment_is_refused(connect: Connect) -> None:
    with pytest.raises(UsageError) as refused:
        demo.prepare(connect, PASSWORDS, ("stagin",))
    assert refused.value.message == "no demo environment 'stagin'"
    assert refused.value.hint == "choose from staging, production, development"


def test_a_missing_password_is_refused(connect: Connect) -> None:
    with pytest.raises(UsageError) as refused:
        demo.prepare(connect, {demo.OWNER: "x"}, ("staging",))
    assert refused.value.message == "no password for role 'telecore_reader'"
    assert refused.value.hint == "give one for each demo role"


def test_a_role_with_more_rights_is_refused(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    strong = f"telecore_strong_{os.getpid()}"
    with connect("postgres", None) as admin:
        admin.execute(sql.SQL("CREATE ROLE {} BYPASSRLS").format(sql.Identifier(strong)))
        monkeypatch.setattr(demo, "READER", strong)
        try:
            with pytest.raises(UsageError) as refused:
                demo.prepare(connect, {**PASSWORDS, strong: "x"}, ("staging",))
        finally:
            admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(strong)))
    assert refused.value.message == f"role {strong!r} exists and has more rights than a demo role"
    assert refused.value.hint == "use another server, or drop the role"


def test_the_reader_reads_everything_and_writes_nothing(
    connect: Connect, telecore_staging: str
) -> None:
    with connect(telecore_staging, demo.READER) as reader:
        assert reader.execute("SELECT count(*) FROM public.workspaces").fetchone() == (4,)
        assert reader.execute("SELECT count(*) FROM demo.planted").fetchone() == (56,)
        for statement in (
            "DELETE FROM public.workspaces",
            "CREATE TABLE public.t ()",
            "CREATE TEMPORARY TABLE t ()",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute(statement)


def test_the_owner_is_no_superuser_and_owns_everything(
    connect: Connect, telecore_staging: str
) -> None:
    with connect(telecore_staging, demo.OWNER) as owner:
        rights = owner.execute(
            "SELECT rolsuper, rolbypassrls, rolcreatedb, rolcreaterole FROM pg_roles"
            " WHERE rolname IN ('telecore_owner', 'telecore_reader')"
        ).fetchall()
        owners = owner.execute(
            "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class"
            " WHERE relnamespace IN ('public'::regnamespace, 'demo'::regnamespace)"
        ).fetchall()
    assert rights == [(False,) * 4] * 2
    assert owners == [("telecore_owner",)]
