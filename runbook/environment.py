"""An environment: a target database, how it is reached, and what may be done to it."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import timedelta
from typing import Annotated, Any

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


class Connection(BaseModel, title="reader = { … }, owner = { … }"):
    """Where a role's connection comes from; the first of the three that is given and set is used.

    - ``variable``: an environment variable with a libpq connection string;
    - ``service``: a libpq service name;
    - ``embedded``: a database of the embedded demo server, reached as ``role``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    variable: str = ""
    service: str = ""
    embedded: str = ""
    role: str = ""

    @model_validator(mode="after")
    def _one_way(self) -> Connection:
        if not (self.variable or self.service or self.embedded):
            raise ValueError("no way to connect, expected variable, service or embedded")
        if self.embedded and not self.role:
            raise ValueError("embedded needs the role to connect as")
        return self


class Timeouts(BaseModel, title="timeouts = { … }"):
    """Limits that every session sets on the server."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    statement: Duration = timedelta(minutes=5)
    lock: Duration = timedelta(seconds=2)
    idle: Duration = timedelta(minutes=1)
    connect: Duration = timedelta(seconds=10)


class Environment(BaseModel, title="[environments.NAME]"):
    """A target of the runbook.

    ``reader`` serves everything that only looks; ``owner`` is used by the checks that write,
    inside transactions that are rolled back, and only where ``writes`` is true. ``gate`` decides
    the exit code. A result older than ``fresh_for`` is stale. On a standby nothing is called clean
    while its data may be older than ``replica_lag``. ``memory`` is what all statements of an audit
    together may take on the server for sorting and hashing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = ""
    title: str = ""
    description: str = ""
    reader: Connection
    owner: Connection | None = None
    writes: bool = False
    gate: str
    gates: tuple[str, ...] = ()
    fresh_for: Duration = timedelta(days=1)
    replica_lag: Duration = timedelta(minutes=1)
    timeouts: Timeouts = Field(default_factory=Timeouts)
    memory: Size = Field(default=512 * 2**20, ge=12 * 2**20)

    @model_validator(mode="after")
    def _consistent(self) -> Environment:
        if self.writes and self.owner is None:
            raise ValueError(f"writes = true needs an [environments.{self.name}.owner] to write as")
        return self

    @property
    def all_gates(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.gate, *self.gates)))
