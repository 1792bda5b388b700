"""A bundle must not leave its folder, fill the disk, or hold what its manifest does not."""

from __future__ import annotations

import hashlib
import json
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from runbook.errors import EvidenceError, IncompleteError, RunbookError, UsageError
from runbook.evidence import bundle
from runbook.settings import Settings
from tests.evidence_runs import RUN_ID, recorded, settings_in, write_record

HOME = f"staging/{RUN_ID}/"
HINT = "have the bundle made again with runbook bundle, and carry that one"


@pytest.fixture
def ci(tmp_path: Path) -> Settings:
    """A project that names no signers, with no run."""
    return settings_in(tmp_path / "ci")


def manifest_of(contents: Mapping[str, bytes], **update: object) -> bytes:
    files = {
        name.removeprefix(HOME): hashlib.sha256(content).hexdigest()
        for name, content in contents.items()
    }
    value = {"format": 1, "environment": "staging", "run_id": RUN_ID, "files": files} | update
    return json.dumps(value).encode()


def written(
    file: Path, contents: Mapping[str, bytes], manifest: bytes | None = None, kind: int = 0
) -> Path:
    """A ZIP file of these contents, as somebody else's program would write it."""
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("manifest.json", manifest or manifest_of(contents))
        for name, content in contents.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (kind | 0o644) << 16
            archive.writestr(entry, content)
    return file


def refused(ci: Settings, file: Path) -> RunbookError:
    """The error of an import; it leaves nothing behind, inside the project or beside it."""
    before = {path for path in ci.folder.parent.rglob("*") if ci.runs not in path.parents}
    with pytest.raises(RunbookError) as caught:
        bundle.bring(ci, file, unsigned=True)
    assert list(ci.runs.rglob("*")) == []
    after = {path for path in ci.folder.parent.rglob("*") if ci.runs not in path.parents}
    assert after - before <= {ci.runs}
    return caught.value


@pytest.mark.parametrize(
    "name",
    [
        f"{HOME}../../../escaped",
        "../escaped",
        "/tmp/escaped",  # noqa: S108 - never written
        f"{HOME}/escaped",
        f"{HOME}./escaped",
        f"{HOME}steps\\escaped",
        f"{HOME}C:escaped",
        f"{HOME}line\nbreak",
    ],
)
def test_a_path_that_leaves_the_run_is_refused(ci: Settings, tmp_path: Path, name: str) -> None:
    file = written(tmp_path / "x.zip", {name: b"x"})
    error = refused(ci, file)
    assert str(error) == f"{file}: {name!r} is no path inside a run\nhint: {HINT}"
    assert error.exit_code == 1


def test_a_path_cut_off_by_a_nul_is_refused(ci: Settings, tmp_path: Path) -> None:
    file = written(tmp_path / "x.zip", {f"{HOME}aXescaped": b"x"})
    file.write_bytes(file.read_bytes().replace(b"aXescaped", b"a\0escaped"))
    name = f"{HOME}a\0escaped"
    assert refused(ci, file).message == f"{file}: {name!r} is no path inside a run"


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR])
def test_links_and_devices_are_refused(ci: Settings, tmp_path: Path, kind: int) -> None:
    file = written(tmp_path / "x.zip", {f"{HOME}run.json": b"/etc/passwd"}, kind=kind)
    # the manifest is a regular file, so the first that is not one is the other
    assert refused(ci, file).message == f"{file}: '{HOME}run.json' is no regular file"


def test_a_folder_is_refused(ci: Settings, tmp_path: Path) -> None:
    file = written(tmp_path / "x.zip", {f"{HOME}steps/": b""})
    assert refused(ci, file).message == f"{file}: '{HOME}steps/' is no regular file"


