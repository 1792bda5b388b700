"""The server as its users see it: start or join, connect, leave, remove."""

from __future__ import annotations

import contextlib
import errno
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from runbook.embedded import files
from runbook.embedded.account import server_account
from runbook.embedded.programs import find_binaries, stop
from runbook.embedded.start import (
    HALF_MADE,
    SUPERUSER,
    ServerAddress,
    Start,
    conninfo,
    superuser_passfile,
)
from runbook.errors import IncompleteError, UsageError


def default_folder(major: int = files.WHEEL_MAJOR) -> Path:
    """The folder of the embedded server of a major version, in this user's cache."""
    return files.cache_folder() / f"postgres-{major}"


class EmbeddedServer:
    """A private PostgreSQL server, started by whoever comes first and shared by all others.

    As a context manager it is started on entry; on exit it is stopped unless another process
    uses it. ``binaries`` is a folder with other PostgreSQL programs than the wheel's, ``settings``
    replace those of a demo's server when it is started.
    """

    def __init__(
        self,
        folder: Path | None = None,
        binaries: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._binaries = binaries
        self._settings = dict(settings or {})
        self._given_folder = folder.resolve() if folder is not None else None
        self._folder: Path | None = None
        self._in_use: files.InUseLock | None = None
        self._address: ServerAddress | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start the server, or join the one that runs.

        Raises UsageError where the folder or the programs cannot serve, and IncompleteError
        where the server does not come up.
        """
        if self._in_use is not None:
            return
        folder = self._given_folder or default_folder()
        try:
            account = server_account()
            found = find_binaries(self._binaries, account, files.cache_folder())
            folder = self._given_folder or default_folder(found.major)
            files.prepare_private_folder(folder, account)
            with files.start_lock(folder):
                self._folder = folder
                self._join(Start(folder, account, found, self._settings))
        except OSError as error:
            raise IncompleteError(
                f"cannot prepare the embedded server in {str(folder)!r}: {error.strerror}",
                hint="make room there, or set RUNBOOK_CACHE to another folder",
            ) from error

    def _join(self, start: Start) -> None:
        in_use = files.InUseLock(start.folder)
        alone = in_use.alone()
        if not alone:
            in_use.share()
        try:
            self._address = start.run(alone)
            in_use.share()
        except BaseException:
            try:
                if alone:
                    stop(start.data)
            finally:
                in_use.close()
            raise
        self._in_use = in_use

    def close(self) -> None:
        """Leave the server, and stop it unless another process uses it."""
        if self._in_use is None or self._folder is None:
            return
        with files.start_lock(self._folder):
            try:
                if self._in_use.alone():
                    _stop(self._folder)
            finally:
                self._in_use.close()
                self._in_use = self._address = None

    @property
    def address(self) -> ServerAddress:
        """Where the server is; raises IncompleteError unless it was started."""
        if self._address is None:
            raise IncompleteError(
                "the embedded server is not running", hint="start it first: EmbeddedServer.start()"
            )
        return self._address

    def conninfo(self, database: str = "postgres", role: str | None = None) -> str:
        """A libpq connection string without a password; without a role, for the superuser."""
        superuser = role is None or role == SUPERUSER
        address = self.address
        passfile = superuser_passfile(address.passfile.parent) if superuser else address.passfile
        return conninfo(address.host, passfile, database, role or SUPERUSER)

    def passwords(self, roles: Sequence[str]) -> dict[str, str]:
        """Role → password of these roles, made up for those that have none yet, and kept."""
        passfile = self.address.passfile
        with files.start_lock(passfile.parent):
            known = files.read_passfile(passfile)
            new = {role: secrets.token_urlsafe(24) for role in roles if role not in known}
            if new:
                files.write_passfile(passfile, known | new)
        return {role: (known | new)[role] for role in roles}


def reset(folder: Path | None = None) -> bool:
    """Stop the server in a folder and remove the folder; False if there is none.

    One that was interrupted can be done again. Raises IncompleteError while a process uses it.
    """
    folder = folder.resolve() if folder is not None else default_folder()
    if not folder.exists():
        return False
    if folder.is_dir() and not any(folder.iterdir()):  # of a removal that was interrupted
        folder.rmdir()
        return True
    if not (folder / files.START_LOCK).is_file():
        raise UsageError(
            f"{str(folder)!r} is not a folder of an embedded server",
            hint="give the folder that holds its start.lock",
        )
    with files.start_lock(folder):
        in_use = files.InUseLock(folder)
        try:
            if not in_use.alone():
                raise IncompleteError(
                    f"the embedded server in {str(folder)!r} is in use "
                    f"({files.holders(in_use.path)})",
                    hint="end that process, then reset again",
                )
            _stop(folder)
            _remove(folder)
        finally:
            in_use.close()
    return True


def _remove(folder: Path) -> None:
    """Remove a server's folder: first what makes it look whole, last what tells what it is."""
    with contextlib.suppress(FileNotFoundError):
        (folder / "data").rename(folder / f"{HALF_MADE}{secrets.token_hex(4)}")
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != files.START_LOCK:
            path.unlink()
    (folder / files.START_LOCK).unlink()
    try:
        folder.rmdir()
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:  # somebody who waited for us begins anew there
            raise


def _stop(folder: Path) -> None:
    stop(folder / "data")
    if password := files.read_passfile(superuser_passfile(folder)).get(SUPERUSER):
        files.remove_socket_folder(folder, password)
