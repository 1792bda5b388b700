"""The demo from end to end: three environments, exactly the planted defects, a site."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from runbook import record
from runbook.commands.demo import program_from_here
from runbook.findings import AuditState, KeyState
from runbook.settings import read as read_settings
from runbook.verdict import State
from tests.demonstration import Demonstration

pytestmark = pytest.mark.timeout(300)


def test_the_demo_succeeds_and_says_where_the_site_is(demonstration: Demonstration) -> None:
    found = demonstration.finished
    assert found.returncode == 0, found.stderr
    lines = found.stdout.splitlines()
    assert "staging  Ready for testing: GO" in lines
    assert "staging  Ready for production: NO-GO" in lines
    assert "production  Ready for production: NO-GO" in lines
    assert "development  Ready for production: NO-GO" in lines
    name = Path(sys.executable).name
    python = name if shutil.which(name) == sys.executable else sys.executable
    assert lines[-3:] == [
        f"site: {demonstration.site}",
        f"serve it: {python} -m runbook site serve",
        "every run found exactly the defects that were planted",
    ]


@pytest.mark.parametrize(
    ("called", "path", "said"),
    [
        ("{here}/.venv/bin/runbook", "/nowhere", ".venv/bin/runbook"),
        (".venv/bin/runbook", "/nowhere", ".venv/bin/runbook"),
        (".venv/bin/runbook", "/nowhere:{here}/.venv/bin", "runbook"),
        (".venv/bin/runbook", "{here}/other:{here}/.venv/bin", ".venv/bin/runbook"),
        ("{here}/a b/runbook", "/nowhere", "'a b/runbook'"),
        ("{here}/../elsewhere/runbook", "/nowhere", "../elsewhere/runbook"),
        ("{here}/runbook", "/nowhere", "./runbook"),
        ("/elsewhere/runbook", "/nowhere", "/elsewhere/runbook"),
        ("{here}/runbook/__main__.py", "/nowhere", ".venv/bin/python -m runbook"),
        ("{here}/runbook/__main__.py", "{here}/.venv/bin", "python -m runbook"),
    ],
)
def test_the_command_to_go_on_with_can_be_called_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, called: str, path: str, said: str
) -> None:
    for program in (".venv/bin/runbook", ".venv/bin/python", "other/runbook"):
        file = tmp_path / program
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [called.format(here=tmp_path), "demo"])
    monkeypatch.setattr("sys.executable", str(tmp_path / ".venv/bin/python"))
    monkeypatch.setenv("PATH", path.format(here=tmp_path))
    assert program_from_here() == said.format(here=tmp_path)


@pytest.mark.parametrize("environment", ["staging", "production", "development"])
def test_exactly_what_was_planted_is_found(demonstration: Demonstration, environment: str) -> None:
    run = demonstration.run_of(environment)
    facts = {name: value for step in run.steps for name, value in step.facts.items()}
    assert facts["self_test.planted"] == facts["self_test.found"]
    assert facts["self_test.missed"] == 0
    assert facts["self_test.invented"] == 0
    assert facts["core.relationships.total"] == 45
    assert facts["core.audits.looked"] == 45
    assert {step.status for step in run.steps} == {"succeeded"}


def test_staging_is_as_it_was_deployed(demonstration: Demonstration) -> None:
    run = demonstration.run_of("staging")
    core = [row for row in run.census if row.relationship.group == "core"]
    assert len(core) == 45
    assert [row.relationship.label for row in core if row.state is KeyState.ENFORCED] == [
        "config_versions.workspace_id"
    ]
    assert {audit.state for audit in run.audits} == {AuditState.CLEAN}
    testing, production = run.verdict("testing"), run.verdict("production")
    assert testing is not None
    assert production is not None
    assert (testing.state, production.state) == (State.GO, State.NO_GO)
    assert {result.criterion.id for result in testing.accepted} >= {"C1", "C3", "C5"}


def test_production_writes_nothing_and_says_so(demonstration: Demonstration) -> None:
    run = demonstration.run_of("production")
    results = {check.check: check for check in run.checks}
    lifecycle = results["config_lifecycle"]
    assert (lifecycle.status.value, lifecycle.message) == (
        "not looked",
        "writing checks are not allowed in production",
    )
    assert len([a for a in run.audits if a.relationship.alert != "below" and a.orphans]) == 8


def test_every_record_keeps_its_format(demonstration: Demonstration) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    published = json.loads(
        (demonstration.site / "results/run.schema.json").read_text(encoding="utf-8")
    )
    for environment in read_settings(demonstration.folder).environments:
        run = demonstration.run_of(environment)
        folder = demonstration.folder / "runs" / environment / run.run_id
        jsonschema.validate(json.loads((folder / "run.json").read_text("utf-8")), published)
        assert run.digests == record.digests(folder)


def test_no_password_and_no_path_is_in_any_artefact(demonstration: Demonstration) -> None:
    secrets = [
        line.rpartition(":")[2]
        for path in demonstration.cache.rglob("*.pass")
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    assert len(secrets) >= 3
    for top in ("runs", "site"):
        for path in (demonstration.folder / top).rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                for secret in secrets:
                    assert secret.encode() not in content, path
                assert str(demonstration.folder).encode() not in content, path
