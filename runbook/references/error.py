"""The error that a reference to no row becomes."""

from __future__ import annotations

from typing import TypedDict

LONGEST = 100  # characters of a value that are shown; it may come from anybody


class InvalidReferenceBody(TypedDict):
    """The JSON body of an :class:`InvalidReferenceError`."""

    error: str
    field: str
    value: str | None
    table: str
    message: str


class InvalidReferenceError(ValueError):
    """The value of ``field`` is no reference to a row of ``table``; ``reason`` says why.

    Not named like Python's own ReferenceError, which is about weak references.
    """

    def __init__(self, field: str, value: object, table: str, reason: str = "no such row") -> None:
        super().__init__(
            f"{field}: expected a reference to {table}, got {_cut(repr(value))}: {reason}"
        )
        self.field = field
        self.value = value
        self.table = table
        self.reason = reason

    def to_json(self) -> InvalidReferenceBody:
        """What an HTTP handler answers with, ready for ``json.dumps``."""
        return {
            "error": "invalid_reference",
            "field": self.field,
            "value": None if self.value is None else _cut(str(self.value)),
            "table": self.table,
            "message": str(self),
        }


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters)"
