"""Holds a run folder against its digests, its signature and its own verdict."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runbook import judgement, record
from runbook.evidence import signature as signatures
from runbook.evidence.signature import Signature
from runbook.record import RunRecord
from runbook.settings import Settings
from runbook.verdict import State

UNVOUCHED = (record.FILE_NAME, signatures.FILE_NAME)  # the first is signed, the second signs it


@dataclass(frozen=True)
class Report:
    """What became of a run record since it was written.

    ``faults`` name each file that is not what was recorded, ``doubts`` say what contradicts the
    record without proving it wrong, ``notes`` what was not looked at.
    """

    environment: str
    run_id: str
    files: int
    faults: tuple[str, ...]
    signature: Signature
    doubts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def wrong(self) -> bool:
        refused = (signatures.State.WRONG, signatures.State.STRANGER)
        return bool(self.faults) or self.signature.state in refused

    @property
    def verified(self) -> bool:
        """Whether somebody who may do so vouches for a record that nothing contradicts."""
        signed = self.signature.state is signatures.State.SIGNED
        return signed and not self.wrong and not self.doubts

    def exit_code(self, unsigned: bool = False) -> int:
        """0 verified, 1 wrong, 3 undecided; ``unsigned`` is content with matching digests."""
        if self.wrong:
            return 1
        plain = unsigned and self.signature.state is signatures.State.UNSIGNED and not self.doubts
        return 0 if self.verified or plain else 3


def look(settings: Settings, folder: Path) -> Report:
    """Verify the run in ``folder``; raises :class:`IncompleteError` when it holds no record."""
    run = record.read(folder)
    faults = tuple(differences(folder, run))
    doubts, notes = ((), ()) if faults else _verdicts(settings, folder, run)
    return Report(
        environment=run.environment,
        run_id=run.run_id,
        files=len(run.digests) + 1,
        faults=faults,
        signature=_signature(settings, folder, run),
        doubts=doubts,
        notes=notes,
    )


def differences(folder: Path, run: RunRecord) -> Iterator[str]:
    """Every file of ``folder`` that is not as ``run`` recorded it, by what happened to it."""
    for name, digest in run.digests.items():
        path = folder / name
        if path.is_symlink() or not path.is_file():
            yield f"missing: {name}"
        elif hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            yield f"changed: {name}"
    for name in files(folder):
        if name not in run.digests and name not in UNVOUCHED:
            yield f"added: {name}"


def files(folder: Path) -> list[str]:
    """The files below ``folder``, hidden ones and links too, by their path in it."""
    found = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return sorted(path.relative_to(folder).as_posix() for path in found)


def _signature(settings: Settings, folder: Path, run: RunRecord) -> Signature:
    path = folder / signatures.FILE_NAME
    if not path.exists():
        return Signature(signatures.State.UNSIGNED)
    named = settings.project.signers
    return signatures.check(
        (folder / record.FILE_NAME).read_bytes(),
        path.read_bytes(),
        settings.path(named) if named else None,
        run.finished,
    )


def _verdicts(
    settings: Settings, folder: Path, run: RunRecord
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What contradicts the verdicts, and which of them could not be judged again.

    UNKNOWN claims nothing, so nothing contradicts it.
    """
    environment = settings.environments.get(run.environment)
    if environment is None:
        return (), (
            f"runbook.toml has no environment {run.environment!r}: no verdict judged again",
        )
    good = {step.name for step in run.steps if step.status == "succeeded"}
    results = [r for r in judgement.results_of(settings, folder) if r.step in good]
    found = judgement.all_checks(settings, results)
    failed = [f"step {step.name} {step.status}" for step in run.steps if step.name not in good]
    again = {v.gate: v for v in judgement.verdicts(settings, environment, results, found, failed)}
    borrowing = {gate.name for gate in settings.gates_of(environment) if gate.borrows}
    doubts, notes = [], []
    for verdict in run.verdicts:
        if verdict.state in (State.UNKNOWN, State.STALE):
            continue
        if verdict.gate in borrowing:
            notes.append(f"gate {verdict.gate!r} takes evidence of other runs: not judged again")
        elif verdict.gate not in again:
            notes.append(f"runbook.toml has no gate {verdict.gate!r} for it: not judged again")
        elif again[verdict.gate].state is not verdict.state:
            doubts.append(
                f"gate {verdict.gate!r}: recorded as {verdict.state}, its results come to"
                f" {again[verdict.gate].state} with this runbook.toml"
            )
    return tuple(doubts), tuple(notes)
