"""Which values this process knows to be secret, and where it found them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from psycopg import conninfo

from runbook import credentials, session
from runbook.credentials import Secret
from runbook.redaction import redact
from runbook.settings import Settings
from tests.evidence_runs import make_key


def found(**variables: str) -> dict[str, str]:
    """Value → origin for an environment with these variables and no other."""
    secrets = credentials.known({"HOME": "/nonexistent", **variables})
    return {secret.value: secret.origin for secret in secrets}


@pytest.fixture(autouse=True)
def _nothing_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "_used", {})


@pytest.mark.parametrize(
    "name",
    [
        "PGPASSWORD",
        "DB_PASSWORD",
        "db_passwd",
        "MYSQL_PWD",
        "SMTP_PASS",
        "DEPLOY_TOKEN",
        "TOKEN_2",
        "AWS_SECRET_ACCESS_KEY",
        "API_KEY",
        "STRIPE_APIKEY",
        "DJANGO_SECRET_KEY_FALLBACK",
        "KEY_PASSPHRASE",
        "GOOGLE_CREDENTIALS",
    ],
)
def test_the_value_of_a_variable_with_a_secret_name_is_known(name: str) -> None:
    assert found(**{name: "canary-value"}) == {"canary-value": f"the value of {name!r}"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PWD", "/srv/canary-folder"),
        ("OLDPWD", "/srv/canary-folder"),
        ("KEYBOARD_LAYOUT", "canary-value"),
        ("MONKEY", "canary-value"),
        ("BYPASS_PROXY", "canary-value"),
        ("EDITOR", "canary-value"),
        ("DEPLOY_TOKEN", "short-7"),
        ("DB_PASSWORD", "Postgres"),
        ("DB_PASSWORD", "could not look"),
        ("DEPLOY_TOKEN", "************"),
        ("DEPLOY_TOKEN", ""),
        ("SSH_KEY", "/etc/passwd"),
    ],
)
def test_what_cannot_be_told_from_other_text_is_not_known(name: str, value: str) -> None:
    assert found(**{name: value}) == {}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("host=h password=canary-1 user=u", {"canary-1"}),
        ("password = 'canary 1\\'s' user=u", {"canary 1\\'s", "canary 1's"}),
        (r"password=canary\ one user=u", {r"canary\ one", "canary one"}),
        ("sslpassword=canary-1", {"canary-1"}),
        ("postgresql://u:canary-1@h/d", {"canary-1"}),
        ("postgresql://u:canary%2D1%25@h/d", {"canary%2D1%25", "canary-1%"}),
        ("postgresql://u:canary%zz1@h/d", {"canary%zz1"}),
        ("postgresql://u:canary-1@more@h/d", {"canary-1", "canary-1@more"}),
        ("postgresql://u:canary/1@h/d", {"canary/1"}),
        ("postgresql://u@h/d?password=canary-1&x=y", {"canary-1", "canary-1&x=y"}),
        ("postgresql+psycopg://u:canary-1@h/d", {"canary-1"}),
        ("postgresql://u@h:5432/d", set()),
        ("service=production", set()),
    ],
)
def test_the_password_in_a_connection_string_is_known(text: str, values: set[str]) -> None:
    assert found(STAGING_DATABASE_URL=text) == dict.fromkeys(
        values, "the password in 'STAGING_DATABASE_URL'"
    )


def test_a_key_of_several_lines_is_known_by_each(tmp_path: Path) -> None:
    text = make_key(tmp_path).read_text(encoding="utf-8")
    values = found(DEPLOY_KEY=text)
    lines = text.splitlines()
    assert lines[0] == "-----BEGIN OPENSSH PRIVATE KEY-----"
    assert set(values) == {text, *lines[1:-1]} - {line for line in lines if len(line) < 16}


def test_the_passwords_of_the_passfile_are_known(tmp_path: Path) -> None:
    path = tmp_path / "pass file"
    path.write_text(
        "# h:1:d:u:canary-of-a-comment\n"
        "h:*:*:u:canary-plain\n"
        r"\:\:1:5432:d\\b:u:canary\:with\\both"
        "\nhalf:a:line\n",
        encoding="utf-8",
    )
    values = {"canary-plain": "a password of the passfile"} | {
        r"canary:with\both": "a password of the passfile"
    }
    assert found(PGPASSFILE=str(path)) == values
    assert found(STAGING_DSN=f"host=h passfile='{path}'") == values
    assert found(PGPASSFILE=str(tmp_path / "none")) == {}
    (tmp_path / ".pgpass").write_text("h:*:*:u:canary-at-home\n", encoding="utf-8")
    assert found(HOME=str(tmp_path)) == {"canary-at-home": "a password of the passfile"}


def test_the_passwords_of_the_service_file_are_known(tmp_path: Path) -> None:
    for name in ("service.conf", "pg_service.conf"):
        (tmp_path / name).write_text("[x]\nhost=h\npassword=canary-service\n", encoding="utf-8")
    values = {"canary-service": "the password in the service file"}
    assert found(PGSERVICEFILE=str(tmp_path / "service.conf")) == values
    assert found(PGSYSCONFDIR=str(tmp_path)) == values


def test_what_a_connection_is_opened_with_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "passfile"
    path.write_text("h:*:*:u:canary-embedded\n", encoding="utf-8")
    credentials.remember(f"host=h passfile={path} password=canary-written", "canary-given")
    assert found() == {
        "canary-embedded": "a password of the passfile",
        "canary-written": "the password in a connection string",
        "canary-given": "the password of a connection",
    }


def test_the_longest_comes_first() -> None:
    secrets = credentials.known({"HOME": "/", "A_KEY": "canary-12", "B_KEY": "canary-123"})
    assert secrets == (
        Secret("canary-123", "the value of 'B_KEY'"),
        Secret("canary-12", "the value of 'A_KEY'"),
    )


def test_a_session_remembers_what_it_was_opened_with(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the variable that named the passfile is gone."""
    given = conninfo.conninfo_to_dict(os.environ["RUNBOOK_READER_DSN"])
    password = str(given.pop("password"))
    path = tmp_path / "passfile"
    path.write_text(f"*:*:*:*:{password}\n", encoding="utf-8")
    path.chmod(0o600)
    text = conninfo.make_conninfo("", **(given | {"passfile": str(path)}))
    monkeypatch.setenv("RUNBOOK_READER_DSN", text)
    session.connect(settings.environment("staging")).close()
    for variable in ("RUNBOOK_READER_DSN", "RUNBOOK_OWNER_DSN"):
        monkeypatch.delenv(variable)
    assert redact(f"it is {password}") == "it is •••"
    monkeypatch.setattr(credentials, "_used", {})
    assert redact(f"it is {password}") == f"it is {password}"
