"""Checks many records against several parents: one statement for each chunk of them.

A chunk's distinct values go to the server as one array for each parent, and only the numbers of
those without a row come back. Values are compared in the column's own type.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from operator import itemgetter
from typing import NamedTuple

from psycopg import sql

from runbook.references import columns
from runbook.references.asking import UNFIT, Question, Work
from runbook.references.columns import ColumnType, array
from runbook.references.error import NO_ROW, WRONG_TYPE, InvalidReferenceError
from runbook.references.existence import KEY_SHARE, NOTHING
from runbook.references.reference import Column, Parent, column_of
from runbook.references.setup import Setup
from runbook.references.values import Fault, keys, sorted_out

CHUNK = 25_000
MOST_ERRORS = 1000
MOST_REMEMBERED = 100_000  # texts; what an earlier chunk found is not asked for again
# the text is cast where it is compared, so that an index on the column serves
MISSING = """
    SELECT {}, v.n FROM unnest({}) WITH ORDINALITY AS v(value, n)
     WHERE NOT EXISTS (SELECT FROM {} AS p WHERE p.{} = v.value{})
"""

Record = Mapping[str, object]


@dataclass(frozen=True)
class BatchError:
    """The record's index from 0, and what is wrong with one of its fields."""

    index: int
    error: InvalidReferenceError


@dataclass(frozen=True)
class BatchValidation:
    """Records that were checked, references that failed, and the first of the errors.

    Errors are in the order of the records, and of the fields in ``parents``.
    """

    checked: int
    failed: int
    errors: tuple[BatchError, ...] = ()

    @property
    def valid(self) -> bool:
        return not self.failed


class Size(NamedTuple):
    """Records of a chunk, and errors that are kept."""

    chunk: int
    most_errors: int


@dataclass(frozen=True)
class Field:
    """A field to check; ``number`` is its place among the fields."""

    number: int
    name: str
    parent: Parent
    column: Column


@dataclass
class Tally:
    """What was found up to now."""

    records: int = 0
    failed: int = 0
    errors: list[BatchError] = field(default_factory=list)
    present: dict[Column, set[str]] = field(default_factory=dict)

    def remember(self, column: Column, texts: Iterable[str]) -> None:
        room = MOST_REMEMBERED - sum(map(len, self.present.values()))
        self.present.setdefault(column, set()).update(islice(texts, max(room, 0)))


def checked(
    records: Iterable[Record],
    parents: Mapping[str, Parent | str],
    setup: Setup,
    size: Size,
    *,
    lock: bool,
) -> Work[BatchValidation]:
    """Check all records; the parents' names are looked at by the call of this function."""
    if not parents:
        raise ValueError("expected a parent for at least one field, got none")
    if size.chunk < 1:
        raise ValueError(f"expected a chunk of at least 1 record, got {size.chunk!r}")
    fields = []
    for number, (name, given) in enumerate(parents.items()):
        parent = Parent(given) if isinstance(given, str) else given
        column = column_of(parent.table, parent.id_column)
        if setup.declared is not None:
            setup.declared.check(column)
        fields.append(Field(number, name, parent, column))
    return _all_chunks(records, tuple(fields), setup, size, lock=lock)


def _all_chunks(
    records: Iterable[Record], fields: Sequence[Field], setup: Setup, size: Size, *, lock: bool
) -> Work[BatchValidation]:
    types = yield from columns.read(list(dict.fromkeys(item.column for item in fields)))
    tally = Tally()
    for chunk in _chunks(records, size.chunk):
        found = yield from _faults(chunk, fields, types, tally, lock=lock)
        failed: Counter[tuple[str, str]] = Counter()
        for index, number, value, reason in found:
            failed[fields[number].parent.table, reason] += 1
            if len(tally.errors) < size.most_errors:
                item = fields[number]
                error = InvalidReferenceError(item.name, value, item.parent.table, reason)
                tally.errors.append(BatchError(index, error))
        if setup.metrics is not None:
            tables: Counter[str] = Counter()
            for item in fields:
                tables[item.parent.table] += len(chunk)
            setup.metrics.count(tables, failed)
        tally.records += len(chunk)
        tally.failed += len(found)
    return BatchValidation(tally.records, tally.failed, tuple(tally.errors))


