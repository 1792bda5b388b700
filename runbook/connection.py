"""Where the connections of an environment come from; nothing here connects to its database."""

from __future__ import annotations

import atexit
import os
from enum import StrEnum

from psycopg import conninfo

from runbook import passwords
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
        text = os.environ[way.variable]
    elif way.service:
        text = conninfo.make_conninfo(service=way.service)
    elif way.socket:
        text = conninfo.make_conninfo(host=way.socket, dbname=way.database, user=way.user)
        if way.port:
            text = conninfo.make_conninfo(text, port=way.port)
    elif way.embedded:
        text = embedded_server().conninfo(way.embedded, way.role)
    else:
        raise UsageError(
            f"environment {name!r}: the environment variable {way.variable!r} is not set",
            f"export {way.variable}='host=… dbname=… user=…' (the password belongs into a"
            " passfile)",
        )
    return text


def parameters(environment: Environment, purpose: Purpose) -> dict[str, str]:
    """What goes to libpq beside the connection string: TLS, and the password where it is ours.

    Raises :class:`IncompleteError` when the password cannot be had.
    """
    way = _way(environment, purpose)
    if way is None:
        return {}
    found = {}
    if way.tls:
        tls = way.tls
        names = ("sslmode", "sslrootcert", "sslcert", "sslkey")
        values = (tls.mode, tls.root, tls.certificate, tls.key)
        found = {name: value for name, value in zip(names, values, strict=True) if value}
    if way.dbname:
        found["dbname"] = way.dbname
    if way.password:
        text = connection_string(environment, purpose)
        user = str(conninfo.conninfo_to_dict(text).get("user") or way.user)
        found["password"] = passwords.read(environment.name, way.password, user)
    return found


def assumed(environment: Environment, purpose: Purpose) -> str:
    """The role to SET once connected; or empty."""
    way = _way(environment, purpose)
    return way.assume if way else ""


def _way(environment: Environment, purpose: Purpose) -> Connection | None:
    """The settings of a role's connection; None where a connection string replaces them."""
    reads = purpose is Purpose.READ
    if os.environ.get(OVERRIDE_READER if reads else OVERRIDE_OWNER):
        return None
    return environment.reader if reads else environment.owner


def source(environment: Environment, purpose: Purpose = Purpose.READ) -> str:
    """Where a connection comes from: dsn, variable, service, socket or embedded; or empty."""
    if os.environ.get(OVERRIDE_READER if purpose is Purpose.READ else OVERRIDE_OWNER):
        return "dsn"
    way = _way(environment, purpose)
    if way is None:
        return ""
    if way.variable and os.environ.get(way.variable):
        return "variable"
    return next((name for name in ("service", "socket", "embedded") if getattr(way, name)), "")


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
