"""Where every environment stands, from its run records."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from runbook import record, status
from runbook.record import RunRecord
from runbook.settings import Settings
from runbook.settings import read as read_settings
from runbook.status import Count, Standing
from runbook.verdict import State
from tests import project
from tests.commands import Runbook
from tests.test_record import MOMENT, RUN

LATER = MOMENT + timedelta(hours=5)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """This repository's settings, with the runs in a folder of their own."""
    found = read_settings(project.ROOT)
    section = found.project.model_copy(update={"runs": tmp_path / "runs"})
    return found.model_copy(update={"project": section})


def keep(settings: Settings, environment: str, state: State, ended: datetime) -> RunRecord:
    """Write a whole run of ``environment`` whose gate said ``state``."""
    gate = settings.environment(environment).gate
    verdict = RUN.verdicts[0].__class__(gate, state, ("C1 failed: 3 keys are missing",), ())
    run = RUN.model_copy(
        update={
            "run_id": ended.strftime("%Y%m%dT%H%M%SZ"),
            "environment": environment,
            "steps": RUN.steps[:2],
            "finished": ended,
            "verdicts": (verdict,),
        }
    )
    folder = settings.runs / environment / run.run_id
    folder.mkdir(parents=True)
    record.write(folder, run)
    return run


def standing(settings: Settings, name: str = "staging", now: datetime = LATER) -> Standing:
    return status.of(settings, settings.environment(name), now)


def test_a_fresh_run_says_what_its_gate_said(settings: Settings) -> None:
    keep(settings, "staging", State.NO_GO, MOMENT)
    assert standing(settings) == Standing(
        environment="staging",
        gate="testing",
        state=State.NO_GO,
        verdict=State.NO_GO,
        reason="C1 failed: 3 keys are missing",
        run="20260102T030405Z",
        finished=MOMENT,
        age_seconds=5 * 3600,
        fresh_for_seconds=7 * 86400,
        steps=Count(done=1, total=2),
        steps_failed=("two",),
        checks_passed=Count(done=0, total=1),
        relationships_looked_at=Count(done=1, total=2),
        database="shop",
        source="dsn",
    )
    assert standing(settings).fresh


def test_no_run_is_unknown_and_not_clean(settings: Settings) -> None:
    found = standing(settings)
    assert (found.state, found.reason, found.run) == (State.UNKNOWN, "no run yet", "")
    assert not found.fresh
    assert status.exit_code([found]) == 3


@pytest.mark.parametrize("said", [State.GO, State.NO_GO])
def test_an_old_run_is_stale_whatever_it_said(settings: Settings, said: State) -> None:
    keep(settings, "staging", said, MOMENT)
    limit = MOMENT + timedelta(days=7)
    assert standing(settings, now=limit).state is said
    found = standing(settings, now=limit + timedelta(seconds=1))
    assert (found.state, found.verdict) == (State.STALE, said)
    assert found.reason == f"older than 7 d, said {said}"
    assert not found.fresh


def test_a_run_of_the_future_is_unknown(settings: Settings) -> None:
    keep(settings, "staging", State.GO, LATER)
    found = standing(settings, now=MOMENT)
    assert found.state is State.UNKNOWN
    assert found.reason == "the run ended in the future: check the clocks"


def test_a_run_that_the_gate_never_judged_is_unknown(settings: Settings) -> None:
    run = keep(settings, "staging", State.GO, MOMENT)
    folder = settings.runs / "staging" / run.run_id
    record.write(folder, run.model_copy(update={"verdicts": RUN.verdicts}))
    found = standing(settings)
    assert found.state is State.UNKNOWN
    assert found.reason == "the run was judged by production, not by testing"


def test_a_corrupt_record_is_unknown_and_says_why(settings: Settings) -> None:
    run = keep(settings, "staging", State.GO, MOMENT)
    path = settings.runs / "staging" / run.run_id / "run.json"
    path.write_text("{", encoding="utf-8")
    found = standing(settings)
    assert (found.state, found.run) == (State.UNKNOWN, run.run_id)
    assert found.reason.startswith(f"{path}: not a run record: ")


def test_later_runs_that_are_not_whole_are_named(settings: Settings) -> None:
    keep(settings, "staging", State.GO, MOMENT)
    interrupted = settings.runs / "staging" / "20260102T040000Z"
    for name in ("20260102T040000Z", "20260102T050000Z-01", "20250101T000000Z", "by-hand"):
        (settings.runs / "staging" / name).mkdir()
    record.write(interrupted, RUN)  # its third step was not run
    found = standing(settings)
    assert (found.state, found.run) == (State.GO, "20260102T030405Z")
    assert found.later == (
        "20260102T040000Z was interrupted",
        "20260102T050000Z-01 has no record (yet)",
    )


@pytest.mark.parametrize(
    ("states", "code"),
    [
        ([State.GO, State.GO], 0),
        ([State.GO, State.HOLD], 1),
        ([State.GO, State.STALE], 3),
        ([State.UNKNOWN, State.GO], 3),
        ([State.UNKNOWN, State.NO_GO, State.STALE], 1),
        ([], 3),
    ],
)
def test_a_known_failure_outweighs_what_is_unknown(states: list[State], code: int) -> None:
    standings = [
        Standing(environment="e", gate="g", state=state, fresh_for_seconds=1) for state in states
    ]
    assert status.exit_code(standings) == code


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (172_799, "47 h"),
        (604_800, "7 d"),
    ],
)
def test_spans_are_spoken(seconds: int, text: str) -> None:
    assert status.spoken(timedelta(seconds=seconds)) == text


# --- the command ---------------------------------------------------------------------------------


def test_the_command_shows_every_environment(runbook: Runbook, folder: Path) -> None:
    settings = read_settings(folder)
    ended = datetime.now(MOMENT.tzinfo) - timedelta(hours=3)
    run = keep(settings, "staging", State.HOLD, ended)
    keep(settings, "development", State.GO, MOMENT - timedelta(days=400))
    found = runbook("status")
    assert found.returncode == 1, found.stderr
    lines = [line.split("  ") for line in found.stdout.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert cells[0] == [
        "environment", "gate", "verdict", "last run", "age", "steps", "relationships", "database",
    ]  # fmt: skip
    assert cells[1] == [
        "staging", "testing", "HOLD", run.run_id, "3 h, fresh", "1 of 2", "1 of 2 looked at",
        "shop (dsn)",
    ]  # fmt: skip
    assert cells[2] == ["production", "production", "UNKNOWN", "none"]
    assert cells[3][:3] == ["development", "production", "STALE"]
    assert cells[3][4].endswith(" d, stale")
    assert found.stdout.splitlines()[4:] == [
        "staging: C1 failed: 3 keys are missing",
        "staging: did not succeed: two",
        "production: no run yet",
        "production: run it: runbook run production",
        "development: older than 7 d, said GO",
        "development: did not succeed: two",
    ]


def test_the_command_prints_json_of_what_is_asked_for(
    runbook: Runbook,
    folder: Path,
) -> None:
    keep(read_settings(folder), "staging", State.GO, datetime.now(MOMENT.tzinfo))
    found = runbook("status", "staging", "--json")
    assert found.returncode == 0, found.stderr
    (entry,) = json.loads(found.stdout)
    assert Standing.model_validate(entry).state is State.GO
    assert runbook("status", "staging", "production").returncode == 3
    assert runbook("status", "nowhere").returncode == 2
