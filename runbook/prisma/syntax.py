"""The grammar of schema.prisma, read by recursive descent into plain values.

::

    file       = { block NEWLINE }
    block      = NAME NAME "{" NEWLINE { line NEWLINE } "}"
    line       = "@@" attribute | NAME [ "=" value | type { "@" attribute } ]
    type       = ( NAME | "Unsupported" "(" STRING ")" ) [ "?" | "[" "]" [ "?" ] ]
    attribute  = NAME { "." NAME } [ "(" arguments ")" ]
    arguments  = [ argument { "," argument } [ "," ] ]
    argument   = [ NAME ":" ] value
    value      = STRING | NUMBER | "[" values "]" | NAME { "." NAME } [ "(" arguments ")" ]

Line ends separate lines of a block; inside brackets they mean nothing, and attributes may go on
in the next line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from runbook.prisma.tokens import Kind, Place, Token, fault, tokens

BLOCKS = ("datasource", "generator", "model", "view", "enum", "type")
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Call:
    """A constant (``Cascade``), or a function with its arguments (``dbgenerated("…")``)."""

    name: str
    arguments: tuple[Argument, ...]
    place: Place


Value = str | Call | tuple["Value", ...]
"""A text or number as text, a constant or function, or a list of values."""


@dataclass(frozen=True)
class Argument:
    """An argument; ``name`` is empty where only its position tells."""

    name: str
    value: Value
    place: Place


@dataclass(frozen=True)
class Attribute:
    """``@id``, ``@db.VarChar(80)``, ``@@map("…")``; the name is without its marks."""

    name: str
    arguments: tuple[Argument, ...]
    place: Place

    def argument(self, name: str, position: int | None = None) -> Value | None:
        """The argument of that name, or the unnamed one at ``position`` (from 0)."""
        for number, argument in enumerate(self.arguments):
            if argument.name == name or (not argument.name and number == position):
                return argument.value
        return None


@dataclass(frozen=True)
class Field:
    """A line of a model, view or type; of an enum the value's name alone, ``type`` is empty.

    ``unsupported`` is PostgreSQL's type in ``Unsupported("…")``.
    """

    name: str
    type: str
    optional: bool
    many: bool
    attributes: tuple[Attribute, ...]
    place: Place
    unsupported: str = ""

    def attribute(self, name: str) -> Attribute | None:
        return next((one for one in self.attributes if one.name == name), None)


@dataclass(frozen=True)
class Block:
    """A block: its kind (one of :data:`BLOCKS`), fields, ``key = value`` lines, attributes."""

    kind: str
    name: str
    fields: tuple[Field, ...]
    properties: tuple[Argument, ...]
    attributes: tuple[Attribute, ...]
    place: Place

    def attribute(self, name: str) -> Attribute | None:
        return next((one for one in self.attributes if one.name == name), None)

    def property(self, name: str) -> Value | None:
        return next((one.value for one in self.properties if one.name == name), None)


def parse(text: str, path: Path) -> tuple[Block, ...]:
    """The blocks of ``text``; raises :class:`FileError` with line and column."""
    return _Parser(tokens(text, path)).file()


class _Parser:
    """Looks one token ahead."""

    def __init__(self, source: Iterable[Token]) -> None:
        self._tokens = tuple(source)
        self._at = 0

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _ends(self) -> bool:
        return self._next.kind is Kind.END

    def _is(self, mark: str) -> bool:
        return self._next.kind is Kind.MARK and self._next.text == mark

    def _take(self, kind: Kind, hint: str) -> Token:
        token = self._next
        if token.kind is not kind:
            raise fault(token.place, f"expected {kind.value}, got {token}", hint)
        self._at += 1
        return token

    def _mark(self, mark: str, hint: str) -> Token:
        if not self._is(mark):
            raise fault(self._next.place, f"expected {mark!r}, got {self._next}", hint)
        return self._take(Kind.MARK, hint)

    def _has(self, mark: str) -> bool:
        """Take ``mark`` where it comes next."""
        found = self._is(mark)
        self._at += found
        return found

    def _skip_lines(self) -> None:
        while self._next.kind is Kind.NEWLINE:
            self._at += 1

    def file(self) -> tuple[Block, ...]:
        found = []
        self._skip_lines()
        while not self._ends():
            found.append(self._block())
            if not self._ends():
                self._take(Kind.NEWLINE, "begin a block on a line of its own")
            self._skip_lines()
        return tuple(found)

    def _block(self) -> Block:
        hint = f"a block begins with one of: {', '.join(BLOCKS)}"
        kind = self._take(Kind.NAME, hint)
        if kind.text not in BLOCKS:
            raise fault(kind.place, f"expected a block, got {kind}", hint)
        name = self._take(Kind.NAME, f"write {kind.text} NAME {{")
        self._mark("{", f"write {kind.text} {name.text} {{")
        fields: list[Field] = []
        properties: list[Argument] = []
        attributes: list[Attribute] = []
        self._skip_lines()
        while not self._has("}"):
            if self._has("@@"):
                attributes.append(self._attribute())
            else:
                one = self._line(kind.text)
                (fields if isinstance(one, Field) else properties).append(one)  # type: ignore[arg-type]
            if not self._is("}"):
                self._take(Kind.NEWLINE, f"close the {kind.text} with }}, or begin a new line")
                self._skip_lines()
        return Block(
            kind.text, name.text, tuple(fields), tuple(properties), tuple(attributes), name.place
        )

    def _line(self, kind: str) -> Field | Argument:
        name = self._take(Kind.NAME, f"close the {kind} with }}")
        if kind in ("datasource", "generator"):
            self._mark("=", f"write {name.text} = value")
            return Argument(name.text, self._value(), name.place)
        if kind == "enum":
            return Field(name.text, "", False, False, self._attributes(), name.place)
        return self._rest_of_field(name)

    def _rest_of_field(self, name: Token) -> Field:
        type_ = self._take(Kind.NAME, f"write {name.text} TYPE")
        unsupported = ""
        if type_.text == "Unsupported":
            self._mark("(", 'write Unsupported("type")')
            unsupported = self._take(Kind.STRING, 'write Unsupported("type")').text
            self._mark(")", 'write Unsupported("type")')
        optional = self._has("?")
        many = self._has("[")
        if many:
            self._mark("]", f"write {type_.text}[]")
            optional = self._has("?") or optional
        return Field(
            name.text, type_.text, optional, many, self._attributes(), name.place, unsupported
        )

    def _attributes(self) -> tuple[Attribute, ...]:
        found: list[Attribute] = []
        while True:
            before = self._at
            self._skip_lines()
            if not self._has("@"):
                self._at = before
                return tuple(found)
            found.append(self._attribute())

    def _path(self, hint: str) -> tuple[str, Place]:
        first = self._take(Kind.NAME, hint)
        name = first.text
        while self._has("."):
            name += "." + self._take(Kind.NAME, hint).text
        return name, first.place

    def _attribute(self) -> Attribute:
        name, place = self._path("write the attribute's name after its mark")
        return Attribute(name, self._arguments() if self._has("(") else (), place)

    def _arguments(self) -> tuple[Argument, ...]:
        return self._until(")", self._argument)

    def _until(self, close: str, one: Callable[[], _Item]) -> tuple[_Item, ...]:
        """Items between commas up to ``close``, which is taken too."""
        found: list[_Item] = []
        self._skip_lines()
        while not self._has(close):
            found.append(one())
            self._skip_lines()
            if not self._is(close):
                self._mark(",", f"separate by commas, and close with {close}")
                self._skip_lines()
        return tuple(found)

    def _argument(self) -> Argument:
        place, name = self._next.place, ""
        after = self._tokens[self._at + 1] if self._next.kind is Kind.NAME else None
        if after is not None and after.kind is Kind.MARK and after.text == ":":
            name = self._take(Kind.NAME, "").text
            self._mark(":", "")
            self._skip_lines()
        return Argument(name, self._value(), place)

    def _value(self) -> Value:
        token = self._next
        if token.kind in (Kind.STRING, Kind.NUMBER):
            self._at += 1
            return token.text
        if self._has("["):
            return self._until("]", self._value)
        if token.kind is not Kind.NAME:
            raise fault(
                token.place, f"expected a value, got {token}", "write a text, a number or a name"
            )
        name, place = self._path("write a name after the dot")
        return Call(name, self._arguments() if self._has("(") else (), place)
