"""One demo for all tests that look at its runs and its site: it takes most of a minute."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from runbook import record, run_folders
from runbook.record import RunRecord
from tests import project


@dataclass(frozen=True)
class Demonstration:
    """A project in a folder of its own on which the demo has run, and what that printed."""

    folder: Path
    cache: Path
    finished: subprocess.CompletedProcess[str]

    @property
    def site(self) -> Path:
        return self.folder / "site"

    def runbook(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return _runbook(self.folder, self.cache, *arguments)

    def run_of(self, environment: str) -> RunRecord:
        folder = run_folders.newest(self.folder / "runs", environment)
        assert folder is not None
        return record.read(folder)


def _runbook(folder: Path, cache: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("RUNBOOK_", "PG"))}
    return subprocess.run(
        [sys.executable, "-m", "runbook", *arguments],
        cwd=folder,
        env=clean | {"RUNBOOK_CACHE": str(cache), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


@pytest.fixture(scope="session")
def demonstration(testrun_uid: str) -> Iterator[Demonstration]:
    """The demo, run once for all processes of a test run, on an embedded server of its own.

    Every process holds a shared lock; who can take it exclusively at its end is the last one.
    """
    base = Path(tempfile.gettempdir()) / f"fkr-demo-{testrun_uid}"
    base.mkdir(mode=0o755, exist_ok=True)  # the server of root runs as a user who passes here
    with (base / "made.lock").open("w") as made, (base / "used.lock").open("w") as used:
        fcntl.flock(used, fcntl.LOCK_SH)
        fcntl.flock(made, fcntl.LOCK_EX)
        found = _made(base)
        fcntl.flock(made, fcntl.LOCK_UN)
        yield found
        try:
            fcntl.flock(used, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another process still looks at it, and will clear up
        _runbook(found.folder, found.cache, "demo", "--reset")
        shutil.rmtree(base)


def _made(base: Path) -> Demonstration:
    """Run the demo, or take over what another process has run and printed."""
    folder, cache, printed = base / "a project", base / "cache", base / "printed.json"
    if not printed.exists():
        folder.mkdir()
        project.copy(folder)
        run = _runbook(folder, cache, "demo")
        printed.write_text(json.dumps([run.returncode, run.stdout, run.stderr]), encoding="utf-8")
    code, out, err = json.loads(printed.read_text(encoding="utf-8"))
    return Demonstration(folder, cache, subprocess.CompletedProcess([], code, out, err))
