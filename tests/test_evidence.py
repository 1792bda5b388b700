"""A run record is carried as one file, signed, and held against digests and signature."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from runbook import record, run_folders
from runbook.cli import app
from runbook.errors import EvidenceError, IncompleteError, UsageError
from runbook.evidence import bundle, signature, verify
from runbook.evidence.signature import State
from runbook.settings import Settings
from tests.evidence_runs import RUN_ID, allow, make_key, recorded, settings_in, write_record


@pytest.fixture
def closed(tmp_path: Path) -> Settings:
    """The project in the closed network, which names its signers."""
    return settings_in(tmp_path / "closed", "signers")


@pytest.fixture
def ci(tmp_path: Path) -> Settings:
    """The same project where the runs are carried to."""
    return settings_in(tmp_path / "ci", "signers")


@pytest.fixture
def key(tmp_path: Path, closed: Settings, ci: Settings) -> Path:
    """A key of the team's, which both projects know."""
    made = make_key(tmp_path / "keys")
    for settings in (closed, ci):
        allow(settings.folder / "signers", made)
    return made


def sign(folder: Path, key: Path) -> None:
    content = (folder / "run.json").read_bytes()
    (folder / "run.json.sig").write_text(signature.sign(content, key), encoding="ascii")


def packed(folder: Path, file: Path) -> Path:
    file.write_bytes(bundle.pack(folder))
    return file


def invoke(settings: Settings, *words: str) -> tuple[int, str]:
    """Exit code and output of a command; errors keep their own code, as in the program."""
    done = CliRunner().invoke(app, [*words, "--project", str(settings.folder)])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


# --- carrying ------------------------------------------------------------------------------------


def test_a_signed_run_is_carried_and_verified(
    closed: Settings, ci: Settings, key: Path, tmp_path: Path
) -> None:
    folder = recorded(closed)
    file = tmp_path / "carried.zip"
    code, said = invoke(closed, "bundle", "staging", "--key", str(key), "-o", str(file))
    assert (code, said) == (0, f"{file}: {file.stat().st_size:,} bytes, signed\n")
    code, said = invoke(ci, "import", str(file))
    line = f"staging {RUN_ID}: verified; signed by dba@example.org; 4 files, all as recorded\n"
    assert (code, said) == (0, f"imported: staging {RUN_ID}\n{line}")
    brought = ci.runs / "staging" / RUN_ID
    assert {name: (brought / name).read_bytes() for name in verify.files(brought)} == {
        name: (folder / name).read_bytes() for name in verify.files(folder)
    }
    assert run_folders.newest(ci.runs, "staging") == brought
    for target in ([], ["staging"], [str(file)], [str(brought)], ["staging", "--run", RUN_ID]):
        assert invoke(ci, "verify", *target) == (0, line)
    assert [path.name for path in ci.runs.iterdir()] == ["staging"]  # no temporary folder


def test_the_same_run_gives_the_same_bytes(closed: Settings, key: Path) -> None:
    folder = recorded(closed)
    sign(folder, key)
    first = bundle.pack(folder)
    for path in folder.rglob("*"):
        os.utime(path, (0, 0))
    (folder / "fine.ipynb").chmod(0o600)
    assert bundle.pack(folder) == first


def test_importing_again_changes_nothing(
    closed: Settings, ci: Settings, key: Path, tmp_path: Path
) -> None:
    sign(recorded(closed), key)
    file = packed(closed.runs / "staging" / RUN_ID, tmp_path / "run.zip")
    assert bundle.bring(ci, file)[1] is True
    assert bundle.bring(ci, file)[1] is False


def test_another_run_of_the_same_id_is_never_replaced(
    closed: Settings, ci: Settings, tmp_path: Path
) -> None:
    there = recorded(ci, message="another")
    before = (there / "run.json").read_bytes()
    file = packed(recorded(closed), tmp_path / "run.zip")
    with pytest.raises(UsageError) as caught:
        bundle.bring(ci, file, unsigned=True)
    assert str(caught.value) == (
        f"{file}: {there} is there already and holds another run\n"
        "hint: two runs never share an id: find out which of them is the right one"
    )
    assert (there / "run.json").read_bytes() == before


