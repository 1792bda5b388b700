"""Progress and errors on standard error: as lines, or as JSON objects with nothing between."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from runbook import cli, messages
from runbook.messages import Level
from runbook.progress import Progress
from tests import project
from tests.commands import Runbook

JSON = ("--log-format", "json")


def objects(text: str, command: str) -> list[dict[str, Any]]:
    """Every line as the object that it is; all have a time, a level and the command."""
    found = [json.loads(line) for line in text.splitlines()]
    for entry in found:
        age = datetime.now(UTC) - datetime.fromisoformat(entry.pop("time"))
        assert 0 <= age.total_seconds() < 600
        assert entry.pop("command") == command
        Level(entry["level"])
    return found


def capture(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Standard error as a text; JSON may be switched on in it, and is off again afterwards.

    Not a fixture: pytest puts its own standard error in place when the test starts.
    """
    below = io.StringIO()
    monkeypatch.setattr(sys, "stderr", below)
    monkeypatch.setattr(messages, "_lines", None)
    monkeypatch.setattr(messages, "err", Console(stderr=True, highlight=False))
    return below


# --- the commands --------------------------------------------------------------------------------


def test_an_error_is_one_object(runbook: Runbook, folder: Path) -> None:
    found = runbook(*JSON, "run", "prod")
    assert found.returncode == 2
    assert objects(found.stderr, "run") == [
        {
            "level": "error",
            "message": f"no environment 'prod' in {folder}/runbook.toml",
            "hint": "choose one of: staging, production, development",
            "exit_code": 2,
        }
    ]


@pytest.mark.parametrize(
    ("arguments", "command", "message", "hint"),
    [
        (("run", "staging", "--nonsense"), "run", "no such option: --nonsense", "run --help"),
        (("runn",), "", "no such command 'runn'. Did you mean 'run'?", "--help"),
        (("site", "serve", "--port", "x"), "site serve", None, "site serve --help"),
    ],
)
def test_wrong_usage_is_told_alike_in_both_formats(
    runbook: Runbook, arguments: tuple[str, ...], command: str, message: str | None, hint: str
) -> None:
    found = runbook(*arguments, RUNBOOK_LOG_FORMAT="json")
    (entry,) = objects(found.stderr, command)
    assert (found.returncode, entry["level"], entry["exit_code"]) == (2, "error", 2)
    assert message in (None, entry["message"])
    assert entry["hint"].endswith(f"runbook {hint}")
    plain = runbook(*arguments)
    assert plain.returncode == 2
    assert plain.stderr == f"error: {entry['message']}\nhint: {entry['hint']}\n"


def test_an_unknown_format_is_refused(runbook: Runbook) -> None:
    found = runbook("status", RUNBOOK_LOG_FORMAT="xml")
    assert found.returncode == 2
    assert found.stderr.startswith(
        "error: invalid value for '--log-format' (env var: 'RUNBOOK_LOG_FORMAT'): 'xml' is not one"
        " of 'text', 'json'\n"
    )


def test_an_audit_writes_objects(
    runbook: Runbook, dsn: Callable[..., str], telecore_staging: str
) -> None:
    reader = dsn(telecore_staging, "telecore_reader")
    found = runbook(*JSON, "audit", "production", "--only", "workspace", "--dsn", reader)
    first, *rest = objects(found.stderr, "audit")
    assert first == {
        "level": "info",
        "message": "connects (dsn) and reads the catalog",
        "task": "audit",
        "done": 0,
        "total": None,
    }
    *counted, last = rest
    total = counted[0]["total"]
    assert total == len(counted) > 1
    assert [entry["done"] for entry in counted] == list(range(1, total + 1))
    assert last["message"] == "counts what only looks like orphan rows"
    assert "relationships looked at" in found.stdout


@pytest.mark.slow
def test_a_run_writes_objects(
    runbook: Runbook, folder: Path, dsn: Callable[..., str], telecore_staging: str
) -> None:
    (folder / "notebooks").mkdir()
    project.notebook(
        folder / "notebooks" / "fine.ipynb",
        'from runbook.steps import open_step\nstep = open_step("fine", environment, run_folder)\n'
        "step.finish()",
    )
    project.notebook(folder / "notebooks" / "broken.ipynb", "1 / 0")
    with (folder / "runbook.toml").open("a", encoding="utf-8") as file:
        for name in ("fine", "broken"):
            file.write(
                f'\n[[step]]\nname = "{name}"\ntitle = "{name}"\nnotebook = "{name}.ipynb"\n'
                "alone = true\n"
            )
    text = (folder / "runbook.toml").read_text(encoding="utf-8")
    text = text.replace(f'"{project.ROOT}/runbook/telecore/checks', '"runbook/telecore/checks')
    (folder / "runbook.toml").write_text(text, encoding="utf-8")
    reader = dsn(telecore_staging, "telecore_reader")
    found = runbook(*JSON, "run", "production", "--dsn", reader)
    assert found.returncode == 3, found.stderr
    entries = objects(found.stderr, "run")
    assert entries[0]["message"] == "connects (dsn) and reads the catalog"
    assert [
        (entry["level"], entry["message"], entry["step"], entry["state"], entry["done"])
        for entry in entries[1:]
    ] == [
        ("info", "fine started", "fine", "started", 0),
        ("info", "fine succeeded", "fine", "succeeded", 1),
        ("info", "broken started", "broken", "started", 1),
        ("error", "broken failed", "broken", "failed", 2),
    ]
    assert {(entry["task"], entry["total"]) for entry in entries} == {("production", 2)}


