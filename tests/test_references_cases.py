"""The table of cases that the Python library and the TypeScript package share."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from itertools import chain
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from runbook.references import (
    Declared,
    InvalidReferenceError,
    Parent,
    Reference,
    Setup,
    StillReferencedError,
    UnknownParentError,
    asynchronous,
    declare,
    reference_exists,
    translated,
    validate_batch_references,
    validate_references,
)
from runbook.references.reference import Names
from tests.conftest import ROOT, Connect
from tests.guide import load

TABLE = json.loads((ROOT / "tests" / "cases" / "references.json").read_text(encoding="utf-8"))
CASES = TABLE["cases"]
DATABASES = {name: f"cases_{name}" for name in TABLE["databases"]}
workflows, submissions, policies = map(
    load, ("workflow_service", "submission_service", "policy_service")
)


@pytest.fixture(scope="module")
def databases(connect: Connect) -> Iterator[dict[str, str]]:
    with connect("postgres", None) as admin:
        for name, database in DATABASES.items():
            admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
            made = TABLE["databases"][name]
            with connect(database, None) as owner:
                for file in made["files"]:
                    owner.execute((ROOT / file).read_bytes())
                for statement in made["statements"]:
                    owner.execute(statement.encode())
        yield DATABASES
        for database in DATABASES.values():
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))


def spelled(value: Any, number: int | None = None) -> Any:
    """A value of the table in Python; ``number`` replaces the braces of a copy."""
    if isinstance(value, str):
        return value if number is None else value.replace("{}", str(number))
    if isinstance(value, list):
        return [spelled(item, number) for item in value]
    if isinstance(value, dict) and value.keys() & SPECIAL.keys():
        (special,) = value.keys() & SPECIAL.keys()
        return SPECIAL[special](value)
    if isinstance(value, dict):
        return {key: spelled(item, number) for key, item in value.items()}
    return value


SPECIAL: dict[str, Callable[[dict[str, Any]], Any]] = {
    "$uuid": lambda value: UUID(value["$uuid"]),
    "$repeat": lambda value: value["$repeat"][0] * value["$repeat"][1],
    # an iterator: a million references are refused before they are built
    "$list": lambda value: chain(
        (spelled(value["$list"][1], n) for n in range(value["$list"][0])),
        spelled(value.get("$then", [])),
    ),
}


def names(given: str | list[str]) -> Names:
    return given if isinstance(given, str) else tuple(given)


def setup(arguments: dict[str, Any]) -> Setup:
    given = arguments.get("declared")
    declared: Declared | None = None
    if given is not None:
        declared = declare(*(Parent(each["table"], names(each["column"])) for each in given))
    return Setup(declared)


def references(arguments: dict[str, Any]) -> Iterator[Reference]:
    for each in arguments["references"]:
        field, column = names(each["field"]), names(each["column"])
        more = {name: each[name] for name in ("optional", "match") if name in each}
        yield Reference(field, each["value"], each["table"], column, **more)


def batch(arguments: dict[str, Any]) -> tuple[Any, dict[Names, Parent], dict[str, Any]]:
    parents = {
        names(each.get("fields", field)): Parent(
            each["table"], names(each["column"]), each["optional"], each.get("match", "simple")
        )
        for field, each in arguments["parents"].items()
    }
    sizes = {name: arguments[name] for name in {"chunk", "most_errors"} & arguments.keys()}
    return arguments["records"], parents, sizes


Outcome = dict[str, Any]


def of_batch(found: Any) -> Outcome:
    return {
        "errors": [each.error.to_json() | {"index": each.index} for each in found.errors],
        "checked": found.checked,
        "failed": found.failed,
    }


def exists(connection: psycopg.Connection[Any], a: dict[str, Any]) -> Outcome:
    column, lock = names(a.get("column", "id")), a.get("lock", False)
    found = reference_exists(connection, a["table"], a["value"], column, lock=lock, setup=setup(a))
    return {"ok": found}


def validate(connection: psycopg.Connection[Any], a: dict[str, Any]) -> Outcome:
    lock = a.get("lock", False)
    found = validate_references(connection, references(a), lock=lock, setup=setup(a))
    return {"errors": [error.to_json() for error in found.errors]}


def validate_batch(connection: psycopg.Connection[Any], a: dict[str, Any]) -> Outcome:
    records, parents, sizes = batch(a)
    return of_batch(
        validate_batch_references(connection, records, parents, setup=setup(a), **sizes)
    )


def database_refusal(connection: psycopg.Connection[Any], a: dict[str, Any]) -> Outcome:
    statement = re.sub(r"\$\d+", "%s", a["sql"])
    with translated(source=connection), connection.transaction():
        connection.execute(statement.encode(), a["values"])
    return {"ok": None}


def workflow(connection: psycopg.Connection[Any], a: dict[str, Any]) -> Outcome:
    try:
        made = workflows.create_workflow_instance(connection, workflows.NewWorkflow(**a))
    except workflows.RefusedError as error:
        return {"errors": [each.to_json() for each in error.errors]}
    found = connection.execute("SELECT FROM workflow_instances WHERE id = %s", [made])
    return {"ok": "created" if found.fetchone() is not None else "not there"}


def submission(connection: psycopg.Connection[Any], a: dict[str, Any]) -> Outcome:
    documents = [submissions.Document(**each) for each in a["documents"]]
    try:
        made = submissions.create_atp_submission(connection, a["workflow_instance_id"], documents)
    except submissions.RefusedError as error:
        return {"errors": [each.to_json() for each in error.errors]}
    found = connection.execute(
        "SELECT s.document_count, s.primary_document_id, count(*) FROM atp_submissions AS s"
        " JOIN atp_submission_documents AS d ON d.submission_id = s.id WHERE s.id = %s"
        " GROUP BY s.id",
        [made],
    )
    expected = (len(documents), documents[0].document_id, len(documents))
    return {"ok": "created" if found.fetchone() == expected else "not whole"}


def delete_policy(connection: psycopg.Connection[Any], a: dict[str, Any]) -> Outcome:
    policies.delete_policy(connection, a["policy"])
    found = connection.execute(
        "SELECT FROM approval_policy_master WHERE id = %s", [a["policy"]]
    ).fetchone()
    return {"ok": "deleted" if found is None else "still there"}


CALLS: dict[str, Callable[[psycopg.Connection[Any], dict[str, Any]], Outcome]] = {
    "reference_exists": exists,
    "validate_references": validate,
    "validate_batch_references": validate_batch,
    "database_refusal": database_refusal,
    "create_workflow_instance": workflow,
    "create_atp_submission": submission,
    "delete_policy": delete_policy,
}


def outcome_of(error: Exception) -> Outcome:
    if isinstance(error, InvalidReferenceError):
        return {"throws": error.to_json()}
    if isinstance(error, UnknownParentError):
        return {"refused": "unknown_parent", "message": str(error)}
    if isinstance(error, psycopg.Error):
        return {"refused": "database", "sqlstate": error.sqlstate}
    assert isinstance(error, ValueError), error
    return {"refused": "usage", "message": str(error)}


def agrees(found: Any, expected: Any) -> bool:
    """Whether an outcome has what the case asks for; '*' is any text."""
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(
            key in found and agrees(found[key], value) for key, value in expected.items()
        )
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(agrees, found, expected))
    if expected == "*":
        return isinstance(found, str)
    return type(found) is type(expected) and bool(found == expected)


def rows(connection: psycopg.Connection[Any]) -> list[Any]:
    """How many rows each table has."""
    tables = connection.execute(
        "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('public', 'shop')"
        " ORDER BY 1, 2"
    ).fetchall()
    count = sql.SQL("SELECT count(*) FROM {}")
    return [connection.execute(count.format(sql.Identifier(*table))).fetchone() for table in tables]


WRITERS = {"create_workflow_instance", "create_atp_submission", "delete_policy", "database_refusal"}


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_case_of_the_shared_table(
    case: dict[str, Any], databases: dict[str, str], connect: Connect
) -> None:
    arguments, expected = spelled(case["arguments"]), case["expect"]
    writes = case["call"] in WRITERS
    inside = writes or arguments.get("transaction", False)
    with (
        connect(databases[case["database"]], None) as connection,
        connection.transaction(force_rollback=True) if inside else nullcontext(),
    ):
        before = rows(connection) if writes else []
        try:
            found = CALLS[case["call"]](connection, arguments)
        except (ValueError, psycopg.Error) as error:
            found = outcome_of(error)
        assert agrees(found, expected), found
        if writes and "ok" not in found:
            assert rows(connection) == before, "something was written after all"


async def answer_async(dsn: str, call: str, arguments: dict[str, Any]) -> Outcome:
    lock = arguments.get("lock", False)
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        block = connection.transaction() if arguments.get("transaction") else nullcontext()
        async with block:
            if call == "reference_exists":
                wanted = (
                    arguments["table"],
                    arguments["value"],
                    names(arguments.get("column", "id")),
                )
                return {
                    "ok": await asynchronous.reference_exists(
                        connection, *wanted, lock=lock, setup=setup(arguments)
                    )
                }
            if call == "validate_references":
                found = await asynchronous.validate_references(
                    connection, references(arguments), lock=lock, setup=setup(arguments)
                )
                return {"errors": [error.to_json() for error in found.errors]}
            records, parents, sizes = batch(arguments)
            return of_batch(
                await asynchronous.validate_batch_references(
                    connection, records, parents, setup=setup(arguments), **sizes
                )
            )


LOOKUPS = [case for case in CASES if case["call"] in list(CALLS)[:3]]


@pytest.mark.parametrize("case", LOOKUPS, ids=[case["name"] for case in LOOKUPS])
def test_the_asynchronous_functions_pass_the_same_cases(
    case: dict[str, Any], databases: dict[str, str], dsn: Callable[[str, str | None], str]
) -> None:
    arguments = spelled(case["arguments"])
    address = dsn(databases[case["database"]], None)
    try:
        found = asyncio.run(answer_async(address, case["call"], arguments))
    except (ValueError, psycopg.Error) as error:
        found = outcome_of(error)
    assert agrees(found, case["expect"]), found


def test_the_table_says_how_it_is_read_and_has_every_call() -> None:
    assert len({case["name"] for case in CASES}) == len(CASES)
    assert {case["call"] for case in CASES} == set(CALLS)
    assert {case["database"] for case in CASES} == set(DATABASES)
    assert all(call in " ".join(TABLE["about"]) for call in CALLS)


def test_the_comparison_itself_can_fail() -> None:
    assert agrees({"a": "x", "b": 1}, {"a": "*"})
    assert not agrees({"a": "x"}, {"b": "x"})
    assert not agrees({"ok": 1}, {"ok": True})
    assert not agrees({"errors": []}, {"errors": [{}]})
    assert issubclass(StillReferencedError, InvalidReferenceError)
