"""What an application sets up for its checks: cache, metrics, declared parents; and pools."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from runbook.references import (
    Cache,
    InvalidReferenceError,
    Metrics,
    Parent,
    Reference,
    Setup,
    StillReferencedError,
    UnknownParentError,
    alert_rule,
    asynchronous,
    declare,
    read_relationships,
    reference_exists,
    validate_batch_references,
    validate_references,
)
from tests.conftest import ROOT, Connect
from tests.guide import load

VERSION = "cfg_1_matrix_4"
VERSIONS = "public.config_versions"
RELATIONSHIPS = ROOT / "runbook" / "telecore" / "relationships.toml"
Dsn = Callable[[str, str | None], str]


@pytest.fixture
def owner(connect: Connect, scratch: str) -> Iterator[psycopg.Connection[Any]]:
    with connect(scratch, "telecore_owner") as connection:
        yield connection


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class NoPool:
    """A pool that must not be asked for a connection."""

    def connection(self) -> Any:
        raise AssertionError("a connection was taken")


def test_a_row_that_was_found_is_not_asked_for_again_until_it_is_too_old(
    owner: psycopg.Connection[Any],
) -> None:
    clock = Clock()
    setup = Setup(cache=Cache([VERSIONS], seconds=60, clock=clock))
    assert reference_exists(owner, VERSIONS, VERSION, setup=setup)
    assert reference_exists(NoPool(), VERSIONS, VERSION, setup=setup)
    owner.execute("DELETE FROM config_versions WHERE id = %s", [VERSION])
    clock.now = 59.9
    assert reference_exists(owner, VERSIONS, VERSION, setup=setup), "known, and gone: the price"
    clock.now = 60
    assert not reference_exists(owner, VERSIONS, VERSION, setup=setup)


def test_what_is_missing_and_other_tables_are_never_remembered(
    owner: psycopg.Connection[Any],
) -> None:
    cache = Cache([VERSIONS])
    setup = Setup(cache=cache)
    assert not reference_exists(owner, VERSIONS, "cfg_none", setup=setup)
    assert reference_exists(owner, "config_versions", VERSION, setup=setup)
    assert len(cache) == 0
    assert reference_exists(owner, VERSIONS, VERSION, setup=setup)
    assert len(cache) == 1
    cache.forget()
    assert len(cache) == 0


def test_a_lock_asks_the_server_whatever_is_remembered(owner: psycopg.Connection[Any]) -> None:
    setup = Setup(cache=Cache([VERSIONS]))
    assert reference_exists(owner, VERSIONS, VERSION, setup=setup)
    owner.execute("DELETE FROM config_versions WHERE id = %s", [VERSION])
    with owner.transaction():
        assert not reference_exists(owner, VERSIONS, VERSION, lock=True, setup=setup)


def test_a_row_of_an_open_transaction_is_not_remembered(owner: psycopg.Connection[Any]) -> None:
    cache = Cache(["public.users"])
    with owner.transaction(force_rollback=True):
        owner.execute("INSERT INTO users (id, email) VALUES ('new', 'new@example.com')")
        assert reference_exists(owner, "public.users", "new", setup=Setup(cache=cache))
    assert len(cache) == 0
    assert not reference_exists(owner, "public.users", "new", setup=Setup(cache=cache))


def test_the_cache_keeps_the_most_recently_used(owner: psycopg.Connection[Any]) -> None:
    cache = Cache(["pg_catalog.pg_class"], most=2)
    setup = Setup(cache=cache)

    def ask(source: Any, oid: int) -> bool:
        return reference_exists(source, "pg_catalog.pg_class", oid, "oid", setup=setup)

    assert ask(owner, 1259)
    assert ask(owner, 1249)
    assert ask(NoPool(), 1259)
    assert ask(owner, 1247)
    assert len(cache) == 2
    assert ask(NoPool(), 1259)
    with pytest.raises(AssertionError):
        ask(NoPool(), 1249)
    result = validate_references(
        owner, [Reference("a", True, "pg_catalog.pg_class", "oid")], setup=setup
    )
    assert not result.valid


@pytest.mark.parametrize(("most", "seconds"), [(0, 60), (10, 0), (10, -1), (10, float("nan"))])
def test_bounds_of_a_cache_are_positive(most: int, seconds: float) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is asserted in full
        Cache([VERSIONS], most=most, seconds=seconds)
    assert str(caught.value) == (
        f"expected a positive number of rows and of seconds, got {most!r} and {seconds!r}"
    )


def test_checks_and_failures_are_counted_by_table_and_reason(
    owner: psycopg.Connection[Any],
) -> None:
    metrics = Metrics()
    setup = Setup(metrics=metrics)
    assert not reference_exists(owner, VERSIONS, "none", setup=setup)
    records: list[dict[str, object]] = [{"v": VERSION}, {"v": "none"}, {"v": None}]
    assert validate_batch_references(owner, records, {"v": VERSIONS}, setup=setup).failed == 2
    with pytest.raises(InvalidReferenceError):
        reference_exists(owner, 'we"ird\\\n', " ", setup=setup)
    nothing = Reference("v", None, VERSIONS, optional=True)
    assert validate_references(owner, [nothing], setup=setup).valid, "and nothing was checked"
    families = {
        family.name: {tuple(s.labels.values()): s.value for s in family.samples}
        for family in text_string_to_metric_families(metrics.exposition())
    }
    assert families == {
        "reference_checks": {(VERSIONS,): 4, ('we"ird\\\n',): 1},
        "reference_check_failures": {
            (VERSIONS, "no such row"): 2,
            (VERSIONS, "no value"): 1,
            ('we"ird\\\n', "no value"): 1,
        },
    }


def test_the_alert_comes_above_five_percent_of_enough_checks() -> None:
    clock = Clock()
    metrics = Metrics(minutes=15, clock=clock)
    assert metrics.recent().rate is None
    assert metrics.alert() is None
    metrics.count({"t": 19}, {("t", "no such row"): 19})
    assert metrics.alert() is None, "too few to speak of a rate"
    metrics.count({"t": 361}, {})
    assert metrics.recent().rate == 0.05
    assert metrics.alert() is None, "five percent is the limit, not above it"
    clock.now = 14 * 60
    metrics.count({"t": 1}, {("t", "no such row"): 1})
    assert metrics.alert() == ("20 of 381 references failed in 15 minutes: 5.2%, the limit is 5.0%")
    clock.now = 15 * 60
    assert (metrics.recent().checked, metrics.recent().failed) == (1, 1)
    clock.now = 60 * 60
    assert metrics.recent().rate is None
    assert 'reference_checks_total{table="t"} 381' in metrics.exposition()
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is asserted in full
        Metrics(minutes=0)
    assert str(caught.value) == "expected at least one minute, got 0"


def test_the_rule_for_prometheus_is_the_same_alert() -> None:
    ((group,),) = yaml.safe_load(alert_rule()).values()
    assert group["rules"] == [
        {
            "alert": "ReferencesFail",
            "expr": "sum(rate(reference_check_failures_total[15m]))"
            " / sum(rate(reference_checks_total[15m])) > 0.05",
            "for": "5m",
            "annotations": {"summary": "more than 5% of the references that are checked fail"},
        }
    ]


def test_parents_come_from_relationships_toml(owner: psycopg.Connection[Any]) -> None:
    declared = read_relationships(RELATIONSHIPS)
    fields = declared.fields("public.workflow_instances", optional=["vendor_id"])
    assert fields["config_version_id"] == Parent(VERSIONS)
    assert fields["vendor_id"].optional
    setup = Setup(declared)
    row = dict.fromkeys(map(str, fields)) | {"config_version_id": VERSION}
    found = validate_batch_references(owner, [row], fields, setup=setup)
    assert found.failed == len(fields) - 2
    assert reference_exists(owner, VERSIONS, VERSION, setup=setup)


def test_a_table_that_is_no_declared_parent_is_refused_before_sql() -> None:
    setup = Setup(declare(Parent("a.b"), Parent("c", "d")))
    message = "expected a declared parent, got 'a.x(id)'; declared are a.b(id), c(d)"
    for work in (
        lambda: reference_exists(NoPool(), "a.x", 1, setup=setup),
        lambda: validate_references(NoPool(), [Reference("f", None, "a.x")], setup=setup),
        lambda: validate_batch_references(NoPool(), [], {"f": "a.x"}, setup=setup),
    ):
        with pytest.raises(UnknownParentError) as caught:
            work()
        assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[", "expected TOML, got \"Expected ']]' at the end of an array declaration"),
        (
            '[[relationship]]\nchild = "a"\n',
            "expected child, columns, parent and references in relationship 1, got {'child': 'a'}",
        ),
        (
            "".join(
                f'[[relationship]]\nchild = "a"\ncolumns = ["x"]\nparent = "{parent}"\n'
                'references = ["id"]\n'
                for parent in "bc"
            ),
            "expected one parent of a.x, got b(id) and c(id)",
        ),
        (
            '[[relationship]]\nchild="a"\ncolumns=["x"]\nparent="b"\nreferences=["y"]\nmatch="FULL"',
            "expected 'simple' or 'full' as the match of relationship 1, got 'FULL'",
        ),
    ],
)
def test_a_relationships_file_that_is_wrong_is_named(
    text: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "relationships.toml"
    path.write_text(text)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is asserted
        read_relationships(path)
    if text != "[[":  # the rest of that one is tomllib's
        assert str(caught.value) == f"{path}: {message}"
    assert str(caught.value).startswith(f"{path}: expected ")


def test_relationships_of_several_columns_are_declared_too(tmp_path: Path) -> None:
    path = tmp_path / "relationships.toml"
    several = (
        '[[relationship]]\nchild = "s.{}"\ncolumns = ["a", "b"]\nparent = "s.p"\n'
        'references = ["x", "y"]\n'
    )
    path.write_text(
        '[[relationship]]\nchild = "s.one"\ncolumns = ["a"]\nparent = "s.p"\nreferences = ["id"]\n'
        + several.format("one")
        + several.format("two")
        + 'match = "full"\n'
    )
    declared = read_relationships(path)
    both, xy = ("a", "b"), ("x", "y")
    assert declared.fields("s.one") == {"a": Parent("s.p"), both: Parent("s.p", xy)}
    assert declared.fields("s.two") == {both: Parent("s.p", xy, match="full")}
    assert declared.fields("s.one", optional=["b"]) == {
        "a": Parent("s.p"),
        both: Parent("s.p", xy, optional=True),
    }
    none = (
        "expected a child table of a relationship, got 's.none'; the relationships are of s.one,"
        " s.two"
    )
    unknown = "expected optional columns of s.one's relationships, got 'z'; they have a, b"
    cases: list[tuple[str, list[str], str]] = [("s.none", [], none), ("s.one", ["z"], unknown)]
    for child, optional, message in cases:
        with pytest.raises(UnknownParentError) as caught:
            declared.fields(child, optional=optional)
        assert str(caught.value) == message
    with pytest.raises(UnknownParentError) as caught:
        reference_exists(NoPool(), "s.p", (1, 2), ("y", "x"), setup=Setup(declared))
    assert str(caught.value) == (
        "expected a declared parent, got 's.p(y, x)'; declared are s.p(id), s.p(x, y)"
    )


def test_the_guides_setup_knows_its_parents(owner: psycopg.Connection[Any]) -> None:
    made = load("references_setup").setup(RELATIONSHIPS)
    assert reference_exists(owner, VERSIONS, VERSION, setup=made)
    with pytest.raises(UnknownParentError):
        reference_exists(owner, "public.atp_submission_documents", "x", setup=made)
    assert made.metrics.recent().checked == 1


def test_pools_serve_as_connections_do(scratch: str, dsn: Dsn) -> None:
    address = dsn(scratch, "telecore_owner")
    with ConnectionPool(address, open=True) as pool:
        assert reference_exists(pool, VERSIONS, VERSION)
        assert validate_batch_references(pool, [{"v": VERSION}], {"v": VERSIONS}).valid
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is asserted in full
            reference_exists(pool, VERSIONS, VERSION, lock=True)
    assert str(caught.value) == (
        "lock=True needs an open transaction, got ConnectionPool;"
        " take a connection from it and call it inside connection.transaction()"
    )

    async def run() -> bool:
        async with AsyncConnectionPool(address, open=False) as pool:
            found = await asynchronous.validate_batch_references(
                pool, [{"v": VERSION}], {"v": VERSIONS}
            )
            return found.valid and await asynchronous.reference_exists(pool, VERSIONS, VERSION)

    assert asyncio.run(run())


def test_a_source_of_the_other_kind_is_refused(owner: psycopg.Connection[Any]) -> None:
    async def run() -> None:
        await asynchronous.reference_exists(owner, VERSIONS, VERSION)  # type: ignore[arg-type]

    with pytest.raises(TypeError) as caught:
        asyncio.run(run())
    assert str(caught.value) == (
        "expected a connection or a pool of them, got Connection;"
        " the other kind has its functions in runbook.references"
    )
    with pytest.raises(TypeError) as caught:
        reference_exists("dbname=x", VERSIONS, VERSION)  # type: ignore[arg-type]
    assert str(caught.value) == (
        "expected a connection or a pool of them, got str;"
        " the other kind has its functions in runbook.references.asynchronous"
    )


def test_errors_survive_a_process_boundary() -> None:
    for error in (
        InvalidReferenceError("f", UUID(int=1), "t", "why"),
        InvalidReferenceError(("f", "g"), (1, None), "t"),
        StillReferencedError("id", "x", "t"),
    ):
        again = pickle.loads(pickle.dumps(error))  # noqa: S301 - made a moment ago
        assert (type(again), str(again)) == (type(error), str(error))
        assert (again.fields, again.to_json()) == (error.fields, error.to_json())
