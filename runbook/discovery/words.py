"""Names as words: split at separators and capitals, in the singular, joined without separators."""

from __future__ import annotations

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_a-zA-Z]+")
_IRREGULAR = {
    "people": "person",
    "children": "child",
    "men": "man",
    "women": "woman",
    "indices": "index",
    "indexes": "index",
    "matrices": "matrix",
    "vertices": "vertex",
    "analyses": "analysis",
    "criteria": "criterion",
    "media": "medium",
    "data": "datum",
}
KEY_WORDS = frozenset(
    {"id", "ids", "key", "fk", "pk", "uuid", "guid", "oid", "sk", "ref", "uid", "eid"}
    | {"code", "no", "num", "nr", "number", "cd", "cod", "codigo", "slug", "ident", "identifier"}
)
ID_WORDS = frozenset({"id", "ids", "key", "fk", "uuid", "guid", "oid", "ref", "uid", "eid", "pk"})


@lru_cache(maxsize=100_000)
def split(name: str) -> tuple[str, ...]:
    """``sizeUnitMeasureCode`` and ``size_unit_measure_code`` are the same four words."""
    return tuple(word.lower() for word in _WORD.findall(name))


@lru_cache(maxsize=100_000)
def singular(word: str) -> str:  # noqa: PLR0911 - a rule of spelling a line
    """One spelling for singular and plural; not always the dictionary's, but the same for both."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) == 3:
        return word[:2] if word.endswith("s") and word[1] not in "aius" else word
    if len(word) > 3:
        if word.endswith("ies"):
            return word[:-3] + "y"
        if word.endswith(("sses", "xes", "ches", "shes", "zes", "ses")):
            return word[:-2]
        if word.endswith("ie"):
            return word[:-2] + "y"
        if word.endswith(("se", "xe", "che", "she", "ze")):
            return word[:-1]
        if word.endswith("s") and not word.endswith(("ss", "us", "is")):
            return word[:-1]
    return word


def words(name: str, known: AbstractSet[str] = frozenset()) -> tuple[str, ...]:
    """The words of a name in the singular; what is written together is split at ``known`` words."""
    found: list[str] = []
    for word in split(name):
        found += _parted(word, known)
    return tuple(found)


def _parted(word: str, known: AbstractSet[str]) -> list[str]:
    """``customerid`` as customer, id where the schema knows a customer."""
    if word in KEY_WORDS or singular(word) in known:
        return [singular(word) if word not in KEY_WORDS else word]
    if len(word) == 3 and word.endswith("id") and word not in ("bid", "did", "kid", "aid"):
        return [word[0], "id"]
    if word.endswith("edby"):
        return [word[:-2], "by"]
    for ending in ("id", "key", "code", "uuid", "no", "num", "fk"):
        rest = word[: -len(ending)]
        if not word.endswith(ending) or len(rest) < 3:
            continue
        if singular(rest) in known or ending == "key":
            return [singular(rest), ending]
        for start in range(2, len(rest) - 3):
            if singular(rest[start:]) in known:
                return [rest[:start], singular(rest[start:]), ending]
    return [singular(word)]


def flat(parts: Sequence[str]) -> str:
    """Words joined without separators: ``unit_measure`` is ``unitmeasure``."""
    return "".join(parts)


def without_key_words(parts: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The base of a column's name and the words that say it is a key, at either end."""
    base, said = list(parts), []
    while len(base) > 1 and base[-1] in KEY_WORDS:
        said.append(base.pop())
    if not said and len(base) > 1 and base[0] in ("id", "fk", "cod", "codigo"):
        said.append(base.pop(0))
    return tuple(base), tuple(said)


def abbreviates(short: str, long: str) -> bool:
    """``cust`` for customer, ``dept`` for department, ``org`` for organisation."""
    if len(short) < 3 or len(short) >= len(long) or short[0] != long[0]:
        return False
    if long.startswith(short):
        return True
    letters = iter(long)  # in order, and nearly no vowel beside the first letter
    in_order = all(letter in letters for letter in short)
    return in_order and sum(letter in "aeiou" for letter in short[1:]) == 0
