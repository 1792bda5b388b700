"""Starting the embedded server, under the start lock of its folder."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from runbook.embedded import files, programs
from runbook.embedded.account import Account
from runbook.errors import IncompleteError, UsageError

SUPERUSER = "postgres"
PORT = 5432
HALF_MADE = "init-"  # begins the name of a data folder that is being made or removed
BUILTIN_LOCALES = 17  # the first major version that has them
START_SECONDS = 60
START_ATTEMPTS = 10
CONNECT_SECONDS = 10
# containers often have 64 MB of it, too little for a parallel join
ENOUGH_SHARED_MEMORY = 512 * 1024**2
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - its size is asked for; nothing is written

# a demo's data can be made again: no write waits for the disk, and nothing listens outside
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": str(PORT),
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "30min",
    "shared_buffers": "256MB",
    "work_mem": "32MB",
    "maintenance_work_mem": "128MB",
    "max_connections": "100",
    "max_locks_per_transaction": "256",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}


@dataclass(frozen=True)
class ServerAddress:
    """Where a running embedded server is found.

    ``host`` is the folder of its Unix socket, ``passfile`` the libpq password file of the roles
    that ``passwords`` made (the superuser's is apart), ``version`` the major version.
    """

    host: str
    port: int
    passfile: Path
    version: int


def superuser_passfile(folder: Path) -> Path:
    """The libpq password file of the superuser alone."""
    return folder / "superuser.pass"


def conninfo(host: str, passfile: Path, database: str, role: str) -> str:
    """A libpq connection string that holds no password."""
    return make_conninfo(
        host=host,
        hostaddr="",  # empty, so that PGHOSTADDR and PGPASSWORD do not come in between
        password="",
        port=PORT,
        dbname=database,
        user=role,
        passfile=str(passfile),
        connect_timeout=CONNECT_SECONDS,
    )


class Start:
    """One start of a server, under the start lock of its folder."""

    def __init__(
        self,
        folder: Path,
        account: Account,
        binaries: programs.Binaries,
        settings: Mapping[str, str],
    ) -> None:
        self.folder = folder
        self._settings = settings
        self.data = folder / "data"
        self._account = account
        self._binaries = binaries
        self._log = folder / "server.log"

    def run(self, alone: bool) -> ServerAddress:
        """Bring the server up, or find it running."""
        password = self._superuser_password()
        self._initialise(password)
        socket_folder = files.private_socket_folder(self.folder, password, self._account)
        postgres = self._binaries.folder / "postgres"
        running = programs.postmaster(self.data)
        if running and alone and programs.command_line(running)[:1] != [str(postgres)]:
            programs.stop(self.data)  # its programs may have been removed since
            running = None
        if running:
            try:
                self._await_ready(running)
                return self._connect(socket_folder)
            except IncompleteError:
                if not alone:
                    raise
                programs.stop(self.data)
        self._launch(postgres, socket_folder)
        return self._connect(socket_folder)

    def _superuser_password(self) -> str:
        passfile = superuser_passfile(self.folder)
        known = files.read_passfile(passfile)
        if SUPERUSER not in known:
            if (self.data / "PG_VERSION").exists():
                raise IncompleteError(
                    f"the superuser's password is missing: {str(passfile)!r}",
                    hint="runbook demo --reset makes the embedded server anew",
                )
            known = {SUPERUSER: secrets.token_urlsafe(24)}
            files.write_passfile(passfile, known)
        return known[SUPERUSER]

    def _initialise(self, password: str) -> None:
        """Make the data folder beside its place and move it in when whole."""
        for half_made in self.folder.glob(f"{HALF_MADE}*"):
            shutil.rmtree(half_made)
        if (self.data / "PG_VERSION").exists() and (self.data / "global" / "pg_control").exists():
            found = (self.data / "PG_VERSION").read_text().strip()
            if found != str(self._binaries.major):
                raise UsageError(
                    f"{str(self.folder)!r} holds data of PostgreSQL {found}, "
                    f"expected {self._binaries.major}",
                    hint="give another folder",
                )
            return
        if self.data.exists():
            programs.stop(self.data)
            shutil.rmtree(self.data)
        new = self.folder / f"{HALF_MADE}{secrets.token_hex(4)}"
        new.mkdir(0o700)
        files.write_private(new / "password", password + "\n")
        for path in (new, new / "password"):
            os.chown(path, self._account.uid, self._account.gid)
        builtin = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        done = self._account.run(
            [
                self._binaries.folder / "initdb",
                f"--pgdata={new / 'data'}",
                f"--pwfile={new / 'password'}",
                f"--username={SUPERUSER}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                *(builtin if self._binaries.major >= BUILTIN_LOCALES else []),
                "--no-sync",
                "--no-instructions",
            ]
        )
        if done.returncode != 0:
            raise IncompleteError(
                f"initdb failed in {str(self.folder)!r}: {_reason(done.stderr)}",
                hint="make room there, or set RUNBOOK_CACHE to another folder",
            )
        (new / "data").rename(self.data)
        shutil.rmtree(new)

    def _launch(self, postgres: Path, socket_folder: Path) -> None:
        # the number in a killed server's file may be another process's, at which postgres balks
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        settings = SETTINGS | {"unix_socket_directories": str(socket_folder), **self._settings}
        if SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free < ENOUGH_SHARED_MEMORY:
            settings["dynamic_shared_memory_type"] = "mmap"
        options = [f"--{name}={value}" for name, value in settings.items()]
        self._log.unlink(missing_ok=True)
        for _ in range(START_ATTEMPTS):
            with self._log.open("ab") as log:
                pid = programs.launch(self._account, [postgres, "-D", self.data, *options], log)
            try:
                if self._await_ready(pid):
                    return
            except BaseException:
                programs.stop(self.data, pid)
                raise
            time.sleep(0.3)  # processes of a server killed just now may still hold its memory
        raise IncompleteError(
            f"the embedded server in {str(self.folder)!r} does not start: "
            f"{_reason(self._log.read_bytes())}",
            hint=f"read {str(self._log)!r}; runbook demo --reset makes the server anew",
        )

    def _await_ready(self, pid: int) -> bool:
        """Wait until the server takes connections; False if it has ended instead."""
        deadline = time.monotonic() + START_SECONDS
        while programs.command_line(pid):
            if programs.ready(self.data):
                return True
            if time.monotonic() > deadline:
                raise IncompleteError(
                    f"the embedded server in {str(self.folder)!r} is not ready after "
                    f"{START_SECONDS} s (process {pid})",
                    hint=f"read {str(self._log)!r}",
                )
            time.sleep(0.01)
        return False

    def _connect(self, socket_folder: Path) -> ServerAddress:
        """See that the server answers to the password that we know."""
        passfile = superuser_passfile(self.folder)
        try:
            with psycopg.connect(conninfo(str(socket_folder), passfile, "postgres", SUPERUSER)):
                pass
        except psycopg.OperationalError as error:
            raise IncompleteError(
                f"the embedded server in {str(self.folder)!r} runs but refuses us: "
                f"{_reason(str(error).encode())}",
                hint="runbook demo --reset makes the server anew",
            ) from error
        return ServerAddress(
            str(socket_folder), PORT, self.folder / "roles.pass", self._binaries.major
        )


def _reason(output: bytes) -> str:
    """The line of a program's output that says why it failed."""
    lines = output.decode(errors="replace").strip().splitlines()
    telling = [line for line in lines if "FATAL:" in line or "error:" in line]
    return (telling or lines or ["it gave no reason"])[-1].strip()
