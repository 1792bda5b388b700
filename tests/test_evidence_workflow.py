"""The nightly workflow: what it makes of each way a run can end, and who may sign."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

WORKFLOW = ROOT / ".github" / "workflows" / "staging.yml"


@pytest.fixture(scope="module")
def jobs() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]
    return loaded


@pytest.mark.parametrize(
    ("code", "writes", "ends", "said"),
    [
        (0, True, 0, "code=0\nrecorded=true\n"),
        (1, True, 0, "code=1\nrecorded=true\n"),
        (3, True, 0, "code=3\nrecorded=true\n"),
        (3, False, 0, "code=3\nrecorded=false\n"),
        (2, False, 2, "code=2\nrecorded=false\n"),
    ],
)
def test_a_run_without_a_record_has_nothing_to_keep(  # noqa: PLR0913, PLR0917 - the cases
    jobs: dict[str, Any], tmp_path: Path, code: int, writes: bool, ends: int, said: str
) -> None:
    (script,) = (step["run"] for step in jobs["run"]["steps"] if step.get("id") == "run")
    program = tmp_path / ".venv" / "bin" / "runbook"
    program.parent.mkdir(parents=True)
    record = "mkdir -p runs/staging/x && touch runs/staging/x/run.json" if writes else ":"
    program.write_text(f"#!/bin/sh\n{record}\nexit {code}\n", encoding="utf-8")
    program.chmod(0o755)
    output = tmp_path / "output"
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "GITHUB_OUTPUT": str(output), "STAGING_DATABASE_URL": "x"},
        check=False,
    )
    assert (done.returncode, output.read_text(encoding="utf-8")) == (ends, said)


def test_without_a_connection_nothing_is_run(jobs: dict[str, Any], tmp_path: Path) -> None:
    (script,) = (step["run"] for step in jobs["run"]["steps"] if step.get("id") == "run")
    output = tmp_path / "output"
    subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "GITHUB_OUTPUT": str(output), "STAGING_DATABASE_URL": ""},
        check=True,
        capture_output=True,
    )
    assert output.read_text(encoding="utf-8") == "code=none\nrecorded=false\n"


def test_everything_after_the_run_waits_for_a_record(jobs: dict[str, Any]) -> None:
    names = {step.get("name"): step.get("if") for step in jobs["run"]["steps"]}
    for name in ("Pack the run record", "Keep the bundle", "Keep the run record"):
        assert names[name] == "steps.run.outputs.recorded == 'true'"
    assert "needs.run.outputs.recorded == 'true'" in jobs["attest"]["if"]


def test_the_job_that_runs_notebooks_cannot_sign(jobs: dict[str, Any]) -> None:
    assert jobs["run"]["permissions"] == {"contents": "read"}
    assert jobs["attest"]["permissions"] == {"attestations": "write", "id-token": "write"}
    used = [step["uses"].partition("@")[0] for step in jobs["attest"]["steps"]]
    assert used == ["actions/download-artifact", "actions/attest"]