def _chunks(records: Iterable[Record], size: int) -> Iterator[list[Record]]:
    rest = iter(records)
    while chunk := list(islice(rest, size)):
        yield chunk


def _faults(
    chunk: Sequence[Record],
    fields: Sequence[Field],
    types: Mapping[Column, ColumnType],
    tally: Tally,
    *,
    lock: bool,
) -> Work[list[tuple[int, int, object, str]]]:
    """Index, field number, value and reason of every failure of the chunk, in order."""
    start = tally.records
    values = _columns(chunk, fields, start)
    found_keys = [
        keys(each, types[item.column], optional=item.parent.optional)
        for each, item in zip(values, fields, strict=True)
    ]
    texts: dict[Column, set[str | Fault]] = {}
    for item, own in zip(fields, found_keys, strict=True):
        texts.setdefault(item.column, set()).update(own)
    reasons: dict[Column, dict[str | Fault, str]] = {}
    wanted: dict[Column, list[str]] = {}
    for column, distinct in texts.items():
        unknown = distinct - tally.present.get(column, set())
        reasons[column], wanted[column] = sorted_out(unknown)
    missing = yield from _missing(wanted, types, lock=lock)
    for column, found in missing.items():
        reasons[column].update(found)
        tally.remember(column, (text for text in wanted[column] if text not in found))
    faults = [
        (start + index, item.number, value, reason)
        for item, own, given in zip(fields, found_keys, values, strict=True)
        if reasons[item.column]
        for index, (key, value) in enumerate(zip(own, given, strict=True))
        if (reason := reasons[item.column].get(key))
    ]
    faults.sort(key=lambda fault: fault[:2])
    return faults


def _columns(
    chunk: Sequence[Record], fields: Sequence[Field], start: int
) -> Sequence[Sequence[object]]:
    """The values of each field; at once where every record is a plain dict with all of them."""
    if len(fields) > 1 and set(map(type, chunk)) == {dict}:
        with suppress(KeyError):
            return list(zip(*map(itemgetter(*(f.name for f in fields)), chunk), strict=True))
    return [_values(chunk, item, start) for item in fields]


def _values(chunk: Sequence[Record], item: Field, start: int) -> list[object]:
    try:
        return [record.get(item.name) for record in chunk]
    except AttributeError:
        for index, record in enumerate(chunk, start):
            if not hasattr(record, "get"):
                message = f"expected a record with fields at index {index}, got {record!r}"
                raise ValueError(message) from None
        raise


def _missing(
    wanted: Mapping[Column, list[str]], types: Mapping[Column, ColumnType], *, lock: bool
) -> Work[dict[Column, dict[str, str]]]:
    """The reasons of the texts that are not there or are no value of the column's type."""
    asked = {column: texts for column, texts in wanted.items() if texts}
    found: dict[Column, dict[str, str]] = {column: {} for column in asked}
    if not asked:
        return found
    try:
        answer = yield _question(asked, types, lock=lock)
    except UNFIT:
        fit: dict[Column, list[str]] = {}
        for column, texts in asked.items():
            refused = yield from columns.refused(types[column], texts)
            found[column] = dict.fromkeys(refused, WRONG_TYPE)
            fit[column] = [text for text in texts if text not in refused]
        if not any(found.values()):
            raise  # no value is at fault
        for column, more in (yield from _missing(fit, types, lock=lock)).items():
            found[column].update(more)
        return found
    order = list(asked)
    for number, n in answer.rows:
        found[order[number]][asked[order[number]][n - 1]] = NO_ROW
    return found


def _question(
    asked: Mapping[Column, list[str]], types: Mapping[Column, ColumnType], *, lock: bool
) -> Question:
    parts = [
        sql.SQL(MISSING).format(
            sql.Literal(number),
            sql.SQL("%s::{}").format(types[column].array),
            sql.Identifier(*column.table),
            sql.Identifier(column.name),
            KEY_SHARE if lock else NOTHING,
        )
        for number, column in enumerate(asked)
    ]
    return Question(sql.SQL(" UNION ALL ").join(parts), [array(each) for each in asked.values()])
