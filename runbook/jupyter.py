"""A JupyterLab of this user's own: on 127.0.0.1, with a token, its kernels on Unix sockets."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_core import paths

from runbook.errors import IncompleteError, UsageError
from runbook.redaction import redact

FIRST_PORT = 8888
START_SECONDS = 60
STOP_SECONDS = 15
POLL_SECONDS = 0.1

OPTIONS = (
    "--ServerApp.ip=127.0.0.1",
    "--ServerApp.answer_yes=True",  # Ctrl-C ends it, without a question
    "--KernelManager.transport=ipc",
    "--allow-root",  # who runs it as root runs the runbook as root too
    # nothing here asks another host, and nothing is installed from here
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",
)


@dataclass(frozen=True)
class Lab:
    """A JupyterLab that answers; ``url`` opens it, with its token."""

    process: subprocess.Popen[bytes]
    address: str
    token: str

    @property
    def url(self) -> str:
        return f"{self.address}lab?token={self.token}"

    def wait(self) -> int:
        """Until it ends by itself; its exit code."""
        return self.process.wait()


@contextmanager
def started(folder: Path, project: Path, port: int | None, browser: bool) -> Iterator[Lab]:
    """JupyterLab on ``folder``, whose kernels import from ``project``; ended on leaving.

    ``port`` None takes the first free one from 8888. Settings of this machine's Jupyter are left
    out, for they may open it to others; the user's look of JupyterLab stays. Raises
    :class:`UsageError` for a port that is taken, :class:`IncompleteError` when it does not start.
    """
    port = _free(port)
    with tempfile.TemporaryDirectory(prefix="fkr-") as private:  # mode 0700; the path stays short
        token = secrets.token_urlsafe(32)
        log = Path(private) / "jupyter.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "jupyterlab", *OPTIONS),
                    f"--ServerApp.port={port}",
                    "--ServerApp.port_retries=0",
                    f"--ServerApp.root_dir={folder}",
                    *(() if browser else ("--no-browser",)),
                ],
                cwd=project,
                env=os.environ | _environment(Path(private), project, token),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                # one signal, ours: a terminal's Ctrl-C beside it cuts the end of its kernels short
                start_new_session=True,
            )
        try:
            yield _ready(process, f"http://127.0.0.1:{port}/", token, log)
        finally:
            _end(process)


def _environment(private: Path, project: Path, token: str) -> dict[str, str]:
    """The token goes through the environment: arguments are seen by every user of a machine."""
    mine = Path(paths.jupyter_config_dir()) / "lab"
    above = os.environ.get("PYTHONPATH")
    return {
        "JUPYTER_TOKEN": token,
        "JUPYTER_NO_CONFIG": "1",
        "JUPYTER_RUNTIME_DIR": str(private),
        "JUPYTERLAB_SETTINGS_DIR": str(mine / "user-settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(private / "workspaces"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # ipykernel's debugger warns otherwise
        "PYTHONPATH": f"{project}{os.pathsep}{above}" if above else str(project),
    }


def _free(port: int | None) -> int:
    """``port`` itself, or the first free one; it may be taken before JupyterLab has it."""
    for candidate in (port,) if port is not None else range(FIRST_PORT, FIRST_PORT + 50):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError as error:
                if port is not None:
                    raise UsageError(
                        f"port {port} cannot be used: {error.strerror}",
                        "choose another with --port",
                    ) from None
                continue
            return int(probe.getsockname()[1])
    raise UsageError(
        f"no port from {FIRST_PORT} to {FIRST_PORT + 49} is free", "choose one with --port"
    )


def _ready(process: subprocess.Popen[bytes], address: str, token: str, log: Path) -> Lab:
    lab = Lab(process, address, token)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise IncompleteError(
                f"JupyterLab ended before it answered{_last_words(log, token)}",
                "try it alone: jupyter lab",
            )
        if _answers(lab):
            return lab
        time.sleep(POLL_SECONDS)
    raise IncompleteError(
        f"JupyterLab did not answer within {START_SECONDS} s{_last_words(log, token)}",
        "try it alone: jupyter lab",
    )


def _answers(lab: Lab) -> bool:
    try:
        ask(lab, "api/status")
    except (urllib.error.URLError, ConnectionError, TimeoutError):  # it does not listen yet
        return False
    return True


def ask(lab: Lab, path: str) -> Any:
    """GET ``path`` of the server's REST interface."""
    request = urllib.request.Request(  # noqa: S310 - http, to this machine
        lab.address + path, headers={"Authorization": f"token {lab.token}"}
    )
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - the same
        return json.load(answer)


def _last_words(log: Path, token: str) -> str:
    lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    last = redact(lines[-1].strip().replace(token, "•••")) if lines else ""
    return f"; it said: {last}" if last else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM: it shuts its kernels down first."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
