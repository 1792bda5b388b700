"""Executes one notebook with papermill, and says honestly what became of it.

papermill's own word is not enough: a kernel that died leaves every cell ``completed``, and
``sys.exit(0)`` in a cell skips the rest with exit code 0. A step has succeeded when its result
file exists, which the last cell writes, and for no other reason.
"""

from __future__ import annotations

import os
import re
import signal
import tempfile
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import nbformat
import papermill
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.exceptions import PapermillExecutionError

from runbook import record
from runbook.redaction import redact

STARTUP_SECONDS = 60
CELL_SECONDS = 3600
_NOISE = "KeyboardInterrupt caught in kernel"  # nbclient's way of shutting a kernel down
_CHECK = re.compile(r"""\.check\(["'](\w+)["']\)""")


@dataclass(frozen=True)
class Execution:
    """How an execution ended; ``failure`` is empty when it succeeded, ``cell`` counts from 1."""

    failure: str = ""
    cell: int | None = None


class LocalKernelManager(AsyncKernelManager):
    """Talks to its kernel over Unix sockets in a private folder, not over open TCP ports.

    The folder's path must stay short: a socket's path has at most 107 bytes. What the kernel says
    on its standard error goes to the file ``said``.
    """

    said: ClassVar[Path]

    def __init__(self, **options: Any) -> None:
        folder = Path(os.environ["JUPYTER_RUNTIME_DIR"])
        options |= {
            "transport": "ipc",
            "connection_file": str(folder / f"k{uuid.uuid4().hex[:12]}.json"),
        }
        super().__init__(**options)

    alive: ClassVar[set[LocalKernelManager]] = set()

    async def start_kernel(self, **options: Any) -> None:  # type: ignore[override] # ours waits
        with self.said.open("ab") as file:
            await super().start_kernel(**(options | {"stderr": file}))
        self.alive.add(self)


def interrupt_kernels() -> None:
    """Ctrl-C for every kernel that runs: psycopg then cancels its statement on the server.

    Kernels run in sessions of their own, so the terminal's Ctrl-C does not reach them.
    """
    for manager in list(LocalKernelManager.alive):
        process = getattr(manager.provisioner, "process", None)
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)


def private_runtime() -> tempfile.TemporaryDirectory[str]:
    """A short private folder for the kernels' sockets; set for this process and its kernels."""
    folder = tempfile.TemporaryDirectory(prefix="fkr-")
    os.environ["JUPYTER_RUNTIME_DIR"] = folder.name
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # ipykernel's debugger warns otherwise
    return folder


def execute(notebook: Path, output: Path, step: str, folder: Path, **parameters: str) -> Execution:
    """Execute ``notebook`` into ``output`` in the project's ``folder``.

    ``output.parent`` is the run folder, in which the step's result file must appear. The executed
    notebook is kept whatever happens, marked at its top when it did not succeed.
    """
    log = Path(os.environ["JUPYTER_RUNTIME_DIR"]) / f"{step}.log"
    execution = _papermill(notebook, output, folder, parameters, log)
    if not execution.failure and record.read_step(output.parent, step) is None:
        execution = Execution(
            "the notebook ended without finish(): its kernel died or a cell left early"
        )
    if execution.failure and execution.cell is None:
        execution = replace(execution, failure=execution.failure + _last_words(log))
    try:
        _keep(notebook, output, execution)
    except OSError as error:
        return Execution(_unwritten(error))
    return execution


def _unwritten(error: OSError) -> str:
    return f"the executed notebook could not be written: {error.strerror}"


def _papermill(
    notebook: Path, output: Path, folder: Path, parameters: dict[str, str], log: Path
) -> Execution:
    manager = type("KernelManager", (LocalKernelManager,), {"said": log})
    try:
        papermill.execute_notebook(
            str(notebook),
            str(output),
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
    except RuntimeError as error:  # jupyter_client: the kernel died or did not start in time
        return Execution(_line(f"its kernel did not answer: {error}"))
    return Execution()


def _last_words(log: Path) -> str:
    """The last line that a kernel said before it died, ready to follow a sentence; or nothing."""
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.exists() else []
    said = [line for line in lines if line.strip() and _NOISE not in line]
    return f"; it said: {_line(said[-1])}" if said else ""


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
