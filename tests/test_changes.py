"""Plans, rehearsals and logs: where they are kept, what a run takes along, and their page."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nbformat
import pytest

from runbook import changes, record, rehearsal_notebook
from runbook.changes import Kind
from runbook.environment import Connection, Environment
from runbook.errors import IncompleteError
from runbook.facts import Facts
from runbook.findings import KeyState
from runbook.impact.outcome import ImpactFound, MissingIndex, Series
from runbook.migration.log import ApplyLog, Attempt, StepLog, StepOutcome
from runbook.migration.plan import LeftOut, Plan, PlannedKey, PlanStep, StepKind, TableLock
from runbook.monitoring.log import Standing, Status
from runbook.rehearsal.outcome import CopyUsed, Rehearsal, RehearsedStep
from runbook.schema import Action
from runbook.settings import Project, Settings
from runbook.site import changes_page, recommendation
from tests.test_recommendation import run
from tests.test_record import RUN

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
WHOLE = RUN.model_copy(update={"steps": RUN.steps[:1]})
SHOP = Environment(name="shop", title="Shop", reader=Connection(variable="NOBODY"), gate="g")
COPY = CopyUsed(where="a private server", server_version=180000, source_bytes=1, seconds=1)
PAYLOAD = "<script>pwn()</script>{{ 7*7 }}\u202e"


def settings(folder: Path) -> Settings:
    return Settings(
        folder=folder,
        project=Project(title="Shop", relationships=Path("relationships.toml")),
        environments={"shop": SHOP},
        gate=({"name": "g", "title": "G"},),
    )


def plan(keys: int = 2, name: str = "orders") -> Plan:
    ids = [f"public.{name}(c{n}) -> public.users(id)" for n in range(keys)]
    lock = TableLock(table=f"public.{name}", mode="SHARE ROW EXCLUSIVE")
    steps = [
        PlanStep(
            id=f"{n}-{kind}",
            kind=kind,
            relationship=item,
            title=f"{kind} {name}",
            locks=(lock,) if kind is StepKind.ADD else (),
            waits_for="writers",
            seconds=1.5 if kind is StepKind.VALIDATE else None,
            statements=("SELECT",),
            orphans=3 if kind is StepKind.REMEDIATE else None,
        )
        for n, item in enumerate(ids)
        for kind in (StepKind.ADD, StepKind.REMEDIATE, StepKind.VALIDATE)
    ]
    known = [
        PlannedKey(
            relationship=item,
            child=f'public."{name}"',
            columns=(f"c{n}",),
            parent="public.users",
            references=("id",),
            on_delete=Action.CASCADE,
        )
        for n, item in enumerate(ids)
    ]
    left = LeftOut(relationship="a(b) -> c(d)", state="impossible", reason="no unique key")
    return Plan(
        environment="shop",
        planned=NOW,
        tool_version="1",
        database="shop",
        system_identifier="7",
        server_version=180000,
        fingerprint="f",
        steps=tuple(steps),
        left_out=(left,),
        keys=tuple(known),
    )


def rehearsal(of: Plan, passed: bool = True) -> Rehearsal:
    step = RehearsedStep(
        id="0-add", kind=StepKind.ADD, relationship=of.relationships[0], began=0.5, seconds=0.2,
        outcome=StepOutcome.DONE, stall_seconds=0.15, stall_operation="update",
    )  # fmt: skip
    return Rehearsal(
        plan_id="20261123T090000Z",
        plan_digest=of.digest,
        finished=NOW,
        passed=passed,
        longest_stall_seconds=0.15,
        steps=(step,),
        environment="shop",
        copy_used=COPY,
    )  # fmt: skip


def impact(cost: float) -> ImpactFound:
    series = [
        Series(operation="insert", writers=1, temperature="warm", keys=keys, count=9,
               p50_ms=1 + keys * cost, p95_ms=2, p99_ms=3)
        for keys in (False, True)
    ]  # fmt: skip
    return ImpactFound(
        environment="shop", started=NOW, finished=NOW, tool_version="1",
        copy_used=COPY,
        table="orders", keys=("k",), rows=9, quarantined=0, seconds_each=1, cold="a new database",
        series=tuple(series), triggers=(), missing_index=MissingIndex(reason="no parent"),
        accepted_ms=10, rollback_ms=20,
    )  # fmt: skip


def keep(folder: Path, kind: Kind, document: object, begun: datetime = NOW) -> Path:
    place = changes.new(settings(folder), "shop", kind, begun)
    path = changes.write(place, kind, document)  # type: ignore[arg-type]
    os.utime(path, (begun.timestamp(),) * 2)
    return place


def log(outcome: StepOutcome = StepOutcome.DONE) -> ApplyLog:
    attempt = Attempt(at=0, seconds=0.2, sqlstate="55P03", reason="a lock", blockers=("pid 7",))
    step = StepLog(
        id="0-add", kind=StepKind.ADD, relationship="r", outcome=outcome, attempts=(attempt,),
        message="a writer held it",
    )  # fmt: skip
    return ApplyLog(
        environment="shop", plan_digest="d", plan_id="20261123T090000Z", database="shop",
        tool_version="1", started=NOW, finished=NOW, unrehearsed="an emergency", steps=(step,),
    )  # fmt: skip


def page(folder: Path) -> str:
    return changes_page.documents(settings(folder), SHOP)["changes.md"]


def test_the_newest_of_a_second_has_the_highest_number(tmp_path: Path) -> None:
    folders = [keep(tmp_path, Kind.APPLY, log()) for _ in range(12)]
    assert [folder.name for folder in folders][-1] == "20261123T090000Z-12"
    assert list(changes.every(settings(tmp_path), "shop", Kind.APPLY)) == folders[::-1]


def test_a_document_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    place = keep(tmp_path, Kind.PLAN, plan())
    (place / "plan.json").write_text("{", encoding="utf-8")
    with pytest.raises(IncompleteError) as caught:
        page(tmp_path)
    assert str(caught.value).startswith(f"{place}/plan.json: cannot be read: 1 validation error")
    assert str(caught.value).endswith("\nhint: make it again")


def test_a_run_takes_along_what_was_changed_since_the_run_before(tmp_path: Path) -> None:
    old, new = NOW - timedelta(hours=2), NOW - timedelta(minutes=1)
    for begun in (old, new, NOW + timedelta(hours=1)):
        keep(tmp_path, Kind.APPLY, log(), begun)
    keep(tmp_path, Kind.PLAN, plan(), new)  # which changed nothing
    runs = tmp_path / "runs" / "shop"
    first, second = runs / "20261123T070000Z", runs / "20261123T090000Z"
    for made in (first, second):
        made.mkdir(parents=True)
    found = changes.taken_along(settings(tmp_path), "shop", first)
    assert found == ("changes/apply-20261123T070000Z.json",)
    record.write(first, WHOLE)
    found = changes.taken_along(settings(tmp_path), "shop", second)
    assert found == ("changes/apply-20261123T085900Z.json",)
    copied = json.loads((second / found[0]).read_text(encoding="utf-8"))
    assert copied["unrehearsed"] == "an emergency"
    assert record.digests(second).keys() == set(found)


def test_a_log_that_went_on_is_taken_along_again(tmp_path: Path) -> None:
    place = keep(tmp_path, Kind.REMEDIATION, log(), NOW - timedelta(days=9))
    runs = tmp_path / "runs" / "shop"
    before, interrupted, now = (runs / f"20261123T0{hour}0000Z" for hour in (6, 7, 9))
    for made in (before, interrupted, now):
        made.mkdir(parents=True)
    record.write(before, WHOLE)
    record.write(interrupted, RUN)  # one of its steps was not run
    assert changes.taken_along(settings(tmp_path), "shop", now) == ()
    undone = NOW - timedelta(minutes=150)  # before the run that was interrupted
    os.utime(place / "remediation.json", (undone.timestamp(),) * 2)
    found = changes.taken_along(settings(tmp_path), "shop", now)
    assert found == ("changes/remediation-20261114T090000Z.json",)


def test_without_documents_the_page_says_how_to_make_them(tmp_path: Path) -> None:
    text = page(tmp_path)
    for command in (
        "runbook migrate plan shop", "runbook migrate rehearse shop", "runbook migrate apply shop",
        "runbook remediate shop RELATIONSHIP", "runbook monitor status shop --keep",
        "runbook impact shop",
    ):  # fmt: skip
        assert f"<code>{command}</code> makes one" in text


def test_the_page_quotes_the_newest_documents(tmp_path: Path) -> None:
    place = keep(tmp_path, Kind.PLAN, plan())
    (place / "plan.sql").write_text("SELECT 1;\n", encoding="utf-8")
    keep(tmp_path, Kind.REHEARSAL, rehearsal(plan()))
    keep(tmp_path, Kind.APPLY, log())
    keep(tmp_path, Kind.IMPACT, impact(0.5))
    status = Status(
        environment="shop", database="shop", schema_name="runbook_monitor",
        standing=Standing.MISSING, reasons=("there is no such schema",), log=None,
    )  # fmt: skip
    keep(tmp_path, Kind.MONITOR, status)
    found = changes_page.documents(settings(tmp_path), SHOP)
    assert found["plan.sql"] == "SELECT 1;\n"
    for said in (
        "2 keys in 6 steps, planned", "its scans and builds take about 3.0 s",
        '<a href="../plan.sql" download>SQL</a>', "remediate 3 orphan rows", "no unique key",
        "the longest stall of a writer was 150 ms", "without a rehearsal: an emergency",
        "a writer held it", "there is no such schema", "at most &#43;0.500 ms a write".replace(
            "&#43;", "+"),
    ):  # fmt: skip
        assert said in found["changes.md"], said
    assert "another plan" not in found["changes.md"]


def test_a_rehearsal_of_another_plan_is_stale(tmp_path: Path) -> None:
    keep(tmp_path, Kind.PLAN, plan(3))
    keep(tmp_path, Kind.REHEARSAL, rehearsal(plan()))
    assert "It is of another plan than the newest one." in page(tmp_path)


def test_a_large_plan_is_a_light_page_and_inert(tmp_path: Path) -> None:
    hostile = plan(1_000, PAYLOAD.replace("\u202e", "x"))
    keep(tmp_path, Kind.PLAN, hostile)
    keep(tmp_path, Kind.REHEARSAL, rehearsal(hostile))
    text = page(tmp_path)
    assert len(text.encode()) < 45_000
    assert "And 940 more in plan.json." in text
    assert "<script>pwn" not in text
    assert "{{" not in text


@pytest.mark.parametrize(
    ("cost", "passed", "said"),
    [
        (0.5, True, "Option A: add the missing keys."),
        (0.5, False, "Option A, and not yet: its rehearsal did not pass."),
        (30.0, True, "Option B: the keys cost a write more than the limit to roll back at."),
    ],
)
def test_the_recommendation_heeds_what_was_measured(
    tmp_path: Path, cost: float, passed: bool, said: str
) -> None:
    keep(tmp_path, Kind.PLAN, plan())
    keep(tmp_path, Kind.REHEARSAL, rehearsal(plan(), passed))
    keep(tmp_path, Kind.IMPACT, impact(cost))
    found = run(KeyState.MISSING).model_copy(update={"environment": "shop"})
    html = recommendation.recommend(settings(tmp_path), Facts({}, {}), found)
    assert html.startswith(f"<p><strong>{said}</strong></p>")
    for line in (
        "effort: 6 statements in the plan of 2026-11-23, its scans and builds about 3 s",
        "a writer stood still for 150 ms at most when it was rehearsed on 2026-11-23, allowed",
        f"writes: the keys cost one +{cost:.2f} ms at most, measured on a copy on 2026-11-23",
    ):
        assert line.replace("+", "&#43;") in html.replace("+", "&#43;"), line


def test_the_recommendation_says_that_another_plan_was_rehearsed(tmp_path: Path) -> None:
    keep(tmp_path, Kind.PLAN, plan(3))
    keep(tmp_path, Kind.REHEARSAL, rehearsal(plan()))
    found = run(KeyState.MISSING).model_copy(update={"environment": "shop"})
    html = recommendation.recommend(settings(tmp_path), Facts({}, {}), found)
    assert (
        "when it was rehearsed on 2026-11-23, with another plan than the newest one, allowed"
        " are 1,000 ms"
    ) in html


@pytest.mark.slow
def test_a_rehearsal_is_a_notebook_too(tmp_path: Path) -> None:
    place = keep(tmp_path, Kind.REHEARSAL, rehearsal(plan()))
    written = rehearsal_notebook.write(place)
    found = nbformat.read(written, as_version=4)
    shown = "".join(
        output["data"]["text/html"]
        for cell in found.cells if cell.cell_type == "code"
        for output in cell.outputs if "data" in output
    )  # fmt: skip
    assert "the longest stall of a writer was 150 ms" in shown
    assert str(tmp_path) not in written.read_text(encoding="utf-8")
