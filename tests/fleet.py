"""A fleet of small databases on the scratch server, and a project that audits them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from psycopg import conninfo, sql

from runbook.fleet import ledger
from runbook.fleet.inventory import Inventory
from runbook.fleet.inventory import read as read_inventory
from runbook.fleet.ledger import FleetRecord
from runbook.fleet.result import Result
from runbook.settings import Settings
from runbook.settings import read as read_settings
from tests.conftest import ROOT, Connect

READER = "fleet_reader"
PASSWORD = "canary-of-the-fleet-48151623"
VARIABLE = "FLEET_READER_URL"
OWNER_VARIABLE = "FLEET_OWNER_URL"

SETTINGS = f"""
[project]
title = "Fleet"
relationships = "relationships.toml"
schemas = ["public"]

[environments.production]
gate = "clean"
writes = true
reader = {{ variable = "{VARIABLE}" }}
owner = {{ variable = "{OWNER_VARIABLE}" }}
timeouts = {{ connect = "3s", lock = "60s" }}

[[gate]]
name = "clean"
title = "Clean"
"""
RELATIONSHIPS = """
[[relationship]]
child = "orders"
columns = ["customer_id"]
parent = "customers"
references = ["id"]

[[relationship]]
child = "lines"
columns = ["order_id"]
parent = "orders"
references = ["id"]
"""
SCHEMA = """
    CREATE TABLE customers (id int PRIMARY KEY);
    CREATE TABLE orders (id int PRIMARY KEY, customer_id int);
    CREATE TABLE lines (id int PRIMARY KEY, order_id int REFERENCES orders);
    INSERT INTO customers SELECT generate_series(1, 20);
    INSERT INTO orders SELECT n, 1 + n % 20 FROM generate_series(1, 100) n;
    INSERT INTO lines SELECT n, 1 + n % 100 FROM generate_series(1, 100) n;
"""


@contextmanager
def databases(connect: Connect, names: Sequence[str]) -> Iterator[None]:
    """Databases of these names, all alike and clean; dropped in the end."""
    template = f"fleet_template_{os.getpid()}"
    with connect("postgres", None) as admin:
        admin.execute(f"DROP ROLE IF EXISTS {READER}".encode())
        admin.execute(f"CREATE ROLE {READER} LOGIN PASSWORD '{PASSWORD}'".encode())
        admin.execute(f"GRANT pg_read_all_data TO {READER}".encode())
        admin.execute(f"CREATE DATABASE {template}".encode())
        with connect(template, None) as first:
            first.execute(SCHEMA.encode())
            first.execute("VACUUM (ANALYZE)")
        for name in names:
            admin.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                    sql.Identifier(name), sql.Identifier(template)
                )
            )
        try:
            yield
        finally:
            # dropping as many takes half a minute; a server of the test's own is removed as a whole
            for name in (*names, template) if os.environ.get("RUNBOOK_TEST_DSN") else ():
                admin.execute(
                    sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
                )
            admin.execute(f"DROP ROLE {READER}".encode())


@dataclass(frozen=True)
class FleetProject:
    """A project in a folder of its own, and the variables that its programs run with."""

    folder: Path
    variables: dict[str, str]

    @property
    def settings(self) -> Settings:
        return read_settings(self.folder)

    def write(self, entries: Sequence[str], head: str = "") -> None:
        text = f'[fleet]\nenvironment = "production"\n{head}\n' + "\n".join(entries)
        (self.folder / "fleet.toml").write_text(text, encoding="utf-8")

    @property
    def inventory(self) -> Inventory:
        return read_inventory(self.folder / "fleet.toml", self.settings)

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "runbook", "fleet", *words],
            cwd=self.folder,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=110)
        return subprocess.CompletedProcess([], process.returncode, out, err)

    @property
    def run_folder(self) -> Path:
        found = ledger.newest(self.folder / "runs")
        assert found is not None
        return found

    def found(self) -> FleetRecord:
        return ledger.read(self.run_folder)

    def lines(self) -> list[str]:
        """The databases that results.jsonl names, in its order."""
        text = (self.run_folder / ledger.LINES).read_text(encoding="utf-8")
        return [Result.model_validate_json(line).database for line in text.splitlines()]


def entry(name: str, server: str = "one", dbname: str = "", extra: str = "") -> str:
    """A ``[[database]]`` of fleet.toml."""
    return (
        f'[[database]]\nname = "{name}"\nserver = "{server}"\n'
        f'dbname = "{dbname or name}"\n{extra}\n'
    )


def project(folder: Path, admin_dsn: str) -> FleetProject:
    """The project in ``folder``; the password is in a passfile that only libpq is told of."""
    (folder / "runbook.toml").write_text(SETTINGS, encoding="utf-8")
    (folder / "relationships.toml").write_text(RELATIONSHIPS, encoding="utf-8")
    passfile = folder / "passfile"
    passfile.write_text(f"*:*:*:{READER}:{PASSWORD}\n", encoding="utf-8")
    passfile.chmod(0o600)
    values = conninfo.conninfo_to_dict(admin_dsn)
    address = {key: values[key] for key in ("host", "port") if key in values}
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("RUNBOOK_", "PG"))}
    variables = clean | {
        "PYTHONPATH": str(ROOT),
        "PGPASSFILE": str(passfile),
        VARIABLE: conninfo.make_conninfo(**address, user=READER, dbname="postgres"),  # type: ignore[arg-type]
        OWNER_VARIABLE: "user=owner password=canary-of-the-owner-2342",
    }
    return FleetProject(folder, variables)


Make = Callable[[Path], FleetProject]
