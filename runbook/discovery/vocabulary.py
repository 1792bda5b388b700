"""What the names of one schema say: the words of its tables, and the keys one may refer to."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from runbook.discovery import roles, types, words
from runbook.schema import Column, Schema, Table, TableName

FEWEST_GLUED = 10  # tables that begin with the same letters


@dataclass(frozen=True, eq=False)
class Key:
    """One column of a table that a foreign key may refer to; a vocabulary has each once."""

    table: TableName
    column: Column
    primary: bool


@dataclass(frozen=True)
class Named:
    """A table with the words of its name."""

    table: Table
    words: tuple[str, ...]
    keys: tuple[Key, ...]
    column_prefix: str  # the first word of all its columns, as l in l_partkey; or empty

    @property
    def name(self) -> TableName:
        return self.table.name

    @cached_property
    def flat(self) -> str:
        return words.flat(self.words)


Part = tuple[Named, tuple[str, ...]]
"""A table that a part of its name may mean, and the words that the part leaves out."""


@dataclass(frozen=True)
class Vocabulary:
    """The words of a schema."""

    schema: Schema

    @cached_property
    def known(self) -> frozenset[str]:
        """The words that tables are named with, and their names written together."""
        found: set[str] = set()
        for name in self.schema.tables:
            parts = self._spoken(name)
            found |= {word for word in parts if len(word) > 2}
            found.add(words.flat(parts))
            table = self.schema.tables[name]
            for index in table.indexes:
                if index.unique and len(index.columns) == 1:
                    plain = words.split(index.columns[0])
                    if len(plain) == 1 and plain[0].endswith("id") and len(plain[0]) > 5:
                        found.add(words.singular(plain[0][:-2]))
        return frozenset(found)

    @cached_property
    def together(self) -> bool:
        """Whether this schema writes its words together: salesorderheader."""
        names = [words.split(name.table) for name in self.schema.tables]
        return sum(len(name) > 1 for name in names) < len(names) / 5

    @cached_property
    def glued(self) -> str:
        """Letters that most tables' names begin with, as rhn of rhnserver; or empty."""
        firsts = {words.split(name.table)[:1] for name in self.schema.tables}
        names = [first[0] for first in firsts if first]
        for size in (4, 3, 2):
            times = Counter(name[:size] for name in names if len(name) > size + 2)
            for letters, count in times.most_common(1):
                if count > len(names) / 2 and count >= FEWEST_GLUED:
                    return letters
        return ""

    def _spoken(self, name: TableName) -> tuple[str, ...]:
        """The words of a table's name as it is written, without what is glued to all of them."""
        parts = words.split(name.table)
        if self.glued and parts and parts[0].startswith(self.glued):
            rest = parts[0][len(self.glued) :]
            parts = (rest, *parts[1:]) if len(rest) > 2 else parts
        return tuple(words.singular(word) for word in parts) or (name.table,)

    def table_words(self, name: TableName) -> tuple[str, ...]:
        parts = self._spoken(name)
        if not self.together or len(parts) != 1:
            return parts
        word = parts[0]
        for start in range(3, len(word) - 3):
            if word[start:] in self.known:
                return (word[:start], word[start:])
        for end in range(len(word) - 3, 3, -1):
            if word[:end] in self.known:
                return (word[:end], word[end:])
        return parts

    @cached_property
    def tables(self) -> Mapping[TableName, Named]:
        return {
            name: Named(
                table,
                self.table_words(name),
                _keys(table),
                _column_prefix(table),
            )
            for name, table in self.schema.tables.items()
            if table.kind in ("r", "p") and table.partition_of is None
        }

    @cached_property
    def families(self) -> Mapping[str, int]:
        """The first words of tables' names, with how many tables begin so."""
        return Counter(named.words[0] for named in self.tables.values() if len(named.words) > 1)

    def words_of(self, table: TableName, column: str) -> tuple[str, ...]:
        """The words of a column's name, without a prefix that all columns of its table have."""
        prefix = self.tables[table].column_prefix
        known = self._words.get((prefix, column))
        if known is None:
            known = words.words(column, self.known)
            if prefix and len(known) > 1 and words.split(column)[0] == prefix:
                known = known[1:]
            known = known or (column,)  # a name of signs alone is a word of its own
            self._words[prefix, column] = known
        return known

    def base_of(self, table: TableName, column: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The words of a column's name, apart from those that say it is a key."""
        return self.apart(self.words_of(table, column))

    def apart(self, parts: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """``parts`` without their key words, and those: but api_key_id names the table api_key."""
        base, said = words.without_key_words(parts)
        for end in range(len(base) + 1, len(base) + len(said)):
            if any(words.flat(parts[start:end]) in self._key_named for start in range(len(base))):
                return parts[:end], said[: len(parts) - end]
        return base, said

    @cached_property
    def _key_named(self) -> frozenset[str]:
        """Names of tables, or their ends, of several words of which the last is a key word."""
        return frozenset(
            words.flat(named.words[start:])
            for named in self.tables.values()
            if named.keys and named.words[-1] in words.KEY_WORDS
            for start in range(len(named.words) - 1)
        )

    @cached_property
    def _words(self) -> dict[tuple[str, str], tuple[str, ...]]:
        return {}

    @cached_property
    def _abbreviated(self) -> dict[str, tuple[TableName, ...]]:
        return {}

    def abbreviated(self, short: str) -> tuple[TableName, ...]:
        """The tables whose name, or its last word, ``short`` abbreviates."""
        if short not in self._abbreviated:
            self._abbreviated[short] = tuple(
                name
                for name, named in self.tables.items()
                if named.keys
                and any(words.abbreviates(short, w) for w in (*named.words[-1:], named.flat))
            )
        return self._abbreviated[short]

    @cached_property
    def by_initials(self) -> Mapping[str, tuple[TableName, ...]]:
        found: dict[str, list[TableName]] = defaultdict(list)
        for name, named in self.tables.items():
            if named.keys:
                found["".join(word[0] for word in named.words)].append(name)
        return {text: tuple(names) for text, names in found.items()}

    @cached_property
    def tenants(self) -> int:
        """How many tables have a unique key that holds their primary key and another column."""
        count = 0
        for named in self.tables.values():
            primary = named.table.primary_key
            count += primary is not None and any(
                index.can_be_referenced and set(index.columns) > set(primary.columns)
                for index in named.table.indexes
            )
        return count

    @cached_property
    def by_tail(self) -> Mapping[str, tuple[Part, ...]]:
        """Tables by every ending of their name, in words: account_move_line by line, moveline …"""
        found: dict[str, list[Part]] = defaultdict(list)
        for named in self.tables.values():
            if named.keys:
                for start in range(len(named.words)):
                    part = named, named.words[:start]
                    found[words.flat(named.words[start:])].append(part)
        return {tail: tuple(parts) for tail, parts in found.items()}

    @cached_property
    def mirrors(self) -> frozenset[tuple[str, ...]]:
        """Last words that make a second table of several others: account_template of account."""
        names = {named.words for named in self.tables.values()}
        twice = Counter(name[-1:] for name in names if len(name) > 1 and name[:-1] in names)
        return frozenset(
            last for last, n in twice.items() if n >= 3 and last[0] not in roles.HISTORIES
        )

    @cached_property
    def keyless(self) -> frozenset[str]:
        """Names of tables that no single column is the key of."""
        return frozenset(named.flat for named in self.tables.values() if not named.keys)

    @cached_property
    def by_head(self) -> Mapping[str, tuple[Part, ...]]:
        """Tables by every beginning of their name, in words."""
        found: dict[str, list[Part]] = defaultdict(list)
        for named in self.tables.values():
            if named.keys:
                for end in range(1, len(named.words)):
                    part = named, named.words[end:]
                    found[words.flat(named.words[:end])].append(part)
        return {head: tuple(parts) for head, parts in found.items()}

    @cached_property
    def by_key(self) -> Mapping[str, tuple[Key, ...]]:
        """Keys by their own name, where that says more than id or code."""
        found: dict[str, list[Key]] = defaultdict(list)
        for name, named in self.tables.items():
            for key in named.keys:
                parts = self.words_of(name, key.column.name)
                if not set(parts) <= words.KEY_WORDS:
                    found[words.flat(parts)].append(key)
        return {text: tuple(keys) for text, keys in found.items()}

    @cached_property
    def primary_keys(self) -> Mapping[frozenset[str], int]:
        """How many tables have these columns as their primary key."""
        keys = (named.table.primary_key for named in self.tables.values())
        return Counter(frozenset(key.columns) for key in keys if key)

    @cached_property
    def same_name(self) -> Mapping[str, int]:
        """In how many tables a column of this name stands."""
        return Counter(c.name for named in self.tables.values() for c in named.table.columns)


def _keys(table: Table) -> tuple[Key, ...]:
    """The columns that alone are a key, the primary key first."""
    found: dict[str, Key] = {}
    for index in sorted(table.indexes, key=lambda index: not index.primary):
        if index.can_be_referenced and len(index.columns) == 1:
            column = table.column(index.columns[0])
            if column and types.may_be_key(column.type):
                found.setdefault(column.name, Key(table.name, column, index.primary))
    return tuple(found.values())


def _column_prefix(table: Table) -> str:
    first = {(words.split(column.name) or ("",))[0] for column in table.columns}
    longer = all(len(words.split(column.name)) > 1 for column in table.columns)
    return first.pop() if len(first) == 1 and longer and len(table.columns) > 2 else ""
