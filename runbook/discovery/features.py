"""What speaks for and against a column referring to a key: features, each a number.

Their weights are in :mod:`runbook.discovery.weights`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from runbook.discovery import roles, types, words
from runbook.discovery.house import House, leads
from runbook.discovery.offers import NAMED, Match
from runbook.discovery.rivals import Rivals, mentions
from runbook.discovery.vocabulary import Key, Named, Vocabulary
from runbook.schema import Column, TableName

_NEUTRAL = frozenset({"id", "fk", "ids", "ref", "pk"})  # key words that any key answers to
_ELSEWHERE = frozenset({"external", "ext", "remote", "foreign"})


@dataclass(frozen=True)
class Pair:
    """A column and a key, with the other keys that are offered for the column."""

    vocabulary: Vocabulary
    house: House
    name: TableName
    column: Column
    key: Key
    match: Match
    rivals: Rivals

    @cached_property
    def child(self) -> Named:
        return self.vocabulary.tables[self.name]

    @cached_property
    def parent(self) -> Named:
        return self.vocabulary.tables[self.key.table]

    @cached_property
    def parts(self) -> tuple[str, ...]:
        return self.vocabulary.words_of(self.name, self.column.name)

    @cached_property
    def base(self) -> tuple[str, ...]:
        return self.vocabulary.apart(self.parts)[0]

    @cached_property
    def said(self) -> tuple[str, ...]:
        return self.vocabulary.apart(self.parts)[1]

    @cached_property
    def key_words(self) -> tuple[str, ...]:
        return self.vocabulary.words_of(self.key.table, self.key.column.name)

    @property
    def bare(self) -> bool:
        return not self.said and self.match.kind not in ("key", "key_role")

    @property
    def to_itself(self) -> bool:
        return self.name == self.key.table


Features = dict[str, float]


def of(pair: Pair) -> Mapping[str, float]:
    """The features that are not nought."""
    found: Features = {"one": 1.0, f"kind.{pair.match.kind}": 1.0}
    for part in (_form, _built, _key, _role, _rivals, _relatives, _missing, _learnt):
        found |= part(pair)
    return {name: float(value) for name, value in found.items() if value}


def _form(pair: Pair) -> Features:
    """How the name is formed, against the house's habit."""
    found: Features = {"named": pair.match.kind in NAMED}
    if pair.bare:
        found["bare.off"] = 1 - pair.house.bare
    elif pair.said and pair.said[-1] in words.ID_WORDS:
        found["id.off"] = pair.house.bare
    elif pair.said:
        found["code"] = 1.0
    counted = pair.bare and bool(pair.base) and pair.base[-1] in roles.QUANTITIES
    raw = words.split(pair.column.name)
    plural = bool(raw) and raw[-1].endswith("s") and words.singular(raw[-1]) != raw[-1]
    short = pair.match.kind in ("initials", "abbr")
    times = pair.vocabulary.same_name.get(pair.column.name, 1)
    return found | {
        "quantity": counted and len(pair.base) == 1,
        "quantity.role": counted and len(pair.base) > 1,
        "plural": pair.bare and plural,
        "rare.short": min(1.0, times / 10) if short else 0.0,
        "foreign": bool(set(pair.parts) & _ELSEWHERE),
    }


def _built(pair: Pair) -> Features:
    """Types, indexes and keys of the child."""
    table, column = pair.child.table, pair.column
    primary = table.primary_key
    inside = primary is not None and column.name in primary.columns
    sole = inside and primary is not None and len(primary.columns) == 1
    alone = any(index.unique and index.columns == (column.name,) for index in table.indexes)
    led = leads(pair.child, column)
    return {
        "type.same": column.type == pair.key.column.type,
        "led": led,
        "unled.off": 0.0 if led else pair.house.indexed,
        "in.pk": inside and not sole,
        "is.pk": sole,
        "unique": not inside and alone,
        "nullable": not column.not_null,
        "no.pk": primary is None,
    }


def _key(pair: Pair) -> Features:
    """How the column's name and the key's own name agree."""
    said, own, parts = pair.said, pair.key_words, pair.parts
    agrees = bool(said) and said[0] == own[-1]
    text = types.family(pair.key.column.type) == "text"
    natural = text and own[-1] not in words.ID_WORDS
    found: Features = {
        "said.agrees": agrees,
        "said.differs": bool(said) and said[0] not in _NEUTRAL and not agrees,
        "alt.said": not pair.key.primary and agrees,
        "not.primary": not pair.key.primary,
        "key.agrees": len(own) > 1 and parts == own,
        "key.agrees.role": len(own) > 1 and len(parts) > len(own) and parts[-len(own) :] == own,
        "natural": natural,
        "natural.bare": natural and pair.bare,
        "text.bare": text and pair.bare,
    }
    if pair.match.kind in ("key", "key_role"):
        home = words.flat(words.without_key_words(own)[0])
        hosts = pair.vocabulary.by_key.get(words.flat(own), ())
        found |= {
            "key.shared": math.log(max(len(hosts), 1)),
            "key.home": home == pair.parent.flat,
            "key.home.tail": pair.parent.flat.endswith(home),
            "key.saidless": not said,
        }
    return found


