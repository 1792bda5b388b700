"""The parents that an application declares; nothing else is asked for."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from runbook.references.error import UnknownParentError
from runbook.references.reference import Key, Names, Parent, key_of, names_of


@dataclass(frozen=True)
class Declared:
    """Parents by the child's table and field or fields, and all that may be asked for."""

    parents: frozenset[Key]
    children: Mapping[str, Mapping[Names, Parent]] = field(default_factory=dict)

    def check(self, key: Key) -> None:
        """Raise UnknownParentError, before any SQL, for columns that are no declared parent."""
        if key not in self.parents:
            known = ", ".join(sorted(map(str, self.parents))) or "none"
            raise UnknownParentError(
                f"expected a declared parent, got {str(key)!r}; declared are {known}"
            )

    def fields(self, child: str, *, optional: Iterable[str] = ()) -> dict[Names, Parent]:
        """The parents of a child table by its columns, ready for a batch or a middleware.

        ``optional`` are the columns that may be NULL; several columns that are one reference are
        optional where one of them is. Raises UnknownParentError for a table without relationships,
        and for an optional column of none.
        """
        if child not in self.children:
            raise UnknownParentError(
                f"expected a child table of a relationship, got {child!r}; the relationships are of"
                f" {', '.join(sorted(self.children)) or 'none'}"
            )
        of, may_be_null = self.children[child], set(optional)
        columns = list(dict.fromkeys(name for fields in of for name in names_of(fields)))
        if unknown := sorted(may_be_null.difference(columns)):
            raise UnknownParentError(
                f"expected optional columns of {child}'s relationships, got {', '.join(unknown)!r};"
                f" they have {', '.join(columns)}"
            )
        return {
            fields: replace(parent, optional=not may_be_null.isdisjoint(names_of(fields)))
            for fields, parent in of.items()
        }


def declare(*parents: Parent) -> Declared:
    """Nothing but these parents."""
    return Declared(frozenset(key_of(each.table, each.id_column) for each in parents))


def read_relationships(path: Path | str) -> Declared:
    """The parents of a relationships.toml.

    Raises OSError where it cannot be read, and ValueError, which starts with the path, for a file
    that is no TOML, has an entry without child, columns, parent or references, or gives the same
    columns two parents.
    """
    with Path(path).open("rb") as stream:
        try:
            entries = tomllib.load(stream).get("relationship", [])
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"{path}: expected TOML, got {str(error)!r}") from error
    children: dict[str, dict[Names, Parent]] = {}
    for number, entry in enumerate(entries, 1):
        child, fields, found = _entry(path, number, entry)
        before = children.setdefault(child, {}).setdefault(fields, found)
        if before != found:
            raise ValueError(
                f"{path}: expected one parent of {child}.{', '.join(names_of(fields))},"
                f" got {before} and {found}"
            )
    parents = (parent for of in children.values() for parent in of.values())
    return Declared(declare(*parents).parents, children)


def _entry(path: Path | str, number: int, entry: Mapping[str, object]) -> tuple[str, Names, Parent]:
    """The child, its column or columns, and their parent."""
    child, columns = entry.get("child"), entry.get("columns")
    parent, references = entry.get("parent"), entry.get("references")
    if (
        not (isinstance(child, str) and isinstance(parent, str))
        or not (isinstance(columns, list) and isinstance(references, list))
        or not (columns and len(columns) == len(references))
    ):
        raise ValueError(
            f"{path}: expected child, columns, parent and references in relationship {number},"
            f" got {dict(entry)!r}"
        )
    match = entry.get("match", "simple")
    if match not in ("simple", "full"):
        raise ValueError(
            f"{path}: expected 'simple' or 'full' as the match of relationship {number},"
            f" got {match!r}"
        )
    if len(columns) == 1:
        return child, columns[0], Parent(parent, references[0])
    return child, tuple(columns), Parent(parent, tuple(references), match=match)
