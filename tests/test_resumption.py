"""What a resumed run takes over of an earlier one, and why it takes no more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from runbook import __version__, record, resumption
from runbook.environment import Environment
from runbook.errors import IncompleteError, UsageError
from runbook.findings import Audit, AuditState, CheckResult, Status
from runbook.preflight import Seen
from runbook.record import Server, Step, StepResult, Unfinished
from runbook.relationships import Relationship
from runbook.resumption import Earlier, Present, Taken
from runbook.schema import TableName
from runbook.server import ServerFacts
from runbook.settings import Settings
from runbook.settings import read as read_settings
from tests import shop

RUN = "20260102T030405Z"
THEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NOW = THEN + timedelta(hours=3)
FINGERPRINT = "f" * 16
SERVER = Server(
    version="18.6", version_number=180006, system_identifier="7", database="shop",
    role="reader", source="variable",
)  # fmt: skip
STATUS = {"census": "succeeded", "orders": "succeeded", "verdict": "not run"}
"""The steps of the earlier run; it ended before its verdict."""


@dataclass
class Runs:
    """A project with one run that did not come to its end."""

    settings: Settings
    folder: Path

    @property
    def environment(self) -> Environment:
        return self.settings.environments["shop"]

    def noted(self) -> Unfinished:
        steps = tuple(
            Step(
                name=entry.name,
                title=entry.title,
                notebook=entry.notebook,
                status="succeeded" if STATUS[entry.name] == "succeeded" else "not run",
                started=THEN,
                finished=THEN,
                source=record.digest(
                    self.settings.path(Path("notebooks") / entry.notebook).read_bytes()
                ),
            )
            for entry in self.settings.step
        )
        return Unfinished(
            run_id=RUN,
            environment="shop",
            started=THEN,
            tool_version=__version__,
            declarations=resumption.declarations(self.settings),
            planned=tuple(STATUS),
            steps=steps,
            digests=record.digests(self.folder),
        )

    def result(self, step: str, **values: Any) -> None:
        """What a step found."""
        common = {"server": SERVER, "fingerprint": FINGERPRINT} | values
        record.write_step(self.folder, StepResult(step=step, **common))

    def note(self, **values: Any) -> None:
        record.note(self.folder, self.noted().model_copy(update=values))

    def note_step(self, name: str, **values: Any) -> None:
        steps = self.noted().steps
        self.note(steps=tuple(s.model_copy(update=values) if s.name == name else s for s in steps))

    def present(self, tmp_path: Path, **values: Any) -> Present:
        folder = tmp_path / "new"
        folder.mkdir()
        seen = Seen(facts(**values), FINGERPRINT)
        return Present(self.settings, self.environment, seen, NOW, folder)


def facts(**values: Any) -> ServerFacts:
    """What the server says of itself now."""
    common = {
        name: getattr(SERVER, name)
        for name in ("version", "version_number", "system_identifier", "database", "role")
    }
    fields = dict.fromkeys(ServerFacts.__dataclass_fields__, False)
    return ServerFacts(**(fields | common | values))


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    project = tmp_path / "shop"
    shop.make(project)
    folder = project / "runs" / "shop" / RUN
    folder.mkdir(parents=True)
    found = Runs(read_settings(project), folder)
    for name in ("census", "orders"):
        found.result(name)
        (folder / f"{name}.ipynb").write_text(f"executed {name}", encoding="utf-8")
    found.note()
    return found


def taken(runs: Runs, present: Present) -> Taken:
    return resumption.take_over(resumption.find(runs.settings, runs.environment), present)


def test_finished_steps_are_taken_over_with_their_files(runs: Runs, tmp_path: Path) -> None:
    present = runs.present(tmp_path)
    found = taken(runs, present)
    assert [(step.name, step.taken_from) for step in found.steps] == [
        ("census", RUN),
        ("orders", RUN),
    ]
    assert found.why_again == {"verdict": "it had not come to its end"}
    assert found.digests == record.digests(present.folder)
    assert found.digests == runs.noted().digests


def test_a_step_keeps_the_run_that_executed_it(runs: Runs, tmp_path: Path) -> None:
    runs.note_step("census", taken_from="20260101T000000Z")
    found = taken(runs, runs.present(tmp_path))
    assert [step.taken_from for step in found.steps] == ["20260101T000000Z", RUN]
    assert resumption.remarks(found.steps) == (
        "taken over from run 20260101T000000Z, looked at from 2026-01-02 03:04 UTC on: census",
        f"taken over from run {RUN}, looked at from 2026-01-02 03:04 UTC on: orders",
    )


def blind_check(runs: Runs) -> None:
    check = CheckResult("types_aligned", "types", "C2", Status.COULD_NOT_LOOK, "lost (57P01)")
    runs.result("orders", checks=(check,))
    runs.note()


def blind_audit(runs: Runs) -> None:
    child, parent = TableName("public", "orders"), TableName("public", "customers")
    lost = Audit(Relationship(child, ("customer_id",), parent, ("id",)), AuditState.COULD_NOT_LOOK)
    runs.result("orders", audits=(lost,))
    runs.note()


def changed_notebook(runs: Runs) -> None:
    with (runs.settings.folder / "notebooks" / "orders.ipynb").open("a") as file:
        file.write("\n")


def changed_file(runs: Runs) -> None:
    (runs.folder / "orders.ipynb").write_text("something else", encoding="utf-8")


def missing_result(runs: Runs) -> None:
    (runs.folder / "steps" / "orders.json").unlink()


def nameless_server(runs: Runs) -> None:
    runs.result("orders", server=SERVER.model_copy(update={"system_identifier": ""}))
    runs.note()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda runs: runs.note_step("orders", status="failed", failure="its kernel died"),
            "it had failed: its kernel died",
        ),
        (blind_check, "it could not look: types_aligned"),
        (blind_audit, "it could not look: orders.customer_id"),
        (changed_notebook, "its notebook has changed since"),
        (changed_file, "orders.ipynb is not what was recorded"),
        (missing_result, "steps/orders.json is not what was recorded"),
        (nameless_server, "nothing says whether it looked at the same server"),
        (
            lambda runs: runs.note_step("orders", finished=NOW - timedelta(days=1, seconds=1)),
            "it is older than fresh_for, 1 day, 0:00:00",
        ),
        (
            lambda runs: runs.note_step("orders", finished=NOW + timedelta(seconds=1)),
            "it ended at no time before this run",
        ),
    ],
)
def test_a_step_that_does_not_count_is_run_again(
    runs: Runs, tmp_path: Path, change: Callable[[Runs], None], reason: str
) -> None:
    change(runs)
    present = runs.present(tmp_path)
    found = taken(runs, present)
    assert [step.name for step in found.steps] == ["census"]
    assert found.why_again["orders"] == reason
    assert set(record.digests(present.folder)) == {"census.ipynb", "steps/census.json"}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"system_identifier": "8"}, "it looked at another database, 'shop' of server 7"),
        ({"database": "till"}, "it looked at another database, 'shop' of server 7"),
        ({"role": "auditor"}, "it looked as another role, 'reader'"),
        ({"system_identifier": ""}, "nothing says whether it looked at the same server"),
    ],
)
def test_nothing_is_taken_over_from_another_database(
    runs: Runs, tmp_path: Path, values: dict[str, str], reason: str
) -> None:
    found = taken(runs, runs.present(tmp_path, **values))
    assert found.steps == ()
    assert (found.why_again["census"], found.why_again["orders"]) == (reason, reason)


def test_nothing_is_taken_over_from_another_schema(runs: Runs, tmp_path: Path) -> None:
    present = runs.present(tmp_path)
    found = taken(runs, replace(present, seen=replace(present.seen, fingerprint="e" * 16)))
    assert found.why_again["census"] == "the schema has changed since"
    assert found.steps == ()


def test_nothing_is_taken_over_from_other_declarations(runs: Runs, tmp_path: Path) -> None:
    path = runs.settings.folder / "relationships.toml"
    path.write_text(path.read_text("utf-8").replace("critical", "high"), encoding="utf-8")
    found = taken(runs, runs.present(tmp_path))
    assert found.why_again["census"] == (
        "runbook.toml, the relationships or the project's checks have changed since"
    )


def test_nothing_is_taken_over_from_another_version(runs: Runs, tmp_path: Path) -> None:
    runs.note(tool_version="0.0.1")
    found = taken(runs, runs.present(tmp_path))
    assert found.why_again["census"] == f"it is of fk-runbook 0.0.1, this is {__version__}"


def test_what_runs_alone_is_run_again_after_what_is(runs: Runs, tmp_path: Path) -> None:
    alone = [entry.model_copy(update={"alone": True}) for entry in runs.settings.step]
    runs.settings = runs.settings.model_copy(update={"step": tuple(alone)})
    runs.note_step("census", status="failed", failure="why")
    found = taken(runs, runs.present(tmp_path))
    assert found.why_again["orders"] == "a step before it is run again"


def test_the_verdict_is_always_judged_again(runs: Runs, tmp_path: Path) -> None:
    runs.result("verdict")
    (runs.folder / "verdict.ipynb").write_text("executed", encoding="utf-8")
    runs.note_step("verdict", status="succeeded")
    blind_check(runs)
    runs.note_step("verdict", status="succeeded")
    found = taken(runs, runs.present(tmp_path))
    assert found.why_again["verdict"] == "the last step judges all others"


def test_no_run_to_resume(runs: Runs) -> None:
    (runs.folder / record.UNFINISHED).unlink()
    with pytest.raises(UsageError) as caught:
        resumption.find(runs.settings, runs.environment)
    assert caught.value.message == "environment 'shop' has no run to resume"
    assert caught.value.hint == "start one: runbook run shop"


def test_only_the_newest_run_is_resumed(runs: Runs) -> None:
    newer = runs.folder.with_name("20260102T030406Z")
    newer.mkdir()
    record.note(newer, runs.noted().model_copy(update={"steps": ()}))
    assert resumption.find(runs.settings, runs.environment).run_id == newer.name


def test_a_corrupt_remainder_is_told(runs: Runs) -> None:
    path = runs.folder / record.UNFINISHED
    path.write_text("{", encoding="utf-8")
    with pytest.raises(IncompleteError) as caught:
        resumption.find(runs.settings, runs.environment)
    assert caught.value.message.startswith(f"{path}: not a run record: ")
    assert caught.value.hint == "remove the folder and run the runbook again"


def test_an_earlier_run_is_left_as_it_was(runs: Runs, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in runs.folder.rglob("*") if path.is_file()}
    taken(runs, runs.present(tmp_path))
    assert {p: p.read_bytes() for p in runs.folder.rglob("*") if p.is_file()} == before


def test_a_file_that_changes_meanwhile_is_not_taken(runs: Runs, tmp_path: Path) -> None:
    earlier: Earlier = resumption.find(runs.settings, runs.environment)
    changed_file(runs)
    with pytest.raises(IncompleteError) as caught:
        resumption._copy(earlier, earlier.steps["orders"], tmp_path)
    path = runs.folder / "orders.ipynb"
    assert caught.value.message == f"{path}: it has just been changed"
    assert caught.value.hint == "leave the folder alone and resume again"
