"""The rules that other tools use, in our own words: names and types alone, no learning.

They were read from the tools' documents and sources and written anew, so a tool may differ in
details. Each rule yields shapes of keys of one column.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from runbook.schema import Column, Schema, Shape, Table, TableName

Rule = Callable[[Schema], Iterator[Shape]]


def same_key_column(schema: Schema) -> Iterator[Shape]:
    """A column named and typed as another table's key of one column."""
    keys = defaultdict(list)
    for table, key in _keys(schema):
        keys[key.name, key.type].append(table)
    for child, column in _columns(schema):
        for parent in keys[column.name, column.type]:
            if parent != child:
                yield _shape(child, column.name, parent, column.name)


def schemaspy(schema: Schema) -> Iterator[Shape]:
    """Implied constraints: the same, of columns that are no primary key, to the one such table."""
    keys = defaultdict(list)
    for table, key in _keys(schema):
        keys[key.name.lower(), key.type].append((table, key))
    for child, column in _columns(schema):
        primary = schema.tables[child].primary_key
        found = keys[column.name.lower(), column.type]
        if len(found) == 1 and not (primary and column.name in primary.columns):
            parent, key = found[0]
            if parent != child:
                yield _shape(child, column.name, parent, key.name)


def singular_id(schema: Schema) -> Iterator[Shape]:
    """``user_id`` or ``userId`` refers to ``users.id``, whatever the types."""
    names = {
        _plain(_singular(table.table)): (table, key)
        for table, key in _keys(schema)
        if key.name.lower() == "id"
    }
    for child, column in _columns(schema):
        plain = _plain(column.name)
        if plain.endswith("id") and plain[:-2] in names:
            parent, key = names[plain[:-2]]
            yield _shape(child, column.name, parent, key.name)


def tbls(schema: Schema) -> Iterator[Shape]:
    """Detected virtual relations: the strategies together, each for keys of one column."""
    yield from singular_id(schema)
    for table, key in _keys(schema):
        name = table.table.lower()
        wanted = {f"{name}_{key.name.lower()}", f"{_singular(name)}_{key.name.lower()}"}
        if key.name.lower() not in ("id", "code", "name"):
            wanted.add(key.name.lower())
        for child, column in _columns(schema):
            if child != table and column.name.lower() in wanted:
                yield _shape(child, column.name, table, key.name)


def azimutt(schema: Schema) -> Iterator[Shape]:
    """Missing relations: a column's end names a table and its key, or somebody's ``_by``."""
    names: dict[str, tuple[TableName, Column]] = {}
    for table, key in _keys(schema):
        names.setdefault(_plain(_singular(table.table) + key.name), (table, key))
        names.setdefault(_plain(table.table + key.name), (table, key))
        if key.name.lower().startswith(_singular(table.table.lower())):
            names.setdefault(_plain(key.name), (table, key))
    users = names.get("userid")
    for child, column in _columns(schema):
        words = [word for word in _separated(column.name).split("_") if word]
        for start in range(len(words)):
            found = names.get("".join(words[start:]))
            if found and (found[0], found[1].name) != (child, column.name):
                yield _shape(child, column.name, found[0], found[1].name)
                break
        else:
            if words[-1:] == ["by"] and users:
                yield _shape(child, column.name, users[0], users[1].name)


RULES: dict[str, Rule] = {
    "same key column": same_key_column,
    "SchemaSpy": schemaspy,
    "tbls": tbls,
    "singular table and id": singular_id,
    "Azimutt": azimutt,
}


def _keys(schema: Schema) -> Iterator[tuple[TableName, Column]]:
    for table in schema.tables.values():
        if table.primary_key and len(table.primary_key.columns) == 1:
            yield table.name, _column(table, table.primary_key.columns[0])


def _column(table: Table, name: str) -> Column:
    return next(column for column in table.columns if column.name == name)


def _columns(schema: Schema) -> Iterator[tuple[TableName, Column]]:
    for table in schema.tables.values():
        for column in table.columns:
            yield table.name, column


def _shape(child: TableName, column: str, parent: TableName, key: str) -> Shape:
    return child, parent, frozenset({(column, key)})


def _singular(name: str) -> str:
    if name.endswith("ies"):
        return name[:-3] + "y"
    return name[:-1] if name.endswith("s") and not name.endswith("ss") else name


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _separated(name: str) -> str:
    return "".join("_" + c.lower() if c.isupper() else c for c in name)
