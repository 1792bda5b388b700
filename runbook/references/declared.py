"""The parents that an application declares; nothing else is asked for."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runbook.references.error import UnknownParentError
from runbook.references.reference import Column, Parent, column_of


@dataclass(frozen=True)
class Declared:
    """Parents by the child's table and field, and all that may be asked for.

    ``composite`` are the relationships of several columns, by child: they cannot be checked here.
    """

    parents: frozenset[Column]
    children: Mapping[str, Mapping[str, Parent]] = field(default_factory=dict)
    composite: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def check(self, column: Column) -> None:
        """Raise UnknownParentError, before any SQL, for a column that is no declared parent."""
        if column not in self.parents:
            known = ", ".join(sorted(map(_written, self.parents))) or "none"
            raise UnknownParentError(
                f"expected a declared parent, got {_written(column)!r}; declared are {known}"
            )

    def fields(self, child: str, *, optional: Iterable[str] = ()) -> dict[str, Parent]:
        """The parents of a child table by its columns, ready for a batch or a middleware.

        ``optional`` are the columns that may be NULL. Raises UnknownParentError for a table
        without relationships, or with one of several columns, and for an optional column of none.
        """
        if child in self.composite:
            raise UnknownParentError(
                f"expected relationships of one column, got {', '.join(self.composite[child])} of"
                f" {child!r}; check it with SQL of your own, and name the other parents one by one"
            )
        if child not in self.children:
            raise UnknownParentError(
                f"expected a child table of a relationship, got {child!r}; the relationships are of"
                f" {', '.join(sorted(self.children)) or 'none'}"
            )
        of, may_be_null = self.children[child], set(optional)
        if unknown := sorted(may_be_null - set(of)):
            raise UnknownParentError(
                f"expected optional columns of {child}'s relationships, got {', '.join(unknown)!r};"
                f" they have {', '.join(of)}"
            )
        return {
            name: Parent(parent.table, parent.id_column, name in may_be_null)
            for name, parent in of.items()
        }


def declare(*parents: Parent) -> Declared:
    """Nothing but these parents."""
    return Declared(frozenset(column_of(each.table, each.id_column) for each in parents))


def read_relationships(path: Path | str) -> Declared:
    """The parents of a relationships.toml.

    Raises OSError where it cannot be read, and ValueError, which starts with the path, for a file
    that is no TOML, has an entry without child, columns, parent or references, or gives one column
    two parents.
    """
    with Path(path).open("rb") as stream:
        try:
            entries = tomllib.load(stream).get("relationship", [])
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"{path}: expected TOML, got {str(error)!r}") from error
    children: dict[str, dict[str, Parent]] = {}
    composite: dict[str, tuple[str, ...]] = {}
    parents = set()
    for number, entry in enumerate(entries, 1):
        child, columns, parent, references = _entry(path, number, entry)
        if len(columns) > 1:
            composite[child] = (*composite.get(child, ()), f"({', '.join(columns)})")
            continue
        parents.add(column_of(parent, references[0]))
        found = Parent(parent, references[0])
        before = children.setdefault(child, {}).setdefault(columns[0], found)
        if before != found:
            raise ValueError(
                f"{path}: expected one parent of {child}.{columns[0]}, got {before} and {found}"
            )
    return Declared(frozenset(parents), children, composite)


def _entry(
    path: Path | str, number: int, entry: Mapping[str, object]
) -> tuple[str, list[str], str, list[str]]:
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
    return child, columns, parent, references


def _written(column: Column) -> str:
    return f"{'.'.join(column.table)}({column.name})"