@pytest.mark.parametrize("second", ["run.json", "RUN.json", "Run.JSON"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_comes_twice_is_refused(ci: Settings, tmp_path: Path, second: str) -> None:
    file = tmp_path / "x.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("run.json", second):
            archive.writestr(HOME + name, name)
    assert refused(ci, file).message == f"{file}: {HOME + second!r} comes twice"


def test_a_file_that_is_a_folder_too_is_refused(ci: Settings, tmp_path: Path) -> None:
    file = written(tmp_path / "x.zip", {f"{HOME}a": b"x", f"{HOME}a/b": b"y"})
    folder = f"{HOME}a".casefold()
    assert refused(ci, file).message == f"{file}: {folder!r} is a file and a folder"


def test_a_compressed_file_is_refused(ci: Settings, tmp_path: Path) -> None:
    file = tmp_path / "x.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{HOME}run.json", b"0" * 10_000_000)
    assert refused(ci, file).message == f"{file}: '{HOME}run.json' is compressed or encrypted"


def test_limits_hold_for_what_a_bundle_claims_and_for_its_size(
    ci: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path / "x.zip", {f"{HOME}{n}": b"" for n in range(6)})
    monkeypatch.setattr(bundle, "MOST_FILES", 5)
    size = len(manifest_of({f"{HOME}{n}": b"" for n in range(6)}))
    error = refused(ci, file)
    assert isinstance(error, UsageError)
    assert str(error) == (
        f"{file}: expected at most 5 files and 536,870,912 bytes, got 7 files and {size} bytes\n"
        "hint: a run of the runbook is far smaller: look at what is in it"
    )
    monkeypatch.setattr(bundle, "MOST_BYTES", 100)
    assert refused(ci, file).message == (
        f"{file}: expected at most 5 files and 100 bytes,"
        f" got 0 files and {file.stat().st_size:,} bytes"
    )


def test_files_and_manifest_have_to_agree(ci: Settings, tmp_path: Path) -> None:
    contents = {f"{HOME}a": b"1", f"{HOME}b": b"2"}
    for manifest, message in (
        (manifest_of({f"{HOME}a": b"1"}), f"added: {HOME}b"),
        (manifest_of({**contents, f"{HOME}c": b"3"}), f"missing: {HOME}c"),
        (manifest_of({f"{HOME}a": b"1", f"{HOME}b": b"3"}), "changed: b"),
    ):
        file = written(tmp_path / "x.zip", contents, manifest)
        assert str(refused(ci, file)) == f"{file}: {message}\nhint: {HINT}"


@pytest.mark.parametrize(
    ("update", "message"),
    [
        ({"format": 2}, "manifest.json: format: input should be 1"),
        ({"more": 1}, "manifest.json: more: extra inputs are not permitted"),
        ({"files": None}, "manifest.json: files: input should be an object"),
        ({"run_id": "../x"}, "manifest.json: no run id: '../x'"),
    ],
)
def test_a_manifest_of_another_kind_is_refused(
    ci: Settings, tmp_path: Path, update: dict[str, object], message: str
) -> None:
    contents = {f"{HOME}a": b"1"}
    file = written(tmp_path / "x.zip", contents, manifest_of(contents, **update))
    assert refused(ci, file).message == f"{file}: {message}"


def test_what_is_no_bundle_is_wrong_usage(ci: Settings, tmp_path: Path) -> None:
    hint = "hint: name a file of runbook bundle"
    file = tmp_path / "none.zip"
    assert str(refused(ci, file)) == f"{file}: no such file\n{hint}"
    file.write_bytes(b"text")
    assert str(refused(ci, file)) == f"{file}: no bundle: file is not a zip file\n{hint}"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("other", b"x")
    error = refused(ci, file)
    assert str(error) == f"{file}: no bundle: it has no manifest.json\n{hint}"
    assert error.exit_code == 2


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """The folder of a run in another project."""
    return recorded(settings_in(tmp_path / "closed"))


def test_every_changed_byte_is_found(ci: Settings, sound: Path, tmp_path: Path) -> None:
    """Of the files and of the manifest; what ZIP itself does not use may change."""
    whole = bundle.pack(sound)
    file = tmp_path / "x.zip"
    contents = {path: path.read_bytes() for path in sound.rglob("*") if path.is_file()}
    for path, content in contents.items():
        place = whole.index(content) + len(content) // 2
        changed = bytearray(whole)
        changed[place] ^= 1
        file.write_bytes(bytes(changed))
        message = refused(ci, file).message
        name = path.relative_to(sound).as_posix()
        assert message == f"{file}: no bundle: bad CRC-32 for file '{HOME}{name}'"
    for length in range(0, len(whole), 97):
        file.write_bytes(whole[:length])
        assert refused(ci, file).message == f"{file}: no bundle: file is not a zip file"


def test_an_environment_that_the_project_does_not_have(
    ci: Settings, sound: Path, tmp_path: Path
) -> None:
    file = tmp_path / "x.zip"
    file.write_bytes(bundle.pack(sound))
    path = ci.folder / "runbook.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("environments.staging", "environments.test"), encoding="utf-8")
    from runbook.settings import read  # noqa: PLC0415

    error = refused(read(ci.folder), file)
    assert str(error) == (f"{file}: no environment 'staging' in {path}\nhint: choose one of: test")


def test_a_record_that_is_not_its_manifests(ci: Settings, sound: Path, tmp_path: Path) -> None:
    contents = {
        HOME + path.relative_to(sound).as_posix(): path.read_bytes()
        for path in sound.rglob("*")
        if path.is_file()
    }
    other = {name.replace(RUN_ID, "20260102T030406Z"): c for name, c in contents.items()}
    home = HOME.replace(RUN_ID, "20260102T030406Z")
    files = {n.removeprefix(home): hashlib.sha256(c).hexdigest() for n, c in other.items()}
    manifest = manifest_of({}, run_id="20260102T030406Z", files=files)
    file = written(tmp_path / "x.zip", other, manifest)
    assert refused(ci, file).message == (
        f"{file}: manifest.json says 'staging/20260102T030406Z/', its record 'staging/{RUN_ID}/'"
    )
    contents[HOME + "junit.xml"] = b"<none/>\n"  # with its digest, but not the record's
    file = written(tmp_path / "y.zip", contents)
    assert refused(ci, file).message == f"{file}: changed: junit.xml"


def test_a_bundle_with_a_secret_is_refused(ci: Settings, sound: Path, tmp_path: Path) -> None:
    (sound / "junit.xml").write_text("<a>postgresql://u:canary@h/d</a>\n", encoding="utf-8")
    write_record(ci, sound)
    contents = {
        HOME + path.relative_to(sound).as_posix(): path.read_bytes()
        for path in sound.rglob("*")
        if path.is_file()
    }
    file = written(tmp_path / "x.zip", contents)
    error = refused(ci, file)
    assert isinstance(error, IncompleteError)
    assert not isinstance(error, EvidenceError)
    assert str(error) == (
        f"{file}: junit.xml holds a password in a URL\n"
        "hint: remove the run, mend what wrote it and run again"
    )
