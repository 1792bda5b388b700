"""A small project on a server of its own, for tests that break either of them.

Its runbook has three cheap steps: ``census``, ``orders`` and ``verdict``. Undisturbed it ends with
GO. While the file ``fault`` is in the project's folder, ``orders`` does what that file says.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import conninfo, sql

from runbook import record
from runbook.embedded import EmbeddedServer
from runbook.record import RunRecord
from runbook.verdict import State
from tests import project

SECONDS = 30
TOML = """
[project]
title = "Shop"
relationships = "relationships.toml"
schemas = ["public"]

[environments.shop]
reader = { variable = "SHOP_URL" }
gate = "ready"
timeouts = { statement = "4s", lock = "2s", idle = "2s", connect = "2s" }

[[criterion]]
id = "C2"
title = "Type alignment"
tier = "critical"

[[gate]]
name = "ready"
title = "Ready"

[[step]]
name = "census"
title = "Census"
notebook = "census.ipynb"

[[step]]
name = "orders"
title = "Orders"
notebook = "orders.ipynb"

[[step]]
name = "verdict"
title = "Verdict"
notebook = "verdict.ipynb"
alone = true
"""
RELATIONSHIPS = """
[[relationship]]
child = "orders"
columns = ["customer_id"]
parent = "customers"
references = ["id"]
on_delete = "restrict"
priority = "high"
alert = "critical"
why = "an order belongs to a customer"
"""
OPEN = 'from runbook.steps import open_step\nstep = open_step("{}", environment, run_folder)'
AFTER_CENSUS = """
import time
from pathlib import Path
fault = Path("fault")
def census_is_noted():
    found = Path("runs").glob("shop/*/unfinished.json")
    return any("census" in path.read_text().partition('"steps"')[2] for path in found)
while fault.exists() and not census_is_noted():
    time.sleep(0.05)
"""
"""Both steps run at the same time: what is to befall ``orders`` waits until ``census`` is over."""
FAULT = "code = fault.read_text() if fault.exists() else ''\nPath('reached').touch()\nexec(code)"
STEPS = {
    "census": "step.take_census()",
    "orders": f'{FAULT}\nstep.check("types_aligned")',
    "verdict": "step.judge()",
}
UNTIL_TOLD = "while not Path('told').exists():\n    time.sleep(0.05)"
"""Doing nothing, in a transaction, until there is a file ``told``."""
SLEEP = "step.context.session.execute('SELECT pg_sleep(3.5)')"
"""A statement that goes on for nearly as long as it may."""


def make(folder: Path) -> None:
    """Write the project's files."""
    (folder / "notebooks").mkdir(parents=True)
    (folder / "runbook.toml").write_text(TOML, encoding="utf-8")
    (folder / "relationships.toml").write_text(RELATIONSHIPS, encoding="utf-8")
    for name, body in STEPS.items():
        first = AFTER_CENSUS if name == "orders" else ""
        cells = (first + OPEN.format(name), body, "step.finish()")
        project.notebook(folder / "notebooks" / f"{name}.ipynb", *cells)


def make_database(server: EmbeddedServer, name: str) -> str:
    """A database with two tables, and the connection string of its reader."""
    (password,) = server.passwords(["shop_reader"]).values()
    with psycopg.connect(server.conninfo(), autocommit=True) as admin:
        known = admin.execute("SELECT 1 FROM pg_roles WHERE rolname = 'shop_reader'").fetchone()
        if known is None:
            admin.execute(
                sql.SQL(
                    "CREATE ROLE shop_reader LOGIN PASSWORD {} IN ROLE pg_read_all_data,"
                    " pg_read_all_stats"
                ).format(sql.Literal(password))
            )
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    with psycopg.connect(server.conninfo(name), autocommit=True) as owner:
        owner.execute(
            "CREATE TABLE customers (id int PRIMARY KEY);"
            "CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers)"
        )
    return server.conninfo(name, "shop_reader")


@dataclass
class Shop:
    """The project in ``folder``, and a reader's connection string ``dsn`` for its environment."""

    folder: Path
    dsn: str
    server: EmbeddedServer
    database: str

    def fault(self, code: str) -> None:
        """What the step ``orders`` does before it looks."""
        (self.folder / "fault").write_text(code, encoding="utf-8")
        (self.folder / "reached").unlink(missing_ok=True)

    def start(self, *arguments: str, command: str = "run", **options: Any) -> subprocess.Popen[str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("RUNBOOK_", "PG"))}
        return subprocess.Popen(
            [sys.executable, "-m", "runbook", command, "shop", *arguments],
            cwd=self.folder,
            env=clean | {"PYTHONPATH": str(project.ROOT), "SHOP_URL": self.dsn},
            text=True,
            **({"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options),
        )

    def disturbed(self, code: str = SLEEP, **options: Any) -> subprocess.Popen[str]:
        """A run whose step ``census`` has ended and whose step ``orders`` does ``code``."""
        self.fault(code)
        process = self.start(**options)
        ends = self.runs()
        until(lambda: (self.folder / "reached").exists() or process.poll() is not None)
        until(lambda: any("census" in names(path) for path in self.runs() if path not in ends))
        assert process.poll() is None
        return process

    def runs(self) -> list[Path]:
        return sorted((self.folder / "runs" / "shop").glob("*T*Z*"))

    def record(self) -> RunRecord:
        return record.read(self.runs()[-1])

    def resume(self) -> tuple[subprocess.CompletedProcess[str], RunRecord]:
        """Resume undisturbed, to its end."""
        (self.folder / "fault").unlink(missing_ok=True)
        process = self.start("--resume")
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        return subprocess.CompletedProcess([], 0, out, err), self.record()

    def sessions(self) -> list[int]:
        """The backends of the reader that do something, or are in a transaction."""
        with psycopg.connect(self.server.conninfo()) as admin:
            rows = admin.execute(
                "SELECT pid FROM pg_stat_activity WHERE usename = 'shop_reader'"
                " AND state <> 'idle' ORDER BY pid"
            ).fetchall()
        return [row[0] for row in rows]


def names(run: Path) -> list[str]:
    """The steps that a run has noted."""
    for file in (record.UNFINISHED, record.FILE_NAME):
        if (run / file).exists():
            text = (run / file).read_text(encoding="utf-8")
            return [step["name"] for step in json.loads(text)["steps"]]
    return []


def outcome(found: RunRecord) -> dict[str, tuple[str, str]]:
    return {step.name: (step.status, step.failure) for step in found.steps}


def state(found: RunRecord) -> State:
    (verdict,) = found.verdicts
    return verdict.state


def until(true: Callable[[], object], seconds: float = SECONDS) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.05)


def kernels(program: int) -> list[int]:
    """The kernels that a program has started, by their process ids."""
    return [pid for pid in children(program) if "ipykernel_launcher" in _command(pid)]


def children(program: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        if int(fields[1]) == program:
            found.append(int(path.parent.name))
    return found


def live(pids: Sequence[int]) -> list[int]:
    """Those of the kernels that have not ended."""
    return [pid for pid in pids if "ipykernel_launcher" in _command(pid)]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def signal_all(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        os.kill(pid, number)


def through(dsn: str, port: int) -> str:
    """The same connection over TCP to a port of this machine."""
    return conninfo.make_conninfo(dsn, host="127.0.0.1", hostaddr="", port=port)
