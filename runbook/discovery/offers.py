"""Which keys the name of a column may mean, by every reading of it that makes sense."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from runbook.discovery import links, roles, types, words
from runbook.discovery.vocabulary import Key, Named, Part, Vocabulary
from runbook.schema import Column, TableName


@dataclass(frozen=True)
class Match:
    """A reading of a column's name.

    ``matched`` letters are the table's, the words of ``role`` are the column's alone, those of
    ``missing`` the table's alone.
    """

    kind: str
    matched: int = 0
    role: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


# kinds of a match that no name says: a statement joins the two, or the key's rows hold the values
USED, HELD = "used", "held"
Place = tuple[TableName, Column]
Offers = dict[Key, Match]
Offer = Callable[[Named, Match], None]

# the plainest reading first
RANK = (
    "join", "pair", "full", "key", "full_role", "key_role", "sibling", "context", "tail",
    "tail_role", "head", "abbr", "initials", "self", "person", "agent", "learnt",
)  # fmt: skip
NAMED = frozenset(
    {"full", "key", "tail", "context", "sibling", "full_role", "key_role", "tail_role"}
)


def of(vocabulary: Vocabulary) -> Iterator[tuple[Place, Offers]]:
    """Every column that may refer to something, with the keys of a type that fits."""
    names, ends = _learnt(vocabulary)
    people = _people(vocabulary)
    for name, named in vocabulary.tables.items():
        for column in named.table.columns:
            if not types.may_be_key(column.type):
                continue
            offers = _offers(vocabulary, named, column, people)
            base, _ = vocabulary.base_of(name, column.name)
            for key in (*names.get(column.name, ()), *ends.get(base[-1] if base else "", ())):
                offers.setdefault(key, Match("learnt"))
            fitting = {
                key: match
                for key, match in offers.items()
                if types.compatible(column.type, key.column.type)
                and (key.table, key.column.name) != (name, column.name)
            }
            if fitting:
                yield (name, column), fitting


def _learnt(vocabulary: Vocabulary) -> tuple[dict[str, Counter[Key]], dict[str, Counter[Key]]]:
    """What columns of a name, and of a last word, refer to by the declared keys."""
    names: dict[str, Counter[Key]] = defaultdict(Counter)
    ends: dict[str, Counter[Key]] = defaultdict(Counter)
    keys = {(key.table, key.column.name): key for n in vocabulary.tables.values() for key in n.keys}
    for known in vocabulary.schema.foreign_keys:
        key = keys.get((known.parent, known.references[0]))
        if len(known.columns) == 1 and key and known.child in vocabulary.tables:
            names[known.columns[0]][key] += 1
            base, _ = vocabulary.base_of(known.child, known.columns[0])
            if base:
                ends[base[-1]][key] += 1
    return names, ends


def _people(vocabulary: Vocabulary) -> tuple[Named, ...]:
    """The tables of people: user, account …, whichever the schema has."""
    return tuple(
        named
        for named in vocabulary.tables.values()
        if named.keys and roles.are_people(named.words)
    )


def _offers(  # noqa: C901 - every reading of a name in one place
    vocabulary: Vocabulary, child: Named, column: Column, people: tuple[Named, ...]
) -> Offers:
    parts = vocabulary.words_of(child.name, column.name)
    base, said = vocabulary.apart(parts)
    offers: Offers = {}

    def keep(key: Key, match: Match) -> None:
        known = offers.get(key)
        if known is None or RANK.index(match.kind) < RANK.index(known.kind):
            offers[key] = match

    def offer(named: Named, match: Match) -> None:
        for key in named.keys:
            if key.primary or match.kind == "key" or _says(vocabulary, key, said):
                keep(key, match)

    _by_table(vocabulary, child, base, offer)
    for named, _ in _joined(vocabulary, child, column):
        offer(named, Match("join"))
    for name in links.ends(vocabulary, child, parts, column):
        offer(vocabulary.tables[name], Match("pair", 0, base))
    for start in range(len(parts)):
        rest = parts[start:]
        if set(rest) <= words.KEY_WORDS:
            break
        for key in vocabulary.by_key.get(words.flat(rest), ()):
            keep(key, Match("key_role" if start else "key", len(words.flat(rest)), parts[:start]))
    _by_role(child, base, parts, people, offers, offer)
    often = vocabulary.same_name[column.name] > 2
    if base and not offers and (said or len(parts) == 1) and (len(base[-1]) > 2 or often):
        _short(vocabulary, base, offer)
    return offers


def _by_table(vocabulary: Vocabulary, child: Named, base: tuple[str, ...], offer: Offer) -> None:
    """The tables whose names end, or begin, as the column's does."""
    mirrored = child.words[-1:] in vocabulary.mirrors
    for start in range(len(base)):
        tail, role = words.flat(base[start:]), base[:start]
        for named, missing in vocabulary.by_tail.get(tail, ()):
            if named.flat in (tail, tail + tail):  # company_company: a module and its main table
                offer(named, Match("full_role" if role else "full", len(tail), role))
                continue
            context = words.flat(missing) in (child.flat, words.flat(child.words[: len(missing)]))
            kind = "tail_role" if role else "context" if context else "tail"
            offer(named, Match(kind, len(tail), role, missing))
        sibling = tail + child.words[-1] if mirrored else ""
        for named, missing in vocabulary.by_tail.get(sibling, ()):
            offer(named, Match("sibling", len(tail), role, missing))
    head = words.flat(base)
    if len(head) > 2:
        for named, missing in vocabulary.by_head.get(head, ()):
            offer(named, Match("head", len(head), (), missing))


