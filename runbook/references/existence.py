"""Whether rows exist: up to a thousand different ones in one statement over any tables."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from runbook.references import columns
from runbook.references.asking import UNFIT, Answer, Question, Work, identifier
from runbook.references.error import NO_ROW, WRONG_TYPE
from runbook.references.reference import Lookup

KEY_SHARE = sql.SQL(" FOR KEY SHARE")
NOTHING = sql.SQL("")


def look_up(lookups: Sequence[Lookup], *, lock: bool) -> Work[tuple[dict[Lookup, str], bool]]:
    """For each lookup why it failed or an empty text, and whether the answer was fresh.

    One round trip where every value is of its column's type. Otherwise four and no more, unless
    the type is an uncommon one on a server that cannot test a value.
    """
    if not lookups:
        return {}, True
    try:
        answer = yield _question(lookups, lock=lock)
    except UNFIT:
        if len(lookups) == 1:
            return {lookups[0]: WRONG_TYPE}, False
        unfit = yield from _unfit(lookups)
        rest = [lookup for lookup in lookups if lookup not in unfit]
        found = dict.fromkeys(unfit, WRONG_TYPE)
        if not rest:
            return found, False
        # nothing unfit was found, and yet the server refused: look at them by halves
        parts = [rest] if unfit else [rest[: len(rest) // 2], rest[len(rest) // 2 :]]
        for part in parts:
            reasons, _ = yield from look_up(part, lock=lock)
            found |= reasons
        return found, False
    return _reasons(lookups, answer), answer.fresh


def _reasons(lookups: Sequence[Lookup], answer: Answer) -> dict[Lookup, str]:
    ((exist,),) = answer.rows
    return {lookup: "" if exists else NO_ROW for lookup, exists in zip(lookups, exist, strict=True)}


def _question(lookups: Sequence[Lookup], *, lock: bool) -> Question:
    strength = KEY_SHARE if lock else NOTHING
    rows = [
        sql.SQL("EXISTS (SELECT FROM {} WHERE {}{})").format(
            identifier(*lookup.key.table),
            sql.SQL(" AND ").join(
                sql.SQL("{} = %s").format(identifier(name)) for name in lookup.key.names
            ),
            strength,
        )
        for lookup in lookups
    ]
    statement = sql.SQL("SELECT ARRAY[{}]").format(sql.SQL(", ").join(rows))
    return Question(statement, [value for lookup in lookups for value in lookup.values])


def _unfit(lookups: Sequence[Lookup]) -> Work[set[Lookup]]:
    """Those of whose values a column's type refuses one."""
    parts = [
        (lookup, *part)
        for lookup in lookups
        for part in zip(lookup.key.columns, lookup.kinds, lookup.values, strict=True)
    ]
    types = yield from columns.read(list(dict.fromkeys(column for _, column, _, _ in parts)))
    unfit = {lookup for lookup, column, kind, _ in parts if not types[column].takes(kind)}
    for of in dict.fromkeys(types.values()):
        texts: dict[str, list[Lookup]] = {}
        for lookup, column, kind, value in parts:
            if kind is str and types[column] == of:
                texts.setdefault(str(value), []).append(lookup)
        if texts:
            refused = yield from columns.refused(of, list(texts))
            unfit |= {lookup for text in refused for lookup in texts[text]}
    return unfit
