"""Passwords from a command or a keyring: read into memory, handed to libpq, written nowhere."""

from __future__ import annotations

import subprocess

from runbook.environment import Password
from runbook.errors import IncompleteError, UsageError
from runbook.redaction import redact

SECONDS = 60  # a person may have to unlock something


def read(environment: str, way: Password, user: str) -> str:
    """The password; raises :class:`IncompleteError` when there is none to be had."""
    return _printed(environment, way.command) if way.command else _kept(environment, way, user)


def _printed(environment: str, command: tuple[str, ...]) -> str:
    where = f"environment {environment!r}: the password command {command[0]!r}"
    hint = "run it by hand: its first line has to be the password"
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False
        )
    except FileNotFoundError:
        raise UsageError(f"{where} was not found", hint) from None
    except OSError as error:
        raise UsageError(f"{where} cannot be run: {error.strerror}", hint) from None
    except subprocess.TimeoutExpired:
        raise IncompleteError(f"{where} did not end within {SECONDS} s", hint) from None
    if done.returncode:
        said = redact(" ".join(done.stderr.decode("utf-8", "replace").split()))[:200]
        reason = f": {said}" if said else ""
        raise IncompleteError(f"{where} ended with exit code {done.returncode}{reason}", hint)
    password = done.stdout.decode("utf-8", "replace").partition("\n")[0].rstrip("\r")
    if not password:
        raise IncompleteError(f"{where} printed nothing", hint)
    return password


def _kept(environment: str, way: Password, user: str) -> str:
    try:
        import keyring  # noqa: PLC0415 - an extra: few machines have a keyring
        from keyring.errors import KeyringError  # noqa: PLC0415
    except ModuleNotFoundError:
        raise UsageError(
            f"environment {environment!r}: the password is in a keyring, and keyring is not"
            " installed",
            "pip install 'fk-runbook[keyring]'",
        ) from None
    hint = f"keep it there: keyring set {way.keyring} {user}"
    try:
        password = keyring.get_password(way.keyring, user)
    except KeyringError as error:
        raise IncompleteError(
            f"environment {environment!r}: the keyring cannot be read: {redact(str(error))}", hint
        ) from None
    if not password:
        raise IncompleteError(
            f"environment {environment!r}: the keyring has no password of {user!r} for"
            f" {way.keyring!r}",
            hint,
        )
    return password
