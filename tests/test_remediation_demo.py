"""The demo's production: its orphan rows go into quarantine, its keys hold, and all comes back."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from typer.testing import CliRunner

from runbook import connection
from runbook.cli import app
from runbook.errors import RunbookError
from runbook.telecore import demo
from runbook.telecore.files import relationships, script
from tests import project
from tests.conftest import PASSWORDS, Connect
from tests.places import OWNER, READER, Dsn
from tests.telecore_databases import digests

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CHANGE = '\nchange = { pause = "10ms" }\nowner = { variable = "PRODUCTION_OWNER_URL" }\ngate = '


@pytest.fixture
def production(connect: Connect) -> Iterator[str]:
    """A copy of the demo's production."""
    demo.prepare(connect, PASSWORDS, ("production",))
    name = f"remedied_{os.getpid()}"
    with connect("postgres", None) as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE telecore_production OWNER telecore_owner").format(
                sql.Identifier(name)
            )
        )
        yield name
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def folder(tmp_path: Path, production: str, dsn: Dsn, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose production may be changed."""
    monkeypatch.setenv(connection.OVERRIDE_READER, dsn(production, READER))
    monkeypatch.setenv(connection.OVERRIDE_OWNER, dsn(production, OWNER))
    text = (project.ROOT / "runbook.toml").read_text(encoding="utf-8")
    text = text.replace('"runbook/telecore/', f'"{project.ROOT}/runbook/telecore/')
    before, name, after = text.partition("[environments.production]")
    if "change = " not in after.partition("[environments.")[0]:
        after = after.replace("\ngate = ", CHANGE, 1)
    (tmp_path / "runbook.toml").write_text(before + name + after, encoding="utf-8")
    return tmp_path


def remediate(folder: Path, *words: str) -> tuple[int, str]:
    arguments = ["remediate", "production", *words, "--project", str(folder)]
    found = CliRunner().invoke(app, arguments)
    if isinstance(found.exception, RunbookError):
        return found.exception.exit_code, str(found.exception)
    assert not found.exception or isinstance(found.exception, SystemExit), found.exception
    return found.exit_code, found.stdout


def planted(owner: psycopg.Connection[tuple[object, ...]]) -> list[str]:
    rows = owner.execute(
        "SELECT DISTINCT relationship FROM demo.planted WHERE kind = 'orphan' ORDER BY 1"
    ).fetchall()
    return [str(row[0]) for row in rows]


def parent(owner: psycopg.Connection[tuple[object, ...]], name: str) -> str:
    """A key that rows of the relationship may refer to."""
    entry = next(e for e in relationships() if f"{e['child']}({', '.join(e['columns'])})" == name)
    (reference,) = entry["references"]
    row = owner.execute(
        sql.SQL("SELECT {0} FROM {1} ORDER BY {0} LIMIT 1").format(
            sql.Identifier(reference), sql.Identifier(*entry["parent"].split("."))
        )
    ).fetchone()
    assert row is not None
    return str(row[0])


def test_every_orphan_row_is_mended_and_comes_back(
    folder: Path, connect: Connect, production: str
) -> None:
    """In quarantine, or with another parent where living rows refer to it."""
    sure = ("--apply", "--reason", "ticket 12", "--confirm", "production")
    with connect(production, OWNER) as owner:
        before = digests(owner)
        done = Counter[str]()
        for name in planted(owner):
            words = (name, "--without-key", "the keys come after", *sure, "--strategy")
            code, said = remediate(folder, *words, "quarantine")
            used = "quarantine"
            if code == 2:
                assert "refer to rows that quarantine would remove" in said
                used = "reassign"
                code, said = remediate(folder, *words, "reassign", "--to", parent(owner, name))
            assert code == 0, said
            done[used] += 1
        print(done)
        assert set(done) == {"quarantine", "reassign"}
        owner.execute(script("option_a_keys.sql"))  # every key, valid at once
        keys = owner.execute(
            "SELECT n.nspname, c.relname, k.conname FROM pg_constraint k"
            " JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE k.contype = 'f' AND k.convalidated"
        ).fetchall()
        assert len(keys) >= 45
        for schema, table, key in keys:
            owner.execute(
                sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(
                    sql.Identifier(str(schema), str(table)), sql.Identifier(str(key))
                )
            )
        assert digests(owner) != before
        for line in remediate(folder, "--list")[1].splitlines():  # the newest first
            code, said = remediate(folder, "--undo", line.split()[0], *sure)
            assert code == 0, said
        assert digests(owner) == before
