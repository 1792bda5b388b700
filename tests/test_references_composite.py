"""Several columns that are one reference: types, locks, the cache, the middleware."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from itertools import product
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import psycopg
import pytest

from runbook.references import (
    Cache,
    InvalidReferenceError,
    Parent,
    Reference,
    Setup,
    reference_exists,
    validate_batch_references,
    validate_references,
)
from runbook.references.body import AccessCheck
from runbook.references.wsgi import ReferenceMiddleware
from tests.conftest import Connect
from tests.guide import load

TENANT = UUID(int=1)
SITES = Parent("t.si%tes", ("tenant", 'co"de'))
BOTH = ("tenant_id", "site_code")
TABLES = """
    CREATE SCHEMA t;
    CREATE TABLE t."si%tes" ("co""de" varchar(3), tenant uuid, floor integer,
        PRIMARY KEY (tenant, "co""de"), UNIQUE ("co""de", floor));
    INSERT INTO t."si%tes" VALUES
        ('a', '00000000-0000-0000-0000-000000000001', 1),
        ('b', '00000000-0000-0000-0000-000000000001', 2),
        ('a', '00000000-0000-0000-0000-000000000002', 2);
    CREATE TABLE t.child (tenant_id uuid, site_code text, CONSTRAINT fk FOREIGN KEY
        (tenant_id, site_code) REFERENCES t."si%tes" (tenant, "co""de"));
    CREATE TABLE t.full_child (tenant_id uuid, site_code text, CONSTRAINT fk FOREIGN KEY
        (tenant_id, site_code) REFERENCES t."si%tes" (tenant, "co""de") MATCH FULL);
