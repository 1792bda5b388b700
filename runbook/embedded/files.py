"""Folders, locks and password files of the embedded server, all of them private."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from runbook.embedded.account import Account
from runbook.errors import IncompleteError, UsageError

WHEEL_MAJOR = 18
START_LOCK = "start.lock"
IN_USE_LOCK = "in-use.lock"
# sun_path holds 108 bytes on Linux and 104 on macOS, and "/.s.PGSQL.5432" takes 14 of them
LONGEST_SOCKET_FOLDER = 85


def cache_folder() -> Path:
    """Where copies and databases that can be made again are kept.

    ``RUNBOOK_CACHE``, else ``$XDG_CACHE_HOME/fk-runbook``, else ``~/.cache/fk-runbook``; for
    root, whose home is closed to the account of the server, ``/var/cache/fk-runbook``.
    """
    if own := os.environ.get("RUNBOOK_CACHE"):
        return Path(own).resolve()
    if os.geteuid() == 0:
        return Path("/var/cache/fk-runbook")
    xdg = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if xdg.is_absolute():  # the specification: a relative one is to be ignored
        return xdg / "fk-runbook"
    try:
        return Path.home() / ".cache" / "fk-runbook"
    except RuntimeError:
        raise UsageError(
            f"the user {os.geteuid()} has no home folder to keep a cache in",
            hint="set RUNBOOK_CACHE to a folder of yours",
        ) from None


def make_folders(folder: Path) -> None:
    """Make a folder and the missing ones above it; root's stay open to the server's account."""
    mode = 0o755 if os.geteuid() == 0 else 0o700
    for path in reversed([folder, *folder.parents]):
        try:
            path.mkdir(mode)
        except FileExistsError:
            continue
        path.chmod(mode)  # whatever the umask took away


def prepare_private_folder(folder: Path, account: Account) -> None:
    """Make the server's folder, or see that the one there is private and ours."""
    make_folders(folder.parent)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise UsageError(
            f"the embedded server needs a folder at {str(folder)!r}, got something else",
            hint="move it away, or set RUNBOOK_CACHE to another folder",
        )
    if found.st_uid in {os.geteuid(), account.uid} and not any(folder.iterdir()):
        folder.chmod(0o700)
        os.chown(folder, account.uid, account.gid)
        found = folder.lstat()
    if found.st_uid != account.uid:
        raise UsageError(
            f"the folder {str(folder)!r} belongs to user {found.st_uid}, expected {account.uid}",
            hint="set RUNBOOK_CACHE to a folder of yours",
        )
    if found.st_mode & 0o077:
        raise UsageError(
            f"the folder {str(folder)!r} is open to others: mode {found.st_mode & 0o777:o}, "
            "expected 700",
            hint="set RUNBOOK_CACHE to a new folder, or give an empty one",
        )
    contents = [
        path.name for path in folder.iterdir()
    ]  # once: another process may be making the lock just now
    if contents and START_LOCK not in contents:
        raise UsageError(
            f"the folder {str(folder)!r} holds files that are not of an embedded server",
            hint="set RUNBOOK_CACHE to a new folder, or give an empty one",
        )
    if not account.may(folder, "-x"):
        raise UsageError(
            f"the server runs as {account.name!r}, who cannot reach the folder {str(folder)!r}",
            hint="set RUNBOOK_CACHE to a folder below folders that are open to everyone",
        )


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


@contextlib.contextmanager
def start_lock(folder: Path, seconds: float = 90) -> Iterator[None]:
    """Be the only one who starts, stops or removes the server in a folder.

    Raises IncompleteError when another process does so for longer than ``seconds``.
    """
    path = folder / START_LOCK
    deadline = time.monotonic() + seconds
    while True:
        descriptor = _open_lock(path)
        if _try_lock(descriptor):
            # a reset may have removed the file that we waited for
            if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                break
        elif time.monotonic() > deadline:
            os.close(descriptor)
            raise IncompleteError(
                f"another process has been starting or stopping the server in {str(folder)!r} "
                f"for {seconds:.0f} s ({holders(path)})",
                hint="end that process, then try again",
            )
        os.close(descriptor)
        time.sleep(0.02)
    try:
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class InUseLock:
    """Says that this process uses the server; gone with the process, however it ends.

    Taken, given up and asked only under the start lock, so that nobody comes in between.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / IN_USE_LOCK
        self._descriptor = _open_lock(self.path)

    def alone(self) -> bool:
        """Whether no other process, and no other holder in this one, uses the server."""
        return _try_lock(self._descriptor)

    def share(self) -> None:
        """Use the server."""
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def close(self) -> None:
        """Use it no longer."""
        os.close(self._descriptor)


def holders(lock: Path) -> str:
    """Who holds a lock file, in words: Linux knows the processes, other systems do not say."""
    with contextlib.suppress(OSError):
        inode = f":{lock.stat().st_ino} "
        lines = Path("/proc/locks").read_text().splitlines()
        pids = {line.split()[4] for line in lines if inode in line and " FLOCK " in line}
        if numbers := sorted(int(pid) for pid in pids if pid != str(os.getpid()) and int(pid) > 0):
            return "process " + ", ".join(str(number) for number in numbers)
    return "a process unknown"


def private_socket_folder(folder: Path, key: str, account: Account) -> Path:
    """A folder of the account's own whose path is short enough for a Unix socket.

    Inside the server's folder where that path fits and is plain (libpq and the server split the
    path at commas); else below /tmp, under a name that only who knows ``key`` can foretell.
    """
    path = socket_folder_path(folder, key)
    with contextlib.suppress(FileExistsError):
        path.mkdir(0o700)
        os.chown(path, account.uid, account.gid)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != account.uid or found.st_mode & 0o077:
        raise IncompleteError(
            f"the socket folder {str(path)!r} is not a private folder of user {account.uid}",
            hint="somebody else made it: find out who, remove it, then try again",
        )
    return path


def socket_folder_path(folder: Path, key: str) -> Path:
    """Where the socket of the server in ``folder`` is; makes nothing."""
    inside = folder / "socket"
    if len(os.fsencode(inside)) <= LONGEST_SOCKET_FOLDER and re.fullmatch(
        r"[\w/.+-]+", str(inside)
    ):
        return inside
    name = hmac.new(key.encode(), os.fsencode(folder), hashlib.sha256).hexdigest()[:20]
    return Path("/tmp") / f"fk-runbook-{name}"  # noqa: S108 - short on every system; see above


def remove_socket_folder(folder: Path, key: str) -> None:
    """Remove the socket folder of a stopped server."""
    shutil.rmtree(socket_folder_path(folder, key), ignore_errors=True)


def read_passfile(path: Path) -> dict[str, str]:
    """Role → password of a libpq password file; empty if there is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    found = (re.fullmatch(r"\*:\*:\*:((?:\\.|[^:\\])+):(.+)", line) for line in lines)
    return {re.sub(r"\\(.)", r"\1", entry[1]): entry[2] for entry in found if entry}


def write_passfile(path: Path, passwords: Mapping[str, str]) -> None:
    """Replace a libpq password file as a whole (mode 0600): half of one never exists."""
    escaped = {re.sub(r"([:\\])", r"\\\1", role): word for role, word in passwords.items()}
    lines = [f"*:*:*:{role}:{word}\n" for role, word in escaped.items()]
    write_private(path, "".join(lines))


def write_private(path: Path, text: str) -> None:
    """Write a file that only we can read, as a whole or not at all."""
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(new, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
