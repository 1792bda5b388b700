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

from runbook.references import columns, missing
from runbook.references.asking import Work
from runbook.references.columns import ColumnType
from runbook.references.error import InvalidReferenceError
from runbook.references.reference import Column, Fields, Key, Parent, key_of, names_of, parents_of
from runbook.references.setup import Setup
from runbook.references.values import Entry, Fault, combined, keys, sorted_out

CHUNK = 25_000
MOST_ERRORS = 1000
MOST_REMEMBERED = 100_000  # texts; what an earlier chunk found is not asked for again

Record = Mapping[str, object]
Values = Mapping[str, Sequence[object]]


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
    """A field to check, or several that are one reference; ``number`` is its place among all."""

    number: int
    names: tuple[str, ...]
    parent: Parent
    key: Key


@dataclass
class Tally:
    """What was found up to now."""

    records: int = 0
    failed: int = 0
    errors: list[BatchError] = field(default_factory=list)
    present: dict[Key, set[Entry]] = field(default_factory=dict)

    def remember(self, key: Key, entries: Iterable[Entry]) -> None:
        room = MOST_REMEMBERED - sum(map(len, self.present.values()))
        self.present.setdefault(key, set()).update(islice(entries, max(room, 0)))


def checked(
    records: Iterable[Record],
    parents: Mapping[Fields, Parent | str],
    setup: Setup,
    size: Size,
    *,
    lock: bool,
) -> Work[BatchValidation]:
    """Check all records; the parents' names are looked at by the call of this function."""
    if size.chunk < 1:
        raise ValueError(f"expected a chunk of at least 1 record, got {size.chunk!r}")
    fields = []
    for number, (names, parent) in enumerate(parents_of(parents).items()):
        key = key_of(parent.table, parent.id_column)
        if setup.declared is not None:
            setup.declared.check(key)
        fields.append(Field(number, names_of(names), parent, key))
    return _all_chunks(records, tuple(fields), setup, size, lock=lock)


def _all_chunks(
    records: Iterable[Record], fields: Sequence[Field], setup: Setup, size: Size, *, lock: bool
) -> Work[BatchValidation]:
    wanted = dict.fromkeys(column for item in fields for column in item.key.columns)
    types = yield from columns.read(list(wanted))
    tally = Tally()
    for chunk in _chunks(records, size.chunk):
        found = yield from _faults(chunk, fields, types, tally, lock=lock)
        failed: Counter[tuple[str, str]] = Counter()
        for index, number, value, reason in found:
            failed[fields[number].parent.table, reason] += 1
            if len(tally.errors) < size.most_errors:
                item = fields[number]
                error = InvalidReferenceError(item.names, value, item.parent.table, reason)
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
    values = _columns(chunk, list(dict.fromkeys(n for f in fields for n in f.names)), start)
    entries = [_entries(item, values, types) for item in fields]
    distinct: dict[Key, set[Entry | Fault]] = {}
    for item, own in zip(fields, entries, strict=True):
        distinct.setdefault(item.key, set()).update(own)
    reasons: dict[Key, dict[Entry | Fault, str]] = {}
    wanted: dict[Key, list[Entry]] = {}
    for key, each in distinct.items():
        reasons[key], wanted[key] = sorted_out(each.difference(tally.present.get(key, ())))
    lacking = yield from missing.reasons(wanted, types, lock=lock)
    for key, found in lacking.items():
        reasons[key].update(found)
        there = [entry for entry in wanted[key] if entry not in found] if found else wanted[key]
        tally.remember(key, there)
    faults = [
        (start + index, item.number, _given(item, values, index), reason)
        for item, own in zip(fields, entries, strict=True)
        if (why := reasons[item.key])
        for index, entry in enumerate(own)
        if (reason := why.get(entry))
    ]
    faults.sort(key=lambda fault: fault[:2])
    return faults


def _entries(
    item: Field, values: Values, types: Mapping[Column, ColumnType]
) -> Sequence[Entry | Fault]:
    """For each record what to look for, or why there is nothing."""
    parent, several = item.parent, len(item.names) > 1
    parts = [
        keys(values[name], types[column], optional=several or parent.optional)
        for name, column in zip(item.names, item.key.columns, strict=True)
    ]
    if not several:
        return parts[0]
    return list(combined(parts, optional=parent.optional, match=parent.match))


def _given(item: Field, values: Values, index: int) -> object:
    found = tuple(values[name][index] for name in item.names)
    return found if len(found) > 1 else found[0]


def _columns(chunk: Sequence[Record], names: Sequence[str], start: int) -> Values:
    """The values of each field; at once where every record is a plain dict with all of them."""
    if set(map(type, chunk)) == {dict}:
        with suppress(KeyError):
            return {name: list(map(itemgetter(name), chunk)) for name in names}
    return {name: _values(chunk, name, start) for name in names}


def _values(chunk: Sequence[Record], name: str, start: int) -> list[object]:
    try:
        return [record.get(name) for record in chunk]
    except AttributeError:
        for index, record in enumerate(chunk, start):
            if not hasattr(record, "get"):
                message = f"expected a record with fields at index {index}, got {record!r}"
                raise ValueError(message) from None
        raise
