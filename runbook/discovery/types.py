"""Which types may stand on the two sides of a key."""

from __future__ import annotations

import re
from functools import lru_cache

_INTEGERS = ("smallint", "integer", "bigint")
_TEXTS = ("text", "character varying", "character", "varchar", "citext", "bpchar", "name")
_NEVER = (
    "boolean", "json", "jsonb", "tsvector", "tsquery", "xml", "point", "polygon",
    "real", "double precision", "interval", "timestamp", "time", "date", "money", "geometry",
    "geography", "hstore", "vector", "inet", "cidr",
)  # fmt: skip
_LENGTH = re.compile(r"\((\d+)(?:,\d+)?\)")


@lru_cache(maxsize=10_000)
def family(type_: str) -> str:
    """``integer`` for the three integers, ``text`` for the texts, else the type without length."""
    plain = _LENGTH.sub("", type_).strip()
    if plain in _INTEGERS:
        return "integer"
    if plain in _TEXTS:
        return "text"
    return plain


def may_be_key(type_: str) -> bool:
    """Whether anyone would refer to a column of this type."""
    return not type_.endswith("[]") and not family(type_).startswith(_NEVER)


def compatible(child: str, parent: str) -> bool:
    """Whether PostgreSQL has an equality operator that a foreign key between them can use."""
    return family(child) == family(parent)


def length(type_: str) -> int | None:
    """``character(3)`` is 3; None without a length."""
    found = _LENGTH.search(type_)
    return int(found[1]) if found else None
