"""Keeps what came of every database: a line as it comes, and the whole run once it is over.

``results.jsonl`` grows by one line a result and is never rewritten; of two lines of one database
the later counts. ``fleet.json`` says at the start what is to be looked at, and at the end what was
found.
"""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from runbook import record
from runbook.errors import IncompleteError
from runbook.fleet.inventory import FOLDER, Database
from runbook.fleet.result import Result, State

FILE_NAME = "fleet.json"
LINES = "results.jsonl"


class FleetRecord(BaseModel):
    """A run over a fleet; ``finished`` is None while it goes on, or when it was killed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    run_id: str
    tool_version: str
    environment: str
    started: datetime
    finished: datetime | None = None
    interrupted: bool = False
    workers: int = 0
    databases: tuple[Database, ...]
    results: tuple[Result, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """The databases without a result."""
        found = {result.database for result in self.results}
        return tuple(entry.name for entry in self.databases if entry.name not in found)

    @property
    def exit_code(self) -> int:
        """1 with orphan rows, 3 when something was not looked at, else 0."""
        cut = self.interrupted or self.finished is None
        states = {result.state for result in self.results}
        if State.ORPHANS in states:
            return 3 if cut else 1
        return 0 if states == {State.CLEAN} and not self.missing and not cut else 3


def newest(runs: Path) -> Path | None:
    """The folder of the newest run over a fleet; run ids sort by their time."""
    found = sorted(path.parent for path in (runs / FOLDER).glob(f"*/{FILE_NAME}"))
    return found[-1] if found else None


def read(folder: Path) -> FleetRecord:
    """The run in ``folder`` with its results; raises :class:`IncompleteError` when it is none."""
    path = folder / FILE_NAME
    try:
        found = FleetRecord.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise IncompleteError(f"{path}: cannot be read: {error.strerror}", HINT) from None
    except (ValidationError, UnicodeDecodeError):
        raise IncompleteError(f"{path}: not the record of a fleet", HINT) from None
    if found.finished is not None:
        return found
    kept = read_lines(folder / LINES)
    results = (kept[entry.name] for entry in found.databases if entry.name in kept)
    return found.model_copy(update={"results": tuple(results)})


HINT = "remove the folder and run the fleet again"


def write(folder: Path, found: FleetRecord) -> None:
    record.write_atomically(folder / FILE_NAME, found.model_dump_json(indent=1) + "\n")


def read_lines(path: Path) -> dict[str, Result]:
    """Database → its last result. A line that was cut off at the end is no result."""
    found = {}
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    for number, line in enumerate(lines, 1):
        if not line.endswith(b"\n"):
            break
        try:
            result = Result.model_validate_json(line)
        except ValidationError:
            raise IncompleteError(f"{path}:{number}: not a result", HINT) from None
        found[result.database] = result
    return found


class Ledger:
    """``results.jsonl`` of a run, open for more lines; one that was cut off is taken away first."""

    def __init__(self, folder: Path) -> None:
        path = folder / LINES
        whole = path.read_bytes().rpartition(b"\n") if path.exists() else (b"", b"", b"")
        if whole[2]:
            os.truncate(path, len(whole[0]) + len(whole[1]))
        self._file = path.open("ab")

    def append(self, result: Result) -> None:
        """Write one line; when this returns, it is on disk."""
        line = json.dumps(result.model_dump(mode="json"), ensure_ascii=False)
        self._file.write(line.encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()