"""


@pytest.fixture(scope="module")
def owner(connect: Connect) -> Iterator[psycopg.Connection[Any]]:
    with connect("postgres", None) as admin:
        admin.execute("CREATE DATABASE of_several")
    with connect("of_several", None) as owner:
        owner.execute(TABLES.encode())
        yield owner
    with connect("postgres", None) as admin:
        admin.execute("DROP DATABASE of_several WITH (FORCE)")


def reference(value: object) -> Reference:
    return Reference(BOTH, value, SITES.table, SITES.id_column)


@pytest.mark.parametrize("match", ["simple", "full"])
def test_what_passes_is_what_a_foreign_key_of_the_same_match_takes(
    owner: psycopg.Connection[Any], match: Any
) -> None:
    insert = {
        "simple": "INSERT INTO t.child VALUES (%s, %s)",
        "full": "INSERT INTO t.full_child VALUES (%s, %s)",
    }[match]
    tenants = [None, TENANT, UUID(int=2), UUID(int=3)]
    parent = Parent(SITES.table, SITES.id_column, optional=True, match=match)
    for tenant, code in product(tenants, [None, "a", "b", "c", "long"]):
        with owner.transaction(force_rollback=True):
            try:
                with owner.transaction():
                    owner.execute(insert.encode(), [tenant, code])
                taken = True
            except psycopg.errors.ForeignKeyViolation:
                taken = False
        record = {"tenant_id": tenant, "site_code": code}
        found = validate_batch_references(owner, [record], {BOTH: parent})
        item = Reference(BOTH, (tenant, code), parent.table, parent.id_column, True, match)
        alone = validate_references(owner, [item])
        assert found.valid is alone.valid is taken, (tenant, code)


def test_a_batch_says_what_a_question_for_each_says(owner: psycopg.Connection[Any]) -> None:
    random = Random(3)  # noqa: S311 - the seed is the point
    values: list[object] = [
        None, "", " ", "a", "b", "A", "a'b", "a\0", "\ud800", 'a"b', "a\\b", "{a", 1, True, 1.5,
        ["a"], 2**40, "00000000-0000-0000-0000-000000000001", TENANT, UUID(int=9), "1", "2", "one",
    ]  # fmt: skip
    floors = Parent(SITES.table, ('co"de', "floor"))
    for optional, match in product([True, False], ["simple", "full"]):
        first = Parent(SITES.table, SITES.id_column, optional, match)  # type: ignore[arg-type]
        second = Parent(floors.table, floors.id_column, optional, match)  # type: ignore[arg-type]
        names = ("w", "x", "y", "z")
        records = [{name: random.choice(values) for name in names} for _ in range(150)]
        found = validate_batch_references(
            owner, records, {("w", "x"): first, ("y", "z"): second}, chunk=40
        )
        got = {(each.index, each.error.field): each.error for each in found.errors}
        for index, record in enumerate(records):
            for fields, parent in ((("w", "x"), first), (("y", "z"), second)):
                value = tuple(record[name] for name in fields)
                item = Reference(fields, value, parent.table, parent.id_column, optional, match)  # type: ignore[arg-type]
                (error,) = validate_references(owner, [item]).errors or (None,)
                other = got.pop((index, ", ".join(fields)), None)
                assert (error is None) is (other is None), (value, error, other)
                if error is not None and other is not None and 2**40 not in value:
                    assert error.to_json() == other.to_json()
        assert not got


def test_a_lock_keeps_the_row_and_the_cache_does_not_answer_it(
    owner: psycopg.Connection[Any], connect: Connect
) -> None:
    setup = Setup(cache=Cache([SITES.table]))
    ask = (SITES.table, (TENANT, "b"), SITES.id_column)
    assert reference_exists(owner, *ask, setup=setup)
    delete = """DELETE FROM t."si%tes" WHERE "co""de" = 'b'"""
    with connect("of_several", None) as other:
        other.execute("SET lock_timeout = '200ms'")
        record = {"tenant_id": TENANT, "site_code": "b"}
        for batch in (False, True):
            with owner.transaction():
                if batch:
                    assert validate_batch_references(
                        owner, [record], {BOTH: SITES}, lock=True
                    ).valid
                else:
                    assert reference_exists(owner, *ask, lock=True, setup=setup)
                with pytest.raises(psycopg.errors.LockNotAvailable):
                    other.execute(delete)
    with owner.transaction(force_rollback=True):
        owner.execute(delete)
        assert reference_exists(owner, *ask, setup=setup), "remembered"
        assert not reference_exists(owner, *ask, lock=True, setup=setup)
    one, swapped = (SITES.table, ("a", 1), ('co"de', "floor")), ("a", 2)
    assert reference_exists(owner, *one, setup=setup)
    assert reference_exists(owner, one[0], swapped, one[2], setup=setup)
    assert not reference_exists(owner, one[0], ("b", 1), one[2], setup=setup)


def test_a_chunk_of_several_columns_is_one_round_trip(
    owner: psycopg.Connection[Any], tmp_path: Path
) -> None:
    records = [{"tenant_id": str(TENANT), "site_code": code, "n": 1} for code in "abc" * 10]
    parents = {BOTH: SITES, ("site_code", "n"): Parent(SITES.table, ('co"de', "floor"))}
    with (tmp_path / "trace").open("wb") as stream:
        owner.pgconn.trace(stream.fileno())
        found = validate_batch_references(owner, records, parents)
        owner.pgconn.untrace()
    trips = (tmp_path / "trace").read_text(errors="replace").count("\tReadyForQuery")
    assert (trips, found.failed) == (2, 30)  # the types, and the chunk
    assert [(each.index, each.error.fields) for each in found.errors[:3]] == [
        (1, ("site_code", "n")),
        (2, BOTH),
        (2, ("site_code", "n")),
    ]


def answers(owner: psycopg.Connection[Any], parent: Parent, *requests: Any) -> list[Any]:
    """What the middleware answers to a method and a body; None where it lets it through."""

    class Pool:
        def connection(self) -> Any:
            return Lent()

    class Lent:
        def __enter__(self) -> psycopg.Connection[Any]:
            return owner

        def __exit__(self, *_error: object) -> None:
            """The connection stays open."""

    def app(_environ: Any, start: Any) -> list[bytes]:
        start("200 OK", [])
        return [b"null"]

    wrapped = ReferenceMiddleware(app, Pool(), {BOTH: parent})
    found = []
    for method, body in requests:
        raw = json.dumps(body).encode()
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": "/",
            "wsgi.input": BytesIO(raw),
            "CONTENT_LENGTH": str(len(raw)),
        }
        answer = json.loads(b"".join(wrapped(environ, lambda *_: None)))
        found.append(answer and [(each["field"], each["reason"]) for each in answer["errors"]])
    return found


def test_a_middleware_checks_several_fields_as_one(owner: psycopg.Connection[Any]) -> None:
    tenant = str(TENANT)
    names = "tenant_id, site_code"
    no_row = [(names, "no such row")]
    no_value = [(names, "no value")]
    some = [(names, "a value for some of its columns only")]
    requests = [
        ("POST", {"tenant_id": tenant, "site_code": "a"}),
        ("POST", {"tenant_id": tenant, "site_code": "c"}),
        ("POST", {"tenant_id": tenant}),
        ("POST", {}),
        ("PATCH", {}),
        ("PATCH", {"other": 1}),
        ("PATCH", {"site_code": "b"}),
        ("PATCH", {"site_code": None}),
        ("PATCH", {"tenant_id": tenant, "site_code": "c"}),
    ]
    table, columns = SITES.table, SITES.id_column
    assert answers(owner, SITES, *requests) == [
        None, no_row, no_value, no_value, None, None, some, no_value, no_row,
    ]  # fmt: skip
    assert answers(owner, Parent(table, columns, optional=True), *requests) == [
        None, no_row, None, None, None, None, some, None, no_row,
    ]  # fmt: skip
    assert answers(owner, Parent(table, columns, optional=True, match="full"), *requests) == [
        None, no_row, some, None, None, None, some, no_value, no_row,
    ]  # fmt: skip


def test_fields_and_columns_that_do_not_fit_are_refused_before_sql() -> None:
    cases: list[tuple[dict[Any, Parent], str]] = [
        ({"a": SITES}, "expected a field for each column of t.si%tes(tenant, co\"de), got ('a',)"),
        (
            {("a", "b"): Parent("t.p")},
            "expected a field for each column of t.p(id), got ('a', 'b')",
        ),
        ({(): Parent("t.p", ())}, "expected 1 to 32 different columns, got ()"),
        (
            {("a", "b"): Parent("t.p", ("x", "x"))},
            "expected 1 to 32 different columns, got ('x', 'x')",
        ),
    ]
    for parents, message in cases:
        for work in (
            lambda: validate_batch_references(None, [], parents),  # type: ignore[arg-type]  # noqa: B023
            lambda: ReferenceMiddleware(None, None, parents),  # type: ignore[arg-type]  # noqa: B023
        ):
            with pytest.raises(ValueError) as caught:  # noqa: PT011 - asserted in full
                work()
            assert str(caught.value) == message
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - asserted in full
        AccessCheck(SITES, "site")
    assert str(caught.value) == (
        'expected a parent of one column for site, got t.si%tes(tenant, co"de)'
    )


def test_the_guides_example_asks_for_a_row_of_the_same_workspace(
    connect: Connect, telecore_staging: str
) -> None:
    ask = load("same_workspace").site_of_workspace
    with connect(telecore_staging, "telecore_owner") as connection:
        ((workspace, site),) = connection.execute(
            "SELECT workspace_id, id FROM sites WHERE workspace_id IS NOT NULL LIMIT 1"
        ).fetchall()
        assert ask(connection, workspace, site).valid
        assert ask(connection, workspace, None).valid
        (error,) = ask(connection, UUID(int=0), site).errors
    assert isinstance(error, InvalidReferenceError)
    assert str(error) == (
        f"workspace_id, site_id: expected a reference to public.sites, got '{UUID(int=0)}, {site}':"
        " no such row"
    )
