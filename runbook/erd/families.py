"""Which tables stand together in a large picture: families of tables around a common parent.

A database has tables that nearly everything refers to. They would draw all the others into one
heap, so a table joins the parent that the fewest others refer to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runbook.schema import TableName

LARGEST = 36  # tables of one family
SMALLEST = 4  # of those that only refer to the same table
HUB = 14  # a table with more children than this founds no family

Pair = tuple[int, int]  # child, parent


@dataclass(frozen=True)
class Family:
    """Tables by their number, in the order of their names; ``title`` names the family."""

    title: str
    members: tuple[int, ...]


def components(tables: Sequence[TableName], pairs: Sequence[Pair]) -> tuple[Family, ...]:
    """Tables that are connected in whatever way; those alone come last, together."""
    joined = _Union(len(tables))
    for child, parent in pairs:
        joined.merge(child, parent)
    groups = joined.groups()
    alone = tuple(member for group in groups if len(group) == 1 for member in group)
    families = [_family(tables, pairs, group) for group in groups if len(group) > 1]
    if alone:
        families.append(Family("refers to no other table", alone))
    return tuple(families)


def families(tables: Sequence[TableName], pairs: Sequence[Pair]) -> tuple[Family, ...]:
    """Families within a schema of at most :data:`LARGEST` tables; every table is in one."""
    children: list[set[int]] = [set() for _ in tables]
    parents: list[set[int]] = [set() for _ in tables]
    for child, parent in pairs:
        children[parent].add(child)
        parents[child].add(parent)
    joined = _Union(len(tables))
    wishes = [
        (len(children[parent]), parent, child)
        for child, found in enumerate(parents)
        for parent in found
        if tables[child].schema == tables[parent].schema and len(children[parent]) <= HUB
    ]
    placed: set[int] = set()
    for every in (False, True):  # the nearest parent first; then small families join others
        for _, parent, child in sorted(wishes):
            if child in placed and not every:
                continue
            if joined.size(parent) + joined.size(child) <= LARGEST:
                joined.merge(child, parent)
                placed.add(child)
    groups = joined.groups()
    found = [_family(tables, pairs, group) for group in groups if len(group) > 1]
    single = [group[0] for group in groups if len(group) == 1]
    return (*found, *_rest(tables, parents, children, single))


def _rest(
    tables: Sequence[TableName],
    parents: Sequence[set[int]],
    children: Sequence[set[int]],
    single: Sequence[int],
) -> list[Family]:
    """Tables without a family: together with those that refer to the same table."""
    found: dict[tuple[str, str], list[int]] = {}
    for table in single:
        near = min(parents[table], key=lambda p: (len(children[p]), p), default=None)
        title = "" if near is None else f"refer to {tables[near].label}"
        found.setdefault((tables[table].schema, title), []).append(table)
    for (schema, title), members in sorted(found.items()):
        if title and len(members) < SMALLEST:
            found.setdefault((schema, ""), []).extend(found.pop((schema, title)))
    named = []
    for (schema, title), unsorted in sorted(found.items()):
        members = sorted(unsorted)
        for start in range(0, len(members), LARGEST):
            part = tuple(members[start : start + LARGEST])
            words = title or ("others" if schema == "public" else f"others of {schema}")
            named.append(Family(words, part))
    return named


def _family(tables: Sequence[TableName], pairs: Sequence[Pair], group: Sequence[int]) -> Family:
    """Named after the member with the most relationships inside."""
    inside = set(group)
    degree = dict.fromkeys(group, 0)
    for child, parent in pairs:
        if child in inside and parent in inside:
            degree[child] += 1
            degree[parent] += 2  # rather after a parent than after a child
    first = min(group, key=lambda member: (-degree[member], member))
    return Family(f"{tables[first].label} and {len(group) - 1:,} more", tuple(sorted(group)))


class _Union:
    """Disjoint sets of numbers."""

    def __init__(self, count: int) -> None:
        self._up = list(range(count))
        self._size = [1] * count

    def _root(self, member: int) -> int:
        while self._up[member] != member:
            self._up[member] = self._up[self._up[member]]
            member = self._up[member]
        return member

    def size(self, member: int) -> int:
        return self._size[self._root(member)]

    def merge(self, one: int, other: int) -> None:
        low, high = sorted((self._root(one), self._root(other)))
        if low != high:
            self._up[high] = low
            self._size[low] += self._size[high]

    def groups(self) -> list[tuple[int, ...]]:
        """The sets in the order of their smallest members."""
        found: dict[int, list[int]] = {}
        for member in range(len(self._up)):
            found.setdefault(self._root(member), []).append(member)
        return [tuple(group) for group in found.values()]
