"""The middleware, asked over HTTP in front of real applications and a real database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any

import httpx
import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from runbook.references import InvalidReferenceError, Metrics, Parent
from runbook.references.asgi import ReferenceMiddleware
from runbook.references.body import BodyCheck, Refusal
from runbook.references.wsgi import ReferenceMiddleware as WsgiReferenceMiddleware
from tests.conftest import Connect
from tests.guide import load

VERSION = "cfg_1_matrix_4"
NOWHERE = "00000000-0000-0000-0000-000000000000"
starlette_app, fastapi_app, flask_app = map(load, ("starlette_app", "fastapi_app", "flask_app"))
Dsn = Callable[[str, str | None], str]
Ask = Callable[[httpx.AsyncClient], Awaitable[Any]]


@pytest.fixture
def owner(connect: Connect, scratch: str) -> Iterator[psycopg.Connection[Any]]:
    with connect(scratch, "telecore_owner") as connection:
        connection.execute("CREATE SCHEMA app")
        connection.execute("CREATE TABLE app.members (workspace_id uuid, user_id text)")
        connection.execute(
            "INSERT INTO app.members"
            " SELECT workspace_id, 'user' FROM config_versions WHERE id = %s",
            [VERSION],
        )
        yield connection


@pytest.fixture
def workspace(owner: psycopg.Connection[Any]) -> str:
    ((found,),) = owner.execute("SELECT workspace_id::text FROM app.members").fetchall()
    return str(found)


def headers(workspace: str, user: str = "user") -> dict[str, str]:
    return {"x-workspace-id": workspace, "x-user-id": user}


async def echo(request: Any) -> dict[str, str]:
    body: dict[str, str] = await request.json()
    return body


def over_starlette(address: str, ask: Ask, metrics: Metrics | None = None) -> Any:
    async def run() -> Any:
        async with AsyncConnectionPool(address, open=False) as pool:
            app = starlette_app.application(pool, echo, metrics or Metrics())
            async with client_of(app) as client:
                return await ask(client)

    return asyncio.run(run())


@asynccontextmanager
async def client_of(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


def posts(bodies: list[dict[str, Any]]) -> Ask:
    async def ask(client: httpx.AsyncClient) -> list[tuple[int, Any]]:
        found = [await client.post("/workflows", **body) for body in bodies]
        return [(answer.status_code, answer.json()) for answer in found]

    return ask


NO_VERSION = {
    "error": "invalid_reference",
    "field": "config_version_id",
    "value": "cfg_none",
    "table": "public.config_versions",
    "reason": "no such row",
    "message": (
        "config_version_id: expected a reference to public.config_versions, got 'cfg_none':"
        " no such row"
    ),
}


def access_cases(workspace: str) -> list[tuple[dict[str, str], int, dict[str, Any]]]:
    def fault(value: str | None, reason: str) -> dict[str, Any]:
        return {
            "error": "invalid_reference",
            "field": "workspace_id",
            "value": value,
            "table": "public.workspaces",
            "reason": reason,
            "message": f"workspace_id: expected a reference to public.workspaces, got {value!r}:"
            f" {reason}",
        }

    forbidden = {
        "error": "forbidden",
        "field": "workspace_id",
        "value": workspace,
        "message": "workspace_id: expected one that the caller may use, got another",
    }
    return [
        ({}, 400, fault(None, "no value")),
        (headers("w1"), 400, fault("w1", "not of the column's type")),
        (headers(NOWHERE), 404, fault(NOWHERE, "no such row")),
        (headers(workspace, "another"), 403, forbidden),
        (headers(workspace), 201, {"config_version_id": VERSION}),
    ]


def test_a_workspace_is_400_404_403_or_let_in_by_asgi(
    scratch: str, dsn: Dsn, workspace: str
) -> None:
    cases = access_cases(workspace)
    good = {"config_version_id": VERSION}
    asked = [{"json": good, "headers": case[0]} for case in cases]
    found = over_starlette(dsn(scratch, "telecore_owner"), posts(asked))
    assert found == [case[1:] for case in cases]


def test_a_workspace_is_400_404_403_or_let_in_by_wsgi(
    scratch: str, dsn: Dsn, workspace: str
) -> None:
    with ConnectionPool(dsn(scratch, "telecore_owner"), open=True) as pool:
        transport = httpx.WSGITransport(app=flask_app.application(pool))
        with httpx.Client(transport=transport, base_url="http://test") as client:
            for given, status, body in access_cases(workspace):
                answer = client.post(
                    "/workflows", json={"config_version_id": VERSION}, headers=given
                )
                assert (answer.status_code, answer.json()) == (status, body)


def invalid_body(message: str) -> dict[str, str]:
    return {"error": "invalid_body", "message": message}


BODIES: list[tuple[bytes, int, dict[str, Any]]] = [
    (b'{"config_version_id": "cfg_none"}', 400,
     {"error": "invalid_references", "errors": [NO_VERSION]}),
    (b"", 400, invalid_body("expected JSON in UTF-8")),
    (b'{"config_version_id": ', 400, invalid_body("expected JSON in UTF-8")),
    (b'{"config_version_id": "\xff"}', 400, invalid_body("expected JSON in UTF-8")),
    (b"[" * 100_000, 400, invalid_body("expected JSON in UTF-8")),
    (b'["cfg"]', 400, invalid_body("expected a JSON object, got an array")),
    (b"null", 400, invalid_body("expected a JSON object, got null")),
    (b"7", 400, invalid_body("expected a JSON object, got a number")),
    (b'{"config_version_id": "cfg_1_matrix_4", "config_version_id": "cfg_none"}', 400,
     invalid_body("expected each field once, got one of them twice")),
    (b'{"x": "' + b"s" * 1_048_576 + b'"}', 413,
     {"error": "body_too_large", "message": "expected a body of at most 1,048,576 bytes"}),
]  # fmt: skip


def test_a_body_is_refused_before_the_handler_by_asgi(
    scratch: str, dsn: Dsn, workspace: str
) -> None:
    asked = [{"content": body, "headers": headers(workspace)} for body, _, _ in BODIES]
    found = over_starlette(dsn(scratch, "telecore_owner"), posts(asked))
    assert found == [case[1:] for case in BODIES]


def test_a_body_is_refused_before_the_handler_by_wsgi_and_counted(
    scratch: str, dsn: Dsn, workspace: str
) -> None:
    with ConnectionPool(dsn(scratch, "telecore_owner"), open=True) as pool:
        transport = httpx.WSGITransport(app=flask_app.application(pool))
        with httpx.Client(transport=transport, base_url="http://test") as client:
            for content, status, body in BODIES:
                answer = client.post("/workflows", content=content, headers=headers(workspace))
                assert (answer.status_code, answer.json()) == (status, body)
            metrics = client.get("/metrics")
    assert 'reference_checks_total{table="public.workspaces"} 10' in metrics.text
    assert (
        'reference_check_failures_total{table="public.config_versions",reason="no such row"} 1'
    ) in metrics.text


def test_every_fault_of_a_body_is_in_the_answer_and_optional_fields_may_be_absent(
    scratch: str, dsn: Dsn, workspace: str
) -> None:
    async def ask(client: httpx.AsyncClient) -> Any:
        client.headers = httpx.Headers(headers(workspace))
        both = await client.post("/workflows", json={"vendor_id": "v"})
        passed = await client.post(
            "/workflows", json={"config_version_id": VERSION, "vendor_id": None, "note": "kept"}
        )
        part = await client.patch("/workflows", json={"note": "no reference in it"})
        bad = await client.patch("/workflows", json={"vendor_id": ["v"]})
        alert = await client.get("/alert")
        return both, passed, part, bad, alert

    metrics = Metrics()
    both, passed, part, bad, alert = over_starlette(dsn(scratch, "telecore_owner"), ask, metrics)
    assert both.status_code == 400
    assert [(e["field"], e["reason"]) for e in both.json()["errors"]] == [
        ("config_version_id", "no value"),
        ("vendor_id", "no such row"),
    ]
    assert (passed.status_code, passed.json()["note"]) == (201, "kept")
    assert part.status_code == 201
    assert bad.json()["errors"][0]["reason"] == "not of the column's type"
    assert alert.json() == {"alert": None}  # fewer than it takes to speak of a rate
    assert (metrics.recent().checked, metrics.recent().failed) == (8, 3)


def test_fastapi_adds_a_stage_and_says_409_for_what_the_transaction_finds(
    scratch: str, dsn: Dsn, owner: psycopg.Connection[Any]
) -> None:
    owner.execute(
        "ALTER TABLE workflow_stages ADD CONSTRAINT of_workflow FOREIGN KEY (workflow_instance_id)"
        " REFERENCES workflow_instances (id) NOT VALID"
    )
    ((workflow,),) = owner.execute("SELECT id FROM workflow_instances ORDER BY id LIMIT 1")
    ((role,),) = owner.execute("SELECT id FROM approval_role_master ORDER BY id LIMIT 1")

    async def run() -> list[httpx.Response]:
        async with AsyncConnectionPool(dsn(scratch, "telecore_owner"), open=False) as pool:
            app = fastapi_app.application(pool)
            async with client_of(app) as client:
                good = {"workflow_instance_id": workflow, "approval_role_id": role}
                made = await client.post("/stages", json=good | {"stage_number": 98})
                none = await client.post("/stages", json=good | {"workflow_instance_id": "none"})
            # without the middleware the handler's own check finds it
            app.user_middleware.clear()
            app.middleware_stack = None
            async with client_of(app) as client:
                bad = good | {"workflow_instance_id": "none", "stage_number": 99}
                return [made, none, await client.post("/stages", json=bad)]

    made, none, late = asyncio.run(run())
    assert made.status_code == 201
    assert set(made.json()) == {"id"}
    assert (none.status_code, none.json()["error"]) == (400, "invalid_references")
    assert late.status_code == 409
    assert late.json()["message"] == (
        "workflow_instance_id: expected a reference to public.workflow_instances, got 'none':"
        " no such row"
    )


def test_a_wsgi_body_without_a_length_is_read_only_where_the_server_ends_it() -> None:
    seen: list[Any] = []

    def app(environ: dict[str, Any], start: Any) -> list[bytes]:
        seen.append(json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))))
        start("200 OK", [])
        return [b""]

    class NoPool:
        def connection(self) -> Any:
            raise AssertionError("nothing is to be asked")

    wrapped = WsgiReferenceMiddleware(app, NoPool(), {"site_id": Parent("sites", optional=True)})
    statuses: list[str] = []
    for ended in (True, False):
        environ = {"REQUEST_METHOD": "POST", "PATH_INFO": "/", "wsgi.input": BytesIO(b'{"a": 1}')}
        list(
            wrapped(
                environ | {"wsgi.input_terminated": ended},
                lambda status, _headers: statuses.append(status),
            )
        )
    assert statuses == ["200 OK", "400 Bad Request"]
    assert seen == [{"a": 1}]


def test_a_caller_who_leaves_gets_no_answer_and_websockets_pass() -> None:
    called: list[str] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        called.append(scope["type"])

    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        raise AssertionError(message)

    wrapped = ReferenceMiddleware(app, None, {"site_id": "sites"})  # type: ignore[arg-type]
    asyncio.run(wrapped({"type": "http", "method": "POST", "path": "/"}, gone, send))
    asyncio.run(wrapped({"type": "websocket", "path": "/"}, gone, send))
    asyncio.run(wrapped({"type": "http", "method": "GET", "path": "/"}, gone, send))
    assert called == ["websocket", "http"]


def test_parents_of_a_middleware_are_looked_at_when_it_is_made() -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is asserted in full
        ReferenceMiddleware(None, None, {})  # type: ignore[arg-type]
    assert str(caught.value) == "expected a parent for at least one field, got none"
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        ReferenceMiddleware(None, None, {"a": "b.c.d"})  # type: ignore[arg-type]
    assert str(caught.value) == "expected a table or schema.table, got 'b.c.d'"


def test_half_a_surrogate_pair_gets_an_answer_that_can_be_encoded() -> None:
    check = BodyCheck({"site_id": Parent("sites")})
    found = check.references("POST", b'{"site_id": "\\ud800"}')
    assert not isinstance(found, Refusal)
    error = InvalidReferenceError("site_id", found[0].value, "sites")
    assert error.to_json()["value"] == "\\ud800"
    assert json.dumps(error.to_json(), ensure_ascii=False).encode()
