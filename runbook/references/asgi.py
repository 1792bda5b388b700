"""Middleware for ASGI applications, such as those of Starlette and FastAPI.

A middleware gives callers a clear answer early. It cannot keep the row: what is written has to be
checked again, with a lock, in the transaction that writes it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from psycopg import AsyncConnection

from runbook.references.asking import AsyncPool
from runbook.references.asynchronous import validate_references
from runbook.references.body import (
    MOST_BYTES,
    AccessCheck,
    Applies,
    BodyCheck,
    Refusal,
    invalid,
)
from runbook.references.reference import Parent, parents_of
from runbook.references.setup import PLAIN, Setup

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Allowed = Callable[[AsyncConnection[Any], Scope, str], Awaitable[bool]]


class ReferenceMiddleware:
    """Answers 400 with all faults where a field of a JSON body refers to no row.

    ``parents`` has the parent of each field. ``applies(method, path)`` says which requests are
    checked; by default every POST, PUT and PATCH. Such a request has to have a JSON object of at
    most ``most_bytes`` as its body: 400 or 413 otherwise. WebSockets are passed on unchecked.
    """

    def __init__(  # noqa: PLR0913 - the application, and what it decides
        self,
        app: Application,
        pool: AsyncPool,
        parents: Mapping[Any, Parent | str],  # a field, or a tuple of fields
        *,
        applies: Applies | None = None,
        most_bytes: int = MOST_BYTES,
        setup: Setup = PLAIN,
    ) -> None:
        self._app, self._pool, self._setup = app, pool, setup
        self._check = BodyCheck(parents_of(parents), applies, most_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._check.concerns(scope["method"], scope["path"]):
            await self._app(scope, receive, send)
            return
        raw = await _read(receive, self._check.most_bytes)
        if raw is None:  # the caller is gone
            return
        wanted = self._check.references(scope["method"], raw)
        if isinstance(wanted, Refusal):
            await _answer(send, wanted)
            return
        found = await validate_references(self._pool, wanted, setup=self._setup)
        refusal = invalid(found.errors)
        if refusal is not None:
            await _answer(send, refusal)
            return
        await self._app(scope, _replayed(raw, receive), send)


class AccessMiddleware:
    """Lets a request through where the row that it works in exists and the caller may use it.

    ``value_of(scope)`` finds the value, or None. No value or one of another type answers 400, a
    row that does not exist 404, and 403 where ``allowed(connection, scope, value)`` is anything
    but True. A WebSocket is closed instead of accepted.
    """

    def __init__(  # noqa: PLR0913 - the application, and what it decides
        self,
        app: Application,
        pool: AsyncPool,
        check: AccessCheck,
        *,
        value_of: Callable[[Scope], str | None],
        allowed: Allowed,
        setup: Setup = PLAIN,
    ) -> None:
        self._app, self._pool, self._check, self._setup = app, pool, check, setup
        self._value_of, self._allowed = value_of, allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        known = scope["type"] in ("http", "websocket")
        if not known or not self._check.applies(scope.get("method", "GET"), scope["path"]):
            await self._app(scope, receive, send)
            return
        refusal = await self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await _answer(send, refusal)

    async def _refusal(self, scope: Scope) -> Refusal | None:
        value = self._value_of(scope)
        wanted = [self._check.reference(value)]
        found = await validate_references(self._pool, wanted, setup=self._setup)
        refusal = self._check.refused(found.errors)
        if refusal is not None or value is None:
            return refusal
        async with self._pool.connection() as connection:
            if await self._allowed(connection, scope, value) is not True:
                return self._check.forbidden(value)
        return None


async def _read(receive: Receive, most: int) -> bytes | None:
    """The body, cut one byte or more after ``most``; None where the caller left."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        parts.append(part)
        size += len(part)
        if size > most or not message.get("more_body", False):
            return b"".join(parts)


def _replayed(raw: bytes, receive: Receive) -> Receive:
    """The body again for the application, and after it whatever comes."""
    waiting: list[Message] = [{"type": "http.request", "body": raw, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again


async def _answer(send: Send, refusal: Refusal) -> None:
    headers = [(name.encode(), value.encode()) for name, value in refusal.headers]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": refusal.body})
