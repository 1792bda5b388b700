"""What changed between two runs: of one environment at two times, or of two environments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from runbook import past_runs, record, run_folders
from runbook.findings import Audit, CensusRow, CheckResult
from runbook.record import RunRecord

ABSENT = "not looked"

Found = TypeVar("Found")


@dataclass(frozen=True)
class Change:
    """One thing that differs: ``what`` it is about, its name, and its two values."""

    what: str
    name: str
    before: str
    after: str


Values = Mapping[str, Mapping[str, str]]
"""What a run found, in words: by what it is about, then by its name."""


def values(run: RunRecord) -> Values:
    """All of a run that is compared."""
    return {
        "server": _server(run),
        "verdict": _verdicts(run),
        "check": _by(run.checks, _check),
        "key": _by(run.census, _key),
        "orphan rows": _by(run.audits, _orphans),
    }


def kept_values(folder: Path) -> Values:
    """The same of the run in ``folder``, whose record is read for it only the first time.

    Raises :class:`IncompleteError` as :func:`past_runs.whole`.
    """
    found: Values = past_runs.once(folder, "values", lambda: values(past_runs.whole(folder)))
    return found


def compare(before: RunRecord, after: RunRecord) -> tuple[Change, ...]:
    """Everything that differs: server and schema, verdicts, checks, keys, orphan rows."""
    return differences(values(before), values(after))


def differences(before: Values, after: Values) -> tuple[Change, ...]:
    """The same, of values that are compared several times."""
    return tuple(change for what in after for change in _of(what, before[what], after[what]))


def _of(what: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterable[Change]:
    if before == after:
        return
    for name in dict.fromkeys((*before, *after)):
        one, other = before.get(name, ABSENT), after.get(name, ABSENT)
        if one != other:
            yield Change(what, name, one, other)


def _by(
    found: Iterable[Found], name_and_value: Callable[[Found], tuple[str, str]]
) -> dict[str, str]:
    return dict(name_and_value(each) for each in found)


def _server(run: RunRecord) -> dict[str, str]:
    server = run.server
    known = {"schema fingerprint": run.fingerprint or ABSENT}
    if server:
        known |= {
            "version": server.version,
            "database": server.database,
            "system identifier": server.system_identifier or "unknown",
        }
    return known


def _verdicts(run: RunRecord) -> dict[str, str]:
    return {verdict.gate: verdict.state.value for verdict in run.verdicts}


def _check(result: CheckResult) -> tuple[str, str]:
    failing = f", {result.failing:,} failing" if result.failing else ""
    return result.title, f"{result.status}{failing}"


def _key(row: CensusRow) -> tuple[str, str]:
    return row.relationship.id, row.state.value


def _orphans(audit: Audit) -> tuple[str, str]:
    if audit.orphans is None:
        return audit.relationship.id, audit.state.value
    return audit.relationship.id, f"{'' if audit.exact else 'about '}{audit.orphans:,}"


def earlier(runs: Path, run_id: str) -> Path | None:
    """The folder of the whole run before ``run_id`` in an environment's folder of runs."""
    folders = sorted(path.parent for path in runs.glob(f"*/{record.FILE_NAME}"))
    return next(
        (
            folder
            for folder in reversed(folders)
            if folder.name < run_id and not run_folders.interrupted(folder)
        ),
        None,
    )
