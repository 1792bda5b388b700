"""A fleet's ledger, what its results come to, its page, and what the tasks carry."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from distributed.protocol import pickle

from runbook.audit.outcome import Outcome
from runbook.commands import fleet as command
from runbook.errors import IncompleteError, UsageError
from runbook.findings import Audit, AuditState
from runbook.fleet import cluster, inventory, ledger, result, run, summary, work
from runbook.fleet.inventory import Database
from runbook.fleet.job import Standing
from runbook.fleet.ledger import FleetRecord, Ledger
from runbook.fleet.result import Result, State
from runbook.relationships import Relationship
from runbook.schema import TableName
from runbook.settings import Settings
from runbook.site import fleet as page
from tests import fleet
from tests.bench import fleet as bench

AT = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
PAYLOAD = "{{ 7 * 7 }}<script>pwn()</script>|`x`"


def one(name: str, state: State = State.CLEAN, rows: int = 0, structure: str = "s1") -> Result:
    return Result(
        database=name,
        state=state,
        relationships=2,
        looked=2 if state in run.LOOKED else 0,
        orphan_rows=rows,
        structure=structure,
        fingerprint=f"{structure}-keys" if structure else "",
        started=AT,
        finished=AT,
        seconds=0.5,
    )


def record(results: Sequence[Result], names: Sequence[str] = (), **more: object) -> FleetRecord:
    known = names or [each.database for each in results]
    values = {
        "run_id": "20261123T050000Z",
        "tool_version": "1",
        "environment": "production",
        "started": AT,
        "finished": AT,
        "databases": tuple(Database(name=name, server="one", dbname=name) for name in known),
        "results": tuple(results),
    }
    return FleetRecord.model_validate(values | more)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return fleet.project(tmp_path, "host=nowhere").settings


# --- the ledger --------------------------------------------------------------------------------


def test_a_line_is_on_disk_when_it_was_kept_and_the_later_one_counts(tmp_path: Path) -> None:
    book = Ledger(tmp_path)
    book.append(one("a", State.COULD_NOT_LOOK))
    assert list(ledger.read_lines(tmp_path / ledger.LINES)) == ["a"]
    book.append(one("b"))
    book.append(one("a"))
    book.close()
    found = ledger.read_lines(tmp_path / ledger.LINES)
    assert found == {"a": one("a"), "b": one("b")}


def test_a_line_that_was_cut_off_is_no_result_and_the_next_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / ledger.LINES
    book = Ledger(tmp_path)
    book.append(one("a"))
    book.close()
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:-1])  # all of a line but its end
    assert ledger.read_lines(path) == {"a": one("a")}
    book = Ledger(tmp_path)
    book.append(one("b"))
    book.close()
    assert list(ledger.read_lines(path)) == ["a", "b"]


def test_a_line_that_is_no_result_is_named(tmp_path: Path) -> None:
    path = tmp_path / ledger.LINES
    path.write_text('{"format": 1}\n', encoding="utf-8")
    with pytest.raises(IncompleteError) as caught:
        ledger.read_lines(path)
    assert caught.value.message == f"{path}:1: not a result"
    assert caught.value.hint == "remove the folder and run the fleet again"


def test_a_run_that_was_killed_has_the_results_of_its_lines(tmp_path: Path) -> None:
    ledger.write(tmp_path, record([], ["a", "b"], finished=None))
    book = Ledger(tmp_path)
    book.append(one("b"))
    book.close()
    found = ledger.read(tmp_path)
    assert found.results == (one("b"),)
    assert found.missing == ("a",)
    assert found.exit_code == 3


def test_what_is_no_record_is_named(tmp_path: Path) -> None:
    path = tmp_path / ledger.FILE_NAME
    for text, message in ((None, "cannot be read: No such file or directory"), ("{}", None)):
        if text is not None:
            path.write_text(text, encoding="utf-8")
        with pytest.raises(IncompleteError) as caught:
            ledger.read(tmp_path)
        assert caught.value.message == f"{path}: {message or 'not the record of a fleet'}"


def test_a_second_result_of_a_database_is_refused(tmp_path: Path) -> None:
    keep = run._keeper(Ledger(tmp_path), {})
    keep(one("a"))
    with pytest.raises(IncompleteError, match="'a' has two results"):
        keep(one("a"))


@pytest.mark.parametrize(
    ("states", "more", "code"),
    [
        ((State.CLEAN, State.CLEAN), {}, 0),
        ((State.CLEAN, State.ORPHANS), {}, 1),
        ((State.COULD_NOT_LOOK, State.ORPHANS), {}, 1),
        ((State.CLEAN, State.NOT_LOOKED), {}, 3),
        ((State.CLEAN, State.COULD_NOT_LOOK), {}, 3),
        ((State.CLEAN,), {"interrupted": True}, 3),
        ((State.ORPHANS,), {"interrupted": True}, 3),
        ((State.CLEAN,), {"names": ["0", "1"]}, 3),
        ((), {"names": ["0"]}, 3),
    ],
)
def test_the_exit_code_is_that_of_the_whole_fleet(
    states: Sequence[State], more: dict[str, object], code: int
) -> None:
    results = [one(str(number), state) for number, state in enumerate(states)]
    names = more.pop("names", ())
    assert record(results, names, **more).exit_code == code  # type: ignore[arg-type]


# --- what a look comes to ----------------------------------------------------------------------


def outcome_of(audits: Sequence[Audit]) -> Outcome:
    return Outcome(
        environment="a",
        database="a",
        server_version="18.6",
        fingerprint="f",
        structure_fingerprint="s",
        position="0/0",
        started=AT,
        finished=AT,
        interrupted=False,
        resumed=0,
        census=(),
        audits=tuple(audits),
    )


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ((AuditState.CLEAN,), State.CLEAN),
        ((AuditState.CLEAN, AuditState.ORPHANS), State.ORPHANS),
        ((AuditState.COULD_NOT_LOOK, AuditState.ORPHANS), State.ORPHANS),
        ((AuditState.CLEAN, AuditState.COULD_NOT_LOOK), State.COULD_NOT_LOOK),
        ((AuditState.CLEAN, AuditState.NOT_LOOKED), State.NOT_LOOKED),
        ((AuditState.CLEAN, AuditState.ESTIMATED), State.NOT_LOOKED),
        ((), State.NOT_LOOKED),
    ],
)
def test_a_database_is_clean_only_where_all_of_it_was_looked_at(
    states: Sequence[AuditState], expected: State
) -> None:
    audits = [
        Audit(
            Relationship(TableName("public", f"t{n}"), ("a",), TableName("public", "p"), ("id",)),
            state,
            orphans=2 if state is AuditState.ORPHANS else None,
            exact=state in (AuditState.CLEAN, AuditState.ORPHANS),
            reason="why",
        )
        for n, state in enumerate(states)
    ]
    found = result.of_outcome("a", outcome_of(audits))
    assert found.state is expected
    open_ones = {AuditState.CLEAN, AuditState.ORPHANS}.issuperset(states)
    assert found.reason.endswith(": why") is not open_ones


# --- the summary -------------------------------------------------------------------------------


def test_worst_first_then_by_name() -> None:
    results = [
        one("b"),
        one("a"),
        one("c", State.NOT_LOOKED),
        one("d", State.COULD_NOT_LOOK, structure=""),
        one("e", State.ORPHANS, 3),
        one("f", State.ORPHANS, 30),
    ]
    told = summary.of(record(results, [*"abcdefg"]))
    assert [each.database for each in told.worst] == [*"fedcab"]
    assert told.states == {
        State.ORPHANS: 2,
        State.COULD_NOT_LOOK: 1,
        State.NOT_LOOKED: 2,  # the one without a result is among them
        State.CLEAN: 2,
    }
    assert told.orphan_rows == 33
    assert told.unread == ("d",)
    assert told.missing == ("g",)


def test_the_distribution_is_of_those_that_were_looked_at() -> None:
    rows = (0, 0, 1, 9, 10, 999, 1000, 10_000)
    results = [one(f"{n}", State.ORPHANS if n else State.CLEAN, r) for n, r in enumerate(rows)]
    told = summary.of(record([*results, one("x", State.COULD_NOT_LOOK)]))
    assert told.distribution == (
        ("none", 2),
        ("1 to 9", 2),
        ("10 to 99", 1),
        ("100 to 999", 1),
        ("1,000 to 9,999", 1),
        ("10,000 or more", 1),
    )


def test_the_schema_that_most_have_is_the_common_one() -> None:
    results = [
        one("z", structure="odd"),
        one("a"),
        one("b"),
        one("c").model_copy(update={"fingerprint": "another"}),
        one("d"),
    ]
    told = summary.of(record(results))
    assert [(each.structure, each.databases) for each in told.schemas] == [
        ("s1", ("a", "b", "c", "d")),
        ("odd", ("z",)),
    ]
    assert [each.structure for each in told.outliers] == ["odd"]
    assert told.keys_differ == ("c",)
    assert summary.of(record(results[::-1])).schemas == told.schemas


# --- the page ----------------------------------------------------------------------------------


def test_without_a_run_there_is_no_page(settings: Settings) -> None:
    assert page.pages(settings) == {}


def test_the_page_has_the_worst_and_nothing_of_it_acts(settings: Settings) -> None:
    bad = one(PAYLOAD, State.ORPHANS, 12_345).model_copy(
        update={"worst": ((PAYLOAD, 12_345),), "broken": 1, "reason": PAYLOAD}
    )
    folder = settings.runs / "fleet" / "20261123T050000Z"
    folder.mkdir(parents=True)
    ledger.write(folder, record([bad, one("fine"), one("odd", structure="s2")]))
    found = page.pages(settings)
    assert sorted(found) == ["fleet/databases.json", "fleet/index.md"]
    text = found["fleet/index.md"]
    assert "<script>" not in text
    assert "{{" not in text
    assert "12,345" in text
    assert "3 databases, 12,345 orphan rows in all" in text
    assert "<td>differs</td><td>odd</td>" in text
    assert text.count("<svg") == 1
    assert "reader" not in found["fleet/databases.json"]


def test_a_page_of_ten_thousand_databases_is_light(settings: Settings) -> None:
    results = [one(f"tenant_{n:05}", State.ORPHANS, n + 1, f"s{n}") for n in range(10_000)]
    text = page.page(settings, record(results))
    assert len(text) < 60_000
    assert "and 9,950 databases more" in text
    assert "and 9,950 schemas more" in text


def test_a_run_that_was_cut_short_says_so(settings: Settings) -> None:
    text = page.page(settings, record([one("a")], ["a", "b"], interrupted=True))
    assert "the run was interrupted: 1 database without a result" in text
    assert "no result" in text
    text = page.page(settings, record([one("a")], ["a", "b"], finished=None))
    assert "the run goes on, or was killed: 1 database without a result" in text


# --- what the tasks carry ----------------------------------------------------------------------


def test_a_task_carries_the_relationships_and_no_secret(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(fleet.VARIABLE, f"user=x password={fleet.PASSWORD}")
    monkeypatch.setenv("PGPASSWORD", fleet.PASSWORD)
    text = '[fleet]\nenvironment = "production"\n' + fleet.entry("a")
    path = settings.folder / "fleet.toml"
    path.write_text(text, encoding="utf-8")
    listed = inventory.read(path, settings)
    environment = inventory.environment_of(
        listed.database[0], settings.environment(listed.fleet.environment)
    )
    order = work.order(settings, listed.fleet, "x")
    task = pickle.dumps((work.look_at, order, "key", environment))
    assert b"customer_id" in task
    assert fleet.VARIABLE.encode() in task
    assert fleet.PASSWORD.encode() not in task
    assert fleet.OWNER_VARIABLE.encode() not in task
    assert str(settings.folder).encode() not in task
    assert work.order(settings, listed.fleet, "x").topic != order.topic
    again = pickle.loads(task)[1]
    assert again.settings.relationships() == settings.relationships()


def test_an_answer_of_another_version_or_another_database_is_none(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = settings.environments["production"]
    entry = Database(name="a", server="one", dbname="a")
    environment = inventory.environment_of(entry, template)
    order = work.order(settings, inventory.FleetSettings(environment="production"), "x")
    monkeypatch.setattr(work, "__version__", "0.0.1")
    answer = work.examine(order, environment)
    assert answer.result.state is State.COULD_NOT_LOOK
    assert answer.result.reason == f"the worker has fk-runbook 0.0.1, expected {order.version}"
    monkeypatch.setattr(work, "__version__", order.version)
    monkeypatch.setenv("RUNBOOK_READER_DSN", "dbname=b")
    answer = work.examine(order, environment)
    assert answer.result.reason == (
        "RUNBOOK_READER_DSN is set on the worker: every database would be the same"
    )


def test_workers_of_this_machine_do_not_inherit_what_can_write(settings: Settings) -> None:
    assert run.hidden(settings) == {fleet.OWNER_VARIABLE, "RUNBOOK_OWNER_DSN"}


# --- the command -------------------------------------------------------------------------------


def test_nothing_to_resume(settings: Settings) -> None:
    (settings.folder / "fleet.toml").write_text(
        '[fleet]\nenvironment = "production"\n' + fleet.entry("a"), encoding="utf-8"
    )
    listed = inventory.read(settings.folder / "fleet.toml", settings)
    with pytest.raises(UsageError) as caught:
        run.execute(settings, listed, run.Wishes(resume=True), lambda *_: None)
    assert caught.value.message == f"no run of a fleet in {settings.runs / 'fleet'}"
    assert caught.value.hint == "there is nothing to resume: leave --resume out"


def test_workers_of_a_scheduler_are_not_started_here(settings: Settings) -> None:
    (settings.folder / "fleet.toml").write_text(
        '[fleet]\nenvironment = "production"\n' + fleet.entry("a"), encoding="utf-8"
    )
    listed = inventory.read(settings.folder / "fleet.toml", settings)
    wishes = run.Wishes(scheduler="tcp://host:1", workers=2)
    with pytest.raises(UsageError) as caught:
        run.execute(settings, listed, wishes, lambda *_: None)
    assert caught.value.message == (
        "--workers 2 is for workers of this machine, and --scheduler has its own"
    )
    assert caught.value.hint == "leave one of the two out"


def test_resuming_takes_over_what_was_looked_at_and_did_not_change(settings: Settings) -> None:
    folder = settings.runs / "fleet" / "20261123T050000Z"
    folder.mkdir(parents=True)
    results = [one("a"), one("b", State.ORPHANS, 1), one("c", State.COULD_NOT_LOOK), one("d")]
    ledger.write(folder, record(results))
    text = '[fleet]\nenvironment = "production"\n'
    text += "".join(fleet.entry(name) for name in "abc") + fleet.entry("d", dbname="moved")
    path = settings.folder / "fleet.toml"
    path.write_text(text, encoding="utf-8")
    planned, place = run._taken_up(settings, inventory.read(path, settings))
    assert place == folder
    assert [each.database for each in planned.results] == ["a", "b"]


@pytest.mark.parametrize("address", ["nonsense", "http://host:1", "tcp://host", "tcp://host:x"])
def test_what_is_no_address_of_a_scheduler_is_refused(address: str) -> None:
    with pytest.raises(UsageError) as caught, cluster.remote(address, 1):
        pass
    assert caught.value.message == (
        f"--scheduler: not an address: {address!r}, expected tcp://host:port or tls://host:port"
    )
    assert caught.value.hint == "dask scheduler prints its address when it starts"


def test_how_far_it_is() -> None:
    early = Standing(200, 0, 2, 0, None)
    assert command._how_far(early) == "0 of 200, 2 running"
    late = Standing(200, 150, 2, 3, timedelta(seconds=75))
    assert command._how_far(late) == "150 of 200, 2 running, 3 not looked at, 0:01:15 left"


def test_the_simulated_fleet_is_the_same_every_time() -> None:
    seconds = bench.costs(0.1, 2.0, 1_000)
    assert seconds == bench.costs(0.1, 2.0, 1_000)
    assert (seconds.count(2.0), seconds.count(0.1)) == (100, 900)
    assert seconds[:100] != [2.0] * 100
    point = bench.Simulated(workers=10, seconds=58.0, least=29.0)
    assert point.efficiency == 0.5
    quick = bench.Simulated(workers=20, seconds=20.0, least=1.0)
    assert bench.at_best(1_000, [point, quick]) == {
        "fleet.floor_ms": 20.0,
        "fleet.most_a_second": 50,
    }


def test_help_does_not_import_dask() -> None:
    code = "import sys, runbook.cli; sys.exit('distributed' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
