"""A server of the benchmark's own, removed at the end, and sessions on it as reader and owner."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from runbook.embedded import EmbeddedServer, reset
from runbook.environment import Connection, Environment, Timeouts
from runbook.errors import UsageError

DATABASE = "bench"
READER, OWNER = "bench_reader", "bench_owner"


@dataclass(frozen=True)
class Bench:
    """The database of the benchmark: an environment for the engine, and the owner's session."""

    environment: Environment
    owner: psycopg.Connection[Any]


@contextmanager
def started(folder: Path | None) -> Iterator[Bench]:
    """A fresh database on an embedded server in ``folder``, or in a temporary one."""
    place = folder or Path(tempfile.mkdtemp(prefix="fkr-bench-"))
    place.mkdir(parents=True, exist_ok=True)
    place.chmod(0o755)  # root's server runs as an account that has to reach it
    try:
        with EmbeddedServer(place / "server") as server:
            yield from _opened(server)
    finally:
        with suppress(UsageError):  # it never came to be: what is being raised says why
            reset(place / "server")
        with suppress(OSError):  # a folder that was there before, and holds more
            place.rmdir()


def _opened(server: EmbeddedServer) -> Iterator[Bench]:
    with psycopg.connect(server.conninfo(), autocommit=True) as admin:
        for role, word in server.passwords((READER, OWNER)).items():
            admin.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                    sql.Identifier(role), sql.Literal(word)
                )
            )
        admin.execute(f"GRANT pg_read_all_data TO {READER}".encode())
        admin.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}".encode())
    os.environ["BENCH_READER_DSN"] = server.conninfo(DATABASE, READER)
    environment = Environment(
        name="bench",
        reader=Connection(variable="BENCH_READER_DSN"),
        gate="none",
        timeouts=Timeouts.model_construct(
            statement=timedelta(hours=1),
            lock=timedelta(seconds=2),
            idle=timedelta(hours=1),
            connect=timedelta(seconds=10),
        ),
    )
    with psycopg.connect(server.conninfo(DATABASE, OWNER), autocommit=True) as owner:
        yield Bench(environment, owner)
