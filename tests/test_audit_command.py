"""``runbook audit``: its outcome, its formats, and what an interruption leaves."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import psycopg
import pytest

from runbook.audit.tally import Tally
from runbook.audit.target import Target
from runbook.findings import Audit, AuditState
from runbook.operators import Comparisons
from runbook.relationships import Relationship
from runbook.schema import Schema, TableName
from runbook.statistics import UNKNOWN
from tests import project
from tests.conftest import Connect

LOCKED = "workflow_stage_actions"  # nothing refers to it, and its audits come last


@dataclass(frozen=True)
class Auditor:
    """A project whose one environment is a scratch copy of staging."""

    folder: Path
    variables: dict[str, str]
    owner: psycopg.Connection[tuple[object, ...]]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "runbook", "audit", "staging", *arguments],
            cwd=self.folder,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess([], process.returncode, out, err)

    def kept(self) -> dict[str, Any]:
        path = self.folder / "runs" / "staging" / "audit.json"
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found

    def audits(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.kept()["audits"]
        return found

    def states(self) -> dict[str, str]:
        audits = self.audits()
        return {
            f"{audit['relationship']['child']['table']}.{audit['relationship']['columns'][0]}": (
                audit["state"]
            )
            for audit in audits
        }


@pytest.fixture
def auditor(
    tmp_path: Path, scratch: str, dsn: Callable[..., str], connect: Connect
) -> Iterator[Auditor]:
    text = (project.ROOT / "runbook.toml").read_text(encoding="utf-8")
    text = text.replace('"runbook/telecore/', f'"{project.ROOT}/runbook/telecore/')
    text = text.replace(
        "[environments.staging]", '[environments.staging]\ntimeouts = { lock = "50s" }', 1
    )
    (tmp_path / "runbook.toml").write_text(text, encoding="utf-8")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("RUNBOOK_", "PG"))}
    variables = clean | {
        "PYTHONPATH": str(project.ROOT),
        "STAGING_DATABASE_URL": dsn(scratch, "telecore_reader"),
    }
    with connect("postgres", None) as admin:
        admin.execute("GRANT pg_read_all_stats TO telecore_reader")
    with connect(scratch, "telecore_owner") as owner:
        yield Auditor(tmp_path, variables, owner)


def test_a_clean_database(auditor: Auditor) -> None:
    found = auditor()
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("staging: 0 orphan rows, 57 of 57 relationships looked at; ")
    assert set(auditor.states().values()) == {"clean"}


def test_orphan_rows_are_findings(auditor: Auditor) -> None:
    auditor.owner.execute(
        "UPDATE public.punchlist_items SET punchlist_id = 'gone' WHERE id IN"
        " (SELECT id FROM public.punchlist_items ORDER BY id LIMIT 7)"
    )
    found = auditor("--keys", "2", "--sarif", "a.sarif", "--junit", "a.xml")
    assert found.returncode == 1, found.stderr
    assert "staging: 7 orphan rows, 57 of 57 relationships looked at; " in found.stdout
    log = json.loads((auditor.folder / "a.sarif").read_text(encoding="utf-8"))
    (result,) = log["runs"][0]["results"]
    assert result["ruleId"] == "orphan-rows"
    assert result["level"] == "note"
    assert result["message"]["text"] == "punchlist_items.punchlist_id: 7 orphan rows"
    cases = ET.parse(auditor.folder / "a.xml").iter("failure")  # noqa: S314 - our own file
    (said,) = (case.get("message") for case in cases)
    assert said is not None
    assert said.startswith("7 orphan rows: ")
    assert said.count(",") == 1


def test_a_key_that_nobody_declared_is_audited_too(auditor: Auditor, connect: Connect) -> None:
    auditor.owner.execute(
        "CREATE TABLE public.notes (id int PRIMARY KEY, user_id text REFERENCES public.users)"
    )
    with connect(auditor.owner.info.dbname, None) as admin, admin.transaction():
        admin.execute("SET LOCAL session_replication_role = replica")
        admin.execute("INSERT INTO public.notes VALUES (1, 'nobody')")
    found = auditor("--sarif", "a.sarif")
    assert found.returncode == 1, found.stderr
    assert "staging: 1 orphan row, 58 of 58 relationships looked at; " in found.stdout
    (result,) = json.loads((auditor.folder / "a.sarif").read_text("utf-8"))["runs"][0]["results"]
    assert result["message"]["text"] == "notes.user_id: 1 orphan row"


def test_json_on_standard_output_is_nothing_else(auditor: Auditor) -> None:
    found = auditor("--json", "-", "--only", "punchlists.workflow_instance_id")
    value = json.loads(found.stdout)
    assert [audit["state"] for audit in value["audits"]] == ["clean"]
    assert value["audits"][0]["exact"] is True


def test_a_name_that_nothing_has(auditor: Auditor) -> None:
    found = auditor("--only", "nothing.at.all")
    assert found.returncode == 2
    assert "error: no relationship whose name holds 'nothing.at.all'\n" in found.stderr


def test_a_budget_that_is_no_time(auditor: Auditor) -> None:
    found = auditor("--budget", "soon")
    assert found.returncode == 2
    assert found.stderr == (
        "error: --budget: not a duration: 'soon', expected text such as '30s', '5m' or '24h'\n"
        "hint: write it as --budget 5m\n"
    )


def test_a_used_up_budget_is_not_looked_and_not_clean(auditor: Auditor) -> None:
    found = auditor("--budget", "0s")
    assert found.returncode == 3
    assert (
        "staging: 0 orphan rows in what was looked at, 0 of 57 relationships looked at, not: "
        in found.stdout
    )
    assert set(auditor.states().values()) == {"not looked"}


def test_what_there_is_no_time_to_count_is_estimated_where_asked(auditor: Auditor) -> None:
    auditor.owner.execute("ANALYZE")
    found = auditor("--budget", "1h", "--sample")
    assert found.returncode == 0, found.stderr
    assert set(auditor.states().values()) == {"clean"}  # there was time


def test_values_of_other_columns_are_shown_where_asked(auditor: Auditor) -> None:
    auditor.owner.execute(
        "UPDATE public.punchlist_items SET punchlist_id = 'gone', evidence_doc_id = NULL WHERE id ="
        " (SELECT min(id) FROM public.punchlist_items)"
    )
    found = auditor(
        "--column", "punchlist_id", "--column", "evidence_doc_id", "--column", "no_such"
    )
    assert found.returncode == 1, found.stderr
    (first,) = [audit for audit in auditor.audits() if audit["state"] == "orphans"]
    (sample,) = first["samples"]
    assert sample.endswith(" (punchlist_id: gone, evidence_doc_id: NULL)")
    auditor()
    (first,) = [audit for audit in auditor.audits() if audit["state"] == "orphans"]
    assert first["samples"] == [sample.partition(" (")[0]]


def test_what_only_looks_like_orphan_rows_is_shown_apart(auditor: Auditor) -> None:
    auditor.owner.execute(
        "CREATE TABLE public.owners (id int PRIMARY KEY, deleted_at timestamptz);"
        "CREATE TABLE public.things (id int PRIMARY KEY, owner_id int REFERENCES public.owners);"
        "INSERT INTO public.owners VALUES (1, now()); INSERT INTO public.things VALUES (1, 1)"
    )
    found = auditor()
    assert found.returncode == 0, found.stderr
    apart = found.stdout.partition("apart from orphan rows, and counted in no verdict:")[2]
    assert re.search(
        r"live children of soft-deleted parents +things\.owner_id +1 +deleted_at", apart
    )
    left_out = auditor("--no-lookalikes")
    assert re.search(r"things\.owner_id +unknown +left out with --no-lookalikes", left_out.stdout)


def test_an_unwritable_folder_hides_no_result(auditor: Auditor) -> None:
    (auditor.folder / "runs").write_text("in the way", encoding="utf-8")
    found = auditor()
    assert found.returncode == 3
    assert found.stdout.startswith("staging: 0 orphan rows, 57 of 57 relationships looked at; ")
    assert found.stderr.endswith(
        "hint: check that the folder exists, has room and may be written\n"
    )


def test_progress_tells_rows(auditor: Auditor) -> None:
    auditor.owner.execute("ANALYZE")
    found = auditor("--only", "punchlists.workflow_instance_id")
    reaches, counts, apart = found.stderr.splitlines()
    assert reaches == "audit: connects (variable) and reads the catalog"
    assert re.fullmatch(
        r"audit: punchlists\.workflow_instance_id: clean; ([\d,]+) of \1 rows", counts
    )
    assert apart == "audit: counts what only looks like orphan rows"


NEVER = "(a table was never analyzed)"


def test_progress_without_statistics_gives_no_total_of_rows() -> None:
    customers = TableName("public", "customers")
    items = [
        Relationship(TableName("public", name), ("customer_id",), customers, ("id",))
        for name in ("orders", "invoices", "payments")
    ]
    sizes = (UNKNOWN, replace(UNKNOWN, child_rows=1200.0), UNKNOWN)
    targets = [
        Target(item, Schema({}, ()), Comparisons("", ()), size)
        for item, size in zip(items, sizes, strict=True)
    ]
    tally = Tally(targets)
    assert [tally.after(Audit(item, AuditState.CLEAN)) for item in items] == [
        f"orders.customer_id: clean; 1 of 3 relationships {NEVER}",
        f"invoices.customer_id: clean; 2 of 3 relationships, at least 1,200 rows {NEVER}",
        f"payments.customer_id: clean; 3 of 3 relationships, at least 1,200 rows {NEVER}",
    ]


def test_a_sample_is_never_clean(auditor: Auditor) -> None:
    auditor.owner.execute("ANALYZE")
    found = auditor("--sample", "--only", "workflow_stage_actions")
    assert found.returncode in (0, 3)
    assert set(auditor.states().values()) <= {"estimated", "clean"}


@contextmanager
def stuck(auditor: Auditor, connect: Connect, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """An audit whose workers wait for a lock, with the catalog read and some audits finished.

    While another session is active ``--max-load 0`` holds the workers; then the table is locked,
    and the other session ends.
    """
    with connect("postgres", None) as other:
        busy = threading.Thread(target=sleep, args=(other,))
        busy.start()
        process = auditor.start("--max-load", "0", *arguments)
        wait_until(lambda: sessions(connect, "query LIKE '%backend_type = ''client backend''%'"))
        with auditor.owner.transaction():
            auditor.owner.execute(f"LOCK TABLE public.{LOCKED} IN ACCESS EXCLUSIVE MODE")
            other.cancel_safe()
            busy.join()
            wait_until(lambda: waiting(connect))
            yield process


def sleep(session: psycopg.Connection[tuple[object, ...]]) -> None:
    with suppress(psycopg.errors.QueryCanceled):
        session.execute("SELECT pg_sleep(60)")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_keeps_what_is_finished(
    auditor: Auditor, connect: Connect, number: signal.Signals
) -> None:
    with stuck(auditor, connect, "--jobs", "2") as process:
        process.send_signal(number)
        out, err = process.communicate(timeout=90)
        assert not waiting(connect)  # cancelled on the server too
    assert process.returncode == 3, err
    assert "audit: waits: 1 session of others is active, at most 0\n" in err
    assert "interrupted: runbook audit staging --resume does the rest" in out
    states = auditor.states()
    assert states[f"{LOCKED}.workflow_stage_id"] == "not looked"
    assert "clean" in states.values()
    finished = sum(state == "clean" for state in states.values())
    again = auditor("--resume")
    assert again.returncode == 0
    assert f"57 of 57 relationships looked at, {finished} of them before; " in again.stdout
    assert set(auditor.states().values()) == {"clean"}


@pytest.mark.slow
def test_a_killed_program_leaves_no_outcome(auditor: Auditor, connect: Connect) -> None:
    with stuck(auditor, connect) as process:
        process.kill()
        process.communicate(timeout=20)
    assert not (auditor.folder / "runs" / "staging" / "audit.json").exists()
    found = auditor("--resume")
    assert found.returncode == 3
    assert "hint: there is nothing to resume: run the audit without --resume" in found.stderr


@pytest.mark.slow
def test_a_killed_backend_is_tried_again(auditor: Auditor, connect: Connect) -> None:
    with stuck(auditor, connect, "--jobs", "1") as process:
        (pid,) = waiting(connect)
        with connect("postgres", None) as admin:
            admin.execute("SELECT pg_terminate_backend(%s)", (pid,))
        wait_until(lambda: waiting(connect) not in ([], [pid]))
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "57 of 57 relationships looked at" in out


@pytest.mark.slow
def test_all_backends_killed_is_never_clean(auditor: Auditor, connect: Connect) -> None:
    with stuck(auditor, connect) as process, connect("postgres", None) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'fk-runbook'"
        )
        out, err = process.communicate(timeout=40)
    assert process.returncode == 3, (out, err)
    states = auditor.states()
    assert states[f"{LOCKED}.workflow_stage_id"] == "could not look"


def test_waiting_for_a_quiet_server_needs_to_see_the_others(
    auditor: Auditor, connect: Connect
) -> None:
    with connect("postgres", None) as admin:
        admin.execute("REVOKE pg_read_all_stats FROM telecore_reader")
        found = auditor("--max-load", "3")
    assert found.returncode == 2
    assert found.stderr == (
        "audit: connects (variable) and reads the catalog\n"
        "error: max_load: 'telecore_reader' may not see what other sessions do\n"
        "hint: GRANT pg_read_all_stats TO telecore_reader, or do without max_load\n"
    )


def test_a_locked_catalog_is_reported(auditor: Auditor) -> None:
    path = auditor.folder / "runbook.toml"
    text = path.read_text(encoding="utf-8").replace('lock = "50s"', 'lock = "200ms"')
    path.write_text(text, encoding="utf-8")
    with auditor.owner.transaction():
        auditor.owner.execute(f"LOCK TABLE public.{LOCKED} IN ACCESS EXCLUSIVE MODE")
        found = auditor()
    assert found.returncode == 3
    assert found.stderr == (
        "audit: connects (variable) and reads the catalog\n"
        "error: environment 'staging': the catalog cannot be read: canceling statement due to lock"
        " timeout (55P03)\n"
        "hint: somebody may be changing the schema: try again, or raise timeouts.lock\n"
    )


def waiting(connect: Connect) -> list[int]:
    """The backends of ours that wait for the lock."""
    return sessions(connect, f"wait_event_type = 'Lock' AND query LIKE '%{LOCKED}%'")


def sessions(connect: Connect, condition: str) -> list[int]:
    """The backends of ours of which ``condition`` is true."""
    with connect("postgres", None) as admin:
        rows = admin.execute(
            "SELECT pid FROM pg_stat_activity"
            f" WHERE application_name = 'fk-runbook' AND {condition} ORDER BY pid"
        ).fetchall()
    return [row[0] for row in rows]


def wait_until(true: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)
