"""Builds the site with MkDocs, strictly, so that the same run records give the same bytes."""

from __future__ import annotations

import gc
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from runbook import past_runs, record, run_folders
from runbook.errors import IncompleteError, UsageError
from runbook.settings import Settings
from runbook.site import beside

CONFIG = "mkdocs.yml"
# every site of ours has both, and no folder of sources has
MARKS = ("results/run.schema.json", "sitemap.xml")
_LEVEL = re.compile(r"(?:DEBUG|INFO|WARNING|ERROR)\b|Aborted")


def build(settings: Settings, output: Path | None = None) -> Path:
    """Build into ``output`` (default: site/ beside runbook.toml) and return it.

    Raises :class:`IncompleteError` with MkDocs' own lines when the strict build fails. A failed
    build leaves the site of the last good one as it was.
    """
    if not (settings.folder / CONFIG).is_file():
        raise UsageError(f"no {CONFIG} in {settings.folder}", "go to a project's folder")
    target = (output or settings.folder / "site").resolve()
    _refuse(target, settings.folder)
    fresh = target.with_name(f".{target.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        _write(settings, fresh)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    _replace(target, fresh)
    return target


def collect_less_garbage() -> None:
    """Millions of values are made and kept until a build ends: to look for cycles among them, as
    often as Python does, takes a third of the time.
    """
    gc.set_threshold(200_000, 20, 100)


def _write(settings: Settings, fresh: Path) -> None:
    """MkDocs writes its pages into ``fresh``; what it does not make is written meanwhile."""
    others = fresh.with_name(f"{fresh.name}.beside")
    shutil.rmtree(others, ignore_errors=True)
    collect_less_garbage()
    command = [sys.executable, "-m", "runbook.site.mkdocs", "build", "--strict"]
    command += ["--site-dir", str(fresh)]
    try:
        with subprocess.Popen(
            command,
            cwd=settings.folder,
            env=os.environ | environment(settings) | {beside.WRITTEN_ELSEWHERE: "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as mkdocs:
            try:
                beside.write(settings, others)
                output, _ = mkdocs.communicate()
            except BaseException:
                mkdocs.kill()
                raise
        if mkdocs.returncode != 0:
            raise IncompleteError(
                "the site does not build:\n" + _faults(output),
                "mend what is named, then: runbook site build",
            )
        _merge(others, fresh)
    finally:
        shutil.rmtree(others, ignore_errors=True)


def _merge(others: Path, site: Path) -> None:
    """Move all that is in ``others`` to where it belongs in ``site``."""
    for path in others.iterdir():
        place = site / path.name
        if place.is_dir():
            _merge(path, place)
        else:
            path.replace(place)


def _refuse(target: Path, project: Path) -> None:
    """A folder that holds anything but a site of ours is not ours to replace."""
    holds = target.exists() and any(target.iterdir())
    ours = all((target / mark).is_file() for mark in MARKS)
    if target == project or target in project.parents or (holds and not ours):
        raise UsageError(
            f"{target} is not a site that was built here",
            "name an empty or a new folder with --output",
        )


def _replace(target: Path, fresh: Path) -> None:
    """Put the new site in the place of the old one, which stays until the new one is there."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    fresh.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def environment(settings: Settings) -> dict[str, str]:
    """Variables that make a build reproducible: its date is that of the newest run."""
    newest = {name: run_folders.newest(settings.runs, name) for name in settings.environments}
    ends = [
        past_runs.read(folder / record.FILE_NAME, name).finished
        for name, folder in newest.items()
        if folder
    ]
    epoch = str(int(max(ends).timestamp())) if ends else "0"
    return {"SOURCE_DATE_EPOCH": epoch, "DISABLE_MKDOCS_2_WARNING": "true", "NO_COLOR": "1"}


def _faults(output: str) -> str:
    """MkDocs' warnings and errors, each with the lines that belong to it."""
    kept: list[str] = []
    keeping = False
    for line in output.splitlines():
        if _LEVEL.match(line):
            keeping = not line.startswith(("INFO", "DEBUG"))
        if keeping and line.strip():
            kept.append(line)
    return "\n".join(kept) or output.strip()
