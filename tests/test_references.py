"""The library for option B: what exists, what does not, and everything that is no reference."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import dict_row

from runbook.references import (
    MOST_REFERENCES,
    InvalidReferenceError,
    Reference,
    Validation,
    reference_exists,
    validate_references,
)
from tests.conftest import Connect

VERSION = "cfg_1_matrix_4"


@pytest.fixture
def owner(connect: Connect, telecore_staging: str) -> Iterator[psycopg.Connection[Any]]:
    with connect(telecore_staging, "telecore_owner") as connection:
        yield connection


@pytest.fixture
def workspace(owner: psycopg.Connection[Any]) -> UUID:
    row = owner.execute("SELECT workspace_id FROM config_versions WHERE id = %s", [VERSION])
    found: UUID = row.fetchall()[0][0]
    return found


def test_a_row_that_is_there_exists_and_another_does_not(
    owner: psycopg.Connection[Any], workspace: UUID
) -> None:
    assert reference_exists(owner, "config_versions", VERSION)
    assert reference_exists(owner, "public.config_versions", VERSION)
    assert reference_exists(owner, "workspaces", workspace)
    assert reference_exists(owner, "workspaces", str(workspace))
    assert reference_exists(owner, "workspaces", "XLSMART-AVIAT", "code")
    assert reference_exists(owner, "pg_catalog.pg_class", 1259, "oid")
    assert not reference_exists(owner, "config_versions", "cfg_none")
    assert not reference_exists(owner, "workspaces", UUID(int=0))
    assert not reference_exists(owner, "workspaces", "xlsmart-aviat", "code")


def test_references_to_several_tables_answer_with_an_error_each(
    owner: psycopg.Connection[Any], workspace: UUID
) -> None:
    result = validate_references(
        owner,
        [
            Reference("workspace_id", workspace, "workspaces"),
            Reference("config_version_id", "cfg_none", "config_versions"),
            Reference("site_id", None, "sites"),
            Reference("vendor_id", " ", "vendor_master"),
            Reference("backup_version_id", VERSION, "config_versions"),
        ],
    )
    assert not result.valid
    assert [str(error) for error in result.errors] == [
        "config_version_id: expected a reference to config_versions, got 'cfg_none': no such row",
        "site_id: expected a reference to sites, got None: no value",
        "vendor_id: expected a reference to vendor_master, got ' ': no value",
    ]
    assert validate_references(owner, []) == Validation()
    assert validate_references(owner, [Reference("v", VERSION, "config_versions")]).valid


def test_the_error_turns_into_a_json_body(owner: psycopg.Connection[Any]) -> None:
    (error,) = validate_references(owner, [Reference("site_id", "s" * 65536, "sites")]).errors
    shown = f"{'s' * 100}… (65,536 characters)"
    assert json.loads(json.dumps(error.to_json())) == {
        "error": "invalid_reference",
        "field": "site_id",
        "value": shown,
        "table": "sites",
        "reason": "no such row",
        "message": "site_id: expected a reference to sites, got "
        f"'{'s' * 99}… (65,538 characters): no such row",
    }
    assert error.value == "s" * 65536
    body = InvalidReferenceError("site_id", None, "sites", "no value").to_json()
    assert body["value"] is None


@pytest.mark.parametrize(
    "value",
    ["not a uuid", "1\0", "\ud800", "'; DROP TABLE workspaces; --", True, 7, 1.5, ["a"], {"a": 1}],
)
def test_a_value_of_another_type_is_an_error_and_never_passes(
    owner: psycopg.Connection[Any], value: object
) -> None:
    message = (
        f"workspace_id: expected a reference to workspaces, got {value!r}: not of the column's type"
    )
    result = validate_references(
        owner,
        [
            Reference("config_version_id", VERSION, "config_versions"),
            Reference("workspace_id", value, "workspaces"),
        ],
    )
    assert [str(error) for error in result.errors] == [message]
    with pytest.raises(InvalidReferenceError) as caught:
        reference_exists(owner, "workspaces", value)
    assert str(caught.value) == message.replace("workspace_id", "id", 1)


@pytest.mark.parametrize("value", [None, "", " \t\n"])
def test_no_value_is_an_error_and_never_passes(
    owner: psycopg.Connection[Any], value: object
) -> None:
    with pytest.raises(InvalidReferenceError) as caught:
        reference_exists(owner, "workspaces", value)
    assert str(caught.value) == f"id: expected a reference to workspaces, got {value!r}: no value"


@pytest.mark.parametrize(
    ("table", "column", "message"),
    [
        ("", "id", "expected a table or schema.table, got ''"),
        ("a.b.c", "id", "expected a table or schema.table, got 'a.b.c'"),
        ("public.", "id", "expected a table or schema.table, got 'public.'"),
        ("t\0", "id", "expected a table or schema.table, got 't\\x00'"),
        ("t" * 64, "id", f"expected a table or schema.table, got '{'t' * 64}'"),
        ("sites", "", "expected a column, got ''"),
    ],
)
def test_a_name_that_is_no_identifier_is_refused_before_sql(
    owner: psycopg.Connection[Any], table: str, column: str, message: str
) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is asserted in full
        reference_exists(owner, table, None, column)
    assert str(caught.value) == message


def test_hostile_identifiers_are_quoted(owner: psycopg.Connection[Any]) -> None:
    for hostile in ('sites"; DROP TABLE sites; --', "sites WHERE true) OR (SELECT true", "SITES"):
        with pytest.raises(psycopg.errors.UndefinedTable):
            reference_exists(owner, hostile, "site_1")
    with pytest.raises(psycopg.errors.UndefinedColumn):
        reference_exists(owner, "sites", "site_1", "id OR true")
    assert owner.execute("SELECT count(*) > 0 FROM sites").fetchone() == (True,)


def test_a_failed_lookup_undoes_itself_alone(
    owner: psycopg.Connection[Any], workspace: UUID
) -> None:
    with owner.transaction(force_rollback=True):
        owner.execute("UPDATE sites SET city = 'here'")
        assert not validate_references(owner, [Reference("w", "no uuid", "workspaces")]).valid
        with pytest.raises(psycopg.errors.UndefinedTable):
            reference_exists(owner, "no_table", "x")
        assert reference_exists(owner, "workspaces", workspace)
        kept = owner.execute("SELECT count(*) FROM sites WHERE city <> 'here'").fetchone()
    assert kept == (0,)


def test_an_error_of_the_callers_transaction_stays_the_callers(
    owner: psycopg.Connection[Any],
) -> None:
    owner.autocommit = False
    with pytest.raises(psycopg.errors.DivisionByZero):
        owner.execute("SELECT 1 / 0")
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        reference_exists(owner, "sites", "x")
    owner.rollback()


def test_it_works_with_any_row_factory_and_without_autocommit(
    owner: psycopg.Connection[Any],
) -> None:
    owner.row_factory = dict_row
    assert reference_exists(owner, "config_versions", VERSION)
    owner.autocommit = False
    assert reference_exists(owner, "config_versions", VERSION, lock=True)
    owner.rollback()


def test_many_references_take_one_round_trip(
    owner: psycopg.Connection[Any], workspace: UUID, tmp_path: Path
) -> None:
    references = [
        Reference("workspace_id", workspace, "workspaces"),
        *(Reference(f"versions[{n}]", VERSION, "config_versions") for n in range(50)),
        *(Reference(f"sites[{n}]", f"site {n}", "sites") for n in range(500)),
    ]
    assert _round_trips(owner, references, tmp_path / "alone") == 1
    with owner.transaction():
        owner.execute("SELECT 1")
        assert _round_trips(owner, references, tmp_path / "inside") == 1


def _round_trips(
    connection: psycopg.Connection[Any], references: list[Reference], trace: Path
) -> int:
    """How often the server was ready again, as libpq saw it."""
    with trace.open("wb") as stream:
        connection.pgconn.trace(stream.fileno())
        result = validate_references(connection, references)
        connection.pgconn.untrace()
    assert len(result.errors) == 500
    return trace.read_text(errors="replace").count("\tReadyForQuery")


def test_more_than_the_most_are_refused_and_duplicates_count_once(
    owner: psycopg.Connection[Any],
) -> None:
    most = [Reference("site_id", f"site {n}", "sites") for n in range(MOST_REFERENCES)]
    assert len(validate_references(owner, [*most, *most]).errors) == 2 * MOST_REFERENCES
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is asserted in full
        validate_references(owner, [*most, Reference("site_id", "another", "sites")])
    assert str(caught.value) == (
        "expected at most 1,000 distinct references, got more; give them to the batch validator"
    )


def test_a_lock_outside_a_transaction_is_refused(owner: psycopg.Connection[Any]) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is asserted in full
        reference_exists(owner, "config_versions", VERSION, lock=True)
    assert str(caught.value) == (
        "lock=True needs an open transaction, got a connection in autocommit mode outside one;"
        " call it inside connection.transaction()"
    )


def test_a_locked_row_cannot_vanish_and_an_unlocked_one_can(connect: Connect, scratch: str) -> None:
    with (
        connect(scratch, "telecore_owner") as first,
        connect(scratch, "telecore_owner") as second,
    ):
        second.execute("SET lock_timeout = '200ms'")
        with first.transaction():
            assert reference_exists(first, "config_versions", VERSION, lock=True)
            with pytest.raises(psycopg.errors.LockNotAvailable):
                second.execute("DELETE FROM config_versions WHERE id = %s", [VERSION])
        with first.transaction():
            assert reference_exists(first, "config_versions", VERSION)
            second.execute("DELETE FROM config_versions WHERE id = %s", [VERSION])
        assert not reference_exists(first, "config_versions", VERSION)


def test_a_reader_needs_no_more_than_select(connect: Connect, telecore_staging: str) -> None:
    with connect(telecore_staging, "telecore_reader") as reader:
        assert reference_exists(reader, "config_versions", VERSION)
        with pytest.raises(psycopg.errors.InsufficientPrivilege), reader.transaction():
            reference_exists(reader, "config_versions", VERSION, lock=True)


def test_importing_it_imports_psycopg_alone() -> None:
    """In a process of its own: what is loaded beyond psycopg and the standard library."""
    code = (
        "import pkgutil, sys, psycopg; before = set(sys.modules); import runbook.references as r;"
        "[__import__(m.name) for m in pkgutil.walk_packages(r.__path__, r.__name__ + '.')];"
        "new = set(sys.modules) - before;"
        "print(sorted({n.partition('.')[0] for n in new} - sys.stdlib_module_names),"
        "sorted({'.'.join(n.split('.')[:2]) for n in new if n.startswith('runbook')}))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent.parent,
        env=os.environ,
    )
    assert result.stdout.strip() == "['runbook'] ['runbook', 'runbook.references']"
