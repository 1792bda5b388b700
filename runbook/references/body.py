"""What a middleware makes of a request's body, and the answers that it gives instead of the app.

Nothing here knows a web framework: bodies are bytes, answers are a status and JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from runbook.references.error import NO_ROW, InvalidReferenceError
from runbook.references.reference import Names, Parent, Reference, references_of

MOST_BYTES = 1_048_576
WRITING = frozenset({"POST", "PUT", "PATCH"})
# the reasons of HTTP, as WSGI has to write them
PHRASES = {400: "Bad Request", 403: "Forbidden", 404: "Not Found", 413: "Content Too Large"}

Applies = Callable[[str, str], bool]


def everything(_method: str, _path: str) -> bool:
    """Every request."""
    return True


@dataclass(frozen=True)
class Refusal:
    """An answer instead of the application's: its status and its JSON."""

    status: int
    content: Mapping[str, Any]

    @property
    def body(self) -> bytes:
        return json.dumps(self.content).encode()

    @property
    def headers(self) -> list[tuple[str, str]]:
        return [("content-type", "application/json"), ("content-length", str(len(self.body)))]

    @property
    def status_line(self) -> str:
        return f"{self.status} {PHRASES[self.status]}"


@dataclass(frozen=True)
class BodyCheck:
    """Fields of a JSON body and their parents, for the requests that ``applies`` says.

    ``applies`` gets the method in capitals and the decoded path. Without it every POST, PUT and
    PATCH is checked. In a PATCH an absent field is left alone.
    """

    parents: Mapping[Names, Parent]
    applies: Applies | None = None
    most_bytes: int = MOST_BYTES

    def concerns(self, method: str, path: str) -> bool:
        return method in WRITING if self.applies is None else self.applies(method, path)

    def references(self, method: str, raw: bytes) -> list[Reference] | Refusal:
        """The references of a body, or the refusal of one that is no JSON object."""
        if len(raw) > self.most_bytes:
            message = f"expected a body of at most {self.most_bytes:,} bytes"
            return Refusal(413, {"error": "body_too_large", "message": message})
        try:
            found = json.loads(raw.decode(), object_pairs_hook=_each_once)
        except (ValueError, RecursionError) as error:
            message = str(error) if isinstance(error, _TwiceError) else "expected JSON in UTF-8"
            return Refusal(400, {"error": "invalid_body", "message": message})
        if not isinstance(found, dict):
            message = f"expected a JSON object, got {_kind(found)}"
            return Refusal(400, {"error": "invalid_body", "message": message})
        return references_of(found, self.parents.items(), partial=method == "PATCH")


@dataclass(frozen=True)
class AccessCheck:
    """The row that a request works in, such as its workspace: named by ``field`` in answers.

    Raises ValueError for a parent of several columns: a request has one value for it.
    """

    parent: Parent
    field: str
    applies: Applies = everything

    def __post_init__(self) -> None:
        if not isinstance(self.parent.id_column, str):
            raise ValueError(  # noqa: TRY004 - as for any other parent that cannot be one
                f"expected a parent of one column for {self.field}, got {self.parent}"
            )

    def reference(self, value: object) -> Reference:
        return Reference(self.field, value, self.parent.table, self.parent.id_column)

    def refused(self, errors: Iterable[InvalidReferenceError]) -> Refusal | None:
        """404 where the row is missing, 400 where the value cannot be a reference."""
        for error in errors:
            return Refusal(404 if error.reason == NO_ROW else 400, dict(error.to_json()))
        return None

    def forbidden(self, value: object) -> Refusal:
        message = f"{self.field}: expected one that the caller may use, got another"
        content = {"error": "forbidden", "field": self.field, "value": str(value)}
        return Refusal(403, content | {"message": message})


def invalid(errors: Iterable[InvalidReferenceError]) -> Refusal | None:
    """400 with an entry for each error; None without any."""
    details = [error.to_json() for error in errors]
    return Refusal(400, {"error": "invalid_references", "errors": details}) if details else None


class _TwiceError(ValueError):
    """A field came twice: what reads the body next could take the other one."""


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _TwiceError("expected each field once, got one of them twice")
    return found


def _kind(value: object) -> str:
    names = {list: "an array", str: "text", type(None): "null", bool: "a boolean"}
    return names.get(type(value), "a number")
