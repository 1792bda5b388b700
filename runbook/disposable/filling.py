"""Fills databases of a copy's server from one snapshot of the source."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg

from runbook import catalog, session
from runbook.disposable import dump, rows
from runbook.disposable.keys import Keys
from runbook.disposable.rows import Reference
from runbook.disposable.server import CopyServer
from runbook.environment import Environment
from runbook.errors import IncompleteError
from runbook.schema import TableName
from runbook.server import Session

LAST = ("COMMENT", "EVENT TRIGGER")  # those of keys need the keys; these would fire for them
KEYS = ("FK CONSTRAINT",)
ROWS = ("MATERIALIZED VIEW DATA",)


@dataclass(frozen=True)
class Filling:
    """``source`` is in a transaction, whose ``snapshot`` all programs look at."""

    environment: Environment
    source: Session
    server: CopyServer
    programs: dump.Programs
    keys: Keys
    snapshot: str
    folder: Path

    def whole(self, name: str) -> None:
        """All rows, and everything that is declared."""
        self._pipe(name, dump.WITH_ROWS)
        self._after_rows(name)

    def empty(self, name: str) -> None:
        """Everything that is declared, without rows, which no key refuses."""
        self._pipe(name, dump.BEFORE_ROWS)
        self._after_rows(name, left_out=(*KEYS, *ROWS))

    def sample(
        self,
        name: str,
        wanted: int,
        references: tuple[Reference, ...],
        schemas: tuple[str, ...] | None,
    ) -> dict[TableName, int]:
        """About ``wanted`` rows of each table, and everything that is declared."""
        self._pipe(name, dump.BEFORE_ROWS)
        try:
            with closing(self.server.connect(name)) as target:
                schema = catalog.read(self.source, schemas)
                every = rows.references_of(schema, references)
                found = rows.sample(self.source, target, schema, every, wanted)
        except psycopg.Error as error:
            raise IncompleteError(
                f"environment {self.environment.name!r}: the sample cannot be copied:"
                f" {session.reason(error)}",
                "leave --sample-rows out, or let the reader read all tables",
            ) from None
        self._after_rows(name)
        return found

    def _after_rows(self, name: str, left_out: tuple[str, ...] = KEYS) -> None:
        """Indexes and the like; then the keys, one by one; then what may look at them."""
        archive = self.folder / "post-data"
        if not archive.exists():
            with dump.address(self.source) as source:
                dump.archive(self.programs, source, archive, self._options(dump.AFTER_ROWS))
        chosen = [
            item
            for item in dump.items(self.programs, archive)
            # pg_dump writes the state of a partition's trigger under a name that has an oid in it
            if item.kind not in left_out
            and not (item.kind == "TRIGGER" and item.oid in self.keys.made)
        ]
        self._restore(name, archive, [item for item in chosen if item.kind not in LAST])
        self.keys.add(self.server, name)
        self.keys.set_triggers(self.server, name)
        self._restore(name, archive, [item for item in chosen if item.kind in LAST])

    def _pipe(self, name: str, options: tuple[str, ...]) -> None:
        with dump.address(self.source) as source, self._target(name) as target:
            dump.pipe(self.programs, source, target, (*self._options(options), *self._bare))

    def _restore(self, name: str, archive: Path, chosen: list[dump.Item]) -> None:
        with self._target(name) as target:
            dump.restore(self.programs, archive, chosen, target, self._bare)

    @contextmanager
    def _target(self, name: str) -> Iterator[str]:
        with closing(self.server.connect(name)) as target, dump.address(target) as address:
            yield address

    @property
    def _bare(self) -> tuple[str, ...]:
        """Privileges and owners are roles, which a server that was given does not have."""
        return () if self.server.private else ("--no-owner", "--no-privileges")

    def _options(self, options: tuple[str, ...]) -> tuple[str, ...]:
        lock = int(self.environment.timeouts.lock / timedelta(milliseconds=1))
        assumed = self.source.execute("SELECT current_user, session_user").fetchone()
        role = (f"--role={assumed[0]}",) if assumed and assumed[0] != assumed[1] else ()
        timeout = f"--lock-wait-timeout={max(1, lock)}"
        return (f"--snapshot={self.snapshot}", timeout, *role, *options)


@contextmanager
def filling(
    environment: Environment, reader: Session, server: CopyServer, programs: dump.Programs
) -> Iterator[Filling]:
    """What fills databases of ``server`` from one snapshot of the reader's, as long as this lasts.

    What is declared is kept in a private folder meanwhile; rows never are.
    """
    with (
        session.reading(reader, environment) as source,
        tempfile.TemporaryDirectory(prefix="fk-runbook-") as folder,  # 0700
    ):
        # it waits for pg_dump, and a snapshot is there only as long as its transaction
        session.set_local(source, idle_in_transaction_session_timeout="0")
        row = source.execute("SELECT pg_export_snapshot()").fetchone()
        snapshot = str(row[0]) if row else ""
        keys = Keys.of(source)
        yield Filling(environment, source, server, programs, keys, snapshot, Path(folder))
