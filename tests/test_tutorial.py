"""The tutorial: every command is run in its order, and prints what the page says.

``createdb`` and ``psql`` are told by the fixture, which makes the same database and role.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo

from runbook.relationships import parse
from tests.conftest import Connect
from tests.starting import RECORDS, TUTORIAL, Beginner
from tests.test_docs import Block, blocks, commands

PASSWORD = "the tutorial's own password"
PREPARED = (
    ["createdb", "records"],
    ["psql", "records", "-f", "records.sql"],
    ["psql", "records", "-c", "CREATE ROLE reader LOGIN IN ROLE pg_read_all_data"],
)
FINDINGS = ("audit", "run")  # they end with 1: there are orphan rows

# what another machine or another day prints otherwise
VARIES = (
    (re.compile(r"PostgreSQL [\d.]+"), "PostgreSQL 18"),
    (re.compile(r"\b\d\.\d{3}\b"), "0.000"),
    (re.compile(r"\d+\.\d s at [0-9A-F]+/[0-9A-F]+"), "0.0 s at 0/0"),
    (re.compile(r" +$", re.MULTILINE), ""),
)


@pytest.fixture
def server(admin_dsn: str, connect: Connect) -> Iterator[dict[str, str]]:
    """The variables that lead libpq to a server with the tutorial's database and role."""
    if os.environ.get("RUNBOOK_TEST_DSN"):
        pytest.skip("makes a role 'reader' and a database 'records': not on a server of others")
    with connect("postgres", None) as admin:
        admin.execute("CREATE DATABASE records")
        admin.execute(str(PREPARED[2][3]).encode())
        admin.execute(
            psycopg.sql.SQL("ALTER ROLE reader PASSWORD {}").format(psycopg.sql.Literal(PASSWORD))
        )
        with connect("records", None) as owner:
            owner.execute(RECORDS.encode())
        given = conninfo.conninfo_to_dict(admin_dsn)
        yield {
            "PGHOST": str(given["host"]),
            "PGPORT": str(given.get("port", 5432)),
            "PGPASSWORD": PASSWORD,
        }
        admin.execute("DROP DATABASE records WITH (FORCE)")
        admin.execute("DROP ROLE reader")


def plain(text: str) -> str:
    for pattern, instead in VARIES:
        text = pattern.sub(instead, text)
    return text


def with_output() -> list[tuple[Block, str]]:
    """Each shell block with the output that follows it, or nothing."""
    every = list(blocks(TUTORIAL))
    after = [*every[1:], None]
    return [
        (block, follower.text if follower and follower.kind == "text" else "")
        for block, follower in zip(every, after, strict=True)
        if block.kind == "sh"
    ]


@pytest.mark.slow
def test_every_command_prints_what_the_page_says(tmp_path: Path, server: dict[str, str]) -> None:
    folder, variables, seen = tmp_path, dict(server), 0
    for block, expected in with_output():
        printed = ""
        for words in commands(block):
            if words in PREPARED or words[0] == "pip":  # test_init installs the wheel
                continue
            if words[0] == "cd":
                folder /= words[1]
            elif words[0] == "export":
                name, _, value = words[1].partition("=")
                variables[name] = value
            else:
                assert words[0] == "runbook", shlex.join(words)
                done = Beginner(folder, "")(*words[1:], **variables | {"COLUMNS": "100"})
                assert done.returncode == int(words[1] in FINDINGS), done.stderr
                printed += done.stdout
                seen += 1
        assert plain(printed).replace(str(tmp_path), "/home/you") == plain(expected), block.place
    assert seen == 4
    (excerpt,) = (block.text for block in blocks(TUTORIAL) if block.kind == "toml")
    (entry,) = tomllib.loads(excerpt)["relationship"]
    declared = parse((folder / "relationships.toml").read_text(), Path("relationships.toml"))
    (item,) = (item for item in declared if item.label == "invoice.customer_id")
    assert entry == {
        "child": str(item.child),
        "columns": list(item.columns),
        "parent": str(item.parent),
        "references": list(item.references),
        "on_delete": item.on_delete.value,
    }
    check = Beginner(folder, "")("site", "check", "--no-sql", **variables)
    assert check.returncode == 0, check.stdout
    (record,) = folder.glob("runs/staging/*/run.json")
    said = {one["check"]: one["message"] for one in json.loads(record.read_text())["checks"]}
    assert said["tables_present"] == "4 of 4 tables exist"  # no [limits] says how many
    assert said["check_constraints"] == "1 validated CHECK constraints, expected at least 1"
    for page in ("index", "findings/index", "decision/index", "results/index"):
        assert (folder / "site" / f"{page}.html").is_file()


def test_the_commands_that_make_the_database_are_those_that_the_fixture_tells() -> None:
    made = [
        words
        for block, _ in with_output()
        for words in commands(block)
        if words[0] in ("createdb", "psql")
    ]
    assert tuple(made) == PREPARED
