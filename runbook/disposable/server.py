"""Where a disposable copy lives: a private server, or a database on a server that was given.

The private server has a folder of its own (0700), passwords that it made up, no port, and the
write guarantees of a production server; its folder is removed at the end. One that a killed
program left behind is removed when the next one is made.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from runbook import credentials
from runbook.embedded import EmbeddedServer, reset
from runbook.embedded.files import cache_folder
from runbook.errors import IncompleteError, RunbookError, UsageError
from runbook.link import Link
from runbook.redaction import redact
from runbook.server import Session

FOLDER = "copy-"
GIVEN = "fk_runbook_copy_"
# as a production server has them by default; the demo's own server trades them for speed
WRITE_GUARANTEES = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


def opened(conninfo: str, name: str) -> Session:
    """A session in autocommit on a copy's server; raises psycopg's errors."""
    return Link.connect(
        conninfo, autocommit=True, prepare_threshold=None, application_name=f"fk-runbook {name}"
    )


class CopyServer:
    """A server on which databases are made that nobody will miss.

    ``private`` is our own one, or None where the server was given; ``where`` says which, in words.
    """

    def __init__(self, folder: Path | None, dsn: str = "") -> None:
        self._folder = folder
        self.private = self._with_guarantees() if folder else None
        self._dsn = dsn
        self._databases: list[str] = []
        self.owner = ""  # of every database here; empty: who made it

    @property
    def where(self) -> str:
        return "a private server" if self.private else "the server that was given"

    def conninfo(self, database: str, role: str | None = None) -> str:
        """A connection string; ``role`` None is who made the copy, who owns the server if ours."""
        if self.private:
            return self.private.conninfo(database, role)
        return make_conninfo(self._dsn, dbname=database)

    def connect(self, database: str, role: str | None = None, name: str = "copy") -> Session:
        """A session in autocommit; raises :class:`IncompleteError` when there is none to be had."""
        try:
            return opened(self.conninfo(database, role), name)
        except psycopg.Error as error:
            raise IncompleteError(
                f"the copy's server: cannot connect: {redact(' '.join(str(error).split()))}",
                "check that it runs, and that its role may create databases",
            ) from None

    def name_for(self, database: str) -> str:
        """The copy's name: that of the original where nothing else can have it."""
        if self.private and database not in ("postgres", "template0", "template1"):
            return database
        return self.new_name("copy")

    def new_name(self, why: str) -> str:
        """A name that nothing has; it says ``why`` where the server is ours."""
        return f"{f'{why}_' if self.private else GIVEN}{secrets.token_hex(4)}"

    def create(self, name: str, template: str = "template0") -> None:
        """Make a database, dropped at the end; nobody may be connected to its template."""
        made = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        self._administer(made.format(sql.Identifier(name), sql.Identifier(template)))
        self._databases.append(name)
        if self.owner:
            owned = sql.SQL("ALTER DATABASE {} OWNER TO {}")
            self._administer(owned.format(sql.Identifier(name), sql.Identifier(self.owner)))

    def drop(self, name: str) -> None:
        self._administer(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )
        self._databases.remove(name)

    def drop_all(self) -> None:
        for name in self._databases.copy():
            self.drop(name)

    def _with_guarantees(self) -> EmbeddedServer:
        return EmbeddedServer(self._folder, settings=WRITE_GUARANTEES)

    def restart(self, *, guarantees: bool = True) -> bool:
        """Stop our own server and start it again; False where it is not ours to stop.

        Without ``guarantees`` it does not wait for the disk, where no time is measured.
        """
        if self.private is None:
            return False
        self.private.close()
        self.private = self._with_guarantees() if guarantees else EmbeddedServer(self._folder)
        self.private.start()
        return True

    def stop(self) -> None:
        if self.private:
            self.private.close()

    def version(self) -> int:
        """As 180006."""
        with self.connect(self._maintenance) as session:
            return session.info.server_version

    @property
    def _maintenance(self) -> str:
        if self.private:
            return "postgres"
        return str(conninfo_to_dict(self._dsn).get("dbname") or "postgres")

    def _administer(self, statement: sql.Composed) -> None:
        try:
            with self.connect(self._maintenance, name="copy, administration") as session:
                session.execute(statement)
        except psycopg.Error as error:
            raise IncompleteError(
                f"the copy's server: {redact(' '.join(str(error).split()))}",
                "give a role that may create databases, or leave --into out",
            ) from None


@contextmanager
def private() -> Iterator[CopyServer]:
    """A private server, stopped and removed at the end, with whatever is on it."""
    above = cache_folder()
    _sweep(above)
    folder = above / f"{FOLDER}{secrets.token_hex(4)}"
    server = CopyServer(folder)
    try:
        server.restart()
        yield server
    finally:
        server.stop()
        if folder.exists():
            reset(folder)


def _sweep(above: Path) -> None:
    """Remove the servers that killed programs left behind; not one that is in use."""
    for folder in above.glob(f"{FOLDER}*"):
        with suppress(RunbookError):  # in use, or being removed by somebody else
            reset(folder)


@contextmanager
def given(dsn: str) -> Iterator[CopyServer]:
    """A server that was given: the databases made there are dropped at the end."""
    credentials.remember(dsn)
    try:
        conninfo_to_dict(dsn)
    except psycopg.ProgrammingError as error:
        raise UsageError(
            f"--into: not a connection string: {redact(' '.join(str(error).split()))}",
            "write it as 'host=… dbname=… user=…' or as a postgresql:// address",
        ) from None
    server = CopyServer(None, dsn)
    server.version()  # that it lets us in, before anything is dumped
    try:
        yield server
    finally:
        server.drop_all()
