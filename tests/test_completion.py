"""Completion in bash, zsh and fish: what the program answers, and in the real shells."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import project

PROGRAM = Path(sys.executable).parent / "runbook"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "runbook.toml").write_text(
        '[environments.staging]\ntitle = "Staging"\n[environments.production]\n', encoding="utf-8"
    )
    return tmp_path


def answer(folder: Path, shell: str, line: str, **variables: str) -> str:
    """What the program prints when ``shell`` asks it to complete ``line``."""
    words = line.split(" ")
    clean = {k: v for k, v in os.environ.items() if not k.startswith("RUNBOOK_")}
    done = subprocess.run(
        [PROGRAM],
        cwd=folder,
        env=clean
        | {
            "_RUNBOOK_COMPLETE": f"complete_{shell}",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
            "_TYPER_COMPLETE_ARGS": line,
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        }
        | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize(
    ("shell", "found"),
    [
        ("bash", "staging\nproduction\n"),
        ("zsh", '_arguments \'*: :(("staging":"Staging"\n"production"))\'\n'),
        ("fish", "staging\tStaging\nproduction\n"),
    ],
)
def test_environments_are_completed_without_asking_them(
    folder: Path, shell: str, found: str
) -> None:
    assert answer(folder, shell, "runbook run ") == found


def test_commands_and_their_choices_are_completed(folder: Path) -> None:
    assert answer(folder, "bash", "runbook sta") == "status\n"
    assert answer(folder, "bash", "runbook site b") == "build\n"
    assert answer(folder, "bash", "runbook --log-format ") == "text\njson\n"


def test_the_project_on_the_command_line_is_the_one_that_is_read(folder: Path) -> None:
    elsewhere = folder / "else"
    elsewhere.mkdir()
    (elsewhere / "runbook.toml").write_text("[environments.other]\n", encoding="utf-8")
    assert answer(folder, "bash", f"runbook status --project {elsewhere} ") == "other\n"
    found = answer(folder, "bash", "runbook shell ", RUNBOOK_PROJECT=str(elsewhere))
    assert found == "other\n"


@pytest.mark.parametrize("content", [None, b"", b"[environments", b"\xff", b"environments = 3"])
def test_a_shell_that_completes_sees_no_error(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "runbook.toml").write_bytes(content)
    assert answer(tmp_path, "bash", "runbook run ", RUNBOOK_LOG_FORMAT="json").strip() == ""


@pytest.mark.parametrize(
    ("shell", "file"),
    [
        ("bash", ".bash_completions/runbook.sh"),
        ("zsh", ".zfunc/_runbook"),
        ("fish", ".config/fish/completions/runbook.fish"),
    ],
)
def test_completion_is_installed(tmp_path: Path, shell: str, file: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run(
        [shell, "-c", "runbook --install-completion; true"],  # it looks which shell called it
        env={"HOME": str(tmp_path), "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "_RUNBOOK_COMPLETE" in (tmp_path / file).read_text(encoding="utf-8")


SET_UP = {
    "bash": (["--norc", "--noprofile", "-i"], 'eval "$(runbook --show-completion bash)"'),
    "zsh": (
        ["-f", "-i"],
        "autoload -Uz compinit && compinit -u -D && source =(runbook --show-completion zsh)",
    ),
    "fish": (["--no-config", "-i"], "runbook --show-completion fish | source"),
}


@pytest.mark.slow
@pytest.mark.parametrize("shell", SET_UP)
def test_the_tabulator_completes_in_a_real_shell(folder: Path, shell: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    pexpect = importlib.import_module("pexpect")  # it ships no types
    options, command = SET_UP[shell]
    terminal = pexpect.spawn(
        program,
        options,
        cwd=str(folder),
        env={"PATH": f"{PROGRAM.parent}:{os.environ['PATH']}", "HOME": str(folder), "TERM": "vt100",
             "PYTHONPATH": str(project.ROOT)},
        encoding="utf-8",
        timeout=60,
        dimensions=(40, 200),
    )  # fmt: skip
    try:
        terminal.sendline(f"{command}; echo set{{1,2}}up")
        terminal.expect("set1up set2up")
        terminal.send("echo :; : runbook; runbook run prod\t")
        terminal.expect("uction")  # the rest of the word
    finally:
        terminal.close(force=True)
