"""Scans what a run leaves for secrets; what holds one is blanked, and the run counts for nothing.

Redaction comes first, so a hit means that something was written past it.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runbook import credentials, record, redaction
from runbook.errors import IncompleteError
from runbook.findings import CheckResult, Status
from runbook.record import RunRecord, Step
from runbook.verdict import State

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # of a traceback; they may stand within a secret
BLANK = "**This notebook held {kind} and was removed.** Its step counts as failed."


@dataclass(frozen=True)
class Hit:
    """A file, relative to the run folder, and what kind of secret it holds."""

    file: str
    kind: str

    def __str__(self) -> str:
        return f"{self.file} held {self.kind} and was removed"


def guarded(folder: Path, run: RunRecord) -> RunRecord:
    """``run`` as it may be written: without secrets, and UNKNOWN where a file held one.

    Files that hold a secret are removed from the run ``folder``, notebooks replaced by a blank
    one. Raises :class:`IncompleteError` when the record itself cannot be freed of a secret.
    """
    clean = redaction.without_secrets(run)
    hits = look(folder)
    for hit in hits:
        _blank(folder, hit)
    if hits:
        clean = _condemned(clean, hits)
    left = next(kinds(clean.model_dump_json().encode(), ".json"), None)
    if left:
        raise IncompleteError(
            f"{folder}: the run record holds {left} and was not written",
            "look for where it comes from: it cannot be masked without breaking the record",
        )
    return clean


def look(folder: Path) -> tuple[Hit, ...]:
    """The first kind of secret that each file below ``folder`` holds; every file is read."""
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found.append(Hit(name, "a link to another file"))
        elif path.is_file():
            kind = next(kinds(path.read_bytes(), path.suffix), None)
            found += [Hit(name, kind)] if kind else []
    return tuple(found)


def kinds(content: bytes, suffix: str) -> Iterator[str]:
    """What kinds of secrets a file's ``content`` holds.

    What cannot be read is taken for one: nobody could say what is in it.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        yield "what is no text"
        return
    plain = _plain(text, suffix)
    texts = [text, plain, html.unescape(plain)]  # a notebook's text may be HTML in turn
    for secret in credentials.known():
        if any(form in seen for seen in texts for form in redaction.forms(secret.value)):
            yield secret.origin
    yield from redaction.exposures(plain)


def _plain(text: str, suffix: str) -> str:
    """The text as it was before its format escaped it."""
    if suffix in {".json", ".ipynb"}:
        try:
            text = "\n".join(_texts(json.loads(text)))
        except (ValueError, RecursionError):
            return text  # of a file that was cut off, the text is what there is
    elif suffix in {".xml", ".html", ".svg"}:
        text = html.unescape(text)
    return _COLOURS.sub("", text)


def _texts(tree: object) -> Iterator[str]:
    """Every text of a JSON value, and every name in it; lines of a notebook are put together."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        for name, value in tree.items():
            yield name
            yield from _texts(value)
    elif isinstance(tree, list):
        if tree and all(isinstance(part, str) for part in tree):
            yield "".join(tree)
        for part in tree:
            yield from _texts(part)


def _blank(folder: Path, hit: Hit) -> None:
    path = folder / hit.file
    path.unlink()
    if path.suffix == ".ipynb":
        said = BLANK.format(kind=hit.kind)
        cell = {"cell_type": "markdown", "id": "removed", "metadata": {}, "source": said}
        notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        record.write_atomically(path, record.as_json(notebook))


def _condemned(run: RunRecord, hits: Sequence[Hit]) -> RunRecord:
    """The run with the steps of those files failed, their checks unknown, and no verdict."""
    reasons = {step.name: _reason(step, hits) for step in run.steps}
    lost = {check for step in run.steps if reasons[step.name] for check in step.checks}
    return run.model_copy(
        update={
            "steps": tuple(_failed(step, reasons[step.name]) for step in run.steps),
            "checks": tuple(_lost(c) if c.check in lost else c for c in run.checks),
            "verdicts": tuple(
                replace(verdict, state=State.UNKNOWN, reasons=(*map(str, hits), *verdict.reasons))
                for verdict in run.verdicts
            ),
        }
    )


def _reason(step: Step, hits: Sequence[Hit]) -> str:
    own = (step.notebook, f"{record.STEPS_FOLDER}/{step.name}.json")
    return "; ".join(str(hit) for hit in hits if hit.file in own)


def _failed(step: Step, reason: str) -> Step:
    if not reason:
        return step
    update: dict[str, object] = {
        "status": "failed",
        "failure": reason,
        "failed_cell": None,
        "cells": {},
        "facts": {},
    }
    return step.model_copy(update=update)


def _lost(check: CheckResult) -> CheckResult:
    return replace(
        check,
        status=Status.COULD_NOT_LOOK,
        message="what its step left held a secret and was removed",
        failing=0,
        facts={},
        evidence=(),
    )
