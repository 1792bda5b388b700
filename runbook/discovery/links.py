"""The two ends of a link: which tables a pair of columns that say a side each refer to."""

from __future__ import annotations

from collections.abc import Iterator

from runbook.discovery import words
from runbook.discovery.vocabulary import Named, Vocabulary
from runbook.schema import Column, TableName

# the words of the two sides; numbers are sides too: entity0 and entity1
SIDES = (
    ("subject", "object"), ("from", "to"), ("source", "target"), ("source", "destination"),
    ("src", "dst"), ("parent", "child"), ("ancestor", "descendant"), ("first", "second"),
    ("left", "right"), ("0", "1"), ("1", "2"), ("a", "b"), ("predecessor", "successor"),
)  # fmt: skip
# how a table says that it links rows: feature_relationship, page_link
LINKS = frozenset(
    {"relationship", "relation", "rel", "link", "edge", "hierarchy", "tree", "path", "closure"}
    | {"dependency", "association", "xref", "mapping", "map", "merge", "redirect", "similarity"}
)


def ends(
    vocabulary: Vocabulary, child: Named, parts: tuple[str, ...], column: Column
) -> Iterator[TableName]:
    """What ``column``, which has these words, may refer to as one side of the link ``child``.

    Both sides are one table in feature_relationship, and two in l_area_work, in that order.
    """
    side = _side(vocabulary, child, parts, column)
    if side is None:
        return
    if child.words[-1] in LINKS:
        for named, missing in vocabulary.by_tail.get(words.flat(child.words[:-1]), ()):
            if not missing and named.name != child.name:
                yield named.name
    for start in range(min(2, len(child.words))):
        for middle in range(start + 1, len(child.words)):
            two = child.words[start:middle], child.words[middle:]
            found = [_whole(vocabulary, part) for part in two]
            if all(found):
                yield from found[side]


def _side(
    vocabulary: Vocabulary, child: Named, parts: tuple[str, ...], column: Column
) -> int | None:
    """0 or 1, if another column of this type says the other side in the same words."""
    base = vocabulary.apart(parts)[0]
    said = [(at, sides) for at, word in enumerate(base) for sides in SIDES if word in sides]
    if not said:
        return None
    others = {
        vocabulary.base_of(child.name, other.name)[0]
        for other in child.table.columns
        if other.type == column.type and other.name != column.name
    }
    for at, sides in said:
        side = sides.index(base[at])
        if (*base[:at], sides[1 - side], *base[at + 1 :]) in others:
            return side
    return None


def _whole(vocabulary: Vocabulary, part: tuple[str, ...]) -> list[TableName]:
    """The tables whose whole name is ``part``."""
    found = vocabulary.by_tail.get(words.flat(part), ())
    return [named.name for named, missing in found if not missing]