def test_the_newest_run_is_bundled_under_its_name(
    closed: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded(closed)
    recorded(closed, "20260102T030406Z")
    monkeypatch.chdir(tmp_path)
    code, said = invoke(closed, "bundle", "staging")
    assert code == 0
    assert said.startswith("staging-20260102T030406Z.zip: ")
    assert said.endswith(" bytes, unsigned\n")
    assert invoke(closed, "bundle", "staging", "--run", RUN_ID)[0] == 0
    assert {path.name for path in tmp_path.glob("*.zip")} == {
        f"staging-{RUN_ID}.zip",
        "staging-20260102T030406Z.zip",
    }


def test_a_run_that_is_not_there_is_said_so(closed: Settings) -> None:
    with pytest.raises(UsageError) as caught:
        invoke(closed, "bundle", "staging", "--run", "20200101T000000Z")
    assert str(caught.value) == (
        f"environment 'staging' has no run '20200101T000000Z' in {closed.runs}/staging\n"
        "hint: run it: runbook run staging"
    )
    with pytest.raises(UsageError) as caught:
        invoke(closed, "verify", "staging")
    assert caught.value.message == f"environment 'staging' has no run in {closed.runs}/staging"
    with pytest.raises(IncompleteError) as incomplete:
        invoke(closed, "verify")
    assert str(incomplete.value) == (
        f"no run in {closed.runs}\nhint: run the runbook, or import a run"
    )


def test_a_wrong_target_is_said_so(closed: Settings) -> None:
    with pytest.raises(UsageError) as caught:
        invoke(closed, "verify", "stagng")
    assert str(caught.value) == (
        "no environment, bundle or run folder 'stagng'\n"
        "hint: name a file, a folder or one of: staging"
    )
    with pytest.raises(UsageError) as caught:
        invoke(closed, "verify", "--run", RUN_ID)
    assert str(caught.value) == (
        "--run needs an environment\nhint: write runbook verify ENV --run RUN"
    )


def test_an_altered_run_is_not_bundled_nor_signed(closed: Settings, key: Path) -> None:
    folder = recorded(closed)
    (folder / "junit.xml").write_text("<testsuites> </testsuites>\n", encoding="utf-8")
    with pytest.raises(EvidenceError) as caught:
        invoke(closed, "bundle", "staging", "--key", str(key))
    assert str(caught.value) == f"{folder}: changed: junit.xml\nhint: run the runbook again"
    assert EvidenceError.exit_code == 1
    assert not (folder / "run.json.sig").exists()


def test_a_run_that_holds_a_secret_is_not_bundled(
    closed: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = recorded(closed, message="canary-of-the-row")
    monkeypatch.setenv("DEPLOY_TOKEN", "canary-of-the-row")
    with pytest.raises(IncompleteError) as caught:
        bundle.pack(folder)
    assert str(caught.value) == (
        f"{folder}: run.json holds the value of 'DEPLOY_TOKEN'\n"
        "hint: remove the run, mend what wrote it and run again"
    )


# --- who signed ----------------------------------------------------------------------------------


def test_unsigned_is_never_verified(closed: Settings, ci: Settings, tmp_path: Path) -> None:
    folder = recorded(closed)
    line = f"staging {RUN_ID}: not verified; unsigned; 4 files, all as recorded\n"
    assert invoke(closed, "verify") == (3, line)
    assert invoke(closed, "verify", "--unsigned") == (0, line)
    file = packed(folder, tmp_path / "run.zip")
    with pytest.raises(EvidenceError) as caught:
        bundle.bring(ci, file)
    assert str(caught.value) == (
        f"{file}: unsigned, and runbook.toml names who has to sign\n"
        "hint: sign it with runbook bundle --key, or check where it comes from and use --unsigned"
    )
    assert list(ci.runs.iterdir()) == []
    assert invoke(ci, "import", str(file), "--unsigned") == (
        0,
        f"imported: staging {RUN_ID}\n{line}",
    )


def test_without_signers_a_signature_is_not_taken_for_verified(
    tmp_path: Path, key: Path, closed: Settings
) -> None:
    folder = recorded(closed)
    sign(folder, key)
    plain = settings_in(tmp_path / "plain")
    report = verify.look(plain, folder)
    assert report.signature.state is State.COULD_NOT_LOOK
    assert report.signature.reason == "runbook.toml names no [project] signers to hold it against"
    assert report.signature.by.startswith("ED25519 key SHA256:")
    assert (report.verified, report.exit_code(), report.exit_code(unsigned=True)) == (False, 3, 3)
    assert bundle.bring(plain, packed(folder, tmp_path / "run.zip"))[1] is True


def test_a_changed_record_makes_the_signature_wrong(closed: Settings, key: Path) -> None:
    folder = recorded(closed)
    sign(folder, key)
    text = (folder / "run.json").read_text(encoding="utf-8")
    (folder / "run.json").write_text(text.replace('"1.0"', '"1.1"'), encoding="utf-8")
    report = verify.look(closed, folder)
    assert report.signature.state is State.WRONG
    assert report.signature.reason == "signature verification failed: incorrect signature"
    assert invoke(closed, "verify", "staging") == (
        1,
        (
            f"staging {RUN_ID}: wrong; wrong signature: signature verification failed: incorrect"
            " signature; 4 files, all as recorded\n"
        ),
    )


@pytest.mark.usefixtures("key")  # both projects know another one
def test_a_key_that_no_signer_has_is_refused(
    closed: Settings, ci: Settings, tmp_path: Path
) -> None:
    folder = recorded(closed)
    sign(folder, make_key(tmp_path / "others", "stranger"))
    report = verify.look(closed, folder)
    assert report.signature.state is State.STRANGER
    assert report.signature.reason == "no principal matched"
    assert report.exit_code(unsigned=True) == 1
    file = packed(folder, tmp_path / "run.zip")
    with pytest.raises(EvidenceError) as caught:
        bundle.bring(ci, file, unsigned=True)
    assert caught.value.message == (
        f"{file}: signed by somebody else with {report.signature.by}: no principal matched"
    )


def test_a_signature_for_something_else_does_not_count(closed: Settings, key: Path) -> None:
    folder = recorded(closed)
    subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", "git", folder / "run.json"],
        check=True,
        capture_output=True,
    )
    report = verify.look(closed, folder)
    assert report.signature.state is State.WRONG
    assert report.signature.reason == "couldn't verify signature: namespace does not match"


@pytest.mark.usefixtures("key")
def test_what_is_no_signature_is_wrong(closed: Settings) -> None:
    folder = recorded(closed)
    (folder / "run.json.sig").write_bytes(b"\xff\x00 none\n")
    assert verify.look(closed, folder).signature.state is State.WRONG


@pytest.mark.parametrize(
    ("options", "state", "reason"),
    [
        ('namespaces="fk-runbook"', State.SIGNED, ""),
        ('valid-before="20260201"', State.SIGNED, ""),
        (
            'valid-before="20260101"',
            State.STRANGER,
            (
                "line 1: key has expired: verify time 2026-01-02T03:04:05 > valid-before"
                " 2026-01-01T00:00:00"
            ),
        ),
        (
            'namespaces="git"',
            State.STRANGER,
            'line 1: key is not permitted for use in signature namespace "fk-runbook"',
        ),
    ],
)
def test_the_signers_file_says_for_what_and_until_when(
    tmp_path: Path, options: str, state: State, reason: str
) -> None:
    settings = settings_in(tmp_path, "signers")
    key = make_key(tmp_path / "keys")
    allow(tmp_path / "signers", key, options=options)
    folder = recorded(settings)
    sign(folder, key)
    found = verify.look(settings, folder).signature
    assert (found.state, found.reason) == (state, reason)


def test_a_signers_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, "none")
    folder = recorded(settings)
    sign(folder, make_key(tmp_path / "keys"))
    with pytest.raises(UsageError) as caught:
        verify.look(settings, folder)
    assert str(caught.value) == (
        f"project.signers: '{tmp_path}/none' cannot be read\n"
        "hint: correct the name, or write the file: a line for each signer, its name and"
        " public key"
    )


