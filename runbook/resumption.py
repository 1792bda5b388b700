"""What a run takes over from the one that it resumes, and why it takes no more.

A step's result is evidence of one database at one time. It is taken over only when its files are
those that were noted, everything that it depends on is the same, and it is still fresh. Otherwise
the step is run again, and the new record says why.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from runbook import __version__, record
from runbook.environment import Environment
from runbook.errors import IncompleteError, UsageError
from runbook.findings import AuditState, Status
from runbook.preflight import Seen
from runbook.record import FILE_NAME, UNFINISHED, Step, StepResult
from runbook.settings import FILE_NAME as SETTINGS_FILE
from runbook.settings import Settings, StepEntry


@dataclass(frozen=True)
class Earlier:
    """A run that did not come to its end: from its record, or from what stands in its place."""

    folder: Path
    run_id: str
    tool_version: str
    declarations: str
    steps: Mapping[str, Step]
    digests: Mapping[str, str]


@dataclass(frozen=True)
class Taken:
    """The steps that are taken over, the digests of their files, and why the others are not.

    ``why_again`` has a reason for each step of the earlier run that is run again.
    """

    steps: tuple[Step, ...]
    digests: dict[str, str]
    why_again: dict[str, str]


@dataclass(frozen=True)
class Present:
    """The run that resumes: what it was asked for, what it sees, and where it is kept."""

    settings: Settings
    environment: Environment
    seen: Seen
    started: datetime
    folder: Path


def find(settings: Settings, environment: Environment) -> Earlier:
    """The newest run of ``environment``; raises :class:`UsageError` unless something of it is left.

    Raises :class:`IncompleteError` when what it left cannot be read.
    """
    name = environment.name
    folders = settings.runs / name
    left = {path.parent for kind in (FILE_NAME, UNFINISHED) for path in folders.glob(f"*/{kind}")}
    if not left:
        raise UsageError(
            f"environment {name!r} has no run to resume", f"start one: runbook run {name}"
        )
    folder = max(left)
    found = _read(folder)
    if all(not _unfinished(found, entry) for entry in settings.step):
        raise UsageError(
            f"environment {name!r}: nothing is left to resume: every step of its newest run"
            f" {folder.name} succeeded and could look",
            f"start a new one: runbook run {name}",
        )
    return found


def _read(folder: Path) -> Earlier:
    whole = (folder / FILE_NAME).exists()
    found = record.read(folder) if whole else record.read_unfinished(folder)
    return Earlier(
        folder=folder,
        run_id=folder.name,
        tool_version=found.tool_version,
        declarations=found.declarations,
        steps={step.name: step for step in found.steps},
        digests=found.digests,
    )


def declarations(settings: Settings) -> str:
    """SHA-256 of runbook.toml, the relationships and the modules of the project's own checks."""
    files = [settings.folder / SETTINGS_FILE, settings.path(settings.project.relationships)]
    package = settings.project.checks
    spec = importlib.util.find_spec(package) if package else None
    for place in (spec.submodule_search_locations or ()) if spec else ():
        files += sorted(Path(place).glob("*.py"))
    return record.digest("\n".join(record.digest(f.read_bytes()) for f in files).encode())


def take_over(earlier: Earlier, present: Present) -> Taken:
    """Copy what counts of ``earlier`` into the folder of the present run.

    A step that runs alone follows all before it: it is run again when one of them is, and so is
    the last one, the verdict, in any case.
    """
    settings = present.settings
    common = _not_comparable(earlier, settings)
    steps: list[Step] = []
    digests: dict[str, str] = {}
    why: dict[str, str] = {}
    for entry in settings.step:
        reason = _unfinished(earlier, entry) or common
        if not reason and entry.alone and entry is settings.step[-1]:
            reason = "the last step judges all others"
        if not reason and entry.alone and why:
            reason = "a step before it is run again"
        if not reason:
            reason = _outdated(earlier, present, entry)
        if not reason:
            reason = _another_database(earlier, entry, present.seen)
        if reason:
            why[entry.name] = reason
            continue
        step = earlier.steps[entry.name]
        digests |= _copy(earlier, step, present.folder)
        steps.append(step.model_copy(update={"taken_from": step.taken_from or earlier.run_id}))
    return Taken(tuple(steps), digests, why)


