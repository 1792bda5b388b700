"""``runbook migrate rehearse`` and ``runbook impact`` as commands: outputs, files, exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runbook.impact.outcome import ImpactFound
from runbook.rehearsal.outcome import Rehearsal
from tests import project
from tests.copies import ORPHANS
from tests.migration_project import CHANGE, TABLES, Shop
from tests.places import OWNER, READER, Dsn, Place

pytestmark = pytest.mark.slow

Run = Callable[..., "subprocess.CompletedProcess[str]"]
LIMITS = "\n[limits]\nkey_cost_accepted_ms = {}\n"


@pytest.fixture
def shop(place: Place, dsn: Dsn, tmp_path: Path) -> Shop:
    place.run(TABLES)
    made = Shop(tmp_path, place, dsn)
    made.write()
    return made


@pytest.fixture
def run(shop: Shop) -> Run:
    """``run(*arguments)`` runs the command in the project's folder."""

    def started(*arguments: str) -> subprocess.CompletedProcess[str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("RUNBOOK_", "PG"))}
        database = shop.place.database
        known = {
            "PYTHONPATH": str(project.ROOT),
            "COLUMNS": "160",
            "SHOP_READER": shop.dsn(database, READER),
            "SHOP_OWNER": shop.dsn(database, OWNER),
        }
        return subprocess.run(
            [sys.executable, "-m", "runbook", *arguments],
            cwd=shop.folder,
            env=clean | known,
            capture_output=True,
            text=True,
            check=False,
            timeout=110,
        )

    return started


def of_kind(shop: Shop, kind: str, model: Any) -> Any:
    return model.model_validate_json((shop.newest(kind) / f"{kind}.json").read_bytes())


@pytest.mark.slow
def test_a_rehearsal_allows_the_apply(shop: Shop, run: Run, admin_dsn: str) -> None:
    shop.place.run(ORPHANS)
    assert shop.migrate("plan", "shop").returncode == 1
    done = run("migrate", "rehearse", "shop", "--into", admin_dsn, "--no-kill", "--writers", "2")
    assert done.returncode == 0, done.stderr
    found = of_kind(shop, "rehearsal", Rehearsal)
    assert found.plan_id == shop.newest("plan").name
    stall = 1000 * (found.longest_stall_seconds or 0)
    steps = len(found.steps)
    assert done.stdout.splitlines() == [
        f"shop: passed, {steps} of {steps} steps",
        f"  longest stall of a writer {stall:.0f} ms, allowed 1000 ms",
        f"  {found.load.writes_during:,} writes during the migration, errors: none",
        "  3 orphan rows of the copy put aside before validating",
        "  nothing was killed",
        f"rehearsal: {shop.newest('rehearsal') / 'rehearsal.json'}",
    ]
    assert shop.migrate("apply", "shop").returncode == 1  # the orphan rows are there
    assert shop.document("apply")["rehearsal"] == shop.newest("rehearsal").name


@pytest.mark.slow
def test_a_stall_beyond_the_limit_ends_with_1(shop: Shop, run: Run, admin_dsn: str) -> None:
    shop.migrate("plan", "shop")
    done = run(
        "migrate", "rehearse", "shop", "--into", admin_dsn, "--no-kill", "--stall", "0ms",
        "--sample-rows", "50",
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    found = of_kind(shop, "rehearsal", Rehearsal)
    said = f"  a writer stood still for {found.longest_stall_seconds:.3f} s, expected at most 0 s"
    assert said in done.stdout.splitlines()
    assert "  on a sample of the rows: durations are not those of all rows" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("shop",),
            "error: environment 'shop' has no plan\nhint: runbook migrate plan shop\n",
        ),
        (
            ("shop", "--stall", "soon"),
            (
                "error: --stall: not a duration: 'soon', expected text such as '30s', '5m' or"
                " '24h'\nhint: write it as --stall 500ms\n"
            ),
        ),
    ],
)
def test_wrong_usage_ends_with_2(run: Run, arguments: tuple[str, ...], message: str) -> None:
    done = run("migrate", "rehearse", *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", message)


@pytest.mark.slow
def test_no_secret_is_in_what_is_kept_or_said(
    shop: Shop, run: Run, admin_dsn: str, dsn: Dsn
) -> None:
    shop.migrate("plan", "shop")
    done = run("migrate", "rehearse", "shop", "--into", admin_dsn, "--no-kill")
    kept = (shop.newest("rehearsal") / "rehearsal.json").read_text(encoding="utf-8")
    for role in (OWNER, READER):
        password = dsn("x", role).split("password=")[1].strip("'").replace("\\", "")
        assert password not in kept + done.stdout + done.stderr


@pytest.mark.slow
def test_a_private_server_and_kills_are_the_default(shop: Shop, run: Run) -> None:
    shop.migrate("plan", "shop")
    done = run("migrate", "rehearse", "shop")
    assert done.returncode == 0, done.stderr
    found = of_kind(shop, "rehearsal", Rehearsal)
    assert found.copy_used.where == "a private server"
    assert found.copy_used.role == OWNER
    assert len(found.kills) > 5
    assert all(kill.converged for kill in found.kills)
    count = len(found.kills)
    assert f"  killed at {count} boundaries, {count} times to the same catalog" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limits", "code"), [(LIMITS.format(1000), 0), (LIMITS.format(-1000), 1), ("", 3)]
)
def test_impact_is_judged_by_the_limits(
    shop: Shop, run: Run, admin_dsn: str, limits: str, code: int
) -> None:
    shop.write(CHANGE + limits)
    done = run("impact", "shop", "--into", admin_dsn, "--seconds", "0.2")
    assert done.returncode == code, done.stderr
    found = of_kind(shop, "impact", ImpactFound)
    lines = done.stdout.splitlines()
    s = shop.place.schema
    assert f"shop: 1 key of {s}.orders: {found.judgement}" in lines
    assert f"  at most {found.highest_cost_ms:+.3f} ms a write, median, warm" in lines
    unlimited = "  no limits.key_cost_accepted_ms in runbook.toml to judge by"
    assert (unlimited in lines) == (code == 3)


@pytest.mark.slow
def test_the_demo_is_rehearsed_on_a_private_server(
    dsn: Dsn, telecore_staging: str, tmp_path: Path
) -> None:
    """All missing keys of staging, under load, with the longest stall under a second."""
    text = (project.ROOT / "runbook.toml").read_text(encoding="utf-8")
    text = text.replace('"runbook/telecore/', f'"{project.ROOT}/runbook/telecore/')
    (tmp_path / "runbook.toml").write_text(text, encoding="utf-8")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("RUNBOOK_", "PG"))}
    known = {
        "STAGING_DATABASE_URL": dsn(telecore_staging, READER),
        "STAGING_OWNER_URL": dsn(telecore_staging, OWNER),
        "PYTHONPATH": str(project.ROOT),
    }
    for arguments in (("plan", "staging"), ("rehearse", "staging", "--no-kill")):
        done = subprocess.run(
            [sys.executable, "-m", "runbook", "migrate", *arguments],
            cwd=tmp_path,
            env=clean | known,
            capture_output=True,
            text=True,
            check=False,
            timeout=110,
        )
        assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "changes" / "staging" / "rehearsal").iterdir()
    found = Rehearsal.model_validate_json((folder / "rehearsal.json").read_bytes())
    assert found.passed
    assert len({step.relationship for step in found.steps}) > 40
    assert found.longest_stall_seconds is not None
    assert found.longest_stall_seconds < 1
    assert [step.id for step in found.steps if step.undeclared] == []
