"""The files of a plan: psql runs them to the same catalog as apply, and squawk has no objection."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from psycopg import conninfo

from runbook.embedded import files as folders
from runbook.embedded import programs
from runbook.embedded.account import server_account
from runbook.environment import Change
from runbook.migration import writing
from runbook.migration.plan import Plan, StepKind
from runbook.relationships import Relationship
from runbook.schema import Action
from tests import migrations, project
from tests.conftest import Connect
from tests.migration_project import TABLES
from tests.places import OWNER, Dsn, Place

pytestmark = pytest.mark.slow

SQUAWK = Path(sys.executable).with_name("squawk")
SHAPES = {
    "missing": TABLES,
    "mismatched": f"""{TABLES} ALTER TABLE orders ADD CONSTRAINT old FOREIGN KEY (customer_id)
        REFERENCES customers ON DELETE CASCADE""",
    "partitioned": """
        CREATE TABLE customers (id int PRIMARY KEY);
        CREATE TABLE orders (id int, customer_id int) PARTITION BY RANGE (id);
        CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM (0) TO (500)""",
    "orphans": f"{TABLES} INSERT INTO orders VALUES (5001, 700)",
}


def orders(place: Place) -> Relationship:
    ends = ("orders", "customer_id", "customers", "id")
    return place.relationship(*ends, on_delete=Action.RESTRICT, why="two\nlines; DROP TABLE x;")


def write(folder: Path, found: Mapping[str, str]) -> None:
    for name, text in found.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


Psql = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def psql(place: Place, dsn: Dsn) -> Psql:
    """``psql(*arguments)`` as the owner; the server's own program."""
    found = shutil.which("psql") or "/usr/lib/postgresql/15/bin/psql"
    account = server_account()
    embedded = programs.find_binaries(None, account, folders.cache_folder()).folder / "psql"
    program = str(embedded) if embedded.exists() else found
    if not Path(program).exists():
        pytest.skip("no psql on this machine")
    parts = conninfo.conninfo_to_dict(dsn(place.database, OWNER))
    password = str(parts.pop("password"))

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [program, "-X", "-q", "-A", "-t", "-d", conninfo.make_conninfo("", **parts)]
        return subprocess.run(
            [*command, *map(str, arguments)],
            env=os.environ | {"PGPASSWORD": password},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


def made(place: Place, shape: str) -> Plan:
    place.run(SHAPES[shape])
    return migrations.make_plan(place, orders(place))


def catalog(connect: Connect, place: Place) -> str:
    return str(migrations.catalog_of(connect, place)).replace(place.schema, "S")


def applied(connect: Connect, place: Place, shape: str) -> str:
    """The catalog of a place of the same shape, after apply."""
    other = Place(connect, place.database)
    migrations.apply(other, made(other, shape))
    return catalog(connect, other)


@pytest.mark.parametrize("shape", SHAPES)
def test_psql_runs_the_whole_to_the_same_catalog(
    place: Place, connect: Connect, psql: Psql, tmp_path: Path, shape: str
) -> None:
    write(tmp_path, writing.files(made(place, shape), Change()))
    done = psql("-f", tmp_path / "plan.sql")
    assert (done.returncode, done.stderr) == (0, "")
    assert catalog(connect, place) == applied(connect, place, shape)


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape != "orphans"])
def test_psql_runs_the_files_to_the_same_catalog(
    place: Place, connect: Connect, psql: Psql, tmp_path: Path, shape: str
) -> None:
    write(tmp_path, writing.files(made(place, shape), Change()))
    for path in sorted((tmp_path / "psql").iterdir()):
        done = psql("-f", path)
        assert (done.returncode, done.stderr) == (0, ""), path
    assert catalog(connect, place) == applied(connect, place, shape)


@pytest.mark.parametrize("shape", SHAPES)
def test_prismas_migrations_run_as_one_message_each(
    place: Place, connect: Connect, psql: Psql, tmp_path: Path, shape: str
) -> None:
    """Prisma sends a migration as one message, as ``psql -c`` does."""
    write(tmp_path, writing.files(made(place, shape), Change()))
    for path in sorted((tmp_path / "prisma").glob("*/migration.sql")):
        done = psql("-c", path.read_text(encoding="utf-8"))
        assert (done.returncode, done.stderr) == (0, ""), path
    assert catalog(connect, place) == applied(connect, place, shape)


