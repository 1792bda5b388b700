"""JupyterLab on the notebooks: really started, asked over HTTP, and ended."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
import pytest

from runbook import by_hand, jupyter, record, run_folders, status
from runbook.errors import IncompleteError, UsageError
from runbook.settings import Settings
from runbook.settings import read as read_settings
from tests import project
from tests.browsing import chromium as browser
from tests.commands import Runbook

__all__ = ["browser"]  # a fixture

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def here(tmp_path: Path) -> Settings:
    """The project's settings and notebooks in a folder of their own."""
    text = (project.ROOT / "runbook.toml").read_text(encoding="utf-8")
    text = text.replace('"runbook/telecore/', f'"{project.ROOT}/runbook/telecore/')
    (tmp_path / "runbook.toml").write_text(text, encoding="utf-8")
    shutil.copytree(project.ROOT / "notebooks", tmp_path / "notebooks")
    return read_settings(tmp_path)


# --- the copies ----------------------------------------------------------------------------------


def parameters(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    (found,) = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", ())]
    return str(found)


def test_copies_have_the_environment_chosen_and_the_notebooks_stay(here: Settings) -> None:
    before = record.digests(here.folder / "notebooks")
    desk = by_hand.lay_out(here, here.environment("production"), NOW)
    assert desk.folder == here.runs / "production" / "by-hand" / "20260102T030405.000000Z"
    assert desk.folder.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in desk.folder.iterdir()) == sorted(before)
    for entry in here.step:
        source = parameters(desk.folder / entry.notebook)
        assert source == 'environment: str = "production"\nrun_folder: str = ""'
    assert record.digests(here.folder / "notebooks") == before


def test_copies_are_no_run(here: Settings) -> None:
    by_hand.lay_out(here, here.environment("production"), NOW)
    assert run_folders.newest(here.runs, "production") is None
    assert status.of(here, here.environment("production"), NOW).later == ()


def test_copies_are_removed_only_while_nobody_saved_anything(here: Settings) -> None:
    production = here.environment("production")
    desk = by_hand.lay_out(here, production, NOW)
    (desk.folder / ".ipynb_checkpoints").mkdir()  # JupyterLab makes one of what it opens
    assert desk.clear()
    assert not here.runs.joinpath("production").exists()
    changes: tuple[Callable[[Path], object], ...] = (
        lambda path: (path / "00_preflight.ipynb").write_text("{}", encoding="utf-8"),
        lambda path: (path / "mine.ipynb").touch(),
        lambda path: (path / "00_preflight.ipynb").unlink(),
    )
    for change in changes:
        desk = by_hand.lay_out(here, production, datetime.now(UTC))
        change(desk.folder)
        assert not desk.clear()
        assert desk.folder.is_dir()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('environment: str = "staging"\nrun: int = 1', 'environment: str = "o\'b"\nrun: int = 1'),
        ("environment='x' # which", 'environment="o\'b" # which'),
        ('é = "é"; environment = (\n    "x"\n)', 'é = "é"; environment = (\n    "o\'b"\n)'),
        ('environment: str\nrun = ""', None),
        ("environment, run = 1, 2", None),
        ("", None),
    ],
)
def test_the_default_is_put_in_place(source: str, found: str | None) -> None:
    assert by_hand.with_default(source, "o'b") == found


def test_a_notebook_without_the_parameter_is_refused(here: Settings) -> None:
    path = here.folder / "notebooks" / "00_preflight.ipynb"
    path.write_text(path.read_text(encoding="utf-8").replace("environment: str", "target: str"))
    with pytest.raises(UsageError) as caught:
        by_hand.lay_out(here, here.environment("production"), NOW)
    assert str(caught.value) == (
        f"{path}: no cell tagged 'parameters' gives environment a value\n"
        "hint: add the cell, as in the other notebooks"
    )
    path.write_text("no notebook")
    with pytest.raises(UsageError) as caught:
        by_hand.lay_out(here, here.environment("production"), NOW)
    assert str(caught.value) == f"{path}: not a notebook\nhint: mend the file"
    path.unlink()
    with pytest.raises(UsageError) as caught:
        by_hand.lay_out(here, here.environment("production"), NOW)
    assert str(caught.value) == (
        f"{here.folder}/runbook.toml: 'notebooks/00_preflight.ipynb': no such file\n"
        "hint: correct the name"
    )
    assert not here.runs.exists()


