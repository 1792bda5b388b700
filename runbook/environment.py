"""An environment: a target database, how it is reached, and what may be done to it."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

_DURATION = re.compile(r"(\d+)\s*(ms|s|m|h|d)")
_SIZE = re.compile(r"(\d+)\s*(kB|MB|GB)")
_BYTES = {"kB": 2**10, "MB": 2**20, "GB": 2**30}
_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}


def duration(value: Any) -> Any:
    """``"200ms"``, ``"30s"``, ``"5m"``, ``"24h"``, ``"7d"`` as a timedelta; all else is refused."""
    found = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if found:
        with suppress(OverflowError):
            return int(found[1]) * _UNITS[found[2]]
    raise ValueError(f"not a duration: {value!r}, expected text such as '30s', '5m' or '24h'")


def size(value: Any) -> Any:
    """``"64MB"``, ``"2GB"`` in bytes, in PostgreSQL's units of 1,024; all else is refused."""
    found = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found:
        return int(found[1]) * _BYTES[found[2]]
    raise ValueError(f"not a size: {value!r}, expected text such as '512MB' or '2GB'")


Duration = Annotated[timedelta, BeforeValidator(duration)]
Size = Annotated[int, BeforeValidator(size)]


class Tls(BaseModel, title="tls = { … }"):
    """TLS of a connection; the words of ``mode`` are libpq's, paths are files on this machine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]
    root: str = ""
    certificate: str = ""
    key: str = ""


class Password(BaseModel, title="password = { … }"):
    """Where a password comes from, beside libpq's own ways (passfile, service file, PGPASSWORD).

    ``command`` prints it; ``keyring`` names the service in this machine's keyring, the user is
    that of the connection. It is handed to libpq in memory and written nowhere.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: tuple[str, ...] = ()
    keyring: str = ""

    @model_validator(mode="after")
    def _one_way(self) -> Password:
        if bool(self.command) == bool(self.keyring):
            raise ValueError("expected either command or keyring")
        return self


class Connection(BaseModel, title="reader = { … }, owner = { … }"):
    """Where a role's connection comes from; the first of the four that is given and set is used.

    - ``variable``: an environment variable with a libpq connection string;
    - ``service``: a libpq service name;
    - ``socket``: the folder of a Unix socket, with ``database``, ``user`` and perhaps ``port``;
    - ``embedded``: a database of the embedded demo server, reached as ``role``.

    ``dbname`` replaces the database that any of them names; ``assume`` is a role to SET once
    connected.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    variable: str = ""
    service: str = ""
    socket: str = ""
    port: int | None = Field(default=None, ge=1, le=65535)
    database: str = ""
    user: str = ""
    embedded: str = ""
    role: str = ""
    dbname: str = ""
    assume: str = ""
    password: Password | None = None
    tls: Tls | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Connection:
        if not (self.variable or self.service or self.socket or self.embedded):
            raise ValueError("no way to connect, expected variable, service, socket or embedded")
        if self.embedded and not self.role:
            raise ValueError("embedded needs the role to connect as")
        if self.socket and not (self.database and self.user):
            raise ValueError("socket needs the database and the user")
        return self


class Timeouts(BaseModel, title="timeouts = { … }"):
    """Limits that every session sets on the server."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    statement: Duration = timedelta(minutes=5)
    lock: Duration = timedelta(seconds=2)
    idle: Duration = timedelta(minutes=1)
    connect: Duration = timedelta(seconds=10)


class Load(BaseModel, title="load = { … }"):
    """How hard an audit may work the server.

    ``jobs`` relationships at a time, within ``budget`` altogether; it waits while more than
    ``max_load`` sessions of others are active. ``memory`` is what all its statements together may
    take for sorting and hashing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    jobs: int = Field(default=2, ge=1, le=64)
    budget: Duration | None = None
    max_load: int | None = Field(default=None, ge=0)
    memory: Size = Field(default=512 * 2**20, ge=12 * 2**20)


class Change(BaseModel, title="change = { … }"):
    """What a change of the database may take; without it an environment is never changed.

    A lock is asked for with ``lock`` as its timeout, at most ``attempts`` times, with pauses
    around ``pause``; a statement that should be short ends after ``statement``, a scan or an index
    after ``scan``. Remediation works in batches of ``batch`` rows. A rehearsal counts for
    ``rehearsed_within``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    lock: Duration = timedelta(milliseconds=200)
    attempts: int = Field(default=40, ge=1)
    pause: Duration = timedelta(seconds=1)
    statement: Duration = timedelta(seconds=5)
    scan: Duration = timedelta(hours=12)
    batch: int = Field(default=1_000, ge=1)
    rehearsed_within: Duration = timedelta(days=7)


class Environment(BaseModel, title="[environments.NAME]"):
    """A target of the runbook.

    ``reader`` serves everything that only looks; ``owner`` is used by the checks that write,
    inside transactions that are rolled back, and only where ``writes`` is true. Where the
    environment is ``protected``, a run that writes has to be confirmed by its name, and
    ``confirms`` says whose consent that takes. ``gate`` decides the exit code. A result older than
    ``fresh_for`` is stale. On a standby nothing is called clean while its data may be older than
    ``replica_lag``. A superuser's session is refused unless ``superuser`` is true. With ``change``
    the commands that change the database may do so as the owner.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = ""
    title: str = ""
    description: str = ""
    reader: Connection
    owner: Connection | None = None
    writes: bool = False
    protected: bool = False
    confirms: str = ""
    superuser: bool = False
    gate: str
    gates: tuple[str, ...] = ()
    fresh_for: Duration = timedelta(days=1)
    replica_lag: Duration = timedelta(minutes=1)
    timeouts: Timeouts = Field(default_factory=Timeouts)
    load: Load = Field(default_factory=Load)
    change: Change | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Environment:
        if self.writes and self.owner is None:
            raise ValueError(f"writes = true needs an [environments.{self.name}.owner] to write as")
        if self.change and self.owner is None:
            raise ValueError(f"change needs an [environments.{self.name}.owner] to change it as")
        if self.protected and not self.confirms:
            raise ValueError("protected needs confirms: who has to agree to a run that writes")
        return self

    @property
    def all_gates(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.gate, *self.gates)))
