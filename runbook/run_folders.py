"""The folders of an environment's runs: which one is the newest, and which were interrupted."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pydantic_core import from_json

from runbook import record

HEAD = 100_000  # bytes of a record, of which there may be megabytes, that mostly hold its steps


def newest(runs: Path, environment: str) -> Path | None:
    """The folder of the newest run of ``environment`` that was not interrupted.

    Run ids sort by their time. An interrupted run counts only while there is no other; a corrupt
    record counts, so that its reader hears of it.
    """
    folder = runs / environment
    complete = sorted(path.parent for path in folder.glob(f"*/{record.FILE_NAME}"))
    whole = (path for path in reversed(complete) if not interrupted(path))
    return next(whole, complete[-1] if complete else None)


def interrupted(folder: Path) -> bool:
    """Whether the record of a run says that a step was not run; a corrupt one says nothing."""
    path = folder / record.FILE_NAME
    try:
        return _interrupted(path, record.version(path))
    except (OSError, ValueError, LookupError, TypeError):
        return False


@lru_cache(maxsize=512)
def _interrupted(path: Path, _version: record.Version) -> bool:
    text = path.read_bytes()
    run = from_json(text[:HEAD], allow_partial=True)
    if "checks" not in run:  # they come after the steps, which are whole then
        run = from_json(text)
    return any(step["status"] == "not run" for step in run["steps"])
