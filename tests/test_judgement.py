"""Evidence that one environment takes from another, with real run records."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runbook import judgement, record
from runbook.findings import CheckResult, Status
from runbook.record import RunRecord, StepResult
from runbook.settings import Settings
from runbook.settings import read as read_settings
from runbook.verdict import Borrowed
from tests.conftest import ROOT

HERE = StepResult(step="x", fingerprint="same", structure_fingerprint="tables")
THERE = CheckResult("probe", "", "C3", Status.PASSED, "fine")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings(ROOT).model_copy(update={"folder": tmp_path})


def keep(settings: Settings, fingerprint: str, tables: str, age: timedelta) -> Path:
    """A run of staging in the folder of ``settings``."""
    finished = datetime.now(UTC) - age
    folder = settings.runs / "staging" / "20260101T000000Z"
    folder.mkdir(parents=True)
    record.write(
        folder,
        RunRecord(
            run_id=folder.name,
            environment="staging",
            gate="testing",
            started=finished,
            finished=finished,
            tool_version="0",
            server=None,
            fingerprint=fingerprint,
            structure_fingerprint=tables,
            steps=(),
            checks=(THERE,),
            census=(),
            undeclared=None,
            audits=(),
            verdicts=(),
            digests={},
        ),
    )
    return folder


def evidence(settings: Settings) -> Borrowed:
    return judgement._evidence(settings, "staging", HERE)


def test_the_same_schema_counts(settings: Settings) -> None:
    keep(settings, "same", "tables", timedelta())
    found = evidence(settings)
    assert (found.refusal, found.results) == ("", (THERE,))


def test_no_run_does_not_count(settings: Settings) -> None:
    assert evidence(settings).refusal == "it has no run"


def test_another_schema_does_not_count(settings: Settings) -> None:
    keep(settings, "other", "others", timedelta())
    assert evidence(settings).refusal == "its schema is another one"


def test_other_keys_do_not_count(settings: Settings) -> None:
    keep(settings, "other", "tables", timedelta())
    assert evidence(settings).refusal == "it has the same tables with other foreign keys"


def test_a_stale_run_does_not_count(settings: Settings) -> None:
    keep(settings, "same", "tables", timedelta(days=8))
    assert evidence(settings).refusal == "its run 20260101T000000Z is stale"


def test_a_corrupt_run_does_not_count_and_stops_nothing(settings: Settings) -> None:
    folder = keep(settings, "same", "tables", timedelta())
    (folder / "run.json").write_text("{", encoding="utf-8")
    assert evidence(settings).refusal == "its run 20260101T000000Z is corrupt"
