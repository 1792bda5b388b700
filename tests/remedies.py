"""A small project on a place of its own, whose orphan rows the tests mend by the command."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql
from typer.testing import CliRunner

from runbook import changes
from runbook.changes import Kind
from runbook.cli import app
from runbook.errors import RunbookError
from runbook.remediation.document import Remediation
from runbook.settings import read as read_settings
from tests.places import OWNER, Place

TOML = """
[project]
title = "Shop"
relationships = "relationships.toml"

[environments.shop]
reader = {{ variable = "SHOP_URL" }}
owner = {{ variable = "SHOP_URL" }}
gate = "ready"
{more}
change = {{ {change} }}

[[gate]]
name = "ready"
title = "Ready"
"""
CHANGE = 'batch = 2, attempts = 3, pause = "1ms", lock = "200ms"'


@dataclass
class Ward:
    """The project in ``folder`` and the place with its tables."""

    folder: Path
    place: Place
    relationships: list[str] = field(default_factory=list)

    def settle(self, change: str = CHANGE, more: str = "") -> None:
        text = TOML.format(change=change, more=more)
        (self.folder / "runbook.toml").write_text(text, encoding="utf-8")
        (self.folder / "relationships.toml").write_text("\n".join(self.relationships), "utf-8")

    def relate(self, child: str, column: str, parent: str, on_delete: str = "no action") -> None:
        """Declare ``child.column -> parent.id``; a list of columns is separated by spaces."""
        columns = column.split()
        references = ["id"] if len(columns) == 1 else columns
        name = self.place.schema
        self.relationships.append(
            f"[[relationship]]\nchild = '\"{name}\".{child}'\ncolumns = {columns}\n"
            f"parent = '\"{name}\".{parent}'\nreferences = {references}\n"
            f'on_delete = "{on_delete}"\n'
        )
        self.settle()

    def __call__(self, *words: str) -> tuple[int, str]:
        """``runbook remediate shop …``: its exit code, and its output or its error."""
        found = CliRunner().invoke(
            app, ["remediate", "shop", *words, "--project", str(self.folder)], env={"COLUMNS": "80"}
        )
        if isinstance(found.exception, RunbookError):
            return found.exception.exit_code, str(found.exception)
        if found.exception and not isinstance(found.exception, SystemExit):
            raise found.exception
        return found.exit_code, found.stdout

    def key(self, on_delete: str = "NO ACTION", more: str = "NOT VALID") -> None:
        """The key of orders, as a migration adds it first."""
        self.place.run(
            "ALTER TABLE orders ADD CONSTRAINT k FOREIGN KEY (customer_id) REFERENCES customers"
            f" ON DELETE {on_delete} {more}"
        )

    def apply(self, *words: str, code: int = 0) -> str:
        """Mend for real; the id of the remediation."""
        got, said = self(*words, "--apply", "--reason", "a test")
        assert got == code, said
        return self.last().id

    def undo(self, wanted: str) -> tuple[int, str]:
        return self("--undo", wanted, "--apply", "--reason", "a mistake")

    def last(self) -> Remediation:
        settings = read_settings(self.folder)
        folder = changes.newest(settings, "shop", Kind.REMEDIATION)
        assert folder is not None
        return changes.read(folder, Kind.REMEDIATION, Remediation)

    def ask(self, query: str, role: str | None = OWNER) -> list[tuple[Any, ...]]:
        with self.place.connect(self.place.database, role) as session:
            session.execute(
                sql.SQL("SET search_path TO {}, public").format(sql.Identifier(self.place.schema))
            )
            return session.execute(query.encode()).fetchall()

    def dump(self, table: str) -> list[bytes]:
        """Every row's bytes as PostgreSQL sends them, in an order of their own."""
        with self.place.connect(self.place.database, OWNER) as session:
            name = sql.Identifier(self.place.schema, table)
            rows: list[bytes] = []
            with session.cursor() as cursor:
                columns = cursor.execute(
                    "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass"
                    " AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
                    (name.as_string(session),),
                ).fetchall()
                names = sql.SQL(", ").join(sql.Identifier(row[0]) for row in columns)
                query = sql.SQL(
                    'COPY (SELECT {0} FROM {1} ORDER BY ROW({0})::text COLLATE "C")'
                    " TO STDOUT (FORMAT binary)"
                )
                with cursor.copy(query.format(names, name)) as copy:
                    rows += [bytes(block) for block in copy]
        return rows


@pytest.fixture
def ward(place: Place, tmp_path: Path) -> Ward:
    made = Ward(tmp_path, place)
    place.run(
        """
        DROP SCHEMA IF EXISTS runbook_quarantine CASCADE;
        CREATE TABLE customers (id int PRIMARY KEY, name text);
        CREATE TABLE orders (id int PRIMARY KEY, customer_id int, note text,
                             created_at timestamptz DEFAULT now());
        INSERT INTO customers VALUES (1, 'one'), (2, 'two');
        INSERT INTO orders (id, customer_id, note)
        SELECT n, n, 'note ' || n FROM generate_series(1, 7) n;
        """
    )
    return made
