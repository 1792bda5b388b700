"""Reads the JSON layout of schemas whose foreign keys are known; see docs/discovery.md.

``NAME.json``: ``tables`` (schema, name, columns as ``[name, type, not null]``, primary_key,
unique, indexes) and ``foreign_keys`` (child, columns, parent, references).
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runbook.schema import Action, Column, ForeignKey, Index, Match, Schema, Shape, Table, TableName


@dataclass(frozen=True)
class Known:
    """A schema, and the foreign keys that its project declares: the answer."""

    name: str
    schema: Schema
    data: Path | None = None

    @property
    def answer(self) -> frozenset[Shape]:
        return frozenset(key.shape for key in self.schema.foreign_keys)

    @property
    def stripped(self) -> Schema:
        """Without a foreign key."""
        return replace(self.schema, foreign_keys=())

    @property
    def scrubbed(self) -> Schema:
        """Without a foreign key, and with names of indexes that say nothing."""
        numbers = iter(range(1_000_000))
        tables = {
            name: replace(
                table,
                indexes=tuple(replace(i, name=f"x{next(numbers)}") for i in table.indexes),
            )
            for name, table in self.schema.tables.items()
        }
        return replace(self.schema, tables=tables, foreign_keys=())

    def half(self, seed: int) -> tuple[Schema, frozenset[Shape]]:
        """With half of the keys left in place, and the other half: the answer."""
        keys = list(self.schema.foreign_keys)
        random.Random(seed).shuffle(keys)  # noqa: S311 - no secret depends on it
        left = keys[: len(keys) // 2]
        rest = frozenset(key.shape for key in keys[len(keys) // 2 :])
        return replace(self.schema, foreign_keys=tuple(left)), rest - {k.shape for k in left}


def read(folder: Path) -> tuple[Known, ...]:
    """All schemas of a folder, by name; raises FileNotFoundError where there is none."""
    files = sorted(folder.glob("*.json"))
    if not files:
        raise FileNotFoundError(f"no schema in {str(folder)!r}, expected NAME.json")
    return tuple(one(path) for path in files)


def one(path: Path) -> Known:
    content = json.loads(path.read_text(encoding="utf-8"))
    tables = {table.name: table for table in map(_table, content["tables"])}
    data = path.parent / "data" / path.stem
    keys = _keys(content["foreign_keys"], tables)
    return Known(content["name"], Schema(tables, keys), data if data.is_dir() else None)


def qualified(text: str) -> TableName:
    """``schema.table``; names of this layout are not quoted."""
    schema, _, table = text.partition(".")
    return TableName(schema, table)


def _table(content: dict[str, Any]) -> Table:
    name = TableName(content["schema"], content["name"])
    columns = tuple(
        Column(column, type_, bool(not_null)) for column, type_, not_null in content["columns"]
    )
    primary = tuple(content["primary_key"] or ())
    uniques = [tuple(unique) for unique in content["unique"]]
    indexes = [_index(name, primary, unique=True, primary=True)] if primary else []
    indexes += [_index(name, unique, unique=True) for unique in uniques]
    given = [tuple(columns) for columns in content["indexes"]]
    for known in ([primary] if primary else []) + uniques:  # a constraint's own index is listed too
        if known in given:
            given.remove(known)
    indexes += [_index(name, columns) for columns in given]
    return Table(name, "r", columns, tuple(indexes))


def _index(
    table: TableName, columns: tuple[str, ...], *, unique: bool = False, primary: bool = False
) -> Index:
    kind = "pkey" if primary else "key" if unique else "idx"
    return Index(
        f"{table.table}_{'_'.join(columns)}_{kind}",
        columns,
        unique=unique,
        primary=primary,
        immediate=True,
        valid=True,
        partial=False,
        expressions=not columns,
        of_constraint=unique,
    )


def _keys(
    content: Iterable[dict[str, Any]], tables: dict[TableName, Table]
) -> tuple[ForeignKey, ...]:
    found = []
    for number, key in enumerate(content):
        child, parent = qualified(key["child"]), qualified(key["parent"])
        if child not in tables or parent not in tables:
            raise ValueError(f"foreign key {number}: {key!r}, expected two tables of the file")
        found.append(
            ForeignKey(
                f"fk{number}",
                child,
                tuple(key["columns"]),
                parent,
                tuple(key["references"]),
                on_delete=Action.NO_ACTION,
                on_update=Action.NO_ACTION,
                match=Match.SIMPLE,
                deferrable=False,
                validated=True,
                enforced=True,
                temporal=False,
                disabled_triggers=0,
            )
        )
    return tuple(found)