# --- JupyterLab ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shell:
    """A running ``runbook shell`` and the address that it printed."""

    process: subprocess.Popen[str]
    address: str
    token: str

    def ask(self, path: str, method: str = "GET", body: Any = None, token: str = "") -> Any:
        request = urllib.request.Request(  # noqa: S310 - http, to this machine
            f"{self.address}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {token or self.token}"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.load(answer)

    def execute(self, kernel: str, *cells: str) -> str:
        """What the cells print, run in the kernel over the server's WebSocket."""
        websocket = importlib.import_module("websocket")  # it ships no types
        address = f"{self.address.replace('http', 'ws', 1)}api/kernels/{kernel}/channels"
        channel = websocket.create_connection(
            address, timeout=60, header=[f"Authorization: token {self.token}"]
        )
        printed = ""
        for number, cell in enumerate(cells):
            header = {"msg_id": f"{number}", "msg_type": "execute_request", "session": "test",
                      "username": "", "version": "5.3"}  # fmt: skip
            content = {"code": cell, "silent": False, "store_history": False,
                       "user_expressions": {}, "allow_stdin": False}  # fmt: skip
            channel.send(json.dumps({"header": header, "parent_header": {}, "metadata": {},
                                     "content": content, "channel": "shell"}))  # fmt: skip
            while True:
                message = json.loads(channel.recv())
                if message["parent_header"].get("msg_id") != f"{number}":
                    continue
                printed += message["content"].get("text", "")
                assert message["msg_type"] != "error", message["content"]["evalue"]
                if message["content"].get("execution_state") == "idle":  # all is printed
                    break
        channel.close()
        return printed


@contextmanager
def opened(here: Settings, reader: str, *options: str, **variables: str) -> Iterator[Shell]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("RUNBOOK_", "PG"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "runbook", "shell", "production", "--no-browser", "--port", "0",
         *options],
        cwd=here.folder,
        env=clean | {"RUNBOOK_READER_DSN": reader, "PYTHONPATH": str(project.ROOT)} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(
            r"JupyterLab on production \(Ctrl-C ends it\):"
            r" (http://127\.0\.0\.1:\d+/)lab\?token=(\S{40,})\n",
            line,
        )
        if found is None:
            process.kill()
            raise AssertionError(line + process.communicate()[1])
        yield Shell(process, found[1], found[2])
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=30)


def listening(port: int) -> set[str]:
    """The addresses, in hexadecimal, on which this machine listens at ``port``."""
    found = set()
    for table in ("tcp", "tcp6"):
        path = Path("/proc/net") / table
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            _, local, _, state, *_ = line.split()
            address, _, number = local.partition(":")
            if int(number, 16) == port and state == "0A":
                found.add(address)
    return found


def children(process: int) -> set[int]:
    """All processes below ``process``."""
    found: set[int] = set()
    for path in Path("/proc").glob(f"{process}/task/*/children"):
        for child in map(int, path.read_text().split()):
            found |= {child} | children(child)
    return found