def _by_role(  # noqa: PLR0913, PLR0917 - one reading's whole context
    child: Named,
    base: tuple[str, ...],
    parts: tuple[str, ...],
    people: tuple[Named, ...],
    offers: Offers,
    offer: Offer,
) -> None:
    """A name that says a role alone: the table itself, or the people of the schema."""
    counted = base == parts and base[-1] in roles.QUANTITIES  # child_order
    if not counted and (roles.is_self(base) or roles.is_self(parts)):
        offer(child, Match("self", 0, base))
    whole = any(
        match.kind in ("full", "tail", "context", "sibling") and not match.role
        for match in offers.values()
    )
    if not whole and (roles.is_person(base) or (len(base) > 1 and roles.is_person(base[:1]))):
        kind = "person"
    elif roles.is_agent(base) and not offers:
        kind = "agent"
    else:
        return
    for named in people:
        offer(named, Match(kind, 0, base))


def _joined(vocabulary: Vocabulary, child: Named, column: Column) -> tuple[Part, ...]:
    """What A and B of an implicit many-to-many table of Prisma stand for: _PostToTag."""
    if {c.name for c in child.table.columns} != {"A", "B"}:
        return ()
    parts = child.words
    for middle in range(1, len(parts)):
        rest = parts[middle + 1 :] if parts[middle] == "to" else parts[middle:]
        sides = sorted((words.flat(parts[:middle]), words.flat(rest)))
        found = [vocabulary.by_tail.get(side, ()) for side in sides]
        if all(found):
            return found[column.name == "B"]
    return ()


def _short(vocabulary: Vocabulary, base: tuple[str, ...], offer: Offer) -> None:
    """Abbreviations and initials, where nothing else was found."""
    last = base[-1]
    for name in vocabulary.abbreviated(last):
        named = vocabulary.tables[name]
        offer(named, Match("abbr", len(last), base[:-1], named.words[:-1]))
    if len(base) == 1:
        for name in vocabulary.by_initials.get(last, ()):
            offer(vocabulary.tables[name], Match("initials", len(last)))


def _says(vocabulary: Vocabulary, key: Key, said: tuple[str, ...]) -> bool:
    """Whether the column's key word is the name of a key that is not the primary one."""
    return bool(said) and vocabulary.words_of(key.table, key.column.name)[-1:] == said[:1]
