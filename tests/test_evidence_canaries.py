"""Secrets of every origin, each unlike all other text, are in nothing that a real run leaves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg import conninfo, sql

from runbook import record, run_folders
from runbook.embedded import EmbeddedServer
from runbook.record import RunRecord
from runbook.settings import Settings
from runbook.verdict import State
from tests import project
from tests.conftest import Connect
from tests.demonstration import Demonstration
from tests.test_run import small as small  # noqa: PLC0414 - a fixture
from tests.test_run import with_steps

TOKEN = "tok-canary-73Q<&>\"'\\x"
ROW = "row-canary-5dK"
RAW = "raw-canary%zz9W"
URL = "url-canary/8@M"
NEVER = ("-canary", quote(TOKEN), quote(URL, safe=""))
DETAIL = "detail-canary-2rT"  # no variable holds it: PostgreSQL alone says it


@dataclass(frozen=True)
class Ran:
    """A command that has ended, in the folder of its project."""

    folder: Path
    code: int
    said: str

    @property
    def run(self) -> RunRecord:
        folder = run_folders.newest(self.folder / "runs", "staging")
        assert folder is not None, self.said
        return record.read(folder)


def runbook(folder: Path, *arguments: str, **variables: str) -> Ran:
    done = subprocess.run(
        [sys.executable, "-m", "runbook", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(project.ROOT), "COLUMNS": "200"} | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    return Ran(folder, done.returncode, done.stdout + done.stderr)


def holding(folder: Path, *words: str) -> dict[str, list[str]]:
    """The files below ``folder`` that hold one of these words, names of folders included."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        held = [w for w in words if w.encode() in content or w in path.name]
        if held:
            found[str(path.relative_to(folder))] = held
    return found


@pytest.fixture
def canaries(
    small: Settings, scratch: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """A project whose environment, connection and rows all hold a canary."""
    monkeypatch.setenv("DEPLOY_TOKEN", TOKEN)
    monkeypatch.setenv("CUSTOMER_SECRET", ROW)
    monkeypatch.setenv("BROKEN_DSN", f"postgresql://u:{RAW}@127.0.0.1:1/d")
    with connect(scratch, "telecore_owner") as owner:
        statement = sql.SQL(
            "UPDATE atp_submissions SET id = {0}, workflow_instance_id = {0} WHERE id ="
            " (SELECT min(id) FROM atp_submissions)"
        ).format(sql.Literal(ROW))
        assert owner.execute(statement).rowcount == 1
        owner.execute("CREATE TABLE public.unique_words (word text PRIMARY KEY)")
        owner.execute("INSERT INTO public.unique_words VALUES (%s)", [DETAIL])
        owner.execute("GRANT SELECT ON public.unique_words TO telecore_reader")
    role = f"canary_reader_{os.getpid()}"
    with connect("postgres", None) as admin:
        admin.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} IN ROLE telecore_reader").format(
                sql.Identifier(role), sql.Literal(URL)
            )
        )
        given = conninfo.conninfo_to_dict(os.environ["RUNBOOK_READER_DSN"])
        host = quote(str(given["host"]), safe="")
        port = f"&port={given['port']}" if given.get("port") else ""
        monkeypatch.setenv(
            "RUNBOOK_READER_DSN",
            f"postgresql://{role}:{quote(URL, safe='')}@/{scratch}?host={host}{port}",
        )
        yield small
        admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


PRINTS = """
import os, sys, psycopg
print("all of it:", dict(os.environ))
print(os.environ["DEPLOY_TOKEN"], file=sys.stderr)
step.fact(said=f"it is {os.environ['DEPLOY_TOKEN']}")
try:
    psycopg.connect(os.environ["BROKEN_DSN"])
except psycopg.Error as error:
    print(error)
from IPython.display import HTML, display
import html
display(HTML(html.escape(os.environ["DEPLOY_TOKEN"])))
step.audit()
"""
BREAKS = """
import os
from runbook import session
from runbook.connection import Purpose
owner = session.connect(step.environment, Purpose.WRITE)
with session.trying(owner, step.environment):
    owner.execute("INSERT INTO public.unique_words VALUES ('detail' || '-' || 'canary-2rT')")
"""
RAISES = """
import os
raise ValueError("no use: " + os.environ["DEPLOY_TOKEN"] + " " + os.environ["RUNBOOK_READER_DSN"])
"""


@pytest.mark.slow
def test_no_canary_is_in_anything_that_a_run_leaves(canaries: Settings) -> None:
    settings = with_steps(canaries, prints=PRINTS, breaks=BREAKS, raises=RAISES)
    ran = runbook(settings.folder, "run", "staging")
    assert ran.code == 3, ran.said
    steps = {step.name: step for step in ran.run.steps}
    assert steps["prints"].status == "succeeded", ran.said
    assert steps["prints"].facts["prints.said"] == "it is •••"
    assert steps["breaks"].failure.startswith("UniqueViolation: duplicate key value violates")
    assert steps["breaks"].failure.endswith("DETAIL: Key (word)=(•••) already exists.")
    assert steps["raises"].failure.startswith("ValueError: no use: ••• postgresql://canary")
    samples = {sample for audit in ran.run.audits for sample in audit.samples}
    assert "•••" in samples  # the orphan row's key was found, and masked
    assert holding(settings.folder / "runs", *NEVER) == {}


