"""fleet.toml: the databases of a fleet, their servers, and how hard each server may be worked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from runbook import declarations
from runbook.declarations import KeyedError
from runbook.environment import Connection, Duration, Environment
from runbook.errors import UsageError
from runbook.settings import Settings

FILE_NAME = "fleet.toml"
FOLDER = "fleet"  # in runs/


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FleetSettings(_Section, title="[fleet]"):
    """What holds for every database.

    ``environment`` of runbook.toml gives timeouts, limits and the connection. At most
    ``jobs_per_server`` databases of one server are looked at at a time. Where nobody could connect,
    it is tried ``retries`` times more. A look that takes longer than ``slow_after`` is reported;
    one that takes longer than ``give_up_after`` is given up. Without any worker the run ends after
    ``wait_for_workers``.
    """

    environment: str
    jobs_per_server: int = Field(default=4, ge=1)
    retries: int = Field(default=2, ge=0, le=10)
    slow_after: Duration = timedelta(minutes=1)
    give_up_after: Duration = timedelta(minutes=10)
    wait_for_workers: Duration = timedelta(minutes=1)

    @model_validator(mode="after")
    def _in_order(self) -> FleetSettings:
        if not timedelta() < self.slow_after <= self.give_up_after:
            raise KeyedError(
                ("give_up_after",), "expected slow_after above 0s and give_up_after not before it"
            )
        return self


class ServerSettings(_Section, title="[servers.NAME]"):
    """A server that may be worked harder or less: databases at a time.

    Without ``jobs`` it takes the fleet's ``jobs_per_server``.
    """

    jobs: int | None = Field(default=None, ge=1)


class Database(_Section, title="[[database]]"):
    """One database: its name in the fleet, the server it is on, and how it is reached.

    ``reader`` replaces the environment's; ``dbname`` replaces the database that either names.
    """

    name: str = Field(min_length=1, max_length=200)
    server: str = Field(min_length=1)
    region: str = ""
    tags: tuple[str, ...] = ()
    dbname: str = ""
    reader: Connection | None = None

    @model_validator(mode="after")
    def _own(self) -> Database:
        if self.reader is None and not self.dbname:
            raise ValueError("expected dbname, reader or both: it would be the environment's own")
        return self


class Inventory(_Section, title="fleet.toml"):
    """All databases of a fleet, in the order of the file."""

    fleet: FleetSettings
    servers: Mapping[str, ServerSettings] = Field(default_factory=dict)
    database: tuple[Database, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> Inventory:
        names: dict[str, int] = {}
        places: dict[str, int] = {}
        for number, entry in enumerate(self.database):
            place = f"{entry.reader!r} {entry.dbname}"
            if (first := names.setdefault(entry.name, number)) != number:
                message = f"{entry.name!r} is already that of database[{first}]"
                raise KeyedError(("database", number, "name"), message)
            if (first := places.setdefault(place, number)) != number:
                message = (
                    f"{entry.name!r} is reached as database[{first}] is, {names_of(self)[first]!r}"
                )
                raise KeyedError(("database", number), message)
        used = {entry.server for entry in self.database}
        for name in self.servers:
            if name not in used:
                raise KeyedError(("servers", name), f"no database is on server {name!r}")
        return self

    def jobs(self, server: str, given: int | None = None) -> int:
        """How many databases of ``server`` at a time; ``given`` on the command line goes first."""
        own = self.servers.get(server)
        return given or (own and own.jobs) or self.fleet.jobs_per_server


def names_of(inventory: Inventory) -> tuple[str, ...]:
    return tuple(entry.name for entry in inventory.database)


def read(path: Path, settings: Settings) -> Inventory:
    """Read fleet.toml; errors name line and key. Raises :class:`UsageError`."""
    text = declarations.read_text(path, "name the file with --inventory")
    found = declarations.parse(text, path, Inventory)
    if found.fleet.environment not in settings.environments:
        known = ", ".join(settings.environments)
        line = declarations.line_of(text, ("fleet", "environment"))
        raise UsageError(
            f"{path}:{line}: fleet.environment: no environment {found.fleet.environment!r}"
            " in runbook.toml",
            f"choose one of: {known}",
        )
    if FOLDER in settings.environments:
        raise UsageError(
            f"an environment cannot be named {FOLDER!r}: its runs would lie among the fleet's",
            "give the environment another name in runbook.toml",
        )
    return found


def environment_of(database: Database, template: Environment) -> Environment:
    """``template`` as it is for one database: read only, under the database's name."""
    reader = database.reader or template.reader
    if database.dbname:
        reader = reader.model_copy(update={"dbname": database.dbname})
    return template.model_copy(
        update={
            "name": database.name,
            "title": database.name,
            "reader": reader,
            "owner": None,
            "writes": False,
            "protected": False,
        }
    )
