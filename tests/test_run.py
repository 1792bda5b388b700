"""Runs from first step to run record, on small projects and on the real runbook."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from runbook import lock, record, run, run_folders
from runbook.errors import IncompleteError, RunbookError, UsageError
from runbook.judgement import now
from runbook.settings import Settings, StepEntry
from runbook.verdict import State
from tests import project

GOOD = (
    "from runbook.steps import open_step\n"
    'step = open_step("{name}", environment, run_folder)\n'
    "{body}\nstep.finish()"
)


@pytest.fixture
def small(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The project in a folder of its own, with notebooks that the tests write."""
    (tmp_path / "notebooks").mkdir()
    text = (project.ROOT / "runbook.toml").read_text(encoding="utf-8")
    (tmp_path / "runbook.toml").write_text(text.partition("[[step]]")[0], encoding="utf-8")
    monkeypatch.setenv("RUNBOOK_PROJECT", str(tmp_path))
    relationships = settings.path(settings.project.relationships)
    section = settings.project.model_copy(update={"relationships": relationships, "history": None})
    return settings.model_copy(update={"folder": tmp_path, "step": (), "project": section})


def with_steps(small: Settings, **bodies: str) -> Settings:
    """``small`` with a step for each body; its runbook.toml says so too, for the kernels."""
    entries = []
    toml = (small.folder / "runbook.toml").read_text(encoding="utf-8")
    toml = toml.replace('"runbook/telecore/', f'"{project.ROOT}/runbook/telecore/')
    for name, body in bodies.items():
        project.notebook(
            small.folder / "notebooks" / f"{name}.ipynb", GOOD.format(name=name, body=body)
        )
        entries.append(StepEntry(name=name, title=name, notebook=f"{name}.ipynb"))
        toml += f'\n[[step]]\nname = "{name}"\ntitle = "{name}"\nnotebook = "{name}.ipynb"\n'
    (small.folder / "runbook.toml").write_text(toml, encoding="utf-8")
    return small.model_copy(update={"step": tuple(entries)})


def test_a_step_that_dies_leaves_no_success(small: Settings) -> None:
    settings = with_steps(
        small,
        fine='step.check("types_aligned")',
        dead="import os; os._exit(0)",
        left="import sys; sys.exit(0)",
    )
    found = run.execute(settings, settings.environment("staging"))
    assert [(step.name, step.status) for step in found.steps] == [
        ("fine", "succeeded"),
        ("dead", "failed"),
        ("left", "failed"),
    ]
    assert {check.check for check in found.checks if check.status == "passed"} == {"types_aligned"}
    assert all(verdict.state is State.UNKNOWN for verdict in found.verdicts)
    reasons = found.verdicts[0].reasons
    assert reasons[0].startswith("step dead failed: ")  # nbclient may or may not notice the death
    assert reasons[1] == (
        "step left failed: the notebook ended without finish(): its kernel died or a cell left"
        " early"
    )


def test_the_record_is_whole(small: Settings) -> None:
    settings = with_steps(small, fine='step.check("types_aligned"); step.take_census()')
    found = run.execute(settings, settings.environment("staging"))
    folder = settings.runs / "staging" / found.run_id
    assert record.read(folder) == found
    assert run_folders.newest(settings.runs, "staging") == folder
    assert set(found.digests) == {"fine.ipynb", "junit.xml", "steps/fine.json"}
    assert found.digests == record.digests(folder)
    assert len(found.census) == 57
    assert found.undeclared == 0
    cases = ET.parse(folder / "junit.xml").iter("testcase")  # noqa: S314 - our own file
    assert "types_aligned" in {case.get("name") for case in cases}
    parameters = json.loads((folder / "fine.ipynb").read_text())["metadata"]["papermill"]
    assert parameters["parameters"] == {
        "environment": "staging",
        "run_folder": f"runs/staging/{found.run_id}",
    }


