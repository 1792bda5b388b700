"""A Starlette application whose requests are checked before they reach a handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from runbook.references import Metrics, Parent, Setup
from runbook.references.asgi import AccessMiddleware, ReferenceMiddleware, Scope
from runbook.references.body import AccessCheck

MEMBER = "SELECT FROM app.members WHERE workspace_id = %s AND user_id = %s"


# --8<-- [start:access]
def workspace_of(scope: Scope) -> str | None:
    """The workspace that a request works in, from a header of its own."""
    return dict(scope["headers"]).get(b"x-workspace-id", b"").decode("latin-1") or None


async def is_member(connection: AsyncConnection[Any], scope: Scope, workspace: str) -> bool:
    """Whether the caller belongs to the workspace; a real one takes the user from a session."""
    user = dict(scope["headers"]).get(b"x-user-id", b"").decode("latin-1")
    cursor = await connection.execute(MEMBER, [workspace, user])
    return await cursor.fetchone() is not None
    # --8<-- [end:access]


# --8<-- [start:app]
def application(
    pool: AsyncConnectionPool,
    create: Callable[[Request], Awaitable[dict[str, str]]],
    metrics: Metrics,
) -> Starlette:
    """An application with one handler; ``create`` writes, and checks again with a lock."""
    setup = Setup(metrics=metrics)

    async def workflows(request: Request) -> JSONResponse:
        return JSONResponse(await create(request), status_code=201)

    async def scrape(_request: Request) -> JSONResponse:
        return JSONResponse({"alert": metrics.alert()})

    workspaces = AccessCheck(
        Parent("public.workspaces"),
        "workspace_id",
        applies=lambda _method, path: path.startswith("/workflows"),
    )
    return Starlette(
        routes=[
            Route("/workflows", workflows, methods=["POST", "PATCH"]),
            Route("/alert", scrape),
        ],
        middleware=[
            # the first one sees a request first: who may not come in learns nothing of other rows
            Middleware(
                AccessMiddleware,
                pool=pool,
                check=workspaces,
                value_of=workspace_of,
                allowed=is_member,
                setup=setup,
            ),
            Middleware(
                ReferenceMiddleware,
                pool=pool,
                parents={
                    "config_version_id": "public.config_versions",
                    "vendor_id": Parent("public.vendor_master", optional=True),
                },
                setup=setup,
            ),
        ],
    )
    # --8<-- [end:app]
