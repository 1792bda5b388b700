"""The command line: messages in full, exit codes, nothing left behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text
from typer.main import get_command

from runbook import cli, manual
from tests.commands import Runbook
from tests.conftest import ROOT

needs_roles = pytest.mark.usefixtures("telecore_staging")


def test_version(runbook: Runbook) -> None:
    found = runbook("--version")
    assert (found.returncode, found.stdout) == (0, "fk-runbook 0.1.0\n")


def everything(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The commands, and the groups that they are in."""
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from everything(child, f"{path} {name}")


EVERYTHING = dict(everything(get_command(cli.app), "runbook"))
COMMANDS = {path: found for path, found in EVERYTHING.items() if not hasattr(found, "commands")}


@pytest.mark.parametrize("path", COMMANDS)
def test_help_has_text_examples_and_exit_codes(path: str) -> None:
    command = COMMANDS[path]
    text = command.help
    assert re.match(r"[A-Z].+\.$", text.split("\n\n")[0].replace("\n", " ")), text
    examples = re.split(r"\bExamples?:\n", text)[1].splitlines()
    assert all(line.strip().startswith(path) for line in examples if line.strip())
    assert "exit code" in text.lower()
    assert [p.name for p in command.params if not getattr(p, "help", "")] == []


@pytest.mark.parametrize("path", EVERYTHING)
def test_no_help_text_loses_a_word_in_brackets(path: str) -> None:
    """It is printed as Rich's markup, in which [such.a] word is a style."""
    command = EVERYTHING[path]
    texts = [command.help, command.epilog, *(getattr(p, "help", "") for p in command.params)]
    texts = [text.replace("\b", "") for text in texts if text]
    assert [Text.from_markup(text).plain for text in texts] == texts


def test_help_is_printed(runbook: Runbook) -> None:
    found = runbook("site", "build", "--help")
    assert (found.returncode, found.stderr) == (0, "")
    assert "runbook site build" in found.stdout
    nothing = runbook()
    assert (nothing.returncode, nothing.stderr) == (2, "")
    assert "Exit codes:" in " ".join(nothing.stdout.split())


def test_the_manual_page_has_every_command_and_man_has_no_complaint(tmp_path: Path) -> None:
    page = manual.man_page(get_command(cli.app))
    for path in COMMANDS:
        assert f"\n.SS {path.replace('-', chr(92) + '-')}\n" in page
    if shutil.which("man") is None:
        pytest.skip("man is not installed")
    (tmp_path / "runbook.1").write_text(page, encoding="utf-8")
    done = subprocess.run(
        ["man", "--warnings", "--encoding=UTF-8", "--local-file", tmp_path / "runbook.1"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "MANWIDTH": "100", "LC_ALL": "C.UTF-8"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "runbook --log-format json audit production" in done.stdout


def test_nothing_in_the_text_is_a_request_to_man() -> None:
    assert manual._roff(".so /etc/passwd") == "\\&.so /etc/passwd"
    assert manual._roff("'a' \\fB --b") == "\\&'a' \\efB \\-\\-b"


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
        "production: connects and reads the catalog\n"
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
        "production: connects (dsn) and reads the catalog\n"
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
        "production: connects (dsn) and reads the catalog\n"
        "error: environment 'production': 'postgres' is a superuser\n"
        "hint: connect as a role that may only read: runbook grants production prints one\n"
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


# --- the first moment ----------------------------------------------------------------------------

EARLY = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.{handler})
class Impatient:
    def find_spec(self, name, *_):
        if name == "runbook.commands":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Impatient())
import runbook.__main__
print("runbook.cli" in sys.modules, flush=True)
runbook.__main__.main()
"""


def early(*words: str, handler: str = "default_int_handler") -> subprocess.CompletedProcess[str]:
    """The program with Ctrl-C while its commands are imported."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith("RUNBOOK_")}
    return subprocess.run(
        [sys.executable, "-c", EARLY.format(handler=handler), *words],
        capture_output=True,
        text=True,
        check=False,
        env=variables | {"PYTHONPATH": str(ROOT)},
        timeout=60,
    )


def test_ctrl_c_while_the_commands_are_imported() -> None:
    found = early("audit", "staging")
    said = "error: interrupted\nhint: run the command again\n"
    assert (found.returncode, found.stdout, found.stderr) == (3, "False\n", said)


@pytest.mark.parametrize("words", [("--log-format", "json"), ("--log-format=json",)])
def test_early_ctrl_c_as_an_object(words: tuple[str, ...]) -> None:
    found = early(*words, "run", "staging")
    entry = json.loads(found.stderr)
    assert datetime.fromisoformat(entry.pop("time")).tzinfo is not None
    assert (found.returncode, entry) == (
        3,
        {
            "level": "error",
            "command": "",
            "message": "interrupted",
            "hint": "run the command again",
            "exit_code": 3,
        },
    )


def test_an_ignored_ctrl_c_stays_ignored() -> None:
    found = early("--version", handler="SIG_IGN")
    assert (found.returncode, found.stdout) == (0, "False\nfk-runbook 0.1.0\n"), found.stderr


def test_the_installed_program_is_the_one_that_handles_an_early_ctrl_c() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"runbook": "runbook.__main__:main"}
