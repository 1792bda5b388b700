"""Composite keys: several columns of a child that together refer to one row of a parent.

Either the whole key of the parent is in the child, under the same names, and the names of the two
tables or of the columns say why; or the child names the parent in one column and repeats whose it
is in the others, as (thing_id, tenant_id) refers to thing (id, tenant_id).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from runbook.discovery import roles, types, words
from runbook.discovery.vocabulary import Named, Vocabulary
from runbook.schema import TableName

TENANT, SPELLED, OWNED, HOME, NATURAL = "tenant", "spelled", "owned", "home", "natural"
_NAMES = frozenset({("name",), ("code",), ("label",)})  # last words of a column that names a row
FEWEST_OWN = 2  # columns beside its keys: then a table is more than a link
FEWEST_TENANTS = 3  # tables with a unique (id, tenant_id): then it is how this schema does it
Pairs = tuple[tuple[str, str], ...]  # child column, parent column


@dataclass(frozen=True)
class Composite:
    """Columns of a child that may refer to a key of several columns, with the shape."""

    child: TableName
    parent: TableName
    pairs: Pairs
    shape: str


def of(vocabulary: Vocabulary) -> Iterator[Composite]:
    """All composite candidates of a schema."""
    named = {
        name: {vocabulary.words_of(name, c.name): c.name for c in table.table.columns}
        for name, table in vocabulary.tables.items()
    }
    holders: dict[tuple[str, ...], set[TableName]] = {}
    for name, columns in named.items():
        for parts in columns:
            holders.setdefault(parts, set()).add(name)
    for parent in vocabulary.tables.values():
        for key in _keys(parent):
            said = [vocabulary.words_of(parent.name, column) for column in key]
            rare = min(said, key=lambda each: len(holders[each]))
            near = set(holders[rare])
            for own in (parent.words, parent.words[-1:]):
                near |= holders.get((*own, *rare), set()) | holders.get((*own, "id"), set())
            others = [holders[each] for each in said if each != rare]
            for name in sorted(near | set().union(*others) if len(said) == 2 else near):
                if name != parent.name:
                    yield from _fitted(vocabulary, parent, key, name, named[name])


def _keys(parent: Named) -> Iterator[tuple[str, ...]]:
    seen = set()
    for index in parent.table.indexes:
        if index.can_be_referenced and len(index.columns) > 1 and set(index.columns) not in seen:
            seen.add(frozenset(index.columns))
            yield index.columns


def _fitted(
    vocabulary: Vocabulary,
    parent: Named,
    key: tuple[str, ...],
    name: TableName,
    columns: Mapping[tuple[str, ...], str],
) -> Iterator[Composite]:
    child, primary = vocabulary.tables[name], parent.table.primary_key
    pairs: list[tuple[str, str]] = []
    prefixed = 0
    for column in key:
        parts = vocabulary.words_of(parent.name, column)
        found = columns.get((*parent.words, *parts)) or columns.get((*parent.words[-1:], *parts))
        if not found and primary and primary.columns == (column,):
            found = columns.get((*parent.words, "id")) or columns.get((*parent.words[-1:], "id"))
        if found:
            prefixed += 1
        elif not set(parts) <= words.KEY_WORDS:
            found = columns.get(parts)
        if not found or found in {c for c, _ in pairs}:
            return
        mine, theirs = child.table.column(found), parent.table.column(column)
        if mine is None or theirs is None or not types.compatible(mine.type, theirs.type):
            return
        pairs.append((found, column))
    yield Composite(
        name, parent.name, tuple(pairs), _shape(vocabulary, parent, child, key, pairs, prefixed)
    )


def _shape(  # noqa: PLR0911, PLR0913, PLR0917 - a shape a line
    vocabulary: Vocabulary,
    parent: Named,
    child: Named,
    key: tuple[str, ...],
    pairs: list[tuple[str, str]],
    prefixed: int,
) -> str:
    """Which of the known shapes of a composite key this is; empty for none."""
    if prefixed and _is_tenants(vocabulary, parent, child, key, pairs):
        return TENANT
    columns = [child.table.column(column) for column, _ in pairs]
    if not all(column and column.not_null for column in columns):
        return ""
    said = [words.without_key_words(vocabulary.words_of(parent.name, column)) for column in key]
    bases = [base for base, key_words in said if key_words]
    spelled = [base for base in bases if words.flat(base) in parent.flat]
    if bases and len(spelled) == len(bases):
        if len(bases) > 1 and len(bases) == len(key):
            return SPELLED if _is_thing(parent, child, key, bases) else ""
        if child.words[: len(parent.words)] == parent.words and not _is_version(parent, child):
            return OWNED
    if spelled and parent.flat in child.flat and not child.flat.endswith(parent.flat):
        return "" if _is_version(parent, child) else OWNED
    if len(key) > 2 and _details(parent, child, key):
        return OWNED
    if len(key) > 2 and spelled and _home(vocabulary, parent, key):
        return HOME
    return NATURAL if len(key) > 2 and _is_natural(vocabulary, parent, key) else ""


def _is_tenants(
    vocabulary: Vocabulary,
    parent: Named,
    child: Named,
    key: tuple[str, ...],
    pairs: list[tuple[str, str]],
) -> bool:
    """Whether one column of the key numbers the parent, and the others only say whose it is."""
    primary = parent.table.primary_key
    if primary is None or not set(primary.columns) <= set(key):
        return False
    if len(primary.columns) == 1:
        # the key alone would do: such a unique constraint is there to be referred to
        mine = {column for column, _ in pairs}
        led = any(set(index.columns[: len(mine)]) == mine for index in child.table.indexes)
        return led or vocabulary.tenants >= FEWEST_TENANTS
    said = [vocabulary.words_of(parent.name, column) for column in key]
    others = [parts for parts in said if not set(parts) <= words.ID_WORDS]
    return len(others) == len(key) - 1 and all(parts[-1] in words.KEY_WORDS for parts in others)


def _is_thing(
    parent: Named, child: Named, key: tuple[str, ...], bases: list[tuple[str, ...]]
) -> bool:
    """Whether the parent is more than a link between two tables, which few refer to.

    A member of a team is a link of that kind too, though it has columns of its own.
    """
    primary = parent.table.primary_key
    own = {column.name for column in parent.table.columns} - set(key)
    if len(own - set(primary.columns if primary else ())) < FEWEST_OWN:
        return False
    if any(words.flat(base) in child.flat for base in bases):
        return False
    return not any(base[-1] in roles.PEOPLE for base in bases)


def _details(parent: Named, child: Named, key: tuple[str, ...]) -> bool:
    """Whether the child's rows are parts of the parent's: its key is in theirs, and its name."""
    primary = child.table.primary_key
    if primary is None or not set(key) <= set(primary.columns):
        return False
    held = {column.name for column in child.table.columns}
    if all(column.name in held for column in parent.table.columns):
        return False  # another table of the same kind
    rest = iter(child.words)
    return all(word in rest for word in parent.words)


def _is_natural(vocabulary: Vocabulary, parent: Named, key: tuple[str, ...]) -> bool:
    """Whether names say which row it is, in a key that no other table has."""
    primary = parent.table.primary_key
    if primary is None or set(primary.columns) != set(key):
        return False
    said = {words.split(column)[-1:] for column in key}
    return bool(said & _NAMES) and vocabulary.primary_keys[frozenset(key)] == 1


def _is_version(parent: Named, child: Named) -> bool:
    """``points_v2`` of ``points``: what replaces a table does not refer to it."""
    rest = child.words[len(parent.words) :]
    return len(rest) == 2 and rest[0] == "v" and rest[1].isdigit()


def _home(vocabulary: Vocabulary, parent: Named, key: tuple[str, ...]) -> bool:
    """Whether other tables with these columns are named after this one."""
    named = [
        other.flat
        for other in vocabulary.tables.values()
        if other.name != parent.name and set(key) <= {c.name for c in other.table.columns}
    ]
    return any(parent.flat in flat for flat in named) and not any(
        flat in parent.flat for flat in named
    )


def best(vocabulary: Vocabulary) -> tuple[Composite, ...]:
    """One composite key for each set of columns: the longest, and named most plainly."""
    found = [each for each in of(vocabulary) if each.shape]
    taken: dict[TableName, list[frozenset[str]]] = {}
    kept = []
    for each in sorted(found, key=lambda each: (-len(each.pairs), _rank(vocabulary, each))):
        # those that say whose a row is may be in several keys of tenants
        columns = frozenset(
            c for c, referred in each.pairs if each.shape != TENANT or c != referred
        )
        others = taken.setdefault(each.child, [])
        if not any(columns & other for other in others):
            others.append(columns)
            kept.append(each)
    return tuple(kept)


def _rank(vocabulary: Vocabulary, each: Composite) -> tuple[bool, int, str, str]:
    child, parent = vocabulary.tables[each.child], vocabulary.tables[each.parent]
    starts = child.words[: len(parent.words)] == parent.words
    order = (TENANT, OWNED, SPELLED, HOME, NATURAL).index(each.shape)
    return not starts, order, str(each.child), str(each.parent)