def _files(step: Step) -> tuple[str, str]:
    return (f"{record.STEPS_FOLDER}/{step.name}.json", step.notebook)


def _unfinished(earlier: Earlier, entry: StepEntry) -> str:
    """What is left of a step to do; or empty."""
    step = earlier.steps.get(entry.name)
    if step is None or step.status == "not run":
        return "it had not come to its end"
    if step.status != "succeeded":
        return f"it had failed: {step.failure}"
    for name in _files(step):
        path = earlier.folder / name
        if not path.is_file() or record.digest(path.read_bytes()) != earlier.digests.get(name):
            return f"{name} is not what was recorded"
    result = _result(earlier, entry)
    blind = [c.check for c in result.checks if c.status is Status.COULD_NOT_LOOK]
    blind += [a.relationship.label for a in result.audits if a.state is AuditState.COULD_NOT_LOOK]
    return f"it could not look: {', '.join(blind)}" if blind else ""


def _result(earlier: Earlier, entry: StepEntry) -> StepResult:
    result = record.read_step(earlier.folder, entry.name)
    if result is None:
        raise IncompleteError(
            f"{earlier.folder}: the result of step {entry.name!r} has just gone",
            "leave the folder alone and resume again",
        )
    return result


def _not_comparable(earlier: Earlier, settings: Settings) -> str:
    """Why no result of the earlier run is one of this run; or empty."""
    if earlier.tool_version != __version__:
        return f"it is of fk-runbook {earlier.tool_version}, this is {__version__}"
    if earlier.declarations != declarations(settings):
        return "runbook.toml, the relationships or the project's checks have changed since"
    return ""


def _outdated(earlier: Earlier, present: Present, entry: StepEntry) -> str:
    settings, fresh_for = present.settings, present.environment.fresh_for
    step = earlier.steps[entry.name]
    source = settings.path(settings.project.notebooks) / entry.notebook
    if step.notebook != entry.notebook or step.source != record.digest(source.read_bytes()):
        return "its notebook has changed since"
    age = present.started - step.finished if step.finished else None
    if age is None or age < timedelta(0):
        return "it ended at no time before this run"
    if age > fresh_for:
        return f"it is older than fresh_for, {fresh_for}"
    return ""


def _another_database(earlier: Earlier, entry: StepEntry, seen: Seen) -> str:
    result = _result(earlier, entry)
    then, now = result.server, seen.server
    if then is None or not then.system_identifier or not now.system_identifier:
        return "nothing says whether it looked at the same server"
    if (then.system_identifier, then.database) != (now.system_identifier, now.database):
        return (
            f"it looked at another database, {then.database!r} of server {then.system_identifier}"
        )
    if then.role != now.role:
        return f"it looked as another role, {then.role!r}"
    if result.fingerprint != seen.fingerprint:
        return "the schema has changed since"
    return ""


def _copy(earlier: Earlier, step: Step, folder: Path) -> dict[str, str]:
    """Copy the files of a step, each one checked as it was read; their digests."""
    found = {}
    for name in _files(step):
        content = (earlier.folder / name).read_bytes()
        found[name] = record.digest(content)
        if found[name] != earlier.digests.get(name):
            raise IncompleteError(
                f"{earlier.folder / name}: it has just been changed",
                "leave the folder alone and resume again",
            )
        target = folder / name
        target.parent.mkdir(exist_ok=True)
        record.write_atomically(target, content.decode("utf-8"))
    return found


def remarks(steps: tuple[Step, ...]) -> tuple[str, ...]:
    """What a verdict says of the results that another run obtained, by that run."""
    runs = dict.fromkeys(step.taken_from for step in steps if step.taken_from)
    lines = []
    for run_id in runs:
        own = [step for step in steps if step.taken_from == run_id]
        oldest = min(step.finished for step in own if step.finished)
        names = ", ".join(step.name for step in own)
        lines.append(
            f"taken over from run {run_id}, looked at from {oldest:%Y-%m-%d %H:%M} UTC on: {names}"
        )
    return tuple(lines)