def test_a_failed_step_ends_the_whole(place: Place, psql: Psql, tmp_path: Path) -> None:
    """The old key would go although the new one is not valid."""
    plan = made(place, "mismatched")
    write(tmp_path, writing.files(plan, Change()))
    place.run("SET session_replication_role = replica; INSERT INTO orders VALUES (9001, 900)", None)
    done = psql("-f", tmp_path / "plan.sql")
    assert done.returncode == 3
    assert "violates foreign key constraint" in done.stderr
    assert "old" in {key.name for key in place.read().foreign_keys}


@pytest.mark.skipif(not SQUAWK.exists(), reason="squawk-cli is not installed")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("version", [150000, 180000])
def test_squawk_has_no_objection(place: Place, tmp_path: Path, shape: str, version: int) -> None:
    place.run(SHAPES[shape])
    plan = migrations.make_plan(place, orders(place), version=version)
    kinds = {step.kind for step in plan.steps}
    assert (StepKind.ATTACH in kinds) == (shape == "partitioned" and version < 180000)
    write(tmp_path, writing.files(plan, Change()))
    found = sorted(tmp_path.rglob("*.sql"))
    assert len(found) > 5
    done = subprocess.run(
        [SQUAWK, "--config", project.ROOT / ".squawk.toml", *found],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not SQUAWK.exists(), reason="squawk-cli is not installed")
def test_squawk_reads_them_at_all(place: Place, tmp_path: Path) -> None:
    """Without the timeouts it objects: silence is not for want of a parser."""
    write(tmp_path, writing.files(made(place, "missing"), Change()))
    path = tmp_path / "psql" / "002-add.sql"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("SET LOCAL lock_timeout", "-- "), encoding="utf-8")
    config = str(project.ROOT / ".squawk.toml")
    done = subprocess.run(
        [SQUAWK, "--config", config, path], capture_output=True, text=True, check=False
    )
    assert "require-lock-timeout" in done.stdout + done.stderr
    assert done.returncode == 1


def test_the_same_plan_gives_the_same_bytes(place: Place) -> None:
    place.run(SHAPES["mismatched"])
    plan = migrations.make_plan(place, orders(place), audited=False)  # an audit has its own time
    again = Plan.model_validate_json(plan.model_dump_json())
    assert writing.files(plan, Change()) == writing.files(again, Change())
    assert migrations.make_plan(place, orders(place), audited=False) == plan


def test_a_step_says_what_it_locks_and_how_to_undo_it(place: Place) -> None:
    found = writing.files(made(place, "missing"), Change())
    text = found["psql/002-add.sql"].replace(place.schema, "S")
    assert (
        text
        == """\
-- 002-add: add the key on S.orders(customer_id) to S.customers.id, on delete restrict, not valid
-- relationship: S.orders(customer_id) -> S.customers(id)
-- why: two
-- lines; DROP TABLE x;
-- locks: SHARE ROW EXCLUSIVE on S.customers
-- locks: SHARE ROW EXCLUSIVE on S.orders
-- waits for: transactions that write to these tables, for a moment
-- estimated: 0.02 s
-- undo: ALTER TABLE S.orders DROP CONSTRAINT fk_orders_customer_id;
\\set ON_ERROR_STOP on
BEGIN;
SET LOCAL search_path = pg_catalog;
SET LOCAL row_security = off;
SET LOCAL lock_timeout = '200ms';
SET LOCAL statement_timeout = '5000ms';
LOCK TABLE ONLY S.customers, ONLY S.orders IN SHARE ROW EXCLUSIVE MODE;
ALTER TABLE S.orders
  ADD CONSTRAINT fk_orders_customer_id
  FOREIGN KEY (customer_id)
  REFERENCES S.customers (id)
  ON DELETE RESTRICT NOT VALID;
COMMIT;
"""
    )


def test_the_names_of_prismas_folders_are_in_order_and_plain(place: Place) -> None:
    found = writing.files(made(place, "missing"), Change())
    folders_ = [name for name in found if name.startswith("prisma/")]
    assert folders_ == [
        "prisma/20260102030405_index_orders_idx_orders_customer_id/migration.sql",
        "prisma/20260102030406_add_orders_fk_orders_customer_id/migration.sql",
        "prisma/20260102030407_validate_orders_fk_orders_customer_id/migration.sql",
    ]


def test_what_waits_for_orphan_rows_is_apart(place: Place) -> None:
    found = writing.files(made(place, "orphans"), Change())
    apart = [name for name in found if name.startswith("prisma_after_remediation/")]
    assert [name.split("_")[3] for name in apart] == ["validate"]
    assert "-- waits for the remediation above" in found["plan.sql"]
    assert "\nALTER TABLE" in found["plan.sql"]
    assert f"\n-- ALTER TABLE {place.schema}.orders VALIDATE" in found["plan.sql"]
