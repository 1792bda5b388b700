"""``runbook discover`` against a real database: list, write, reject, explain."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Connect
from tests.places import READER, Dsn, scratch_database
from tests.project import ROOT

SHOP = """
CREATE TABLE customers (id integer PRIMARY KEY, name text NOT NULL);
CREATE TABLE orders (id integer PRIMARY KEY, customer_id integer NOT NULL, buyer integer,
                     item_id integer, item_type text);
CREATE INDEX ON orders (customer_id);
CREATE VIEW bought AS SELECT o.id, c.name FROM orders o JOIN customers c ON o.buyer = c.id;
INSERT INTO customers SELECT n, 'c' || n FROM generate_series(1, 50) n;
INSERT INTO orders SELECT n, n % 50 + 1, n % 50 + 1 FROM generate_series(1, 2000) n;
INSERT INTO orders VALUES (9001, 77, 1);
GRANT SELECT ON ALL TABLES IN SCHEMA public TO telecore_reader;
ANALYZE;
"""
Discover = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def project(tmp_path: Path, connect: Connect, dsn: Dsn) -> Iterator[tuple[Path, Discover]]:
    with scratch_database(connect) as name:
        with connect(name, None) as owner:
            owner.execute(SHOP)
        text = (ROOT / "runbook.toml").read_text(encoding="utf-8").partition("[[step]]")[0]
        text = text.replace('"runbook/telecore/relationships.toml"', '"relationships.toml"')
        text = text.replace('"runbook/telecore/', f'"{ROOT}/runbook/telecore/')
        (tmp_path / "runbook.toml").write_text(text, encoding="utf-8")
        (tmp_path / "relationships.toml").write_text("# ours\n", encoding="utf-8")

        def run(*words: str) -> subprocess.CompletedProcess[str]:
            clean = {k: v for k, v in os.environ.items() if not k.startswith(("RUNBOOK_", "PG"))}
            own = {"PYTHONPATH": str(ROOT), "RUNBOOK_READER_DSN": dsn(name, READER)}
            return subprocess.run(
                [sys.executable, "-m", "runbook", "discover", "staging", *words],
                cwd=tmp_path,
                env=clean | own,
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )

        yield tmp_path, run


def test_what_is_written_or_rejected_is_not_proposed_again(project: tuple[Path, Discover]) -> None:
    folder, discover = project
    first = discover("--json", "-")
    assert first.returncode == 1, first.stderr
    found = {item["columns"][0]: item for item in json.loads(first.stdout)["proposals"]}
    words = [each["words"] for each in found["customer_id"]["evidence"]]
    assert "1 row has no parent, of about 2,001" in words
    reasons = [item["reason"] for item in json.loads(first.stdout)["not_keys"]]
    assert reasons == [
        "polymorphic: item_type says which table it refers to, so no single key can hold"
    ]
    again = discover("--accept", "orders.customer_id", "--reject", "orders.buyer", "--reason", "no")
    assert again.returncode == 0, again.stdout + again.stderr
    text = (folder / "relationships.toml").read_text(encoding="utf-8")
    assert text.startswith("# ours\n")
    assert 'columns = ["customer_id"]' in text
    last = discover("--json", "-")
    assert (last.returncode, json.loads(last.stdout)["proposals"]) == (0, [])


def test_a_column_is_explained(project: tuple[Path, Discover]) -> None:
    _, discover = project
    found = discover("--explain", "orders.customer_id")
    assert found.returncode == 0, found.stderr
    assert "customers.id" in found.stdout
    assert "data: 1 row has no parent, of about 2,001" in found.stdout
    wrong = discover("--explain", "orders.nothing")
    assert wrong.returncode == 2
    assert "no column 'orders.nothing' in the database" in wrong.stderr
    assert "write it as orders.customer_id" in wrong.stderr