@pytest.mark.slow
def test_a_build_of_the_site_writes_objects(tmp_path: Path) -> None:
    project.copy(tmp_path)
    for page in tmp_path.joinpath("docs").rglob("*.md"):
        page.unlink()
    (tmp_path / "docs" / "index.md").write_text("# Start\n", encoding="utf-8")
    path = tmp_path / "mkdocs.yml"
    head = path.read_text(encoding="utf-8").partition("\nnav:")[0]
    path.write_text(f"{head}\nnav:\n  - Start: index.md\n  - Results: results/index.md\n")
    done = subprocess.run(
        [sys.executable, "-m", "runbook", *JSON, "site", "build"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, *more, last = objects(done.stderr, "site build")
    waits = "waits for MkDocs, which builds all pages"
    assert (first["message"], last["message"]) == (waits, "done")
    assert (last["done"], last["total"]) == (1, 1)
    for entry in more:  # one each ten seconds
        assert entry["message"].startswith(f"{waits}, ")
        assert entry["message"].endswith(" s so far")


# --- what else is printed ------------------------------------------------------------------------


def test_what_other_code_prints_becomes_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    written = capture(monkeypatch)
    messages.as_json("run")
    messages.as_json("run")  # a second time changes nothing
    print("one\n\ntwo", file=sys.stderr, end="")
    messages.err.print("a [red]line[/red] that is " + "long " * 60)
    sys.stderr.write("last")
    sys.stderr.close()
    found = objects(written.getvalue(), "run")
    assert [entry["level"] for entry in found] == ["warning"] * 3
    one, two, last = (entry["message"] for entry in found)
    assert one == "one"
    assert two == "twoa line that is " + ("long " * 60).rstrip()
    assert last == "last"


def test_waiting_gives_a_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    written = capture(monkeypatch)
    with Progress(messages.err) as progress:
        task = progress.task("site", None)
        with task.waiting("waits for it", every=0.05):
            time.sleep(0.4)
        task.done()
    first, second, *_, last = written.getvalue().splitlines()
    assert (first, last) == ("site: waits for it", "site: done")
    assert second == "site: waits for it, 0 s so far"


def test_an_error_while_waiting_comes_out_and_ends_the_signs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = capture(monkeypatch)
    with Progress(messages.err) as progress:
        task = progress.task("site", None)
        with pytest.raises(KeyError), task.waiting("waits", every=0.01):
            raise KeyError
    length = len(written.getvalue())
    time.sleep(0.1)
    assert len(written.getvalue()) == length


def test_a_step_that_was_never_started_can_end(monkeypatch: pytest.MonkeyPatch) -> None:
    written = capture(monkeypatch)
    with Progress(messages.err) as progress:
        task = progress.task("staging", 2)
        task.step("one", "taken over from run 1")
        task.step("two", "started")
    assert written.getvalue() == "staging: one taken over from run 1\nstaging: two started\n"


# --- a fault of the program ----------------------------------------------------------------------


def fault(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int | str | None:
    """The exit code of the program when its command ends with ``error``."""

    def broken(**_options: object) -> None:
        raise error

    monkeypatch.setattr(cli, "app", broken)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return caught.value.code


def test_a_fault_of_the_program_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    written = capture(monkeypatch)
    error = ValueError("password=canary-secret")
    assert fault(monkeypatch, error) == 3
    first, *_, message, hint = written.getvalue().splitlines()
    assert first == "Traceback (most recent call last):"
    assert message == "error: a fault of fk-runbook: ValueError('password=•••"
    assert hint == "hint: nothing was decided: report it with the traceback"
    assert "canary" not in written.getvalue()


def test_a_fault_of_the_program_is_one_object(monkeypatch: pytest.MonkeyPatch) -> None:
    written = capture(monkeypatch)
    messages.as_json("run")
    assert fault(monkeypatch, ZeroDivisionError("division by zero")) == 3
    (entry,) = objects(written.getvalue(), "run")
    trace = entry.pop("traceback")
    assert trace.startswith("Traceback (most recent call last):\n")
    assert entry == {
        "level": "error",
        "message": "a fault of fk-runbook: ZeroDivisionError('division by zero')",
        "hint": "nothing was decided: report it with the traceback",
        "exit_code": 3,
    }


AGAIN = "\nhint: nothing was decided: run the command again\n"
NO_ROOM = (
    " could not be written: No space left on device\n"
    "hint: make room in the project's folder, in the folder for temporary files and where standard"
    " output goes, and run the command again\n"
)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 3, "error: interrupted\nhint: run the command again\n"),
        (
            ModuleNotFoundError("No module named 'papermill.x'", name="papermill.x"),
            2,
            "error: 'papermill' is not installed\nhint: pip install 'fk-runbook[notebooks]'\n",
        ),
        (
            PermissionError(13, "Permission denied", "runs"),
            3,
            (
                "error: runs: Permission denied\n"
                "hint: check that the folder exists, has room and may be written\n"
            ),
        ),
        (OSError(28, "No space left on device"), 3, "error: a file or standard output" + NO_ROOM),
        (OSError(28, "No space left on device", "runs/x"), 3, "error: runs/x" + NO_ROOM),
        (
            OSError(24, "Too many open files"),
            3,
            "error: the operating system: Too many open files" + AGAIN,
        ),
        (OSError("no text"), 3, "error: the operating system: no text" + AGAIN),
    ],
)
def test_what_ends_a_command_has_its_message(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
) -> None:
    written = capture(monkeypatch)
    assert fault(monkeypatch, error) == code
    assert written.getvalue() == said
