"""Which of many values have no row: one statement, with one array for each column.

Only the numbers of those without a row come back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from psycopg import sql

from runbook.references import columns
from runbook.references.asking import UNFIT, Question, Work, identifier
from runbook.references.columns import ColumnType, array
from runbook.references.error import NO_ROW, WRONG_TYPE
from runbook.references.existence import KEY_SHARE, NOTHING
from runbook.references.reference import Column, Key
from runbook.references.values import Entry

# the text is cast where it is compared, so that an index on the column serves
MISSING = """
    SELECT {}, v.n FROM unnest({}) WITH ORDINALITY AS v({}, n)
     WHERE NOT EXISTS (SELECT FROM {} AS p WHERE {}{})
"""


def reasons(
    wanted: Mapping[Key, list[Entry]], types: Mapping[Column, ColumnType], *, lock: bool
) -> Work[dict[Key, dict[Entry, str]]]:
    """The reasons of what is not there or is no value of its column's type."""
    asked = {key: entries for key, entries in wanted.items() if entries}
    found: dict[Key, dict[Entry, str]] = {key: {} for key in asked}
    if not asked:
        return found
    try:
        answer = yield _question(asked, types, lock=lock)
    except UNFIT:
        fit: dict[Key, list[Entry]] = {}
        for key, entries in asked.items():
            unfit = yield from _unfit(key, entries, types)
            found[key] = dict.fromkeys(unfit, WRONG_TYPE)
            fit[key] = [entry for entry in entries if entry not in unfit]
        if not any(found.values()):
            raise  # no value is at fault
        for key, more in (yield from reasons(fit, types, lock=lock)).items():
            found[key].update(more)
        return found
    order = list(asked)
    for number, n in answer.rows:
        found[order[number]][asked[order[number]][n - 1]] = NO_ROW
    return found


def _unfit(
    key: Key, entries: Sequence[Entry], types: Mapping[Column, ColumnType]
) -> Work[set[Entry]]:
    """Those of which a column's type refuses a text."""
    unfit: set[Entry] = set()
    for place, (column, texts) in enumerate(zip(key.columns, _texts(key, entries), strict=True)):
        refused = yield from columns.refused(types[column], list(dict.fromkeys(texts)))
        if len(key.names) == 1:
            unfit.update(refused)
        else:
            unfit.update(entry for entry in entries if entry[place] in refused)
    return unfit


def _texts(key: Key, entries: Sequence[Entry]) -> Sequence[Sequence[str]]:
    """The texts of each column."""
    one = len(key.names) == 1
    return [entries] if one else list(zip(*entries, strict=True))  # type: ignore[list-item]


def _question(
    asked: Mapping[Key, list[Entry]], types: Mapping[Column, ColumnType], *, lock: bool
) -> Question:
    parts = []
    for number, key in enumerate(asked):
        values = [identifier(f"value{place}") for place, _ in enumerate(key.names)]
        arrays = [sql.SQL("%s::{}").format(types[column].array) for column in key.columns]
        equal = [
            sql.SQL("p.{} = v.{}").format(identifier(name), value)
            for name, value in zip(key.names, values, strict=True)
        ]
        parts.append(
            sql.SQL(MISSING).format(
                sql.Literal(number),
                sql.SQL(", ").join(arrays),
                sql.SQL(", ").join(values),
                identifier(*key.table),
                sql.SQL(" AND ").join(equal),
                KEY_SHARE if lock else NOTHING,
            )
        )
    texts = [array(each) for key, entries in asked.items() for each in _texts(key, entries)]
    return Question(sql.SQL(" UNION ALL ").join(parts), texts)
