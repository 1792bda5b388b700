"""The command line: messages in full, exit codes, nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import project

Runbook = Callable[..., subprocess.CompletedProcess[str]]


needs_roles = pytest.mark.usefixtures("telecore_staging")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with one environment that is reached through a variable that is not set."""
    text = (project.ROOT / "runbook.toml").read_text(encoding="utf-8")
    text = text.replace('"runbook/telecore/', f'"{project.ROOT}/runbook/telecore/')
    text = text.replace(', embedded = "telecore_production", role = "telecore_reader"', "")
    text = text.partition("[[step]]")[0]
    (tmp_path / "runbook.toml").write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def runbook(folder: Path) -> Runbook:
    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("RUNBOOK_", "PG"))}
        return subprocess.run(
            [sys.executable, "-m", "runbook", *arguments],
            cwd=folder,
            env=clean | {"PYTHONPATH": str(project.ROOT), "COLUMNS": "80"} | variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )

    return run


def test_version(runbook: Runbook) -> None:
    found = runbook("--version")
    assert (found.returncode, found.stdout) == (0, "fk-runbook 0.1.0\n")


def test_help_has_examples(runbook: Runbook) -> None:
    for command in (("run",), ("demo",), ("site", "build"), ("site", "serve")):
        found = runbook(*command, "--help")
        assert found.returncode == 0
        assert f"runbook {' '.join(command)}" in found.stdout
        assert "Example" in found.stdout


def test_an_unknown_option_is_wrong_usage(runbook: Runbook) -> None:
    assert runbook("run", "staging", "--nonsense").returncode == 2


def test_an_unknown_environment(runbook: Runbook, folder: Path) -> None:
    found = runbook("run", "prod")
    assert found.returncode == 2
    assert found.stderr == (
        f"error: no environment 'prod' in {folder}/runbook.toml\n"
        "hint: choose one of: staging, production, development\n"
    )


def test_a_variable_that_is_not_set(runbook: Runbook, folder: Path) -> None:
    found = runbook("run", "production")
    assert found.returncode == 2
    assert found.stderr == (
        "error: environment 'production': the environment variable 'PRODUCTION_DATABASE_URL' is"
        " not set\n"
        "hint: export PRODUCTION_DATABASE_URL='host=… dbname=… user=…' (the password belongs into"
        " a passfile)\n"
    )
    assert not (folder / "runs").exists()


def test_an_unreachable_server(runbook: Runbook, folder: Path) -> None:
    found = runbook("run", "production", "--dsn", "host=/no/such/socket password=canary-secret")
    assert found.returncode == 3
    assert found.stderr == (
        "error: environment 'production': cannot connect as reader: connection is bad: connection"
        ' to server on socket "/no/such/socket/.s.PGSQL.5432" failed: No such file or directory'
        " Is the server running locally and accepting connections on that socket?\n"
        "hint: check that the server runs and that host, database, role and passfile are right\n"
    )
    assert "canary-secret" not in found.stdout + found.stderr
    assert not (folder / "runs").exists()


def test_no_project(runbook: Runbook, folder: Path) -> None:
    (folder / "runbook.toml").unlink()
    found = runbook("run", "staging")
    assert found.returncode == 2
    assert found.stderr == (
        f"error: no runbook.toml in {folder} or above it\n"
        "hint: go to a project's folder, or set RUNBOOK_PROJECT\n"
    )


def test_malformed_settings_name_line_and_key(runbook: Runbook, folder: Path) -> None:
    path = folder / "runbook.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('fresh_for = "7d"', 'fresh_for = "a week"', 1), encoding="utf-8")
    found = runbook("run", "staging")
    line = text[: text.index('fresh_for = "7d"')].count("\n") + 1
    assert found.returncode == 2
    assert found.stderr == (
        f"error: {path}:{line}: environments.staging.fresh_for: not a duration: 'a week',"
        " expected text such as '30s', '5m' or '24h'\n"
        "hint: correct the value\n"
    )


def test_a_superuser_is_refused(
    runbook: Runbook, dsn: Callable[..., str], telecore_staging: str
) -> None:
    found = runbook("run", "production", "--dsn", dsn(telecore_staging))
    assert found.returncode == 3
    assert found.stderr == (
        "error: environment 'production': 'postgres' is a superuser\n"
        "hint: connect as a role that may only read, one that has pg_read_all_data\n"
    )


@needs_roles
def test_a_database_without_the_tables(
    runbook: Runbook, folder: Path, dsn: Callable[..., str]
) -> None:
    found = runbook("run", "production", "--dsn", dsn("postgres", "telecore_reader"))
    assert found.returncode == 2
    assert "public.config_versions(workspace_id): no table 'public.config_versions';" in (
        found.stderr
    )
    assert found.stderr.endswith(
        "hint: correct the names, or check that this is the right database and schema\n"
    )
    assert not (folder / "runs").exists()


def test_serving_what_was_never_built(runbook: Runbook, folder: Path) -> None:
    found = runbook("site", "serve")
    assert found.returncode == 2
    assert found.stderr == (
        f"error: no site in {folder}/site\nhint: build it: runbook site build\n"
    )


def test_building_without_mkdocs_yml(runbook: Runbook, folder: Path) -> None:
    found = runbook("site", "build")
    assert found.returncode == 2
    assert f"error: no mkdocs.yml in {folder}\nhint: go to a project's folder\n" in found.stderr