def alive(process: int) -> str:
    """The command of a process that runs; empty for one that has ended, reaped or not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        return "" if state == "Z" else Path(f"/proc/{process}/cmdline").read_text()
    except OSError:
        return ""


@pytest.mark.slow
def test_jupyterlab_runs_a_cell_with_the_environment_chosen_and_ends_on_ctrl_c(
    here: Settings, dsn: Callable[..., str], telecore_staging: str
) -> None:
    before = record.digests(here.folder / "notebooks")
    with opened(here, dsn(telecore_staging, "telecore_reader")) as shell:
        assert shell.ask("api/status")["kernels"] == 0
        with pytest.raises(urllib.error.HTTPError, match="403"):
            shell.ask("api/status", token="a guess")
        if Path("/proc/net/tcp").exists():
            assert listening(int(shell.address.split(":")[2].rstrip("/"))) == {"0100007F"}

        kernel = shell.ask("api/kernels", "POST", {"name": "python3"})["id"]
        cells = [
            "".join(cell["source"])
            for cell in shell.ask("api/contents/00_preflight.ipynb")["content"]["cells"]
            if cell["cell_type"] == "code"
        ]
        printed = shell.execute(
            kernel,
            *cells[:2],
            "print(step.environment.name, step.server.database, step.finish(), sep='\\n')",
            "from ipykernel import get_connection_info\n"
            "info = get_connection_info(unpack=True)\n"
            "print(info['transport'])",
        )
        assert printed.splitlines() == [
            "production",
            telecore_staging,
            "run by hand: shown here, recorded nowhere, and it counts towards no verdict",
            "ipc",
        ]
        below = children(shell.process.pid)
        os.killpg(shell.process.pid, signal.SIGINT)  # as a terminal does
        out, err = shell.process.communicate(timeout=30)
        assert (shell.process.returncode, out) == (0, "stopped\n")
        assert shell.token not in err
        assert len(below) >= 2  # JupyterLab and the kernel
        assert {pid: what for pid in below if (what := alive(pid))} == {}
    assert not here.runs.joinpath("production").exists()
    assert record.digests(here.folder / "notebooks") == before


@pytest.mark.slow
def test_what_was_saved_stays_and_sigterm_ends_it(
    here: Settings, dsn: Callable[..., str], telecore_staging: str
) -> None:
    with opened(here, dsn(telecore_staging, "telecore_reader")) as shell:
        (desk,) = (here.runs / "production" / "by-hand").iterdir()
        notebook = shell.ask("api/contents/00_preflight.ipynb")
        notebook["content"]["cells"][0]["source"] = "# mine"
        shell.ask("api/contents/00_preflight.ipynb", "PUT", notebook)
        shell.process.send_signal(signal.SIGTERM)
        out, _ = shell.process.communicate(timeout=30)
        assert shell.process.returncode == 0
        assert out == f"what was saved is in {desk}\nstopped\n"
    assert "# mine" in (desk / "00_preflight.ipynb").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_jupyterlab_that_dies_is_no_success(
    here: Settings, dsn: Callable[..., str], telecore_staging: str
) -> None:
    with opened(here, dsn(telecore_staging, "telecore_reader")) as shell:
        (lab,) = children(shell.process.pid)
        os.kill(lab, signal.SIGKILL)
        _, err = shell.process.communicate(timeout=30)
    assert shell.process.returncode == 3
    assert err.splitlines()[-2:] == [
        "error: JupyterLab ended with exit code -9",
        "hint: start it again: runbook shell production",
    ]


def test_a_protected_environment_asks_for_its_name(runbook: Runbook, folder: Path) -> None:
    path = folder / "runbook.toml"
    text = path.read_text(encoding="utf-8")
    text = text.replace(
        "[environments.staging]",
        '[environments.staging]\nprotected = true\nconfirms = "the DBA on call"',
    )
    path.write_text(text, encoding="utf-8")
    found = runbook("shell", "staging")
    assert found.returncode == 2
    assert found.stderr == (
        "error: environment 'staging' is protected, and checks that write are allowed in it\n"
        "hint: with the consent of the DBA on call: runbook shell staging --confirm staging\n"
    )


def test_an_unreachable_environment_is_told_before_jupyterlab_starts(
    runbook: Runbook,
    folder: Path,
) -> None:
    found = runbook("shell", "production", "--dsn", "host=/no/such/socket")
    assert found.returncode == 3
    assert "error: environment 'production': cannot connect as reader: " in found.stderr
    assert not (folder / "runs").exists()


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(UsageError) as caught,
            jupyter.started(tmp_path, tmp_path, port, browser=False),
        ):
            raise AssertionError
    assert str(caught.value) == (
        f"port {port} cannot be used: Address already in use\nhint: choose another with --port"
    )


def test_no_free_port_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = 52_100
    monkeypatch.setattr(jupyter, "FIRST_PORT", first)
    with ExitStack() as taken:
        for port in range(first, first + 50):
            with suppress(OSError):  # then somebody else has it
                taken.enter_context(socket.create_server(("127.0.0.1", port)))
        with (
            pytest.raises(UsageError) as caught,
            jupyter.started(tmp_path, tmp_path, None, browser=False),
        ):
            raise AssertionError
    assert str(caught.value) == (
        "no port from 52100 to 52149 is free\nhint: choose one with --port"
    )


def stand_in(folder: Path, code: str) -> None:
    """A package that is found in the place of JupyterLab."""
    (folder / "jupyterlab").mkdir()
    (folder / "jupyterlab" / "__init__.py").touch()
    (folder / "jupyterlab" / "__main__.py").write_text(code)


def test_a_jupyterlab_that_does_not_answer_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"import os, time\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n"
    stand_in(tmp_path, code + "time.sleep(60)\n")
    monkeypatch.setattr(jupyter, "START_SECONDS", 3)
    with (
        pytest.raises(IncompleteError) as caught,
        jupyter.started(tmp_path, tmp_path, None, browser=False),
    ):
        raise AssertionError
    assert str(caught.value) == (
        "JupyterLab did not answer within 3 s\nhint: try it alone: jupyter lab"
    )
    assert not alive(int((tmp_path / "pid").read_text()))


def test_a_jupyterlab_that_does_not_start_says_why(tmp_path: Path) -> None:
    stand_in(
        tmp_path, """import os, sys\nsys.exit(f"no room for {os.environ['JUPYTER_TOKEN']}")\n"""
    )
    with (
        pytest.raises(IncompleteError) as caught,
        jupyter.started(tmp_path, tmp_path, None, browser=False),
    ):
        raise AssertionError
    assert str(caught.value) == (
        "JupyterLab ended before it answered; it said: no room for •••\n"
        "hint: try it alone: jupyter lab"
    )


@pytest.mark.slow
@pytest.mark.browser
def test_jupyterlab_opens_a_notebook_and_asks_no_other_host(
    here: Settings, browser: Any, dsn: Callable[..., str], telecore_staging: str
) -> None:
    asked: list[str] = []
    with opened(here, dsn(telecore_staging, "telecore_reader")) as shell:
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        address = f"{shell.address}lab/tree/00_preflight.ipynb?token={shell.token}"
        page.goto(address, wait_until="networkidle", timeout=90_000)
        page.get_by_role("heading", name="Preflight").wait_for(timeout=60_000)
        page.wait_for_timeout(2000)
        page.close()
    assert len(asked) > 10
    assert [url for url in asked if not url.startswith((shell.address, "data:", "blob:"))] == []
