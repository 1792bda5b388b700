"""Run folders as a run leaves them, made without a database or a kernel."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

from runbook import judgement, record
from runbook.findings import CheckResult, Status
from runbook.record import RunRecord, Step, StepResult
from runbook.settings import Settings
from runbook.settings import read as read_settings
from tests import project

RUN_ID = "20260102T030405Z"
TOML = """
[project]
title = "Evidence"
relationships = "relationships.toml"
{signers}

[environments.staging]
gate = "testing"
reader = {{ variable = "EVIDENCE_DSN" }}

[[criterion]]
id = "K1"
title = "Keys"
tier = "critical"

[[gate]]
name = "testing"
title = "Ready for testing"

[[step]]
name = "fine"
title = "Fine"
notebook = "fine.ipynb"
"""


def settings_in(folder: Path, signers: str = "") -> Settings:
    """A project of one environment, one criterion and one step in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    line = f'signers = "{signers}"' if signers else ""
    (folder / "runbook.toml").write_text(TOML.format(signers=line), encoding="utf-8")
    return read_settings(folder)


def recorded(settings: Settings, run_id: str = RUN_ID, message: str = "all there") -> Path:
    """The folder of a run of ``staging`` that came to GO."""
    folder = settings.runs / "staging" / run_id
    folder.mkdir(parents=True)
    project.notebook(folder / "fine.ipynb", "step.finish()")
    check = CheckResult("keys", "keys are there", "K1", Status.PASSED, message)
    record.write_step(folder, StepResult(step="fine", checks=(check,)))
    (folder / "junit.xml").write_text("<testsuites/>\n", encoding="utf-8")
    write_record(settings, folder)
    return folder


def write_record(settings: Settings, folder: Path, **update: object) -> RunRecord:
    """Write run.json over the files that are there; ``update`` replaces fields of it."""
    results = judgement.results_of(settings, folder)
    checks = judgement.all_checks(settings, results)
    environment = settings.environment("staging")
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    step = Step(
        name="fine",
        title="Fine",
        notebook="fine.ipynb",
        status="succeeded",
        started=moment,
        finished=moment,
        checks=("keys",),
    )
    run = RunRecord(
        run_id=folder.name,
        environment="staging",
        gate="testing",
        started=moment,
        finished=moment,
        tool_version="1.0",
        server=None,
        fingerprint="",
        structure_fingerprint="",
        steps=(step,),
        checks=checks,
        census=(),
        undeclared=None,
        audits=(),
        verdicts=judgement.verdicts(settings, environment, results, checks),
        digests=record.digests(folder),
    ).model_copy(update=update)
    record.write(folder, run)
    return run


def make_key(folder: Path, name: str = "team", passphrase: str = "") -> Path:
    """A new OpenSSH key pair; the private half's file."""
    folder.mkdir(parents=True, exist_ok=True)
    key = folder / name
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", name, "-f", str(key)],
        check=True,
        capture_output=True,
    )
    return key


def allow(path: Path, key: Path, name: str = "dba@example.org", options: str = "") -> None:
    """Add a line to an allowed signers file."""
    public = key.with_name(f"{key.name}.pub").read_text(encoding="utf-8")
    line = " ".join(part for part in (name, options, public.strip()) if part)
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
