"""Run records: what is written comes back, and nothing else is taken for one."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runbook import record, run_folders
from runbook.errors import IncompleteError
from runbook.findings import (
    Audit,
    AuditState,
    CensusRow,
    CheckResult,
    Evidence,
    KeyState,
    Status,
)
from runbook.record import RunRecord, Server, Step, StepResult
from runbook.relationships import Alert, Priority, Relationship
from runbook.schema import Action, ForeignKey, Match, TableName
from runbook.verdict import Criterion, CriterionResult, CriterionState, State, Tier, Verdict

HINT = "remove the folder and run the runbook again"
CHILD, PARENT = TableName("public", "orders"), TableName("my.schema", 'cust"omers')
RELATIONSHIP = Relationship(
    CHILD, ("tenant", "customer"), PARENT, ("tenant", "id"), Action.SET_NULL, Priority.HIGH,
    Alert.CRITICAL, "core", "team", "why\nso",
)  # fmt: skip
KEY = ForeignKey(
    "fk", CHILD, ("tenant", "customer"), PARENT, ("tenant", "id"), Action.CASCADE,
    Action.NO_ACTION, Match.FULL, True, False, True, False, 2,
)  # fmt: skip
CHECK = CheckResult(
    check="foreign_keys",
    title="keys",
    criterion="C1",
    status=Status.FAILED,
    message="<script>alert(1)</script> \u202e \0 🦆",
    failing=3,
    facts={"text": "3", "int": 3, "float": 3.0, "yes": True, "none": None, "big": 2**60},
    evidence=(Evidence.of(("a", "b"), [("1", 1), (1.5, None), (True, "")], "caption"),),
    seconds=0.25,
)
MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SERVER = Server(
    version="18.6",
    version_number=180006,
    system_identifier="7",
    database="shop",
    role="reader",
    source="dsn",
)
RUN = RunRecord(
    run_id="20260102T030405Z",
    environment="staging",
    gate="production",
    started=MOMENT,
    finished=MOMENT,
    tool_version="1",
    server=SERVER,
    fingerprint="f" * 16,
    structure_fingerprint="e" * 16,
    steps=(
        Step(name="one", title="One", notebook="1.ipynb", status="succeeded", started=MOMENT,
             finished=MOMENT, checks=("foreign_keys",), facts={"one.n": 1}),
        Step(name="two", title="Two", notebook="2.ipynb", status="failed", failure="it broke",
             failed_cell=3),
        Step(name="three", title="Three", notebook="3.ipynb", status="not run"),
    ),
    checks=(CHECK,),
    census=(CensusRow(RELATIONSHIP, KeyState.MISMATCHED, KEY, "on delete", ("remark",)),),
    undeclared=1,
    audits=(
        Audit(RELATIONSHIP, AuditState.ORPHANS, 7, 2, "anti-join", True, 0.5, "", ("1", "2")),
        Audit(RELATIONSHIP, AuditState.COULD_NOT_LOOK, reason="permission denied (42501)"),
    ),
    verdicts=(
        Verdict(
            "production",
            State.NO_GO,
            ("C1 failed: …",),
            (
                CriterionResult(
                    Criterion("C1", "keys", Tier.CRITICAL), CriterionState.FAILED, ("…",)
                ),
            ),
        ),
    ),
    digests={"one.ipynb": "0" * 64},
)  # fmt: skip


# --- round trip ---------------------------------------------------------------------------------


def test_a_run_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = record.write(tmp_path, RUN)
    assert path == tmp_path / "run.json"
    assert record.read(tmp_path) == RUN
    assert RUN.verdict("production") is RUN.verdicts[0]
    assert RUN.verdict("testing") is None


def test_types_of_values_come_back(tmp_path: Path) -> None:
    record.write(tmp_path, RUN)
    facts = record.read(tmp_path).checks[0].facts
    assert {name: type(value) for name, value in facts.items()} == {
        "text": str,
        "int": int,
        "float": float,
        "yes": bool,
        "none": type(None),
        "big": int,
    }


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    first = record.write(tmp_path, RUN).read_bytes()
    assert record.write(tmp_path, record.read(tmp_path)).read_bytes() == first


def test_a_step_comes_back_as_it_was_written(tmp_path: Path) -> None:
    result = StepResult(
        step="one", checks=(CHECK,), census=RUN.census, undeclared=0, audits=RUN.audits,
        facts={"one.n": 1}, server=SERVER, fingerprint="f", structure_fingerprint="e",
    )  # fmt: skip
    assert record.write_step(tmp_path, result) == tmp_path / "steps" / "one.json"
    assert record.read_step(tmp_path, "one") == result
    assert record.read_step(tmp_path, "two") is None


def test_the_published_schema_fits_a_record() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = record.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    written = json.loads(RUN.model_dump_json())
    validator.validate(written)
    for wrong in (
        written | {"format": 2},
        written | {"extra": 1},
        written | {"verdicts": [written["verdicts"][0] | {"state": "MAYBE"}]},
        {name: value for name, value in written.items() if name != "checks"},
    ):
        assert not validator.is_valid(wrong)


def test_facts_as_json_are_sorted() -> None:
    assert record.as_json({"b": 1, "a": "ä"}) == '{\n "a": "ä",\n "b": 1\n}\n'


# --- nothing half-written -----------------------------------------------------------------------


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    record.write_atomically(path, "before")
    with pytest.raises(UnicodeEncodeError):
        record.write_atomically(path, "half a pair \ud800")
    assert path.read_text(encoding="utf-8") == "before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    record.write_atomically(path, "before")
    link = tmp_path / f".run.json.{os.getpid()}.tmp"
    link.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        record.write_atomically(path, "after")
    assert path.read_text(encoding="utf-8") == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_digests_cover_every_file_but_the_record(tmp_path: Path) -> None:
    record.write(tmp_path, RUN)
    (tmp_path / "steps").mkdir()
    (tmp_path / "steps" / "one.json").write_text("", encoding="utf-8")
    (tmp_path / ".run.json.1.tmp").write_text("half", encoding="utf-8")
    (tmp_path / "1.ipynb").write_text("a", encoding="utf-8")
    assert record.digests(tmp_path) == {
        "1.ipynb": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
        "steps/one.json": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    }


# --- what is no run record ----------------------------------------------------------------------

WRITTEN = RUN.model_dump_json(indent=1)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", ": invalid JSON: EOF while parsing a value at line 1 column 0"),
        (b"not json", ": invalid JSON: expected ident at line 1 column 2"),
        (
            WRITTEN[: WRITTEN.index("staging") + 4].encode(),
            ": invalid JSON: EOF while parsing a string at line 4 column 21",
        ),
        (b"\xff\xfe\x00", ": invalid start byte"),
        (b"[]", ": input should be an object"),
        (b'{"nbformat": 4}', " at run_id: field required"),
        (WRITTEN.replace('"format": 1', '"format": 2').encode(), " at format: input should be 1"),
        (
            WRITTEN.replace('"status": "failed"', '"status": "fine"').encode(),
            " at steps.1.status: input should be 'succeeded', 'failed' or 'not run'",
        ),
        (
            WRITTEN.replace('"NO-GO"', '"MAYBE"').encode(),
            " at verdicts.0.state: input should be 'GO', 'HOLD', 'NO-GO', 'UNKNOWN' or 'STALE'",
        ),
    ],
    ids=["empty", "text", "half", "binary", "list", "foreign", "newer", "status", "verdict"],
)
def test_what_is_no_run_record_is_refused(text: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(text)
    with pytest.raises(IncompleteError) as caught:
        record.read(tmp_path)
    assert caught.value.exit_code == 3
    assert str(caught.value) == f"{path}: not a run record{reason}\nhint: {HINT}"


def test_a_missing_run_record_is_named(tmp_path: Path) -> None:
    with pytest.raises(IncompleteError) as caught:
        record.read(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / 'run.json'}: cannot be read: No such file or directory\nhint: {HINT}"
    )


def test_a_corrupt_step_is_named(tmp_path: Path) -> None:
    (tmp_path / "steps").mkdir()
    path = tmp_path / "steps" / "one.json"
    path.write_text('{"step": 1}', encoding="utf-8")
    with pytest.raises(IncompleteError) as caught:
        record.read_step(tmp_path, "one")
    assert caught.value.message == (
        f"{path}: not a run record at step: input should be a valid string"
    )


# --- the newest run -----------------------------------------------------------------------------


def test_the_newest_run_is_the_newest_complete_one(tmp_path: Path) -> None:
    assert run_folders.newest(tmp_path, "staging") is None
    folder = tmp_path / "staging"
    for name in ("20260101T000000Z", "20260102T000000Z", "20260103T000000Z"):
        (folder / name).mkdir(parents=True)
    assert run_folders.newest(tmp_path, "staging") is None
    record.write(folder / "20260102T000000Z", RUN)
    record.write(folder / "20260101T000000Z", RUN)
    (folder / "run.json").write_text("{}", encoding="utf-8")
    (folder / "20260103T000000Z" / ".run.json.1.tmp").write_text("{", encoding="utf-8")
    assert run_folders.newest(tmp_path, "staging") == folder / "20260102T000000Z"