def test_without_ssh_keygen_nothing_is_decided(
    closed: Settings, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = recorded(closed)
    sign(folder, key)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(IncompleteError) as caught:
        verify.look(closed, folder)
    assert str(caught.value) == (
        "ssh-keygen cannot be run: No such file or directory\nhint: install OpenSSH 8.9 or newer"
    )


def test_a_key_that_cannot_be_used_is_told(closed: Settings, tmp_path: Path) -> None:
    recorded(closed)
    with pytest.raises(UsageError) as caught:
        invoke(closed, "bundle", "staging", "--key", "/nonexistent/key", "-o", str(tmp_path / "x"))
    assert str(caught.value) == (
        "--key '/nonexistent/key': couldn't load public key /nonexistent/key: No such file or"
        " directory\n"
        "hint: name an OpenSSH private key, or the public half of a key that ssh-agent holds"
    )
    assert not (tmp_path / "x").exists()


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An ssh-agent that holds an encrypted key; the public half's file."""
    key = make_key(tmp_path / "encrypted", passphrase="passphrase of a test")
    answer = tmp_path / "answer"
    answer.write_text("#!/bin/sh\necho passphrase of a test\n", encoding="utf-8")
    answer.chmod(0o700)
    monkeypatch.setenv("SSH_ASKPASS", str(answer))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    said = subprocess.run(["ssh-agent", "-s"], check=True, capture_output=True, text=True).stdout
    started = dict(re.findall(r"(SSH_\w+)=([^;]+);", said))
    monkeypatch.setenv("SSH_AUTH_SOCK", started["SSH_AUTH_SOCK"])
    try:
        subprocess.run(["ssh-add", str(key)], check=True, capture_output=True)
        yield key
    finally:
        os.kill(int(started["SSH_AGENT_PID"]), signal.SIGTERM)


def test_an_encrypted_key_and_one_of_an_agent_sign(closed: Settings, agent: Path) -> None:
    allow(closed.folder / "signers", agent)
    folder = recorded(closed)
    sign(folder, agent)  # ssh-keygen asks for the passphrase
    assert verify.look(closed, folder).verified
    agent.unlink()
    (folder / "run.json.sig").unlink()
    sign(folder, agent.with_name("team.pub"))  # the agent has the rest
    assert verify.look(closed, folder).verified


# --- digests and verdicts ------------------------------------------------------------------------


def test_every_file_that_is_not_as_recorded_is_named(closed: Settings, key: Path) -> None:
    folder = recorded(closed)
    sign(folder, key)
    (folder / "junit.xml").unlink()
    (folder / "fine.ipynb").write_text("{}", encoding="utf-8")
    (folder / "steps" / "run.json").write_text("{}", encoding="utf-8")
    (folder / ".hidden").symlink_to("/etc/passwd")
    code, said = invoke(closed, "verify", "staging")
    assert (code, said) == (
        1,
        (
            f"staging {RUN_ID}: wrong; signed by dba@example.org; 4 files, 4 not as recorded\n"
            "  changed: fine.ipynb\n  missing: junit.xml\n"
            "  added: .hidden\n  added: steps/run.json\n"
        ),
    )


def test_a_verdict_that_its_results_do_not_come_to_is_doubted(closed: Settings, key: Path) -> None:
    folder = recorded(closed)
    good = record.read(folder)
    text = (folder / "steps" / "fine.json").read_text(encoding="utf-8")
    wrong = text.replace('"status": "passed"', '"status": "failed"')
    assert wrong != text
    (folder / "steps" / "fine.json").write_text(wrong, encoding="utf-8")
    write_record(closed, folder, verdicts=good.verdicts)
    sign(folder, key)
    assert invoke(closed, "verify", "staging") == (
        3,
        (
            f"staging {RUN_ID}: not verified; signed by dba@example.org; 4 files, all as recorded\n"
            "  gate 'testing': recorded as GO, its results come to NO-GO with this runbook.toml\n"
        ),
    )


def test_what_could_not_be_judged_again_is_said(tmp_path: Path, key: Path) -> None:
    settings = settings_in(tmp_path / "p", "signers")
    allow(settings.folder / "signers", key)
    folder = recorded(settings)
    sign(folder, key)
    path = settings.folder / "runbook.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"testing"', '"trial"'), encoding="utf-8")
    code, said = invoke(settings, "verify", "staging")
    assert (code, said.splitlines()[1:]) == (
        0,
        ["  runbook.toml has no gate 'testing' for it: not judged again"],
    )
    path.write_text(text.replace("environments.staging", "environments.test"), encoding="utf-8")
    code, said = invoke(settings, "verify", str(folder))
    assert (code, said.splitlines()[1:]) == (
        0,
        ["  runbook.toml has no environment 'staging': no verdict judged again"],
    )


def test_a_folder_without_a_record_cannot_be_decided(closed: Settings, tmp_path: Path) -> None:
    with pytest.raises(IncompleteError) as caught:
        invoke(closed, "verify", str(tmp_path))
    assert caught.value.message == f"{tmp_path}/run.json: cannot be read: No such file or directory"


def test_the_manifest_names_every_file(closed: Settings, tmp_path: Path) -> None:
    folder = recorded(closed)
    file = packed(folder, tmp_path / "run.zip")
    (tmp_path / "out").mkdir()
    manifest = bundle.unpack(file, tmp_path / "out")
    assert (manifest.environment, manifest.run_id) == ("staging", RUN_ID)
    assert manifest.files == record.digests(folder) | {"run.json": manifest.files["run.json"]}
    assert json.loads((tmp_path / "out" / "run.json").read_text())["run_id"] == RUN_ID


def test_the_program_ends_with_the_code_of_what_it_found(
    closed: Settings, key: Path, tmp_path: Path
) -> None:
    folder = recorded(closed)
    sign(folder, key)
    file = packed(folder, tmp_path / "run.zip")
    for words, code, said in (
        (("verify", str(file)), 0, ""),
        (("import", str(folder / "junit.xml")), 2, "no bundle: file is not a zip file"),
        (("verify", str(tmp_path)), 3, f"{tmp_path}/run.json: cannot be read: No such file"),
    ):
        assert_ends(closed, words, code, said)
    manifest = json.loads(zipfile.ZipFile(file).read("manifest.json"))
    manifest["files"]["junit.xml"] = "0" * 64
    with zipfile.ZipFile(file) as whole, zipfile.ZipFile(tmp_path / "wrong.zip", "w") as wrong:
        for name in whole.namelist():
            told = json.dumps(manifest) if name == "manifest.json" else whole.read(name)
            wrong.writestr(name, told)
    assert_ends(closed, ("import", str(tmp_path / "wrong.zip")), 1, "wrong.zip: changed: junit.xml")


def assert_ends(settings: Settings, words: tuple[str, ...], code: int, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "runbook", *words, "--project", str(settings.folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