def test_an_unreachable_server_leaves_nothing_behind(
    small: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = with_steps(small, fine="pass")
    monkeypatch.setenv("RUNBOOK_READER_DSN", "host=/nowhere/at/all dbname=x user=y")
    with pytest.raises(IncompleteError) as caught:
        run.execute(settings, settings.environment("staging"))
    assert caught.value.message.startswith("environment 'staging': cannot connect as reader: ")
    assert not settings.runs.exists()


def test_a_second_run_in_the_same_database_leaves_nothing_behind(small: Settings) -> None:
    settings = with_steps(small, fine="pass")
    environment = settings.environment("staging")
    with lock.alone(environment), pytest.raises(IncompleteError) as caught:
        run.execute(settings, environment)
    assert caught.value.message.startswith(
        "environment 'staging': another run is going on in database 'scratch_"
    )
    assert not settings.runs.exists()


def test_an_unknown_name_leaves_nothing_behind(small: Settings, tmp_path: Path) -> None:
    text = (project.ROOT / "runbook/telecore/relationships.toml").read_text(encoding="utf-8")
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(text.replace('"imported_by"', '"importd_by"'), encoding="utf-8")
    section = small.project.model_copy(update={"relationships": wrong})
    settings = with_steps(small.model_copy(update={"project": section}), fine="pass")
    with pytest.raises(UsageError) as caught:
        run.execute(settings, settings.environment("staging"))
    assert caught.value.message == (
        f"{wrong}: public.config_versions(importd_by): no column 'importd_by' in"
        " 'public.config_versions', the nearest is 'imported_by'"
    )
    assert not settings.runs.exists()


@pytest.mark.slow
def test_a_run_that_is_interrupted_keeps_what_was_finished(
    small: Settings,
) -> None:
    settings = with_steps(
        small,
        fine='step.check("types_aligned")',
        long="step.context.session.execute('SELECT pg_sleep(50)')",
        later="pass",
        last="pass",
        never="pass",
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "runbook", "run", "staging"],
        cwd=settings.folder,
        env=os.environ | {"PYTHONPATH": str(project.ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    steps = settings.runs / "staging"
    end = time.monotonic() + 40
    while not list(steps.glob("*/steps/fine.json")):
        assert time.monotonic() < end
        time.sleep(0.1)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 3, err
    folder = run_folders.newest(settings.runs, "staging")
    assert folder is not None
    assert f"error: interrupted; the record in {folder} says what was finished\n" in err
    assert "hint: do the rest: runbook run staging --resume\n" in err
    found = record.read(folder)
    states = {step.name: (step.status, step.failure) for step in found.steps}
    assert states["fine"] == ("succeeded", "")
    assert states["long"] == ("failed", "interrupted")
    assert all(verdict.state is State.UNKNOWN for verdict in found.verdicts)


def test_two_runs_in_the_same_second_do_not_meet(small: Settings) -> None:
    first = run._new_folder(small.runs, now())
    second = run._new_folder(small.runs, now())
    assert first != second
    assert first < second


def test_errors_carry_exit_codes() -> None:
    assert (RunbookError.exit_code, UsageError.exit_code, IncompleteError.exit_code) == (3, 2, 3)


def test_one_role_replaced_is_no_run_of_two_databases(
    small: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUNBOOK_OWNER_DSN")
    settings = with_steps(small, fine='step.check("config_lifecycle")')
    found = run.execute(settings, settings.environment("staging"))
    (lifecycle,) = (check for check in found.checks if check.check == "config_lifecycle")
    assert (lifecycle.status.value, lifecycle.message) == (
        "not looked",
        "the reader comes from dsn and the owner from embedded",
    )


@pytest.mark.parametrize(
    ("update", "message"),
    [
        ({"core": "cor"}, "project.core: no relationship has the group 'cor'"),
        ({"history": Path("nowhere.toml")}, "'nowhere.toml': no such file"),
        ({"notebooks": Path("none")}, "'none/fine.ipynb': no such file"),
    ],
)
def test_a_wrong_name_is_told_before_anything_runs(
    small: Settings, update: dict[str, object], message: str
) -> None:
    settings = with_steps(small, fine="pass")
    section = settings.project.model_copy(update=update)
    settings = settings.model_copy(update={"project": section})
    with pytest.raises(UsageError) as caught:
        run.execute(settings, settings.environment("staging"))
    assert caught.value.message == f"{settings.folder}/runbook.toml: {message}"
    assert not settings.runs.exists()
