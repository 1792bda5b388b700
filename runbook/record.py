"""The run record: what one execution of the runbook found, as ``run.json`` and files beside it.

The format is versioned, and :func:`json_schema` publishes it. Files are written under another
name and renamed, so a half-written one never stands under the name that readers look for.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from runbook.audit.lookalikes import Lookalike
from runbook.errors import IncompleteError
from runbook.findings import Audit, CensusRow, CheckResult, Value
from runbook.redaction import without_secrets
from runbook.verdict import Verdict

FILE_NAME = "run.json"
UNFINISHED = "unfinished.json"
STEPS_FOLDER = "steps"

Version = tuple[int, int, int]
"""Inode, time of change and size: a file that is written anew has another inode."""

Model = TypeVar("Model", bound=BaseModel)

StepStatus = Literal["succeeded", "failed", "not run"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Server(_Model):
    """The database that was looked at."""

    version: str
    version_number: int
    system_identifier: str
    database: str
    role: str
    source: str


class StepResult(_Model):
    """What a step's notebook wrote with ``finish()``: the only proof that it succeeded."""

    format: Literal[1] = 1
    step: str
    checks: tuple[CheckResult, ...] = ()
    census: tuple[CensusRow, ...] = ()
    undeclared: int | None = None
    audits: tuple[Audit, ...] = ()
    lookalikes: tuple[Lookalike, ...] = ()
    facts: dict[str, Value] = {}
    server: Server | None = None
    fingerprint: str = ""
    structure_fingerprint: str = ""


class Step(_Model):
    """A step of a run, and the ids of its checks. ``failure`` says why it is not ``succeeded``.

    ``cells`` maps a check to the id of the notebook cell that ran it, ``source`` is the SHA-256 of
    the notebook before it was executed. ``false_starts`` says why kernels did not start before one
    did. In a resumed run ``taken_from`` is the run that executed the step, where it was not this
    one, and ``run_again`` why its earlier result was not taken over.
    """

    name: str
    title: str
    notebook: str
    status: StepStatus
    started: datetime | None = None
    finished: datetime | None = None
    failure: str = ""
    failed_cell: int | None = None
    checks: tuple[str, ...] = ()
    cells: dict[str, str] = {}
    facts: dict[str, Value] = {}
    source: str = ""
    false_starts: tuple[str, ...] = ()
    taken_from: str = ""
    run_again: str = ""


class Unfinished(_Model):
    """What stands in place of a run record until there is one: the steps that have ended.

    ``declarations`` is as in the run record, ``digests`` has the files of those steps.
    """

    format: Literal[1] = 1
    run_id: str
    environment: str
    started: datetime
    tool_version: str
    declarations: str
    planned: tuple[str, ...]
    resumes: str = ""
    steps: tuple[Step, ...] = ()
    digests: dict[str, str] = {}


class RunRecord(_Model):
    """One execution of the runbook against one environment.

    ``resumes`` is the run that it continued, ``declarations`` the SHA-256 of what was declared:
    runbook.toml, the relationships and the project's own checks. ``changes`` are files beside it:
    the logs of what was applied and remediated since the run before.
    """

    format: Literal[1] = 1
    run_id: str
    environment: str
    gate: str
    started: datetime
    finished: datetime
    tool_version: str
    server: Server | None
    fingerprint: str
    structure_fingerprint: str
    steps: tuple[Step, ...]
    checks: tuple[CheckResult, ...]
    census: tuple[CensusRow, ...]
    undeclared: int | None
    audits: tuple[Audit, ...]
    lookalikes: tuple[Lookalike, ...] = ()
    verdicts: tuple[Verdict, ...]
    digests: dict[str, str]
    resumes: str = ""
    declarations: str = ""
    changes: tuple[str, ...] = ()

    @property
    def as_of(self) -> datetime:
        """The time that its results are at least as new as; their age counts from it."""
        taken = [step.finished for step in self.steps if step.taken_from and step.finished]
        return min((*taken, self.finished))

    def verdict(self, gate: str) -> Verdict | None:
        return next((verdict for verdict in self.verdicts if verdict.gate == gate), None)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of run.json."""
    schema = RunRecord.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema


def write_atomically(path: Path, text: str | bytes) -> None:
    """Write ``text`` (UTF-8) so that ``path`` holds all of it or what it held before."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(text.encode() if isinstance(text, str) else text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with suppress(OSError):  # the first error is the one to tell
            temporary.unlink(missing_ok=True)


def write(folder: Path, record: RunRecord) -> Path:
    """Write ``record`` as run.json of ``folder``; the run is then no longer unfinished."""
    path = folder / FILE_NAME
    write_atomically(path, record.model_dump_json(indent=1) + "\n")
    (folder / UNFINISHED).unlink(missing_ok=True)
    return path


def note(folder: Path, unfinished: Unfinished) -> None:
    """Write what is known of a run that goes on as unfinished.json of ``folder``."""
    write_atomically(folder / UNFINISHED, unfinished.model_dump_json(indent=1) + "\n")


def read_unfinished(folder: Path) -> Unfinished:
    """Read unfinished.json of ``folder``; raises :class:`IncompleteError` as :func:`read`."""
    return _load(folder / UNFINISHED, Unfinished)


def read(folder: Path) -> RunRecord:
    """Read run.json of ``folder``; raises :class:`IncompleteError` when it is not a run record."""
    path = folder / FILE_NAME
    return _load(path, RunRecord)


def read_step(folder: Path, step: str) -> StepResult | None:
    """What the step wrote, or None when it wrote nothing."""
    path = folder / STEPS_FOLDER / f"{step}.json"
    return _load(path, StepResult) if path.exists() else None


def write_step(folder: Path, result: StepResult) -> Path:
    path = folder / STEPS_FOLDER / f"{result.step}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, without_secrets(result).model_dump_json(indent=1) + "\n")
    return path


def _load(path: Path, model: type[Model]) -> Model:
    hint = "remove the folder and run the runbook again"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise IncompleteError(f"{path}: cannot be read: {error.strerror}", hint) from error
    except UnicodeDecodeError as error:
        raise IncompleteError(f"{path}: not a run record: {error.reason}", hint) from None
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(key) for key in first["loc"])
        where = f" at {place}" if place else ""
        reason = first["msg"][:1].lower() + first["msg"][1:]
        raise IncompleteError(f"{path}: not a run record{where}: {reason}", hint) from None


def digest(content: bytes) -> str:
    """SHA-256 in hex digits."""
    return hashlib.sha256(content).hexdigest()


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file beside run.json, by its path in ``folder``."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): digest(path.read_bytes())
        for path in files
        if path not in {folder / FILE_NAME, folder / UNFINISHED} and not path.name.startswith(".")
    }


def version(path: Path) -> Version:
    """What tells whether a file is still the one that was read; raises OSError."""
    known = path.stat()
    return known.st_ino, known.st_mtime_ns, known.st_size


def as_json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
