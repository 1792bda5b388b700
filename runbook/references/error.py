"""The errors that a reference to no row, or a row still referred to, becomes."""

from __future__ import annotations

from typing import ClassVar, TypedDict

LONGEST = 100  # characters of a value that are shown; it may come from anybody

NO_VALUE = "no value"
WRONG_TYPE = "not of the column's type"
SOME_VALUES = "a value for some of its columns only"
NO_ROW = "no such row"
STILL_REFERENCED = "still referenced"


class InvalidReferenceBody(TypedDict):
    """The JSON body of an :class:`InvalidReferenceError`."""

    error: str
    field: str
    value: str | None
    table: str
    reason: str
    message: str


class InvalidReferenceError(ValueError):
    """The value of ``field`` is no reference to a row of ``table``; ``reason`` says why.

    Where several fields are the reference, ``fields`` has them one by one and ``field`` joined.
    Not named like Python's own ReferenceError, which is about weak references.
    """

    code: ClassVar[str] = "invalid_reference"

    def __init__(
        self, field: str | tuple[str, ...], value: object, table: str, reason: str = NO_ROW
    ) -> None:
        self.fields = (field,) if isinstance(field, str) else tuple(field)
        self.field = ", ".join(self.fields)
        self.value = value
        self.table = table
        self.reason = reason
        super().__init__(self._message(_cut(repr(self._shown()))))

    def _message(self, value: str) -> str:
        return f"{self.field}: expected a reference to {self.table}, got {value}: {self.reason}"

    def _shown(self) -> object:
        """The value; several of them as the server writes them."""
        if len(self.fields) == 1 or not isinstance(self.value, tuple | list):
            return self.value
        return ", ".join("null" if value is None else str(value) for value in self.value)

    def __reduce__(self) -> tuple[type[InvalidReferenceError], tuple[object, ...]]:
        return type(self), (self.fields, self.value, self.table, self.reason)

    def to_json(self) -> InvalidReferenceBody:
        """What an HTTP handler answers with, ready for ``json.dumps``; all of it is valid UTF-8."""
        shown = self._shown()
        return {
            "error": self.code,
            "field": self.field,
            "value": None if shown is None else _encodable(_cut(str(shown))),
            "table": self.table,
            "reason": self.reason,
            "message": str(self),
        }


class StillReferencedError(InvalidReferenceError):
    """The row whose ``field`` is ``value`` was to be deleted, and rows of ``table`` refer to it."""

    code: ClassVar[str] = "still_referenced"

    def __init__(
        self,
        field: str | tuple[str, ...],
        value: object,
        table: str,
        reason: str = STILL_REFERENCED,
    ) -> None:
        super().__init__(field, value, table, reason)

    def _message(self, value: str) -> str:
        return f"{self.field}: expected no reference from {self.table}, got {value}: {self.reason}"


class UnknownParentError(ValueError):
    """A table and column were asked for that are no parent which the application declared."""


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters)"


def _encodable(text: str) -> str:
    """Half a surrogate pair becomes its escape: an encoder of JSON may refuse it."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
