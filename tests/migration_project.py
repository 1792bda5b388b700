"""A project of two tables on a place, and ``runbook migrate`` in it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from runbook import cli
from tests import project
from tests.places import OWNER, READER, Dsn, Place

TABLES = """
    CREATE TABLE customers (id int PRIMARY KEY, name text);
    CREATE TABLE orders (id int PRIMARY KEY, customer_id int);
    INSERT INTO customers SELECT n, 'c' || n FROM generate_series(1, 100) n;
    INSERT INTO orders SELECT n, 1 + n % 100 FROM generate_series(1, 1000) n;
"""
TOML = """
[project]
title = "Shop"
relationships = "relationships.toml"
schemas = ["{schema}"]

[environments.shop]
reader = {{ variable = "SHOP_READER" }}
owner = {{ variable = "SHOP_OWNER" }}
gate = "ready"
{more}

[[gate]]
name = "ready"
title = "Ready"
"""
CHANGE = 'change = { lock = "100ms", attempts = 3, pause = "100ms", rehearsed_within = "2h" }'
PROTECTED = 'protected = true\nconfirms = "the DBA on call"'
RELATIONSHIP = """
[[relationship]]
child = "{schema}.orders"
columns = ["customer_id"]
parent = "{schema}.customers"
references = ["id"]
on_delete = "restrict"
priority = "high"
why = "an order belongs to a customer"
"""


@dataclass
class Shop:
    """The project in ``folder``; its environment is called ``shop``."""

    folder: Path
    place: Place
    dsn: Dsn

    def write(self, more: str = CHANGE) -> None:
        """Write the project's files, with ``more`` in its environment."""
        text = TOML.format(schema=self.place.schema, more=more)
        (self.folder / "runbook.toml").write_text(text, encoding="utf-8")
        text = RELATIONSHIP.format(schema=self.place.schema)
        (self.folder / "relationships.toml").write_text(text, encoding="utf-8")

    def _variables(self) -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("RUNBOOK_", "PG"))}
        database = self.place.database
        return clean | {
            "PYTHONPATH": str(project.ROOT),
            "SHOP_READER": self.dsn(database, READER),
            "SHOP_OWNER": self.dsn(database, OWNER),
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """``runbook migrate …`` as its own process."""
        return subprocess.Popen(
            [sys.executable, "-m", "runbook", "migrate", *arguments],
            cwd=self.folder,
            env=self._variables(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def migrate(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """``runbook migrate …`` in this process, to its end."""
        output, errors = io.StringIO(), io.StringIO()
        code: object = 0
        with (
            redirect_stdout(output),
            redirect_stderr(errors),
            chdir(self.folder),
            patch.dict(os.environ, self._variables(), clear=True),
            patch.object(sys, "argv", ["runbook", "migrate", *arguments]),
            patch.object(sys, "stdin", io.StringIO()),
        ):
            try:
                cli.main()
            except SystemExit as ended:
                code = ended.code
        assert isinstance(code, int)
        return subprocess.CompletedProcess(arguments, code, output.getvalue(), errors.getvalue())

    def newest(self, kind: str) -> Path:
        return max((self.folder / "changes" / "shop" / kind).iterdir())

    def document(self, kind: str) -> Any:
        return json.loads((self.newest(kind) / f"{kind}.json").read_text(encoding="utf-8"))
