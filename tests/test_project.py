"""What holds the project together: lock file, Makefile, workflows."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from runbook import __version__

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements.lock").read_text()
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


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
    assert {*phony.split()} - {"help"} == {*re.findall(r"^make ([\w-]+)", shown, re.MULTILINE)}


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


def here(folder: Path) -> str:
    """The programs of this test's environment, taken as installed, instead of a new one."""
    (folder / "README.md").touch()
    return f"BIN={Path(sys.executable).parent}"


def test_the_audit_takes_all_platforms_and_nothing_unknown_for_clean(checkout: Path) -> None:
    (checkout / "pip-audit").write_text('#!/bin/sh\necho "$@"\nexit 7\n')
    (checkout / "pip-audit").chmod(0o755)
    done = make(checkout, "audit", f"BIN={checkout}", "INSTALLED=")
    assert done.returncode == 2  # make's own, for the program's 7
    options = done.stdout.splitlines()[-1].split()
    assert {"--strict", "--require-hashes", "build/audit.txt"} <= {*options}
    audited = (checkout / "build/audit.txt").read_text()
    names = re.findall(r"^([a-z0-9._-]+)==\S+ \\$", audited, re.MULTILINE)
    assert {canonicalize_name(name) for name in names} == {*locked()}
    assert "sys_platform" in LOCK
    assert ";" not in audited


def test_without_a_wheel_there_is_nothing_to_list(checkout: Path) -> None:
    done = make(checkout, "sbom", here(checkout), "INSTALLED=")
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, "no wheel in dist: make dist")


@pytest.mark.slow
def test_the_list_of_a_release_has_what_its_wheel_installs_and_no_more(checkout: Path) -> None:
    for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout / name)
    for folder in ("runbook", "docs/assets"):
        shutil.copytree(ROOT / folder, checkout / folder)
    done = make(checkout, "dist", "sbom", here(checkout), "INSTALLED=", "EXTRAS=")
    assert done.returncode == 0, done.stderr
    bill = json.loads((checkout / "sbom/fk-runbook.cdx.json").read_text())
    whole = bill["metadata"]["component"]
    assert (whole["name"], whole["version"]) == ("fk-runbook", __version__)
    found = {canonicalize_name(part["name"]): part["version"] for part in bill["components"]}
    versions = locked()
    assert found == {name: versions[name] for name in found}
    needed = {
        canonicalize_name(Requirement(line).name) for line in PROJECT["project"]["dependencies"]
    }
    assert needed <= {*found}
    assert not {"pip", "pytest", "jupyterlab"} & {*found}


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


def workflow(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows" / name).read_text())
    return loaded


def test_every_pull_request_is_looked_at_for_vulnerabilities_and_unsafe_workflows() -> None:
    jobs = workflow("ci.yml")["jobs"]
    assert {"run": "make audit"} in jobs["audit"]["steps"]
    assert {"run": "make check"} in jobs["check"]["steps"]
    check = (ROOT / "Makefile").read_text().partition("\ncheck:")[2].partition("\n\n")[0]
    assert '"$(BIN)/zizmor" --offline --quiet .github' in check
    assert "\n  schedule:\n" in (ROOT / ".github/workflows/ci.yml").read_text()


def test_actions_and_packages_are_kept_up_to_date() -> None:
    updates = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text())["updates"]
    assert {update["package-ecosystem"] for update in updates} == {"github-actions", "npm", "pip"}


def test_a_release_is_built_once_and_only_its_publisher_may_say_who_it_is() -> None:
    jobs = workflow("release.yml")["jobs"]
    assert list(jobs) == ["build", "publish", "announce"]
    trusted = [name for name, job in jobs.items() if "id-token" in job["permissions"]]
    assert trusted == ["publish"]
    publish = jobs["publish"]
    assert publish["environment"] == "release"
    assert publish["permissions"] == {"attestations": "write", "id-token": "write"}
    # it runs no code of ours, and knows no secret
    assert [step["uses"].partition("@")[0] for step in publish["steps"]] == [
        "actions/download-artifact",
        "actions/download-artifact",
        "actions/attest",
        "actions/attest",
        "pypa/gh-action-pypi-publish",
    ]
    assert "secrets." not in (ROOT / ".github/workflows/release.yml").read_text()
    assert {"run": "make dist sbom"} in jobs["build"]["steps"]
    builders = [name for name, job in jobs.items() if "make dist" in str(job)]
    assert builders == ["build"]


@pytest.fixture
def tagged(tmp_path: Path) -> Path:
    """A repository whose version is 1.2.3, and whose main has its first commit alone."""
    (tmp_path / "runbook").mkdir()
    (tmp_path / "runbook/__init__.py").write_text('__version__ = "1.2.3"\n')
    for words in (
        "init --quiet --initial-branch=main",
        "add .",
        "-c user.name=x -c user.email=x@example.org commit --quiet --message=one",
        "update-ref refs/remotes/origin/main HEAD",
        "-c user.name=x -c user.email=x@example.org commit --quiet --allow-empty --message=two",
    ):
        subprocess.run(["git", *words.split()], cwd=tmp_path, check=True)
    return tmp_path


@pytest.mark.parametrize(
    ("tag", "commit", "code", "said"),
    [
        ("v1.2.3", "HEAD^", 0, ""),
        ("v1.2.4", "HEAD^", 1, "::error::the tag is v1.2.4, the version is 1.2.3\n"),
        ("v1.2.3", "HEAD", 1, "::error::the commit of v1.2.3 is not on main\n"),
    ],
)
def test_a_release_is_a_commit_of_main_with_its_version(
    tagged: Path, tag: str, commit: str, code: int, said: str
) -> None:
    steps = workflow("release.yml")["jobs"]["build"]["steps"]
    (script,) = [step["run"] for step in steps if step.get("name", "").startswith("The tag is")]
    done = subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=tagged,
        text=True,
        capture_output=True,
        check=False,
        env={"PATH": os.environ["PATH"], "GITHUB_REF_NAME": tag, "GITHUB_SHA": commit},
    )
    assert (done.returncode, done.stdout) == (code, said), done.stderr


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
