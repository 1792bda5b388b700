"""Where the plans, rehearsals and logs of changes are kept: ``changes/<environment>/<kind>/<id>/``.

Each folder holds ``<kind>.json`` and what belongs to it. An id is the moment it began, so that
the newest sorts last.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from runbook import record, run_folders
from runbook.errors import IncompleteError
from runbook.settings import Settings

Document = TypeVar("Document", bound=BaseModel)


class Kind(StrEnum):
    PLAN = "plan"
    REHEARSAL = "rehearsal"
    APPLY = "apply"
    REMEDIATION = "remediation"
    MONITOR = "monitor"
    IMPACT = "impact"


def new(settings: Settings, environment: str, kind: Kind, begun: datetime) -> Path:
    """Make the folder of what begins now; a second one in the same second gets a number."""
    above = _folder(settings, environment, kind)
    name = f"{begun:%Y%m%dT%H%M%SZ}"
    for number in range(1, 1000):
        folder = above / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise IncompleteError(f"{above}: a thousand of {name}", "wait a second and try again")


def of_id(settings: Settings, environment: str, kind: Kind, name: str) -> Path:
    """The folder of what has its id already, made where it is not there."""
    folder = _folder(settings, environment, kind) / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def every(settings: Settings, environment: str, kind: Kind) -> Iterator[Path]:
    """The folders whose document is there, the newest first."""
    found = _folder(settings, environment, kind).glob(f"*/{kind}.json")
    yield from (path.parent for path in sorted(found, key=_order, reverse=True))


def _order(path: Path) -> tuple[str, int]:
    moment, _, number = path.parent.name.partition("-")
    return moment, int(number) if number.isdigit() else 1


def taken_along(settings: Settings, environment: str, run: Path) -> tuple[str, ...]:
    """Copy the logs of what changed the database since the run before into the folder ``run``.

    A log counts again when it went on: an apply that ended, a remediation that was undone. The run
    before is the last one that was not interrupted; without one all logs count. Returns their paths
    in the folder.
    """
    earlier = sorted(path.parent for path in run.parent.glob(f"*/{record.FILE_NAME}"))
    whole = (path for path in reversed(earlier) if not run_folders.interrupted(path))
    before = next((path.name for path in whole if path.name < run.name), "")
    found = []
    for kind in (Kind.APPLY, Kind.REMEDIATION):
        for folder in every(settings, environment, kind):
            if folder.name <= run.name and before < max(folder.name, _written(folder, kind)):
                path = run / "changes" / f"{kind}-{folder.name}.json"
                path.parent.mkdir(exist_ok=True)
                record.write_atomically(path, (folder / f"{kind}.json").read_bytes())
                found.append(path.relative_to(run).as_posix())
    return tuple(sorted(found))


def _written(folder: Path, kind: Kind) -> str:
    """When the document was written last, spelled as an id."""
    seconds = (folder / f"{kind}.json").stat().st_mtime
    return f"{datetime.fromtimestamp(seconds, UTC):%Y%m%dT%H%M%SZ}"


def newest(settings: Settings, environment: str, kind: Kind) -> Path | None:
    return next(every(settings, environment, kind), None)


def latest(
    settings: Settings, environment: str, kind: Kind, model: type[Document]
) -> tuple[Path, Document] | None:
    """The newest document of a kind, with its folder; None where there is none."""
    folder = newest(settings, environment, kind)
    return (folder, read(folder, kind, model)) if folder else None


def write(folder: Path, kind: Kind, document: BaseModel) -> Path:
    """Write ``<kind>.json`` atomically, without secrets."""
    path = folder / f"{kind}.json"
    record.write_atomically(path, record.as_json(document.model_dump(mode="json")))
    return path


def read(folder: Path, kind: Kind, model: type[Document]) -> Document:
    """The document in ``folder``; raises :class:`IncompleteError` when it cannot be read."""
    path = folder / f"{kind}.json"
    try:
        return model.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise IncompleteError(
            f"{path}: cannot be read: {' '.join(str(error).split())[:200]}", "make it again"
        ) from None


def _folder(settings: Settings, environment: str, kind: Kind) -> Path:
    return settings.path(settings.project.changes) / environment / kind
