"""A PgBouncer in front of a test's server, where the machine has one."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from psycopg import conninfo

from runbook.embedded import programs
from runbook.embedded.account import server_account

PROGRAM = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
IS_THERE = Path(PROGRAM).exists()


@contextmanager
def pooler(dsn: str, mode: str, size: int = 4) -> Iterator[str]:
    """The connection string of a pool of ``size`` backends in ``mode``, as the role of ``dsn``."""
    parts = conninfo.conninfo_to_dict(dsn)
    account = server_account()
    with tempfile.TemporaryDirectory(prefix="fkr-pool-") as name:
        folder = Path(name)
        port = _free_port()
        user, password = str(parts["user"]), str(parts["password"])
        (folder / "users.txt").write_text(f'"{user}" "{password}"\n', encoding="utf-8")
        (folder / "pgbouncer.ini").write_text(
            "[databases]\n"
            f"* = host={parts['host']} port={parts['port']}\n"
            "[pgbouncer]\n"
            "listen_addr = 127.0.0.1\n"
            f"listen_port = {port}\n"
            "auth_type = plain\n"
            f"auth_file = {folder / 'users.txt'}\n"
            "unix_socket_dir =\n"
            f"pool_mode = {mode}\n"
            f"default_pool_size = {size}\n"
            "ignore_startup_parameters = extra_float_digits\n",
            encoding="utf-8",
        )
        for path in (folder, *folder.iterdir()):
            os.chown(path, account.uid, account.gid)
        with (folder / "log").open("ab") as log:
            pid = programs.launch(account, [PROGRAM, folder / "pgbouncer.ini"], log)
        through = conninfo.make_conninfo(
            dsn, host="127.0.0.1", hostaddr="127.0.0.1", port=str(port)
        )
        try:
            _wait(through)
            yield through
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait(dsn: str) -> None:
    end = time.monotonic() + 20
    while True:
        try:
            psycopg.connect(dsn).close()
        except psycopg.OperationalError:
            assert time.monotonic() < end, "the pooler does not answer"
            time.sleep(0.05)
        else:
            return