def _role(pair: Pair) -> Features:
    """Words of the column that no table has."""
    role, kind = pair.match.role, pair.match.kind
    again = pair.to_itself and roles.is_self(role)
    return {
        "self": pair.to_itself and kind != "self" and not again,
        "self.role": again and kind != "self",
        "role.words": len(role),
        "role.foreign": bool(set(role) & roles.FOREIGN),
        "role.person": roles.is_person(role),
        "user": kind in ("person", "agent") and pair.parent.words[-1].endswith(("user", "usr")),
        "matched": (
            min(pair.match.matched, 12) / 12
            if kind in ("tail_role", "full_role", "key_role")
            else 0.0
        ),
    }


def _rivals(pair: Pair) -> Features:
    """The other keys that the column may mean."""
    kind, rivals = pair.match.kind, pair.rivals
    found: Features = {
        "rank": rivals.outranked(kind),
        "rivals": math.log(rivals.alike(kind, len(pair.match.role))),
        "rival.sibling": kind not in ("sibling", "self") and "sibling" in rivals.kinds,
        "shadowed": kind not in ("full", "key", "full_role", "key_role", "join")
        and words.flat(pair.base) in pair.vocabulary.keyless,
    }
    if rivals.schemas > 1:
        found["same.schema"] = pair.name.schema == pair.key.table.schema
    if kind in ("tail", "context", "sibling", "tail_role"):
        found["tail.off"] = max(0.0, 1 - 2 * pair.house.tails)
        found["tail.sole"] = rivals.whole == 1
    return found


def _relatives(pair: Pair) -> Features:
    """What the two tables' names say of each other."""
    child, parent = pair.child, pair.parent
    mentioned = pair.rivals.mentioned(pair.key.table)
    mentioning = not pair.to_itself and mentions(child, parent)
    starts = parent.words[: len(child.words)] == child.words
    found: Features = {
        "hub": math.log1p(pair.house.hubs.get(pair.key.table, 0)),
        "mentions": mentioning,
        "rival.mentioned": bool(mentioned) and not mentioning,
        "longest.mentioned": mentioning
        and all(len(named.flat) <= len(parent.flat) for named in mentioned),
        "own": words.flat(pair.base) == child.flat and not pair.to_itself,
        "shared.head": len(parent.words) > 1 and child.words[:1] == parent.words[:1],
        "parent.longer": not pair.to_itself and starts and len(parent.words) > len(child.words),
        "child.longer": not pair.to_itself and child.words[: len(parent.words)] == parent.words,
    }
    hosts = pair.vocabulary.by_key.get(words.flat(pair.key_words), ())
    if len(hosts) > 2 and pair.key.primary:  # tables that share the key of one: its subtypes
        home = words.flat(words.without_key_words(pair.key_words)[0])
        rivals = {named.name for named in mentioned if named.flat != home}
        found["subtype"] = mentioning and parent.flat != home
        if rivals and not found["subtype"]:
            found["subtype.rival"] = any(key.table in rivals for key in hosts)
    return found


def _missing(pair: Pair) -> Features:
    """Words of the table's name that the column leaves out."""
    missing = pair.match.missing
    if not missing:
        return {}
    shared = sum(a == b for a, b in zip(missing, pair.child.words, strict=False))
    family = len(missing) == 1 and pair.vocabulary.families.get(missing[0], 0) >= 3
    return {
        "missing.words": len(missing),
        "covered": pair.match.matched / len(pair.parent.flat),
        "missing.shared": shared / len(missing),
        "missing.all": shared == len(missing),
        "missing.family": family,
    }


def _learnt(pair: Pair) -> Features:
    """What the declared keys of other columns with this name, or its last word, say."""
    if not pair.house.learnt:
        return {}
    found: Features = {}
    seen = pair.house.learnt.get(pair.column.name)
    if seen:
        share = seen.get(pair.key.table, 0) / sum(seen.values())
        found |= {"learnt.yes": share, "learnt.no": 1 - share}
    else:
        found["learnt.none"] = math.log(pair.vocabulary.same_name.get(pair.column.name, 1))
    ends = pair.house.ends.get(pair.base[-1]) if pair.base else None
    if ends:
        share = ends.get(pair.key.table, 0) / sum(ends.values())
        found |= {"last.yes": share, "last.no": 1 - share}
    return found
