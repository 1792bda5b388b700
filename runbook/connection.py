"""Where the connections of an environment come from; nothing here connects to its database."""

from __future__ import annotations

import atexit
import os
from enum import StrEnum

from psycopg import conninfo

from runbook.embedded import EmbeddedServer
from runbook.environment import Connection, Environment
from runbook.errors import UsageError

OVERRIDE_READER = "RUNBOOK_READER_DSN"
OVERRIDE_OWNER = "RUNBOOK_OWNER_DSN"

_server: EmbeddedServer | None = None


class Purpose(StrEnum):
    """Which of an environment's two roles a session needs."""

    READ = "reader"
    WRITE = "owner"


def embedded_server() -> EmbeddedServer:
    """The embedded server of this process, started on first use and let go at exit."""
    global _server  # noqa: PLW0603 - one per process; its life is the process's
    if _server is None:
        server = EmbeddedServer()
        server.start()
        atexit.register(server.close)
        _server = server
    return _server


def connection_string(environment: Environment, purpose: Purpose) -> str:
    """The libpq connection string for a role of ``environment``, without its password.

    Raises :class:`UsageError` when the environment does not name that role, or names only an
    environment variable that is not set.
    """
    override = os.environ.get(OVERRIDE_READER if purpose is Purpose.READ else OVERRIDE_OWNER)
    if override:
        return override
    way = environment.reader if purpose is Purpose.READ else environment.owner
    if way is None:
        raise UsageError(
            f"environment {environment.name!r} has no {purpose} connection",
            f"add [environments.{environment.name}.{purpose}] to runbook.toml",
        )
    return _from_way(environment.name, way)


def _from_way(name: str, way: Connection) -> str:
    if way.variable and os.environ.get(way.variable):
        return os.environ[way.variable]
    if way.service:
        return conninfo.make_conninfo(service=way.service)
    if way.embedded:
        return embedded_server().conninfo(way.embedded, way.role)
    raise UsageError(
        f"environment {name!r}: the environment variable {way.variable!r} is not set",
        f"export {way.variable}='host=… dbname=… user=…' (the password belongs into a passfile)",
    )


def source(environment: Environment, purpose: Purpose = Purpose.READ) -> str:
    """Where a role's connection comes from: dsn, variable, service or embedded; or empty."""
    reads = purpose is Purpose.READ
    if os.environ.get(OVERRIDE_READER if reads else OVERRIDE_OWNER):
        return "dsn"
    way = environment.reader if reads else environment.owner
    if way is None:
        return ""
    if way.variable and os.environ.get(way.variable):
        return "variable"
    return "service" if way.service else "embedded" if way.embedded else ""


def no_writing(environment: Environment) -> str:
    """Why nothing may be written, not even in a transaction that is rolled back; or empty.

    The owner has to come from where the reader comes from: with only one of the two replaced,
    a run would judge two databases as one.
    """
    if not environment.writes:
        return f"writing checks are not allowed in {environment.name}"
    reader, owner = source(environment), source(environment, Purpose.WRITE)
    if reader != owner:
        return f"the reader comes from {reader} and the owner from {owner or 'nowhere'}"
    return ""
