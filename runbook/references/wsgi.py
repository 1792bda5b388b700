"""Middleware for WSGI applications, such as those of Flask; see ``asgi`` for what it cannot do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from io import BytesIO
from typing import Any

import psycopg

from runbook.references.asking import Pool
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
from runbook.references.validation import validate_references

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]
Allowed = Callable[[psycopg.Connection[Any], Environ, str], bool]


class ReferenceMiddleware:
    """Answers 400 with all faults where a field of a JSON body refers to no row.

    The arguments are those of the ASGI middleware, over a synchronous pool.
    """

    def __init__(  # noqa: PLR0913 - the application, and what it decides
        self,
        app: Application,
        pool: Pool,
        parents: Mapping[Any, Parent | str],  # a field, or a tuple of fields
        *,
        applies: Applies | None = None,
        most_bytes: int = MOST_BYTES,
        setup: Setup = PLAIN,
    ) -> None:
        self._app, self._pool, self._setup = app, pool, setup
        self._check = BodyCheck(parents_of(parents), applies, most_bytes)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"].upper()
        if not self._check.concerns(method, _path(environ)):
            return self._app(environ, start_response)
        raw = _read(environ, self._check.most_bytes)
        wanted = self._check.references(method, raw)
        if isinstance(wanted, Refusal):
            return _answer(start_response, wanted)
        found = validate_references(self._pool, wanted, setup=self._setup)
        refusal = invalid(found.errors)
        if refusal is not None:
            return _answer(start_response, refusal)
        # the length as well: a body that came in chunks has none
        again = {"wsgi.input": BytesIO(raw), "CONTENT_LENGTH": str(len(raw))}
        return self._app(environ | again, start_response)


class AccessMiddleware:
    """Lets a request through where the row that it works in exists and the caller may use it.

    The answers are those of the ASGI middleware: 400, 404, and 403 where
    ``allowed(connection, environ, value)`` is anything but True.
    """

    def __init__(  # noqa: PLR0913 - the application, and what it decides
        self,
        app: Application,
        pool: Pool,
        check: AccessCheck,
        *,
        value_of: Callable[[Environ], str | None],
        allowed: Allowed,
        setup: Setup = PLAIN,
    ) -> None:
        self._app, self._pool, self._check, self._setup = app, pool, check, setup
        self._value_of, self._allowed = value_of, allowed

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if self._check.applies(environ["REQUEST_METHOD"].upper(), _path(environ)):
            refusal = self._refusal(environ)
            if refusal is not None:
                return _answer(start_response, refusal)
        return self._app(environ, start_response)

    def _refusal(self, environ: Environ) -> Refusal | None:
        value = self._value_of(environ)
        wanted = [self._check.reference(value)]
        found = validate_references(self._pool, wanted, setup=self._setup)
        refusal = self._check.refused(found.errors)
        if refusal is not None or value is None:
            return refusal
        with self._pool.connection() as connection:
            if self._allowed(connection, environ, value) is not True:
                return self._check.forbidden(value)
        return None


def _path(environ: Environ) -> str:
    """The whole path, decoded: WSGI has it in two parts, as bytes in Latin-1."""
    written = str(environ.get("SCRIPT_NAME", "")) + str(environ.get("PATH_INFO", ""))
    return written.encode("latin-1").decode("utf-8", "replace")


def _read(environ: Environ, most: int) -> bytes:
    """The body, or its first ``most`` bytes and one more."""
    length = environ.get("CONTENT_LENGTH") or ""
    if length.isdigit():
        most = min(int(length), most + 1)
    elif environ.get("wsgi.input_terminated"):
        most += 1
    else:
        return b""  # a server that does not say where the body ends: it cannot be read
    parts: list[bytes] = []
    while most and (part := environ["wsgi.input"].read(most)):
        parts.append(part)
        most -= len(part)
    return b"".join(parts)


def _answer(start_response: StartResponse, refusal: Refusal) -> Iterable[bytes]:
    start_response(refusal.status_line, refusal.headers)
    return [refusal.body]
