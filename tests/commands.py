"""The command line as its own process, in a project whose production nobody can reach."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import project

Runbook = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with one environment that is reached through a variable that is not set."""
    text = (project.ROOT / "runbook.toml").read_text(encoding="utf-8")
    text = text.replace('"runbook/telecore/', f'"{project.ROOT}/runbook/telecore/')
    text = text.replace(', embedded = "telecore_production", role = "telecore_reader"', "")
    text = text.partition("[[step]]")[0]
    (tmp_path / "runbook.toml").write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def runbook(folder: Path) -> Runbook:
    """``runbook(*arguments, **variables)`` runs the command in ``folder``."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("RUNBOOK_", "PG"))}
        return subprocess.run(
            [sys.executable, "-m", "runbook", *arguments],
            cwd=folder,
            env=clean | {"PYTHONPATH": str(project.ROOT), "COLUMNS": "80"} | variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )

    return run
