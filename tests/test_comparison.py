"""What changed between two runs, on the terminal and on the page."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from runbook import comparison, record
from runbook.cli import app
from runbook.comparison import Change
from runbook.findings import Audit, AuditState, CensusRow, CheckResult, KeyState, Status
from runbook.record import RunRecord
from runbook.relationships import Relationship
from runbook.schema import TableName
from runbook.settings import Settings
from runbook.settings import read as read_settings
from runbook.site import history_page
from runbook.verdict import State
from tests import project
from tests.test_record import RUN, SERVER

ITEM = Relationship(TableName("public", "a"), ("b",), TableName("public", "c"), ("d",))
NAME = "public.a(b) -> public.c(d)"


def run(run_id: str, key: KeyState, audit: Audit | None, **values: object) -> RunRecord:
    return RUN.model_copy(
        update={
            "run_id": run_id,
            "census": (CensusRow(ITEM, key, None, "why"),),
            "audits": (audit,) if audit else (),
            "steps": RUN.steps[:1],
            "finished": datetime(2026, 11, 23, tzinfo=UTC),
        }
        | values
    )


def counted(orphans: int) -> Audit:
    return Audit(ITEM, AuditState.ORPHANS if orphans else AuditState.CLEAN, orphans, exact=True)


BEFORE = run("20261101T000000Z", KeyState.MISSING, counted(7))
AFTER = run("20261102T000000Z", KeyState.ENFORCED, counted(0))


def test_equal_runs_do_not_differ() -> None:
    later = BEFORE.model_copy(update={"run_id": "20261105T000000Z"})
    assert comparison.compare(BEFORE, later) == ()


def test_values_are_kept_until_the_record_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "runs" / "staging" / BEFORE.run_id
    folder.mkdir(parents=True)
    record.write(folder, BEFORE)
    assert comparison.kept_values(folder) == comparison.values(BEFORE)
    with monkeypatch.context() as patch:
        patch.setattr(comparison, "values", lambda _: pytest.fail("it was kept"))
        assert comparison.kept_values(folder)["orphan rows"] == {NAME: "7"}
    record.write(folder, AFTER.model_copy(update={"run_id": BEFORE.run_id}))
    assert comparison.kept_values(folder)["orphan rows"] == {NAME: "0"}


def test_keys_and_orphan_rows() -> None:
    assert comparison.compare(BEFORE, AFTER) == (
        Change("key", NAME, "missing", "enforced"),
        Change("orphan rows", NAME, "7", "0"),
    )


@pytest.mark.parametrize(
    ("audit", "said"),
    [
        (None, "not looked"),
        (Audit(ITEM, AuditState.COULD_NOT_LOOK), "could not look"),
        (Audit(ITEM, AuditState.ESTIMATED, 6000, exact=False), "about 6,000"),
    ],
)
def test_what_was_not_counted_is_never_zero(audit: Audit | None, said: str) -> None:
    after = run("x", KeyState.MISSING, audit)
    assert comparison.compare(BEFORE, after) == (Change("orphan rows", NAME, "7", said),)


def test_server_checks_and_verdicts() -> None:
    check = CheckResult("k", "keys hold", "C1", Status.FAILED, "no", failing=3)
    verdict = RUN.verdicts[0].__class__("production", State.GO, (), ())
    after = run(
        "x", KeyState.MISSING, counted(7),
        checks=(check,), verdicts=(verdict,), fingerprint="0" * 16,
        server=SERVER.model_copy(update={"version": "18.7"}),
    )  # fmt: skip
    before = BEFORE.model_copy(update={"checks": ()})
    assert comparison.compare(before, after) == (
        Change("server", "schema fingerprint", "f" * 16, "0" * 16),
        Change("server", "version", "18.6", "18.7"),
        Change("verdict", "production", "NO-GO", "GO"),
        Change("check", "keys hold", "not looked", "failed, 3 failing"),
    )


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """This project with two runs of staging and one of production, and an interrupted one."""
    (tmp_path / "runbook.toml").write_text(
        (project.ROOT / "runbook.toml")
        .read_text(encoding="utf-8")
        .replace('"runbook/telecore/', f'"{project.ROOT}/runbook/telecore/'),
        encoding="utf-8",
    )
    interrupted = run("20261101T120000Z", KeyState.MISSING, None, steps=RUN.steps)
    production = AFTER.model_copy(update={"environment": "production"})
    for each in (BEFORE, AFTER, interrupted, production):
        folder = tmp_path / "runs" / each.environment / each.run_id
        folder.mkdir(parents=True)
        record.write(folder, each)
    return read_settings(tmp_path)


def compare(settings: Settings, *arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["compare", *arguments, "--project", str(settings.folder)])
    return done.exit_code, done.stdout, str(done.exception or "")


def test_the_command_takes_the_run_before(settings: Settings) -> None:
    code, out, _ = compare(settings, "staging")
    assert code == 1
    assert out.endswith(
        "2 differences between staging 20261101T000000Z and staging 20261102T000000Z\n"
    )


def test_the_command_compares_environments(settings: Settings) -> None:
    code, out, _ = compare(settings, "staging", "production")
    assert (code, out) == (
        0,
        "0 differences between staging 20261102T000000Z and production 20261102T000000Z\n",
    )
    code, out, _ = compare(settings, "staging@20261101T000000Z", "production", "--json")
    assert code == 1
    assert json.loads(out)[0] == {
        "what": "key", "name": NAME, "before": "missing", "after": "enforced",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("staging@1",),
            (
                "no run '1' of 'staging', expected one of: 20261101T000000Z, 20261101T120000Z,"
                " 20261102T000000Z\nhint: the runs are the folders of {runs}/staging"
            ),
        ),
        (
            ("production",),
            (
                "there is no run of 'production' before 20261102T000000Z\n"
                "hint: name another environment: runbook compare production OTHER"
            ),
        ),
        (
            ("development",),
            "no run of 'development' is on record\nhint: run it: runbook run development",
        ),
    ],
)
def test_a_run_that_is_not_there(settings: Settings, arguments: tuple[str, ...], said: str) -> None:
    _, _, error = compare(settings, *arguments)
    assert error == said.format(runs=settings.runs)


def test_the_page_has_the_runs_and_the_changes(settings: Settings) -> None:
    runs = {"staging": AFTER, "production": AFTER.model_copy(update={"environment": "production"})}
    page = history_page.documents(settings, runs)["staging/history.md"]
    rows = [line for line in page.split("\n") if line.startswith("<tr><td>2026")]
    assert [line[8:24] for line in rows] == [
        "20261102T000000Z", "20261101T120000Z", "20261101T000000Z",
    ]  # fmt: skip
    assert "<td>unknown</td>" in rows[1]  # the interrupted one counted nothing
    assert "2 differences: 1 key, 1 orphan rows" in page
    assert "## Against Production\n\nNothing differs." in page
    first = history_page.documents(settings, {"staging": BEFORE})["staging/history.md"]
    assert "## Since the run before\n\nThere is none before it." in first
