"""No password and no row's value in what is written."""

from __future__ import annotations

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import conninfo

from runbook.findings import Audit, AuditState
from runbook.record import StepResult
from runbook.redaction import exposures, redact, redact_values, without_secrets
from runbook.settings import read as read_settings
from tests.conftest import ROOT, Connect

SECRET = "S3cr3t"


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("host=h password=S3cr3t user=u", "host=h password=••• user=u"),
        ("password = S3cr3t", "password = •••"),
        (r"password='S3cr3t it\'s long' user=u", "password=••• user=u"),
        ("PASSWORD=S3cr3t", "PASSWORD=•••"),
        ("sslpassword=S3cr3t", "sslpassword=•••"),
        ("passwd=S3cr3t", "passwd=•••"),
        ("PGPASSWORD=S3cr3t psql", "PGPASSWORD=••• psql"),
        ("postgresql://u:S3cr3t@h:5432/db", "postgresql://u:•••@h:5432/db"),
        ("postgres://:S3cr3t@h/db", "postgres://:•••@h/db"),
        ("at postgresql://u:S3%zzcr3t@h/db now", "at postgresql://u:•••@h/db now"),
        ("postgresql://u:S3cr3t@more@h/db", "postgresql://u:•••@h/db"),
        ("postgresql://u:S3cr3t/more@h/db", "postgresql://u:•••@h/db"),
        ("postgresql://u@h/db?password=S3cr3t", "postgresql://u@h/db?password=•••"),
        ("postgresql+psycopg://u:S3cr3t@h/db", "postgresql+psycopg://u:•••@h/db"),
        ("postgresql://u@h:5432/db", "postgresql://u@h:5432/db"),
        ('FATAL: password authentication failed for user "u"',) * 2,
        ("https://www.pgbouncer.org/features.html",) * 2,
        ("nothing to hide",) * 2,
        ("",) * 2,
    ],
)
def test_connection_strings(text: str, redacted: str) -> None:
    assert redact(text) == redacted


def failure(dsn: str) -> str:
    with pytest.raises(psycopg.Error) as caught:
        psycopg.connect(dsn, connect_timeout=2)
    return " ".join(str(caught.value).split())


@pytest.mark.parametrize(
    ("dsn", "message"),
    [
        ("postgresql://u:S3cr3t%zz@h/db", 'invalid percent-encoded token: "•••"'),
        ('postgresql://u:S3"cr3t%zz@h/db', 'invalid percent-encoded token: "•••"'),
        ("postgresql://u@h/db?password=S3cr3t%zz", 'invalid percent-encoded token: "•••"'),
        ("password=a S3cr3t", 'missing "=" after "•••" in connection info string'),
        ("password=a S3cr3t=b", 'invalid connection option "•••"'),
    ],
)
def test_what_libpq_says_of_a_malformed_string(dsn: str, message: str) -> None:
    assert "cr3t" in failure(dsn)
    assert redact(failure(dsn)) == message


@pytest.mark.parametrize("password", ["a S3cr3t", "a@S3cr3t"])
def test_a_password_that_needs_percent_encoding(password: str) -> None:
    """What libpq makes of it changes with its version; that it shows a part does not."""
    assert SECRET not in redact(failure(f"postgresql://u:{password}@127.0.0.1:1/db"))


def test_rows_in_the_detail_of_a_violation(connect: Connect) -> None:
    script = b"""
        CREATE TEMP TABLE p (a text, b int, PRIMARY KEY (a, b));
        CREATE TEMP TABLE c (a text, b int CHECK (b < 5), FOREIGN KEY (a, b) REFERENCES p);
    """
    with connect("postgres", None) as session:
        session.execute(script)
        found = []
        for statement in (
            b"INSERT INTO c VALUES ('S3) cr3t', 1)",
            b"INSERT INTO p VALUES ('S3(cr3t)', 1), ('S3(cr3t)', 1)",
            b"INSERT INTO c VALUES ('S3cr3t, (x)', 6)",
        ):
            with pytest.raises(psycopg.IntegrityError) as caught:
                session.execute(statement)
            found.append(redact(" ".join(str(caught.value).split())))
    assert found == [
        (
            'insert or update on table "c" violates foreign key constraint "c_a_b_fkey"'
            ' DETAIL: Key (a, b)=(•••) is not present in table "p".'
        ),
        (
            'duplicate key value violates unique constraint "p_pkey"'
            " DETAIL: Key (a, b)=(•••) already exists."
        ),
        (
            'new row for relation "c" violates check constraint "c_b_check"'
            " DETAIL: Failing row contains (•••)."
        ),
    ]


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("DETAIL: Key (a)=(•••) already exists. (a) DETAIL: Key (b)=(•••) is not present. (b)",)
        * 2,
        ("-----BEGIN PRIVATE KEY-----\nS3cr3t", "-----BEGIN PRIVATE KEY-----•••"),
        (
            "a -----BEGIN EC PRIVATE KEY-----\nS3cr3t\n-----END EC PRIVATE KEY----- b",
            "a -----BEGIN EC PRIVATE KEY-----•••-----END EC PRIVATE KEY----- b",
        ),
    ],
)
def test_what_is_masked_stays_as_it_is(text: str, redacted: str) -> None:
    assert redact(text) == redacted
    assert list(exposures(redacted)) == []


PIECES = (
    *("password", "=", "'", '"', " ", "x", "postgres://u:", "@h/d", "\\", ")", "•••", "\n"),
    *("DETAIL: Key (a)=(", "Failing row contains (", 'invalid percent-encoded token: "', "host '"),
    *("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"),
)


@given(st.lists(st.sampled_from(PIECES), max_size=8))
def test_what_was_redacted_shows_no_secret_by_its_place(pieces: list[str]) -> None:
    assert list(exposures(redact("".join(pieces), ()))) == []


def test_the_secrets_of_this_process_go_unless_others_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DEPLOY_TOKEN", "canary-value")
    assert redact("a canary-value b") == "a ••• b"
    assert redact("a canary-value b", ()) == "a canary-value b"
    assert redact_values({"canary-value": ["canary-value", 1, None, {"a": "canary-value"}]}) == {
        "canary-value": ["•••", 1, None, {"a": "•••"}]
    }


def test_a_document_is_rebuilt_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOY_TOKEN", "canary-value")
    clean = StepResult(step="audit", facts={"rows": 2})
    assert without_secrets(clean) is clean
    relationship = next(iter(read_settings(ROOT).relationships()))
    samples = ("canary-value", "2")
    audit = Audit(relationship, AuditState.ORPHANS, 2, 2, samples=samples)
    found = without_secrets(StepResult(step="audit", audits=(audit,)))
    assert found.audits[0].samples == ("•••", "2")
    assert found.audits[0].relationship == relationship


def test_known_secrets_go_wherever_they_stand() -> None:
    assert redact("a hunter2b c", ("hunter2", "", "b c")) == "a ••••••"
    assert redact("a b", ("",)) == "a b"


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_no_password_survives_in_a_connection_string(password: str) -> None:
    dsn = conninfo.make_conninfo(host="h", user="u", password=f"<{password}>", dbname="d")
    assert redact(dsn) == "host=h user=u password=••• dbname=d"
