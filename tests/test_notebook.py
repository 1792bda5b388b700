"""What a notebook's execution comes to when it does not go well."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from runbook import notebook, record
from runbook.kernels import Kernels
from tests import project

FINISH = (
    "from pathlib import Path\nfrom runbook import record\n"
    'record.write_step(Path(run_folder), record.StepResult(step="probe"))'
)
NO_FINISH = "the notebook ended without finish(): its kernel died or a cell left early"


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


def execute(folder: Path, *code: str) -> notebook.Execution:
    source = project.notebook(folder.parent / "probe.ipynb", *code)
    with Kernels() as kernels:
        found = notebook.execute(
            kernels,
            source,
            folder / "probe.ipynb",
            "probe",
            folder.parent,
            environment="staging",
            run_folder=str(folder),
        )
    assert kernels.alive == set()
    return found


def test_a_notebook_that_finishes_has_succeeded(run_folder: Path) -> None:
    assert execute(run_folder, FINISH) == notebook.Execution()
    assert record.read_step(run_folder, "probe") == record.StepResult(step="probe")


def test_a_notebook_without_a_result_file_has_failed(run_folder: Path) -> None:
    assert execute(run_folder, "1 + 1") == notebook.Execution(NO_FINISH)
    first = nbformat.read(run_folder / "probe.ipynb", as_version=4).cells[0]
    assert first.source.startswith("**This step did not finish.**")


def test_leaving_a_cell_with_exit_code_0_is_a_failure(run_folder: Path) -> None:
    assert execute(run_folder, "import sys; sys.exit(0)", FINISH).failure == NO_FINISH


def test_an_error_names_its_cell_and_marks_the_notebook(run_folder: Path) -> None:
    found = execute(run_folder, "1 + 1", "1 / 0", FINISH)
    assert found == notebook.Execution("ZeroDivisionError: division by zero", 3)
    cells = nbformat.read(run_folder / "probe.ipynb", as_version=4).cells
    assert "papermill-error-cell" in cells[0].source


def test_a_dead_kernel_is_a_failure(run_folder: Path) -> None:
    found = execute(run_folder, "import os; os._exit(1)", FINISH)
    assert found.failure in ("its kernel died", NO_FINISH)
    assert record.read_step(run_folder, "probe") is None
    assert (run_folder / "probe.ipynb").exists()


def test_a_secret_in_an_error_is_not_kept_in_the_reason(run_folder: Path) -> None:
    found = execute(run_folder, "raise ValueError('postgresql://me:canary-secret@host/db')")
    assert found.failure == "ValueError: postgresql://me:•••@host/db"


def test_no_path_of_this_machine_is_kept(run_folder: Path) -> None:
    execute(run_folder, FINISH)
    details = nbformat.read(run_folder / "probe.ipynb", as_version=4).metadata["papermill"]
    assert details["input_path"] == "probe.ipynb"
    assert details["output_path"] == "probe.ipynb"


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 64 KiB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_is_a_failure(full_disk: Path) -> None:
    (full_disk / "filler").write_bytes(b"x" * 40_000)
    source = project.notebook(full_disk.parent / "probe.ipynb", "print('x' * 100_000)", FINISH)
    with Kernels() as kernels:
        found = notebook.execute(
            kernels,
            source,
            full_disk / "probe.ipynb",
            "probe",
            full_disk.parent,
            environment="staging",
            run_folder=str(full_disk),
        )
    assert found == notebook.Execution(
        "the executed notebook could not be written: No space left on device"
    )


LATE = """
import os, sys, time
from pathlib import Path
if "ipykernel_launcher" in " ".join(sys.orig_argv):
    left = Path({marks!r})
    number = len(list(left.iterdir()))
    if number < {times}:
        (left / str(number)).touch()
        {fault}
"""


def false_starts(folder: Path, monkeypatch: pytest.MonkeyPatch, times: int, fault: str) -> None:
    """Make the first kernels fail at their start: Python runs sitecustomize before anything."""
    marks, path = folder.parent / "marks", folder.parent / "path"
    marks.mkdir()
    path.mkdir()
    text = LATE.format(marks=str(marks), times=times, fault=fault)
    (path / "sitecustomize.py").write_text(text, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(path), prepend=os.pathsep)


def test_a_kernel_that_does_not_start_is_started_anew(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    false_starts(
        run_folder, monkeypatch, 1, "print('no', file=sys.stderr, flush=True); os._exit(9)"
    )
    found = execute(run_folder, FINISH)
    assert found == notebook.Execution(
        false_starts=(
            "its kernel did not start: Kernel died before replying to kernel_info; it said: no",
        )
    )


@pytest.mark.slow
def test_kernels_that_do_not_start_are_given_up(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notebook, "STARTUP_SECONDS", 2)
    false_starts(run_folder, monkeypatch, 9, "time.sleep(60)")
    found = execute(run_folder, FINISH)
    reason = "its kernel did not start: Kernel didn't respond in 2 seconds"
    assert found == notebook.Execution(reason, None, (reason, reason))
    assert len(list((run_folder.parent / "marks").iterdir())) == notebook.STARTS
    assert record.read_step(run_folder, "probe") is None
