"""Columns that look like references and are none, or whose table is not there, with the reason."""

from __future__ import annotations

from collections.abc import Iterator

from runbook.discovery import roles, types, words
from runbook.discovery.proposal import NotAKey
from runbook.discovery.vocabulary import Vocabulary
from runbook.schema import Column, Table, TableName

_ENDINGS = ("id", "uuid", "key")
_KINDS = ("type", "class", "kind")
_DIGESTS = frozenset({"hash", "digest", "checksum", "sha", "md", "token", "secret", "signature"})


def polymorphic(table: Table, column: str) -> str | None:
    """The column that says which table ``column`` refers to, as item_type beside item_id."""
    parts = words.split(column)
    if len(parts) < 2 or parts[-1] not in _ENDINGS:
        return None
    wanted = {(*parts[:-1], ending) for ending in _KINDS}
    for other in table.columns:
        if words.split(other.name) in wanted and types.family(other.type) == "text":
            return other.name
    return None


def is_none(table: Table, column: str) -> bool:
    """Whether the name says that the column refers to no one table of this database."""
    found = table.column(column)
    return found is not None and any(_no_key(table, found))


def of(
    vocabulary: Vocabulary, held: frozenset[tuple[TableName, str]]
) -> tuple[tuple[NotAKey, ...], tuple[NotAKey, ...]]:
    """Columns that are no key, and those whose target is missing; ``held`` have a parent."""
    none, dangling = [], []
    for name, named in vocabulary.tables.items():
        keys = {key.column.name for key in named.keys}
        for column in named.table.columns:
            if (name, column.name) in held or column.name in keys:
                continue
            for reason in _no_key(named.table, column):
                none.append(NotAKey(name, (column.name,), reason))
                break
            else:
                dangling += [
                    NotAKey(name, (column.name,), reason)
                    for reason in _missing(vocabulary, name, column)
                ]
    return tuple(none), tuple(dangling)


def _no_key(table: Table, column: Column) -> Iterator[str]:
    other = polymorphic(table, column.name)
    if other:
        yield f"polymorphic: {other} says which table it refers to, so no single key can hold"
    parts = words.split(column.name)
    if parts[-1:] and parts[-1] in _DIGESTS:
        yield f"a value of its own: the name ends in {parts[-1]!r}"
    if parts[-1:] and parts[-1] in words.ID_WORDS and len(parts) > 1:
        outside = [word for word in parts[:-1] if word in roles.FOREIGN]
        if outside:
            yield f"an id of another system: the name says {outside[0]!r}"


def _missing(vocabulary: Vocabulary, name: TableName, column: Column) -> Iterator[str]:
    base, said = vocabulary.base_of(name, column.name)
    if not (said and said[-1] in words.ID_WORDS and base and types.may_be_key(column.type)):
        return
    plain = words.flat(base)
    if plain in vocabulary.keyless:
        yield f"the table {plain!r} has no unique key of one column to refer to"
    elif plain not in vocabulary.by_tail:
        yield f"no table is named {plain!r} or ends so"
    else:
        table, _ = vocabulary.by_tail[plain][0]
        if any(types.compatible(column.type, key.column.type) for key in table.keys):
            yield f"too little speaks for {table.name.label}"
        else:
            yield f"the type {column.type} fits no key of {table.name.label}"
