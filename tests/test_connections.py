"""Where connections come from: variables, services, sockets, TLS, and passwords that are read."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo
from pydantic import ValidationError

from runbook import connection, passwords
from runbook import session as sessions
from runbook.connection import Purpose
from runbook.embedded import programs
from runbook.embedded.account import Account, server_account
from runbook.environment import Connection, Environment, Password, Tls
from runbook.errors import IncompleteError, RunbookError, UsageError
from tests.conftest import PASSWORDS
from tests.standby import run, wait

Dsn = Callable[..., str]
READER = "telecore_reader"
BINARIES = Path("/usr/lib/postgresql/15/bin")
BY_HAND = "run it by hand: its first line has to be the password"


def environment(**way: object) -> Environment:
    return Environment(name="staging", reader=Connection.model_validate(way), gate="g")


@pytest.fixture(autouse=True)
def no_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (connection.OVERRIDE_READER, connection.OVERRIDE_OWNER):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ({}, "no way to connect, expected variable, service, socket or embedded"),
        ({"socket": "/run"}, "socket needs the database and the user"),
        ({"service": "s", "password": {}}, "expected either command or keyring"),
        (
            {"service": "s", "password": {"command": ["x"], "keyring": "y"}},
            "expected either command or keyring",
        ),
    ],
)
def test_ways_that_cannot_be_are_refused(way: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Connection.model_validate(way)


def test_a_socket_is_a_way(dsn: Dsn, telecore_staging: str) -> None:
    parts = conninfo.conninfo_to_dict(dsn(telecore_staging, READER))
    host = str(parts["host"])
    if not host.startswith("/"):
        pytest.skip("the given server is not reached through a socket")
    target = environment(
        socket=host,
        port=int(str(parts["port"])),
        database=telecore_staging,
        user=READER,
        password={"command": [sys.executable, "-c", f"print({PASSWORDS[READER]!r})"]},
    )
    assert connection.source(target) == "socket"
    text = connection.connection_string(target, Purpose.READ)
    assert PASSWORDS[READER] not in text
    session = sessions.connect(target)
    assert session.execute("SELECT current_user::text").fetchone() == (READER,)
    session.close()


# --- passwords ------------------------------------------------------------------------------------


def program(code: str) -> Password:
    return Password(command=(sys.executable, "-c", code))


def unread(way: Password, kind: type[RunbookError]) -> str:
    with pytest.raises(kind) as caught:
        passwords.read("staging", way, "reader")
    return str(caught.value)


def test_a_command_prints_the_password() -> None:
    assert (
        passwords.read("staging", program("print(' pass word \\r\\nmore')"), "r") == " pass word "
    )


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("pass", "printed nothing"),
        ("raise SystemExit(3)", "ended with exit code 3"),
        (
            "import sys; sys.exit('locked: password=hunter22')",
            "ended with exit code 1: locked: password=•••",
        ),
    ],
)
def test_a_command_that_prints_none_is_reported(code: str, said: str) -> None:
    assert unread(program(code), IncompleteError) == (
        f"environment 'staging': the password command {sys.executable!r} {said}\nhint: {BY_HAND}"
    )


def test_a_command_that_is_not_there_is_reported() -> None:
    assert unread(Password(command=("no-such-program",)), UsageError) == (
        "environment 'staging': the password command 'no-such-program' was not found\n"
        f"hint: {BY_HAND}"
    )


def test_a_command_that_may_not_run_is_reported(tmp_path: Path) -> None:
    assert unread(Password(command=(str(tmp_path),)), UsageError) == (
        f"environment 'staging': the password command {str(tmp_path)!r} cannot be run:"
        f" Permission denied\nhint: {BY_HAND}"
    )


def test_a_command_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "SECONDS", 0.2)
    assert unread(program("import time; time.sleep(60)"), IncompleteError) == (
        f"environment 'staging': the password command {sys.executable!r} did not end within 0.2 s"
        f"\nhint: {BY_HAND}"
    )


@pytest.fixture
def keyring_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """A keyring without a desktop: a backend of our own that keeps a dictionary."""
    keyring = pytest.importorskip("keyring", reason="keyring is not installed")
    backend = pytest.importorskip("keyring.backend")

    class Kept(backend.KeyringBackend):  # type: ignore[misc, name-defined]
        priority = 1
        kept = {("production-db", "reader"): "from the keyring"}  # noqa: RUF012

        def get_password(self, service: str, username: str) -> str | None:
            return self.kept.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            self.kept[service, username] = password

        def delete_password(self, service: str, username: str) -> None:
            del self.kept[service, username]

    monkeypatch.setattr(keyring.core, "_keyring_backend", Kept())


@pytest.mark.usefixtures("keyring_file")
def test_a_keyring_holds_the_password() -> None:
    assert passwords.read("p", Password(keyring="production-db"), "reader") == "from the keyring"


@pytest.mark.usefixtures("keyring_file")
def test_a_keyring_without_the_password_is_reported() -> None:
    assert unread(Password(keyring="other"), IncompleteError) == (
        "environment 'staging': the keyring has no password of 'reader' for 'other'\n"
        "hint: keep it there: keyring set other reader"
    )


def test_a_keyring_that_is_not_installed_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert unread(Password(keyring="other"), UsageError) == (
        "environment 'staging': the password is in a keyring, and keyring is not installed\n"
        "hint: pip install 'fk-runbook[keyring]'"
    )


def test_an_override_takes_nothing_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(connection.OVERRIDE_READER, "host=elsewhere")
    way = environment(service="s", password={"command": ["no-such-program"]}, assume="auditor")
    assert connection.parameters(way, Purpose.READ) == {}
    assert connection.assumed(way, Purpose.READ) == ""


# --- TLS ------------------------------------------------------------------------------------------


@contextmanager
def encrypted() -> Iterator[tuple[int, Path]]:
    """A server with TLS on 127.0.0.1: its port, and the certificate of who vouches for it."""
    account = server_account()
    with tempfile.TemporaryDirectory(prefix="fkr-tls-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        data, certificate, key = folder / "data", folder / "server.crt", folder / "server.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
             "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
             "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)],
            check=True, capture_output=True,
        )  # fmt: skip
        for path in (folder, key, certificate):
            os.chown(path, account.uid, account.gid)
        key.chmod(stat.S_IRUSR)
        folder.chmod(0o755)
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = int(found.getsockname()[1])
        _start(account, folder, data, port)
        try:
            yield port, certificate
        finally:
            programs.stop(data)


def _start(account: Account, folder: Path, data: Path, port: int) -> None:
    run(account, [BINARIES / "initdb", "-D", data, "-U", "admin", "--auth=trust", "--no-sync"])
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "ssl": "on",
        "ssl_cert_file": str(folder / "server.crt"),
        "ssl_key_file": str(folder / "server.key"),
    }
    options = [f"--{name}={value}" for name, value in settings.items()]
    with (folder / "log").open("ab") as log:
        programs.launch(account, [BINARIES / "postgres", "-D", data, *options], log)
    wait(lambda: programs.ready(data))
    with psycopg.connect(f"host=127.0.0.1 port={port} user=admin dbname=postgres") as admin:
        admin.execute("CREATE ROLE reader LOGIN")


@pytest.mark.slow
@pytest.mark.postgres15
@pytest.mark.skipif(not BINARIES.is_dir(), reason="PostgreSQL 15 is not installed")
def test_tls_is_what_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    with encrypted() as (port, certificate):
        text = f"host=localhost hostaddr=127.0.0.1 port={port} user=reader dbname=postgres"
        monkeypatch.setenv("STAGING_TLS", text)

        def connected(**tls: str) -> bool:
            session = sessions.connect(environment(variable="STAGING_TLS", tls=tls))
            used = bool(session.pgconn.ssl_in_use)
            session.close()
            return used

        assert connected(mode="verify-full", root=str(certificate))
        assert not connected(mode="disable")
        with pytest.raises(IncompleteError, match=r"certificate verify failed|root certificate"):
            connected(mode="verify-full", root=str(certificate.with_name("server.key")))
        monkeypatch.setenv("STAGING_TLS", text.replace("localhost", "elsewhere"))
        with pytest.raises(IncompleteError, match="does not match host name"):
            connected(mode="verify-full", root=str(certificate))


def test_tls_words_are_those_of_libpq() -> None:
    with pytest.raises(ValidationError):
        Tls.model_validate({"mode": "on"})
