"""Databases for ``runbook init``: a small shop of the tests' own, and the shared schemas."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from tests.conftest import PASSWORDS, ROOT, Connect
from tests.places import READER, Dsn, scratch_database

SHARED = ROOT.parent / "shared" / "schemas"

# A record shop: its catalog has keys, what was added to it later has none.
TUTORIAL = ROOT / "docs" / "tutorial.md"
RECORDS = TUTORIAL.read_text(encoding="utf-8").partition("```sql\n")[2].partition("```")[0]


@dataclass(frozen=True)
class Beginner:
    """A folder, a database, and the program that is run in that folder as a process."""

    folder: Path
    dsn: str
    program: tuple[str, ...] = (sys.executable, "-m", "runbook")
    variables: dict[str, str] = field(default_factory=lambda: {"PYTHONPATH": str(ROOT)})

    def __call__(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        hidden = ("RUNBOOK_", "PG", "PYTHONPATH", "STAGING_")
        clean = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
        return subprocess.run(
            [*self.program, *words],
            cwd=self.folder,
            env=clean | self.variables | {"COLUMNS": "80"} | variables,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
            timeout=110,
        )

    def connected(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """The same with the connection string where the project looks for it."""
        return self(*words, STAGING_DATABASE_URL=self.dsn, **variables)


@contextmanager
def database_of(connect: Connect, dsn: Dsn, script: str) -> Iterator[str]:
    """The reader's connection string of a new database that ``script`` has filled."""
    with scratch_database(connect) as name:
        with connect(name, None) as owner:
            owner.execute(script.encode())
        yield dsn(name, READER)


def password() -> str:
    return PASSWORDS[READER]


@contextmanager
def shared_database(connect: Connect, dsn: Dsn, name: str) -> Iterator[str]:
    """One of the shared schemas without rows; every second of its keys is left out."""
    content = json.loads((SHARED / f"{name}.json").read_text(encoding="utf-8"))
    with scratch_database(connect) as database:
        with connect(database, None) as owner, owner.transaction():
            for schema in sorted({table["schema"] for table in content["tables"]} - {"public"}):
                owner.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
            for table in content["tables"]:
                _create(owner, table)
            for key in content["foreign_keys"][::2]:
                _reference(owner, key)
        yield dsn(database, READER)


def _create(owner: psycopg.Connection[Any], table: dict[str, Any]) -> None:
    lines: list[sql.Composable] = []
    for name, given, not_null in table["columns"]:
        row = owner.execute("SELECT to_regtype(%s) IS NOT NULL", (given,)).fetchone()
        known = given if row == (True,) else "text"  # an enum or a domain of that project
        lines.append(
            sql.SQL("{} {}{}").format(
                sql.Identifier(name),
                sql.SQL(known),
                sql.SQL(" NOT NULL" if not_null else ""),
            )
        )
    if table["primary_key"]:
        lines.append(sql.SQL("PRIMARY KEY ({})").format(_columns(table["primary_key"])))
    lines += [
        sql.SQL("UNIQUE ({})").format(_columns(unique)) for unique in table["unique"] if unique
    ]
    owner.execute(
        sql.SQL("CREATE TABLE {} ({})").format(
            sql.Identifier(table["schema"], table["name"]), sql.SQL(", ").join(lines)
        )
    )


def _reference(owner: psycopg.Connection[Any], key: dict[str, Any]) -> None:
    """Its parent's unique key may be an index that the layout lists as no constraint."""
    parent = sql.Identifier(*key["parent"].split("."))
    statement = sql.SQL("ALTER TABLE {} ADD FOREIGN KEY ({}) REFERENCES {} ({})").format(
        sql.Identifier(*key["child"].split(".")),
        _columns(key["columns"]),
        parent,
        _columns(key["references"]),
    )
    try:
        with owner.transaction():
            owner.execute(statement)
    except psycopg.errors.InvalidForeignKey:
        owner.execute(
            sql.SQL("CREATE UNIQUE INDEX ON {} ({})").format(parent, _columns(key["references"]))
        )
        owner.execute(statement)


def _columns(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))
