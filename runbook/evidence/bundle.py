"""A run folder as one file, to be carried from a closed network.

The file is a ZIP without compression: the same folder gives the same bytes on every machine, and
nothing in it can be larger than the file itself. ``manifest.json`` comes first, the files follow
under ``ENVIRONMENT/RUN/``, ordered by name.
"""

from __future__ import annotations

import hashlib
import re
import stat
import tempfile
import unicodedata
import zipfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from runbook import record
from runbook.errors import EvidenceError, IncompleteError, UsageError
from runbook.evidence import scan, verify
from runbook.evidence import signature as signatures
from runbook.evidence.verify import Report
from runbook.settings import FILE_NAME, Settings

MANIFEST = "manifest.json"
MOST_BYTES = 512 * 2**20
MOST_FILES = 10_000

_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that ZIP knows
_RUN_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z(?:-[0-9]{2})?")
_UNSAFE = re.compile(r'[\x00-\x1f\x7f\\:*?"<>|]')
_HINT = "have the bundle made again with runbook bundle, and carry that one"


class Manifest(BaseModel):
    """What a bundle holds: the SHA-256 of every file by its path in the run folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    environment: str
    run_id: str
    files: dict[str, str]

    @property
    def home(self) -> str:
        return f"{self.environment}/{self.run_id}/"


def pack(folder: Path) -> bytes:
    """The bundle of the run in ``folder``.

    Raises :class:`EvidenceError` when a file is not as it was recorded, :class:`IncompleteError`
    when one holds a secret: nothing of the kind leaves this machine.
    """
    run = record.read(folder)
    faults = list(verify.differences(folder, run))
    if faults:
        raise EvidenceError(f"{folder}: {', '.join(faults)}", "run the runbook again")
    _without_secrets(str(folder), folder)
    contents = {name: (folder / name).read_bytes() for name in verify.files(folder)}
    manifest = Manifest(
        environment=run.environment,
        run_id=run.run_id,
        files={name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
    )
    _within_limits(str(folder), len(contents), sum(map(len, contents.values())))
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, MANIFEST, record.as_json(manifest.model_dump()).encode())
        for name, content in contents.items():
            _add(archive, manifest.home + name, content)
    return packed.getvalue()


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.create_system = 3  # Unix, wherever this runs
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    archive.writestr(entry, content)


def unpack(file: Path, folder: Path) -> Manifest:
    """Write the run in the bundle ``file`` into the empty ``folder``, and nothing outside it.

    Raises :class:`UsageError` for what is no bundle, :class:`EvidenceError` for a bundle that is
    not what ``runbook bundle`` writes or whose files are not those of its manifest.
    """
    try:
        _within_limits(str(file), 0, file.stat().st_size)
        with zipfile.ZipFile(file) as archive:
            _sound(file, archive.infolist())
            manifest = _manifest(file, archive)
            for name, digest in manifest.files.items():
                content = archive.read(manifest.home + name)
                if hashlib.sha256(content).hexdigest() != digest:
                    raise EvidenceError(f"{file}: changed: {name}", _HINT)
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("xb") as written:
                    written.write(content)
    except zipfile.BadZipFile as error:
        reason = str(error)[:1].lower() + str(error)[1:]
        raise UsageError(f"{file}: no bundle: {reason}", "name a file of runbook bundle") from None
    except FileNotFoundError:
        raise UsageError(f"{file}: no such file", "name a file of runbook bundle") from None
    return manifest


def _sound(file: Path, entries: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse everything that a bundle never holds, before anything of it is written."""
    _within_limits(str(file), len(entries), sum(entry.file_size for entry in entries))
    seen: set[str] = set()
    for entry in entries:
        name = entry.orig_filename
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG) or entry.is_dir():
            raise EvidenceError(f"{file}: {name!r} is no regular file", _HINT)
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
            raise EvidenceError(f"{file}: {name!r} is compressed or encrypted", _HINT)
        if any(part in ("", ".", "..") for part in name.split("/")) or _UNSAFE.search(name):
            raise EvidenceError(f"{file}: {name!r} is no path inside a run", _HINT)
        same = unicodedata.normalize("NFC", name).casefold()
        if same in seen:
            raise EvidenceError(f"{file}: {name!r} comes twice", _HINT)
        seen.add(same)
    for name in seen:
        for parent in Path(name).parents:
            if parent.as_posix() in seen:
                raise EvidenceError(f"{file}: {parent.as_posix()!r} is a file and a folder", _HINT)


