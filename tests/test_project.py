"""What holds the project together: lock file, Makefile, workflows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements.lock").read_text()
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def locked() -> dict[str, str]:
    """Name → version of everything in the lock file."""
    pairs = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", LOCK, re.MULTILINE)
    assert len({*(name for name, _ in pairs)}) == len(pairs), "one version of each"
    return {canonicalize_name(name): version for name, version in pairs}


def wanted() -> Iterator[Requirement]:
    """Every requirement that pyproject.toml names itself."""
    project = PROJECT["project"]
    groups = PROJECT["dependency-groups"].values()
    for group in (project["dependencies"], *project["optional-dependencies"].values(), *groups):
        for line in group:
            if isinstance(line, str) and not line.startswith(project["name"]):
                yield Requirement(line)


# --- the lock file ------------------------------------------------------------------------------


def test_lock_names_versions_and_hashes_and_no_address() -> None:
    line = re.compile(
        r"[a-z0-9._-]+==\S+( ; .+)? \\"
        r"|    --hash=sha256:[0-9a-f]{64}( \\)?"
        r"|    #( +(via )?([a-z0-9._-]+|fk-runbook \(pyproject\.toml(:dev)?\)))?( via)?"
    )
    assert [text for text in LOCK.splitlines() if not line.fullmatch(text)] == []
    assert "://" not in LOCK


def test_lock_has_what_pyproject_asks_for() -> None:
    versions = locked()
    missing = [
        str(requirement)
        for requirement in wanted()
        if versions.get(canonicalize_name(requirement.name)) is None
        or versions[canonicalize_name(requirement.name)] not in requirement.specifier
    ]
    assert missing == [], "make lock"


# --- the Makefile -------------------------------------------------------------------------------


def make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        if not (folder / name).exists():
            shutil.copy(ROOT / name, folder / name)
    return subprocess.run(
        ["make", "--no-print-directory", *words],
        cwd=folder,
        text=True,
        capture_output=True,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "a checkout's place"
    folder.mkdir()
    return folder


def python(folder: Path, script: str) -> str:
    """A stand-in for Python."""
    (folder / "python").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "python").chmod(0o755)
    return f"PYTHON={folder / 'python'}"


def test_help_names_every_target(checkout: Path) -> None:
    shown = make(checkout).stdout
    text = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.+)$", text, re.MULTILINE)
    assert {*phony.split()} - {"help"} == {*re.findall(r"^make (\w+)", shown, re.MULTILINE)}


def test_python_too_old_is_reported(checkout: Path) -> None:
    fake = python(checkout, '[ "$1" = --version ] && echo Python 3.9.2 && exit; exit 1')
    done = make(checkout, "test", fake)
    assert done.stderr.startswith(
        "needs Python 3.11 or newer, got Python 3.9.2; name a newer one: make PYTHON=python3.12\n"
    )
    assert done.returncode == 2
    assert not (checkout / ".venv").exists()


def test_venv_missing_is_reported(checkout: Path) -> None:
    fake = python(checkout, 'case "$2" in *ensurepip*) exit 1 ;; esac')
    done = make(checkout, "test", fake)
    assert done.stderr.startswith(
        "Python's venv module is missing; on Debian and Ubuntu: apt install python3-venv\n"
    )
    assert done.returncode == 2


def test_environment_is_made_again_only_when_the_lock_changes(checkout: Path) -> None:
    # a stand-in that makes an "environment" whose python is itself and counts the calls
    fake = python(
        checkout,
        'echo "$*" >> "$(dirname "$0")/calls"\n'
        'if [ "$2" = venv ]; then\n'
        '  mkdir -p "$4/bin" && cp "$0" "$4/bin/python"\n'
        '  printf "#!/bin/sh\\n:\\n" > "$4/bin/pytest" && chmod +x "$4/bin/pytest"\n'
        "fi",
    )

    def installs() -> int:
        calls = (checkout / "calls").read_text().count("-m venv")
        (checkout / ".venv" / "bin" / "calls").unlink(missing_ok=True)
        return calls

    assert make(checkout, "test", fake).returncode == 0
    assert make(checkout, "test", fake).returncode == 0
    assert installs() == 1
    os.utime(checkout / "pyproject.toml")
    assert make(checkout, "test", fake).returncode == 0
    assert installs() == 1
    os.utime(checkout / "requirements.lock")
    assert make(checkout, "test", fake).returncode == 0
    assert installs() == 2
    moved = checkout.with_name("moved")
    checkout.rename(moved)
    assert make(moved, "test", f"PYTHON={moved / 'python'}").returncode == 0
    assert (moved / "calls").read_text().count("-m venv") == 3


@pytest.mark.parametrize(("serve", "command"), [("", "demo"), ("SERVE=1", "demo --serve")])
def test_demo_serves_when_asked(checkout: Path, serve: str, command: str) -> None:
    shown = make(checkout, "--dry-run", "demo", serve or "SERVE=").stdout
    assert f'".venv/bin/runbook" {command}' in [line.strip() for line in shown.splitlines()]


# --- the workflows ------------------------------------------------------------------------------


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_digest(path: Path) -> None:
    used = re.findall(r"uses: (.+)", path.read_text())
    assert used
    assert [
        line
        for line in used
        if not PINNED.fullmatch(line) and line != "$/.github/workflows/docs.yml"
    ] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_permissions_are_given_to_each_job(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {}
    assert [name for name, job in workflow["jobs"].items() if "permissions" not in job] == []


@pytest.fixture
def github(tmp_path: Path) -> Path:
    """A folder with a ``gh`` that answers from files and downloads by leaving a mark."""
    (tmp_path / "gh").write_text(
        '#!/bin/sh\ncd "$(dirname "$0")"\n'
        'case "$1 $2" in\n'
        '  "run list") cat runs ;;\n'
        '  "run download") mkdir -p "$7" && echo "$3 $5" > "$7/record" ;;\n'
        "  *--paginate*) cat artefacts ;;\n"
        "  api*) echo main ;;\n"
        "esac\n"
    )
    (tmp_path / "gh").chmod(0o755)
    (tmp_path / "records" / "staging").mkdir(parents=True)
    (tmp_path / "records" / "staging" / "demo").touch()
    return tmp_path


def restore(github: Path, runs: str, artefacts: str) -> subprocess.CompletedProcess[str]:
    (github / "runs").write_text(runs)
    (github / "artefacts").write_text(artefacts)
    return subprocess.run(
        [ROOT / ".github" / "restore-run-records", github / "records"],
        text=True,
        capture_output=True,
        check=False,
        env={"PATH": f"{github}:{os.environ['PATH']}", "GITHUB_REPOSITORY": "owner/name"},
    )


def test_the_newest_kept_record_takes_the_place_of_the_demos(github: Path) -> None:
    done = restore(
        github,
        "30\n20\n10\n",
        "99 false run-record-staging\n30 true run-record-staging\n"
        "20 false run-record-staging\n10 false run-record-staging\n10 false run-record-other\n",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "staging: the record that workflow run 20 kept\n"
        "other: the record that workflow run 10 kept\n"
    )
    staging = github / "records" / "staging"
    assert [path.name for path in staging.iterdir()] == ["record"]
    assert (staging / "record").read_text() == "20 run-record-staging\n"


def test_without_a_record_the_demo_stays(github: Path) -> None:
    done = restore(github, "", "99 false run-record-staging\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "::notice::no run record was ever kept: the site shows the demo\n"
    assert (github / "records" / "staging" / "demo").exists()


def test_an_expired_record_is_not_replaced_by_the_demo(github: Path) -> None:
    done = restore(github, "20\n", "20 true run-record-staging\n")
    assert done.returncode == 1
    assert done.stdout == (
        "::error::the run records of staging have expired: run the workflow Staging by hand\n"
    )
