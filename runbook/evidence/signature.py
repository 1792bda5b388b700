"""Signs a run record, and says who signed one: OpenSSH's own signatures, made by ssh-keygen.

OpenSSH is the implementation that teams already keep up to date. It takes keys from files (with a
passphrase or without), from an agent and from hardware, and its allowed signers file says who may
sign, for what and until when:
https://man.openbsd.org/ssh-keygen.1#ALLOWED_SIGNERS
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from runbook.errors import IncompleteError, UsageError

NAMESPACE = "fk-runbook"  # a signature made for git or for a file does not count here
PROGRAM = "ssh-keygen"
FILE_NAME = "run.json.sig"

_KEY = re.compile(r"with (\S+ key SHA256:\S+)")


class State(StrEnum):
    """What is known of who vouches for a run record. Only ``signed`` vouches for anything."""

    SIGNED = "signed"
    UNSIGNED = "unsigned"
    WRONG = "wrong signature"
    STRANGER = "signed by somebody else"
    COULD_NOT_LOOK = "signature not checked"


@dataclass(frozen=True)
class Signature:
    """``by`` is the signer's name in the allowed signers file, or the key where it has none."""

    state: State
    by: str = ""
    reason: str = ""


def sign(content: bytes, key: Path) -> str:
    """The signature of ``content`` with a private key, or with the agent's for a public one.

    ssh-keygen asks for a passphrase on the terminal. Raises :class:`UsageError` when the key
    cannot be used, :class:`IncompleteError` without ssh-keygen.
    """
    done = _run("sign", ["-f", str(key), "-n", NAMESPACE], content)
    if done.returncode or not done.stdout.startswith(b"-----BEGIN SSH SIGNATURE-----"):
        raise UsageError(
            f"--key {str(key)!r}: {_said(done)}",
            "name an OpenSSH private key, or the public half of a key that ssh-agent holds",
        )
    return done.stdout.decode("ascii")


def check(content: bytes, signature: bytes, signers: Path | None, when: datetime) -> Signature:
    """Who signed ``content``; the dates in ``signers`` (None: no such file) are held to ``when``.

    Raises :class:`UsageError` when ``signers`` cannot be read, :class:`IncompleteError` without
    ssh-keygen.
    """
    if signers is not None and not os.access(signers, os.R_OK):
        raise UsageError(
            f"project.signers: {str(signers)!r} cannot be read",
            "correct the name, or write the file: a line for each signer, its name and public key",
        )
    with tempfile.NamedTemporaryFile(prefix="fkr-", suffix=".sig") as file:
        file.write(signature)
        file.flush()
        made = _run("check-novalidate", ["-n", NAMESPACE, "-s", file.name], content)
        if made.returncode:
            return Signature(State.WRONG, reason=_said(made))
        found = _KEY.search(made.stdout.decode("utf-8", "replace"))
        key = found[1] if found else "a key"
        if signers is None:
            reason = "runbook.toml names no [project] signers to hold it against"
            return Signature(State.COULD_NOT_LOOK, key, reason)
        moment = when.astimezone(UTC).strftime("%Y%m%d%H%M%S")
        known = ["-s", file.name, "-f", str(signers), f"-Overify-time={moment}"]
        done = _run("find-principals", known)
        for name in done.stdout.decode("utf-8", "replace").splitlines():
            done = _run("verify", [*known, "-n", NAMESPACE, "-I", name], content)
            if not done.returncode:
                return Signature(State.SIGNED, name)
        return Signature(State.STRANGER, key, _said(done, signers))


def _run(
    action: str, arguments: Sequence[str], content: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run ssh-keygen on ``content``; in UTC, since it reads and prints local times."""
    try:
        return subprocess.run(
            [PROGRAM, "-Y", action, *arguments],
            input=content,
            capture_output=True,
            check=False,
            env=os.environ | {"LC_ALL": "C", "TZ": "UTC"},
        )
    except OSError as error:
        raise IncompleteError(
            f"{PROGRAM} cannot be run: {error.strerror}", "install OpenSSH 8.9 or newer"
        ) from None


def _said(done: subprocess.CompletedProcess[bytes], signers: Path | None = None) -> str:
    """The first line of what ssh-keygen said, without the place of the signers file."""
    lines = done.stderr.decode("utf-8", "replace").splitlines()
    said = next((line.strip() for line in lines if line.strip()), f"exit code {done.returncode}")
    if signers is not None:
        said = said.replace(f"{signers}:", "line ")
    return said[:1].lower() + said[1:].rstrip(".")
