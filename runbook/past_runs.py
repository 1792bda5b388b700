"""What past runs of an environment found, without all of their evidence.

There may be many run records, and large: each is read once as plain JSON and kept while its file
stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from runbook import record
from runbook.errors import IncompleteError
from runbook.findings import AuditState, KeyState
from runbook.record import RunRecord
from runbook.schema import TableName

NOT_LOOKED = AuditState.NOT_LOOKED.value
KEPT = 512  # run records whose counts stay in memory
KEPT_WHOLE = 32  # run records that stay in memory with all of their evidence

Version = tuple[int, int, int]
"""Inode, time of change and size: a record that is written anew has another inode."""


@dataclass(frozen=True, slots=True)
class Count:
    """A relationship in one run: its orphan rows where they were counted exactly, else None."""

    environment: str
    run_id: str
    measured: datetime
    key: str
    rows: str
    orphans: int | None


@dataclass(frozen=True)
class Past:
    """One run: its verdict under its gate, its steps and audits, and counts by relationship id.

    ``orphans`` is the sum over the audits that looked, ``looked`` of ``audits``.
    """

    run_id: str
    finished: datetime
    verdict: str
    succeeded: int
    steps: int
    looked: int
    audits: int
    orphans: int
    counts: Mapping[str, Count]


def of(runs: Path, environment: str) -> tuple[Past, ...]:
    """Every run of ``environment`` below the folder ``runs``, the oldest first.

    A record that cannot be read raises :class:`IncompleteError`: a gap must not look like a change.
    """
    found = sorted((runs / environment).glob(f"*/{record.FILE_NAME}"))
    return tuple(read(path, environment) for path in found)


def read(path: Path, environment: str) -> Past:
    """The run of one run.json; raises :class:`IncompleteError` when it is no run record."""
    try:
        known = path.stat()
        return _read(path, environment, (known.st_ino, known.st_mtime_ns, known.st_size))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise IncompleteError(
            f"{path}: not a run record: {error!r}", "remove the folder and run the runbook again"
        ) from None


def whole(folder: Path) -> RunRecord:
    """All of the run in ``folder`` as :func:`record.read` has it, and its errors."""
    try:
        known = (folder / record.FILE_NAME).stat()
    except OSError:
        return record.read(folder)  # which says what is wrong
    return _whole(folder, (known.st_ino, known.st_mtime_ns, known.st_size))


@lru_cache(maxsize=KEPT_WHOLE)
def _whole(folder: Path, _version: Version) -> RunRecord:
    return record.read(folder)


@lru_cache(maxsize=KEPT)
def _read(path: Path, environment: str, _version: Version) -> Past:
    run = from_json(path.read_bytes(), cache_strings="all")
    started = datetime.fromisoformat(run["started"])
    run_id = str(run["run_id"])
    audits = {_id(audit["relationship"]): audit for audit in run["audits"]}
    counts = {}
    for row in run["census"]:
        name = _id(row["relationship"])
        audit = audits.get(name)
        counts[name] = Count(
            environment,
            run_id,
            started,
            KeyState(row["state"]).value,
            AuditState(audit["state"]).value if audit else NOT_LOOKED,
            audit["orphans"] if audit and audit["exact"] else None,
        )
    looked = [
        audit for audit in run["audits"] if audit["state"] in (AuditState.CLEAN, AuditState.ORPHANS)
    ]
    verdicts = {verdict["gate"]: verdict["state"] for verdict in run["verdicts"]}
    return Past(
        run_id,
        datetime.fromisoformat(run["finished"]),
        str(verdicts.get(run["gate"], "UNKNOWN")),
        sum(step["status"] == "succeeded" for step in run["steps"]),
        len(run["steps"]),
        len(looked),
        len(run["audits"]),
        sum(audit["orphans"] or 0 for audit in looked),
        counts,
    )


def _id(relationship: Mapping[str, Any]) -> str:
    """The id of a relationship as a run record spells it."""
    child, parent = relationship["child"], relationship["parent"]
    return _spelled(
        (child["schema"], child["table"], tuple(relationship["columns"])),
        (parent["schema"], parent["table"], tuple(relationship["references"])),
    )


@lru_cache(maxsize=100_000)
def _spelled(
    child: tuple[str, str, tuple[str, ...]], parent: tuple[str, str, tuple[str, ...]]
) -> str:
    return " -> ".join(
        f"{TableName(schema, table)}({', '.join(columns)})"
        for schema, table, columns in (child, parent)
    )
