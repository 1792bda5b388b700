"""What a batch's values are asked for as: texts, or the reason why a value is not asked for.

What refers to one column is a text, and what refers to several a tuple of texts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from runbook.references.columns import ColumnType
from runbook.references.error import NO_ROW, NO_VALUE, WRONG_TYPE
from runbook.references.reference import Match, is_text, null_fault


class Fault(NamedTuple):
    """Why a value is looked up no further; not equal to any text."""

    reason: str


PASSES = Fault("")
Entry = str | tuple[str, ...]


def keys(values: Sequence[object], of: ColumnType, *, optional: bool) -> Sequence[str | Fault]:
    """For each value the text to look for, or why there is none."""
    if set(map(type, values)) == {str}:
        return values  # type: ignore[return-value]
    return [_key(value, of, optional=optional) for value in values]


def _key(value: object, of: ColumnType, *, optional: bool) -> str | Fault:
    if isinstance(value, str):
        return str.__str__(value)
    if value is None:
        return PASSES if optional else Fault(NO_VALUE)
    if isinstance(value, bool) or not isinstance(value, int | UUID):
        return Fault(WRONG_TYPE)
    if isinstance(value, UUID):
        return str(value) if of.takes(UUID) else Fault(WRONG_TYPE)
    if not of.takes(int):
        return Fault(WRONG_TYPE)
    return int.__repr__(value) if of.holds(value) else Fault(NO_ROW)


def combined(
    parts: Sequence[Sequence[str | Fault]], *, optional: bool, match: Match
) -> Iterator[tuple[str, ...] | Fault]:
    """For the texts of several columns their tuple, or why there is none; PASSES is None."""
    plain = all(set(map(type, part)) == {str} for part in parts)
    for texts in zip(*parts, strict=True):
        if plain:
            yield texts
            continue
        nulls = [None if text == PASSES else text for text in texts]
        reason = null_fault(nulls, optional=optional, match=match)
        if reason is not None:
            yield Fault(reason)
            continue
        faults = {text.reason for text in texts if isinstance(text, Fault)}
        if any(isinstance(text, str) and not text.strip() for text in texts):
            yield Fault(NO_VALUE)
        elif faults:
            yield Fault(WRONG_TYPE if WRONG_TYPE in faults else faults.pop())
        else:
            yield texts


def sorted_out(distinct: set[Entry | Fault]) -> tuple[dict[Entry | Fault, str], list[Entry]]:
    """The reasons that need no server, and what to ask for."""
    reasons: dict[Entry | Fault, str] = {}
    kinds = set(map(type, distinct))
    given: Collection[Any] = distinct
    if Fault in kinds:
        given = [key for key in distinct if not isinstance(key, Fault)]
        faults = [key for key in distinct if isinstance(key, Fault)]
        reasons = {key: key.reason for key in faults if key.reason}
    # of one column they are texts, which all calls here take at once
    several = tuple in kinds
    entries = list(filter(_filled if several else str.strip, given))
    if len(entries) < len(given):
        reasons |= dict.fromkeys(set(given).difference(entries), NO_VALUE)
    if not is_text("".join(map("".join, entries) if several else entries)):
        reasons |= {entry: WRONG_TYPE for entry in entries if not is_text("".join(entry))}
        entries = [entry for entry in entries if is_text("".join(entry))]
    return reasons, entries


def _filled(texts: tuple[str, ...]) -> bool:
    return all(map(str.strip, texts))
