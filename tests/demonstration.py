"""One demo for all tests that look at its runs and its site: it takes most of a minute."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from runbook import record
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
        folder = record.newest(self.folder / "runs", environment)
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
def demonstration() -> Iterator[Demonstration]:
    """The demo, run once for a test session, on an embedded server of its own."""
    with tempfile.TemporaryDirectory(prefix="fkr-demo-") as place:
        base = Path(place)
        base.chmod(0o755)  # the server of root runs as a user who has to pass through here
        folder = base / "a project"
        folder.mkdir()
        project.copy(folder)
        cache = base / "cache"
        yield Demonstration(folder, cache, _runbook(folder, cache, "demo"))
        _runbook(folder, cache, "demo", "--reset")
