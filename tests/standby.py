"""A primary and its streaming replica, on the programs of the embedded server or on others.

Both listen on Unix sockets alone, in a folder that is gone afterwards. Conflicts are decided at
once: the replica waits for no query (``max_standby_streaming_delay = 0``).
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import conninfo, sql

from runbook.embedded import files, programs
from runbook.embedded.account import Account, server_account
from tests.conftest import PASSWORDS

SECONDS = 30
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "shared_buffers": "32MB",
    "wal_level": "replica",
    "max_wal_senders": "4",
    "hot_standby_feedback": "off",
    "max_standby_streaming_delay": "0",
    "wal_receiver_status_interval": "1s",
    "wal_retrieve_retry_interval": "100ms",
    "autovacuum": "off",  # a test says when rows go
    "log_min_messages": "fatal",
}


@dataclass
class Server:
    """One of the two; ``data`` and ``socket`` are below the test's folder."""

    folder: Path
    name: str
    account: Account
    programs: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.folder / self.name

    @property
    def socket(self) -> Path:
        return self.folder / f"{self.name}.socket"

    def dsn(self, database: str, role: str | None = None) -> str:
        user = role or "postgres"
        return conninfo.make_conninfo(
            host=str(self.socket),
            hostaddr="",
            port=5432,
            dbname=database,
            user=user,
            password=PASSWORDS.get(user, "not asked for"),
        )

    def connect(self, database: str, role: str | None = None) -> psycopg.Connection[Any]:
        return psycopg.connect(self.dsn(database, role), autocommit=True)

    def ask(self, query: str) -> Any:
        """The first value of a query of the superuser."""
        with self.connect("postgres") as session:
            row = session.execute(query.encode()).fetchone()
        return row[0] if row else None

    def start(self) -> None:
        self.socket.mkdir(0o755, exist_ok=True)
        self.folder.chmod(0o755)  # whatever the umask is

        os.chown(self.socket, self.account.uid, self.account.gid)
        settings = {**SETTINGS, "unix_socket_directories": str(self.socket), **self.settings}
        options = [f"--{name}={value}" for name, value in settings.items()]
        with (self.folder / f"{self.name}.log").open("ab") as log:
            postgres = self.programs / "postgres"
            pid = programs.launch(self.account, [postgres, "-D", self.data, *options], log)
        wait(lambda: programs.ready(self.data) or not programs.command_line(pid))

    def stop(self) -> None:
        programs.stop(self.data)


@dataclass
class Replication:
    """A primary, and the replica that streams from it."""

    primary: Server
    replica: Server

    def catch_up(self) -> None:
        """Wait until the replica has replayed all that the primary has written."""
        position = self.primary.ask("SELECT pg_current_wal_insert_lsn()::text")
        wait(lambda: self.replica.ask(f"SELECT pg_last_wal_replay_lsn() >= '{position}'"))

    def cut_off(self) -> None:
        """Make the replica look for its primary where there is none."""
        self._point_to(self.replica.folder / "nowhere")
        wait(lambda: self.replica.ask("SELECT count(*) FROM pg_stat_wal_receiver") == 0)

    def join(self) -> None:
        """Undo :meth:`cut_off`, and a pause."""
        self.replica.ask("SELECT pg_wal_replay_resume()")
        self._point_to(self.primary.socket)
        wait(lambda: self.replica.ask("SELECT status FROM pg_stat_wal_receiver") == "streaming")
        self.catch_up()

    def _point_to(self, socket: Path) -> None:
        value = conninfo.make_conninfo(host=str(socket), port=5432, user="postgres")
        with self.replica.connect("postgres") as session:
            session.execute(
                sql.SQL("ALTER SYSTEM SET primary_conninfo = {}").format(sql.Literal(value))
            )
            session.execute("SELECT pg_reload_conf()")


def wait(until: Callable[[], object]) -> None:
    """Wait until something holds, at most half a minute."""
    deadline = time.monotonic() + SECONDS
    while not until():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


@contextmanager
def single(binaries: Path | None = None, **settings: str) -> Iterator[Server]:
    """A server of its own with these settings."""
    account = server_account()
    with tempfile.TemporaryDirectory(prefix="fkr-single-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        os.chown(folder, account.uid, account.gid)
        found = programs.find_binaries(binaries, account, files.cache_folder()).folder
        server = Server(folder, "single", account, found, settings)
        folder.chmod(0o755)
        initialize(server)
        try:
            server.start()
            yield server
        finally:
            server.stop()


def initialize(server: Server) -> None:
    run(server.account, [server.programs / "initdb", "-D", server.data, "-U", "postgres",
                         "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"])  # fmt: skip


@contextmanager
def replication(binaries: Path | None = None) -> Iterator[Replication]:
    """Make both servers, stop them afterwards; ``binaries`` None: the embedded server's."""
    account = server_account()
    with tempfile.TemporaryDirectory(prefix="fkr-standby-", ignore_cleanup_errors=True) as name:
        folder = Path(name)

        os.chown(folder, account.uid, account.gid)
        folder.chmod(0o755)
        found = programs.find_binaries(binaries, account, files.cache_folder()).folder
        primary = Server(folder, "primary", account, found)
        replica = Server(folder, "replica", account, found)
        initialize(primary)
        try:
            primary.start()
            run(account, [found / "pg_basebackup", "-h", primary.socket, "-U", "postgres",
                          "-D", replica.data, "-R", "--checkpoint=fast", "--no-sync"])  # fmt: skip
            replica.start()
            wait(lambda: primary.ask("SELECT state FROM pg_stat_replication") == "streaming")
            yield Replication(primary, replica)
        finally:
            replica.stop()
            primary.stop()


def run(account: Account, command: list[str | Path]) -> None:
    done = account.run(command)
    assert done.returncode == 0, done.stderr
