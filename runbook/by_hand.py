"""Copies of the notebooks for work by hand, with the environment chosen.

The committed notebooks stay without outputs: each session works in a new folder
``runs/ENVIRONMENT/by-hand/TIME/``, which never counts as a run.
"""

from __future__ import annotations

import ast
import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import nbformat

from runbook.environment import Environment
from runbook.errors import UsageError
from runbook.settings import FILE_NAME, Settings

FOLDER = "by-hand"
_IGNORED = shutil.ignore_patterns(".ipynb_checkpoints", "__pycache__")


@dataclass(frozen=True)
class Desk:
    """A folder of copies, and the SHA-256 of each file when it was laid out."""

    folder: Path
    laid: dict[str, str]

    def clear(self) -> bool:
        """Remove the folder unless somebody saved something in it; whether it was removed."""
        if dict(_digests(self.folder)) != self.laid:
            return False
        shutil.rmtree(self.folder)
        for parent in list(self.folder.parents)[:2]:  # by-hand/ and ENVIRONMENT/, when empty
            if any(parent.iterdir()):
                break
            parent.rmdir()
        return True


def lay_out(settings: Settings, environment: Environment, now: datetime) -> Desk:
    """Copy the notebooks into a new folder that only this user may enter, and choose there.

    Raises :class:`UsageError` when a step's notebook is missing or has no environment to choose.
    """
    source = settings.path(settings.project.notebooks)
    chosen = {
        entry.notebook: _chosen(source / entry.notebook, environment.name, settings)
        for entry in settings.step
    }  # before anything is written
    parent = settings.runs / environment.name / FOLDER
    parent.mkdir(parents=True, exist_ok=True)
    folder = parent / now.strftime("%Y%m%dT%H%M%S.%fZ")
    folder.mkdir(mode=0o700)
    shutil.copytree(source, folder, ignore=_IGNORED, dirs_exist_ok=True)
    for name, content in chosen.items():
        (folder / name).write_text(nbformat.writes(content) + "\n", encoding="utf-8")
    folder.chmod(0o700)  # copytree gives it the mode of what it copied
    return Desk(folder, dict(_digests(folder)))


def _chosen(path: Path, environment: str, settings: Settings) -> Any:
    """The notebook with ``environment`` as the default of its parameters."""
    if not path.is_file():
        name = str(path.relative_to(settings.folder))
        raise UsageError(
            f"{settings.folder / FILE_NAME}: {name!r}: no such file", "correct the name"
        )
    try:
        content = nbformat.read(path, as_version=4)
    except (ValueError, nbformat.ValidationError):
        raise UsageError(f"{path}: not a notebook", "mend the file") from None
    for cell in content.cells:
        if cell.cell_type == "code" and "parameters" in cell.metadata.get("tags", ()):
            source = with_default(cell.source, environment)
            if source is not None:
                cell.source = source
                return content
    raise UsageError(
        f"{path}: no cell tagged 'parameters' gives environment a value",
        "add the cell, as in the other notebooks",
    )


def with_default(source: str, environment: str) -> str | None:
    """The code of a parameters cell with ``environment`` as the value; None if it sets none."""
    lines = source.split("\n")
    for node in ast.parse(source).body:
        if not isinstance(node, ast.AnnAssign | ast.Assign):
            continue
        targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
        value = node.value
        if value is None or [ast.unparse(target) for target in targets] != ["environment"]:
            continue
        # columns are counted in bytes
        first = lines[value.lineno - 1].encode()[: value.col_offset].decode()
        last = lines[(value.end_lineno or 0) - 1].encode()[value.end_col_offset :].decode()
        lines[value.lineno - 1 : value.end_lineno] = [
            first + json.dumps(environment, ensure_ascii=False) + last
        ]
        return "\n".join(lines)
    return None


def _digests(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and ".ipynb_checkpoints" not in path.parts:
            name = path.relative_to(folder).as_posix()
            yield name, hashlib.sha256(path.read_bytes()).hexdigest()
