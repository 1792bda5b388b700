"""The operating system's account that the embedded server runs as: never root."""

from __future__ import annotations

import contextlib
import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from runbook.errors import UsageError


@dataclass(frozen=True)
class Account:
    """The operating system's account that the server's programs run as."""

    name: str
    uid: int
    gid: int

    @property
    def _other(self) -> bool:
        return self.uid != os.geteuid()

    def run(
        self, args: Sequence[str | Path], stderr: int | IO[bytes] = subprocess.PIPE
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program to its end, apart from this process's terminal and PG* variables."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_"))}
        return subprocess.run(
            [os.fspath(arg) for arg in args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            check=False,
            cwd="/",  # ours may be closed to the account
            env=environment | {"LC_ALL": "C", "TZ": "UTC"},
            start_new_session=True,  # so that Ctrl-C does not reach the server
            umask=0o077,
            user=self.uid if self._other else None,
            group=self.gid if self._other else None,
            extra_groups=[] if self._other else None,
        )

    def may(self, path: Path, test: str) -> bool:
        """Whether the account may do to a path what the option of test(1) says."""
        return self.run(["/bin/sh", "-c", 'test "$1" "$2"', "sh", test, path]).returncode == 0


def server_account() -> Account:
    """Our own account; for root, as which PostgreSQL does not run, ``postgres`` or ``nobody``."""
    if os.geteuid() != 0:
        return Account(str(os.geteuid()), os.geteuid(), os.getegid())
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise UsageError(
        "root cannot run the embedded server, and there is no user 'postgres' or 'nobody'",
        hint="run as an ordinary user, or give a server with --dsn",
    )
