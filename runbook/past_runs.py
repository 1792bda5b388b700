"""What past runs of an environment found, without all of their evidence.

There may be many run records, and large: each is read once as plain JSON, and what is needed of it
is kept, in memory and in ``runs/.counts``, while its file stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json

from runbook import record
from runbook.errors import IncompleteError
from runbook.findings import AuditState, KeyState
from runbook.record import RunRecord, Version
from runbook.schema import TableName

NOT_LOOKED = AuditState.NOT_LOOKED.value
KEPT = 512  # run records whose counts stay in memory
KEPT_WHOLE = 32  # run records that stay in memory with all of their evidence
KEPT_BELOW = ".counts"  # of the folder of runs
KEPT_FORMAT = 2  # raised whenever what is kept, or its wording, changes


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

    ``orphans`` is the sum over the audits that looked, ``looked`` of ``audits``; ``exact_orphans``
    is that over the relationships that were counted exactly, ``exact`` of ``relationships``.
    """

    environment: str
    run_id: str
    started: datetime
    finished: datetime
    verdict: str
    succeeded: int
    steps: int
    looked: int
    audits: int
    orphans: int
    relationships: int
    exact: int
    exact_orphans: int
    found: Sequence[tuple[str, str, str, int | None]]  # id, key, rows, exact orphans

    @cached_property
    def counts(self) -> Mapping[str, Count]:
        """The counts by relationship id; there may be thousands, and not every page asks."""
        of_run = self.environment, self.run_id, self.started
        return {name: Count(*of_run, key, rows, orphans) for name, key, rows, orphans in self.found}


def of(runs: Path, environment: str) -> tuple[Past, ...]:
    """Every run of ``environment`` below the folder ``runs``, the oldest first.

    A record that cannot be read raises :class:`IncompleteError`: a gap must not look like a change.
    """
    found = sorted((runs / environment).glob(f"*/{record.FILE_NAME}"))
    return tuple(read(path, environment) for path in found)


def read(path: Path, environment: str) -> Past:
    """The run of one run.json; raises :class:`IncompleteError` when it is no run record."""
    try:
        return _read(path, environment, record.version(path))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise IncompleteError(
            f"{path}: not a run record: {_why(error)}",
            "remove the folder and run the runbook again",
        ) from None


def _why(error: Exception) -> str:
    if isinstance(error, LookupError):
        return f"it lacks {error.args[0]!r}"
    return str(error)


def whole(folder: Path) -> RunRecord:
    """All of the run in ``folder`` as :func:`record.read` has it, and its errors."""
    try:
        known = record.version(folder / record.FILE_NAME)
    except OSError:
        return record.read(folder)  # which says what is wrong
    return _whole(folder, known)


@lru_cache(maxsize=KEPT_WHOLE)
def _whole(folder: Path, _version: Version) -> RunRecord:
    return record.read(folder)


@lru_cache(maxsize=KEPT)
def _read(path: Path, environment: str, version: Version) -> Past:
    values = _once(_file(path.parent, "counts"), version, lambda: _values(path))
    return Past(
        environment,
        values["run_id"],
        datetime.fromisoformat(values["started"]),
        datetime.fromisoformat(values["finished"]),
        values["verdict"],
        **values["numbers"],
        found=tuple(tuple(count) for count in values["counts"]),
    )


def once(folder: Path, kind: str, make: Callable[[], Any]) -> Any:
    """What ``make`` makes of the run in ``folder``, as plain JSON; made once, and then kept."""
    return _once(_file(folder, kind), record.version(folder / record.FILE_NAME), make)


def _file(folder: Path, kind: str) -> Path:
    return folder.parent.parent / KEPT_BELOW / folder.parent.name / f"{folder.name}.{kind}.json"


def _once(file: Path, version: Version, make: Callable[[], Any]) -> Any:
    return _kept(file, version) or _keep(file, version, make())


def _kept(file: Path, version: Version) -> dict[str, Any] | None:
    """What an earlier reading of the record kept, if the record is still the same."""
    try:
        found = from_json(file.read_bytes(), cache_strings="all")
        same = found["format"] == KEPT_FORMAT and tuple(found["version"]) == version
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return found["values"] if same else None


def _keep(file: Path, version: Version, values: dict[str, Any]) -> dict[str, Any]:
    with suppress(OSError):  # it only saves the time to read the record again
        file.parent.mkdir(parents=True, exist_ok=True)
        content = {"format": KEPT_FORMAT, "version": version, "values": values}
        record.write_atomically(file, to_json(content))
    return values


def _values(path: Path) -> dict[str, Any]:
    """What is needed of a run.json, as plain JSON; ``numbers`` are :class:`Past`'s."""
    try:
        run = from_json(path.read_bytes(), cache_strings="all")
    except ValueError as error:
        raise ValueError(f"invalid JSON: {error}") from None
    audits = {_id(audit["relationship"]): audit for audit in run["audits"]}
    counts = []
    for row in run["census"]:
        name = _id(row["relationship"])
        audit = audits.get(name)
        rows = AuditState(audit["state"]).value if audit else NOT_LOOKED
        orphans = audit["orphans"] if audit and audit["exact"] else None
        counts.append((name, KeyState(row["state"]).value, rows, orphans))
    exact = [orphans for _, _, _, orphans in counts if orphans is not None]
    looked = [
        audit for audit in run["audits"] if audit["state"] in (AuditState.CLEAN, AuditState.ORPHANS)
    ]
    verdicts = {verdict["gate"]: verdict["state"] for verdict in run["verdicts"]}
    return {
        "run_id": str(run["run_id"]),
        "started": run["started"],
        "finished": run["finished"],
        "verdict": str(verdicts.get(run["gate"], "UNKNOWN")),
        "numbers": {
            "succeeded": sum(step["status"] == "succeeded" for step in run["steps"]),
            "steps": len(run["steps"]),
            "looked": len(looked),
            "audits": len(run["audits"]),
            "orphans": sum(audit["orphans"] or 0 for audit in looked),
            "relationships": len(counts),
            "exact": len(exact),
            "exact_orphans": sum(exact),
        },
        "counts": counts,
    }


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
