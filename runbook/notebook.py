"""Executes one notebook with papermill, and says honestly what became of it.

papermill's own word is not enough: a kernel that died leaves every cell ``completed``, and
``sys.exit(0)`` in a cell skips the rest with exit code 0. A step has succeeded when its result
file exists, which the last cell writes, and for no other reason.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import nbformat
import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.exceptions import PapermillExecutionError
from zmq import ZMQError

from runbook import record
from runbook.evidence.output import place
from runbook.kernels import Kernels, LocalKernelManager
from runbook.redaction import redact

STARTUP_SECONDS = 60
STARTS = 3  # of many kernels that start at once, one now and then does not answer
CELL_SECONDS = 3600
_NOISE = "KeyboardInterrupt caught in kernel"  # nbclient's way of shutting a kernel down
_CHECK = re.compile(r"""\.check\(["'](\w+)["']\)""")


@dataclass(frozen=True)
class Execution:
    """How an execution ended; ``failure`` is empty when it succeeded, ``cell`` counts from 1.

    ``false_starts`` says why kernels did not start before one did.
    """

    failure: str = ""
    cell: int | None = None
    false_starts: tuple[str, ...] = ()


class _FalseStartError(Exception):
    """A kernel did not answer, so nothing of the notebook has run."""


def execute(
    kernels: Kernels, notebook: Path, output: Path, step: str, folder: Path, **parameters: str
) -> Execution:
    """Execute ``notebook`` into ``output`` in the project's ``folder``.

    ``output.parent`` is the run folder, in which the step's result file must appear. The executed
    notebook is kept whatever happens, marked at its top when it did not succeed. A kernel that
    does not start is started anew, a few times.
    """
    log = kernels.folder / f"{step}.log"
    execution = Execution()
    false_starts: list[str] = []
    for left in reversed(range(STARTS)):
        try:
            execution = _papermill(notebook, output, folder, parameters, kernels.manager(log))
            break
        except _FalseStartError as error:
            execution = Execution(f"its kernel did not start: {error}")
            if kernels.ending or not left:
                break
            false_starts.append(execution.failure + _last_words(log))
            log.unlink(missing_ok=True)
    if not execution.failure and record.read_step(output.parent, step) is None:
        execution = Execution(
            "the notebook ended without finish(): its kernel died or a cell left early"
        )
    if execution.failure and execution.cell is None:
        execution = replace(execution, failure=execution.failure + _last_words(log))
    execution = replace(execution, false_starts=tuple(false_starts))
    try:
        _keep(notebook, output, execution)
    except OSError as error:
        return replace(execution, failure=_unwritten(error), cell=None)
    return execution


def execute_alone(kernels: Kernels, notebook: Path, output: Path, folder: Path) -> Execution:
    """Execute a notebook that is no step of a run: it succeeds when all its cells do."""
    log = kernels.folder / f"{output.stem}.log"
    try:
        execution = _papermill(notebook, output, folder, {}, kernels.manager(log))
    except _FalseStartError as error:
        execution = Execution(f"its kernel did not start: {error}")
    if execution.failure and execution.cell is None:
        execution = replace(execution, failure=execution.failure + _last_words(log))
    _keep(notebook, output, execution)
    return execution


def _unwritten(error: OSError) -> str:
    return f"the executed notebook could not be written: {error.strerror}"


def _papermill(
    notebook: Path,
    output: Path,
    folder: Path,
    parameters: dict[str, str],
    manager: type[LocalKernelManager],
) -> Execution:
    try:
        papermill.execute_notebook(
            str(notebook),
            place(output),
            parameters=parameters,
            kernel_name="python3",
            cwd=str(folder),
            progress_bar=False,
            request_save_on_cell_execute=False,
            start_timeout=STARTUP_SECONDS,
            execution_timeout=CELL_SECONDS,
            kernel_manager_class=manager,
        )
    except PapermillExecutionError as error:
        return Execution(_line(f"{error.ename}: {error.evalue}"), error.cell_index)
    except DeadKernelError:
        return Execution("its kernel died")
    except CellTimeoutError as error:
        return Execution(_line(f"a cell took over {CELL_SECONDS} s: {error}"))
    except OSError as error:
        return Execution(_unwritten(error))
    except (RuntimeError, ZMQError) as error:  # jupyter_client: it died or did not start in time
        if not manager.answered:
            raise _FalseStartError(_line(str(error))) from None
        return Execution(_line(f"its kernel did not answer: {error}"))
    return Execution()


def _last_words(log: Path) -> str:
    """The last line that a kernel said before it died, ready to follow a sentence; or nothing."""
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.exists() else []
    said = [line for line in lines if line.strip() and _NOISE not in line]
    if not said or said[-1].startswith("KeyboardInterrupt"):  # the end that we made for it
        return ""
    return f"; it said: {_line(said[-1])}"


def cells_of_checks(output: Path) -> dict[str, str]:
    """The id of the cell that ran each check, by the check's id."""
    try:
        content = nbformat.read(output, as_version=4)
    except (OSError, ValueError, nbformat.ValidationError):
        return {}  # nothing to link to; the step itself says why it failed
    return {
        found[1]: cell.id
        for cell in content.cells
        if cell.cell_type == "code"
        for found in _CHECK.finditer(cell.source)
    }


def _line(text: str) -> str:
    return redact(" ".join(text.split()))[:500]


def _keep(notebook: Path, output: Path, execution: Execution) -> None:
    """Leave a readable notebook at ``output``, without this machine's paths, marked if it failed.

    A full disk leaves a cut-off file: then the source takes its place, under the mark. Raises
    OSError when there is no room even for that.
    """
    try:
        content = nbformat.read(output, as_version=4)
    except (OSError, ValueError, nbformat.ValidationError):
        content = nbformat.read(notebook, as_version=4)
    details = content.metadata.get("papermill", {})
    for name in ("input_path", "output_path"):
        if details.get(name):
            details[name] = Path(details[name]).name
    if execution.failure and execution.cell is None:
        mark = nbformat.v4.new_markdown_cell(
            "**This step did not finish.** What is below proves nothing: look into the run's"
            " record for the reason, mend it and run again.",
            metadata={"tags": ["step-failed"]},
        )
        content.cells.insert(0, mark)
    record.write_atomically(output, nbformat.writes(content) + "\n")