@pytest.mark.slow
def test_no_canary_is_in_what_an_audit_leaves(canaries: Settings) -> None:
    folder = canaries.folder
    with_steps(canaries)
    words = ("--json", "a.json", "--sarif", "a.sarif", "--junit", "a.xml")
    ran = runbook(folder, "audit", "staging", *words)
    assert ran.code == 1, ran.said
    audits = json.loads((folder / "a.json").read_text(encoding="utf-8"))["audits"]
    assert ["•••"] in [audit["samples"] for audit in audits]
    for name in ("runs", "a.json", "a.sarif", "a.xml"):
        place = folder / name
        texts = [place] if place.is_file() else [p for p in place.rglob("*") if p.is_file()]
        assert texts
        assert [p for p in texts if ROW in p.read_text(encoding="utf-8")] == []
    assert ROW not in ran.said


PAST = """
import os
from pathlib import Path
(Path(run_folder) / "dump.txt").write_text("x" + os.environ["DEPLOY_TOKEN"])
(Path(run_folder) / "key.pem").write_text("-----BEGIN PRIVATE KEY-----\\nMIIE\\n")
step.check("types_aligned")
"""
COLOURED = """
import os
half = len(os.environ["DEPLOY_TOKEN"]) // 2
print(os.environ["DEPLOY_TOKEN"][:half] + "\\x1b[0;31m" + os.environ["DEPLOY_TOKEN"][half:])
step.check("types_aligned")
"""


@pytest.mark.slow
def test_what_is_written_past_the_redaction_fails_the_run(canaries: Settings) -> None:
    settings = with_steps(canaries, past=PAST, coloured=COLOURED)
    ran = runbook(settings.folder, "run", "staging")
    assert ran.code == 3, ran.said
    said = (
        "coloured.ipynb held the value of 'DEPLOY_TOKEN' and was removed",
        "dump.txt held the value of 'DEPLOY_TOKEN' and was removed",
        "key.pem held a private key and was removed",
    )
    for line in said:
        assert f"  {line}\n" in ran.said
    for verdict in ran.run.verdicts:
        assert verdict.state is State.UNKNOWN
        assert verdict.reasons[:3] == said
    assert {step.name: step.status for step in ran.run.steps} == {
        "past": "succeeded",
        "coloured": "failed",
    }
    folder = settings.folder / "runs" / "staging" / ran.run.run_id
    assert ran.run.digests == record.digests(folder)
    assert set(ran.run.digests) == {
        *("past.ipynb", "coloured.ipynb", "junit.xml"),
        *("steps/past.json", "steps/coloured.json"),
    }
    assert holding(folder, TOKEN[:10], TOKEN[-6:]) == {}


SHOUTS = """
import os
from runbook.steps import open_step
print(os.environ["DEPLOY_TOKEN"])
step = open_step("shouts", environment, run_folder)
step.fact(said=os.environ["DEPLOY_TOKEN"])
raise ValueError(os.environ["DEPLOY_TOKEN"])
"""
STEP = '[[step]]\nname = "shouts"\ntitle = "Shouts"\nnotebook = "shouts.ipynb"\n\n'
VERDICT = '[[step]]\nname = "verdict"'


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_canary_is_in_the_site(
    demonstration: Demonstration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "project"
    shutil.copytree(demonstration.folder, folder)
    here = Demonstration(folder, demonstration.cache, demonstration.finished)
    project.notebook(folder / "notebooks" / "shouts.ipynb", SHOUTS)
    toml = (folder / "runbook.toml").read_text(encoding="utf-8")
    assert toml.count(VERDICT) == 1
    (folder / "runbook.toml").write_text(toml.replace(VERDICT, STEP + VERDICT), encoding="utf-8")
    monkeypatch.setenv("RUNBOOK_CACHE", str(here.cache))
    monkeypatch.setenv("DEPLOY_TOKEN", TOKEN)
    rename = "UPDATE public.punchlist_items SET id = %s, punchlist_id = %s WHERE id = %s"
    server = EmbeddedServer()
    with server, psycopg.connect(server.conninfo("telecore_staging"), autocommit=True) as admin:
        row = admin.execute(
            "SELECT id, punchlist_id FROM public.punchlist_items ORDER BY id LIMIT 1"
        ).fetchone()
        assert row is not None
        monkeypatch.setenv("CUSTOMER_SECRET", ROW)
        admin.execute(rename, (ROW, "gone", row[0]))
        try:
            found = here.runbook("run", "staging")
        finally:
            admin.execute(rename, (*row, ROW))
    assert found.returncode in {1, 3}, found.stderr
    run = here.run_of("staging")
    assert {step.name for step in run.steps if step.status == "failed"} == {"shouts"}
    assert ("•••",) in [audit.samples for audit in run.audits]
    built = here.runbook("site", "build")
    assert built.returncode == 0, built.stderr
    copied = folder / "docs" / "results" / "staging" / "shouts.ipynb"
    assert '"evalue": "•••"' in copied.read_text(encoding="utf-8")
    for name in ("runs", "docs/results", "site"):
        assert holding(folder / name, TOKEN, *NEVER) == {}