def _without_secrets(place: str, folder: Path) -> None:
    for hit in scan.look(folder):
        raise IncompleteError(
            f"{place}: {hit.file} holds {hit.kind}",
            "remove the run, mend what wrote it and run again",
        )


def _within_limits(place: str, files: int, size: int) -> None:
    if files > MOST_FILES or size > MOST_BYTES:
        raise UsageError(
            f"{place}: expected at most {MOST_FILES:,} files and {MOST_BYTES:,} bytes,"
            f" got {files:,} files and {size:,} bytes",
            "a run of the runbook is far smaller: look at what is in it",
        )


def _manifest(file: Path, archive: zipfile.ZipFile) -> Manifest:
    """The manifest, which has to name exactly the files that are there."""
    if MANIFEST not in archive.namelist():
        raise UsageError(
            f"{file}: no bundle: it has no {MANIFEST}", "name a file of runbook bundle"
        )
    try:
        manifest = Manifest.model_validate_json(archive.read(MANIFEST))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "its text"
        said = first["msg"][:1].lower() + first["msg"][1:]
        raise EvidenceError(f"{file}: {MANIFEST}: {place}: {said}", _HINT) from None
    if not _RUN_ID.fullmatch(manifest.run_id):
        raise EvidenceError(f"{file}: {MANIFEST}: no run id: {manifest.run_id!r}", _HINT)
    named = {manifest.home + name for name in manifest.files}
    there = set(archive.namelist()) - {MANIFEST}
    for word, names in (("missing", named - there), ("added", there - named)):
        if names:
            raise EvidenceError(f"{file}: {word}: {', '.join(sorted(names))}", _HINT)
    return manifest


def bring(settings: Settings, file: Path, unsigned: bool = False) -> tuple[Report, bool]:
    """Import the bundle ``file`` into the project's runs: what it is, and whether it is new.

    The run appears whole or not at all. Raises :class:`EvidenceError` for a wrong one, and where
    the project names signers and none of them vouches for it; ``unsigned`` takes it all the same
    when it has no signature.
    """
    settings.runs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".import-", dir=settings.runs) as temporary:
        folder = Path(temporary) / "run"
        folder.mkdir()
        manifest = unpack(file, folder)
        if manifest.environment not in settings.environments:
            raise UsageError(
                f"{file}: no environment {manifest.environment!r} in {settings.folder / FILE_NAME}",
                f"choose one of: {', '.join(settings.environments)}",
            )
        report = verify.look(settings, folder)
        _without_secrets(str(file), folder)
        _welcome(settings, file, manifest, report, unsigned)
        target = settings.runs / manifest.environment / manifest.run_id
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.rename(target)
        except OSError:  # a folder that is not empty is never replaced
            if not target.exists():
                raise
            _must_be_the_same(file, target, manifest)
            return report, False
    return report, True


def _welcome(
    settings: Settings, file: Path, manifest: Manifest, report: Report, unsigned: bool
) -> None:
    """Refuse a run that is not what its bundle says, or that nobody vouches for who has to."""
    if (report.environment, report.run_id) != (manifest.environment, manifest.run_id):
        raise EvidenceError(
            f"{file}: {MANIFEST} says {manifest.home!r}, its record"
            f" {f'{report.environment}/{report.run_id}/'!r}",
            _HINT,
        )
    if report.faults:
        raise EvidenceError(f"{file}: {', '.join(report.faults)}", _HINT)
    state, reason = report.signature.state, report.signature.reason
    if state in (signatures.State.WRONG, signatures.State.STRANGER):
        by = f" with {report.signature.by}" if report.signature.by else ""
        raise EvidenceError(f"{file}: {state}{by}: {reason}", _HINT)
    if settings.project.signers and state is signatures.State.UNSIGNED and not unsigned:
        raise EvidenceError(
            f"{file}: unsigned, and runbook.toml names who has to sign",
            "sign it with runbook bundle --key, or check where it comes from and use --unsigned",
        )


def _must_be_the_same(file: Path, target: Path, manifest: Manifest) -> None:
    there = {
        name: hashlib.sha256((target / name).read_bytes()).hexdigest()
        for name in verify.files(target)
    }
    if there != manifest.files:
        raise UsageError(
            f"{file}: {target} is there already and holds another run",
            "two runs never share an id: find out which of them is the right one",
        )
