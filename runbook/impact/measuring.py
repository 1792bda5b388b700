"""Measures what the keys of the busiest child table cost, on a disposable copy.

Two databases are made of the copy, alike but for the keys of that table. Both have an index on the
columns of each key, so that what differs is the keys alone. They are measured in turn, in changing
order, so that drift favours neither.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
from psycopg import sql

from runbook import __version__, operators
from runbook.audit import query
from runbook.disposable import Copy
from runbook.errors import IncompleteError
from runbook.impact import declaring, timing
from runbook.impact.inserts import busiest
from runbook.impact.missing_index import missing_index
from runbook.impact.outcome import ImpactFound, Series
from runbook.rehearsal.quarantine import quarantine
from runbook.rehearsal.rows import Rows, deletion, insertion, rows_of
from runbook.rehearsal.summary import copy_used
from runbook.relationships import Relationship
from runbook.schema import Match, Schema
from runbook.server import Session
from runbook.session import reason

WRITERS = (1, 2, 4)
TURNS = (False, True, True, False, False, True, True, False)  # with the keys, or without
COLD_ROUNDS = 10  # rounds of writes right after a restart
RESTARTS = 3
COLD = (
    f"the first {COLD_ROUNDS} rounds of a new session after a restart of the private server, which"
    f" was restarted {RESTARTS} times for each: the server's buffers and caches are empty, the"
    " operating system's file cache is not"
)
NOT_COLD = "not measured: a server that was given is not restarted"
EXPLAINED = 50


@dataclass(frozen=True)
class Request:
    """``seconds`` of each series; estimate and limits in milliseconds as far as declared."""

    environment: str
    seconds: float = 2.0
    estimate_ms: tuple[float, float] | None = None
    accepted_ms: float | None = None
    rollback_ms: float | None = None


@dataclass(frozen=True)
class _Pair:
    """The two databases, and the tables that are written: the child, then parents."""

    copy: Copy
    names: dict[bool, str]
    tables: tuple[Rows, ...]

    def connect(self, *, keys: bool) -> Callable[[], Session]:
        return lambda: self.copy.administer(self.names[keys])


def measure(
    copy: Copy,
    relationships: Sequence[Relationship],
    request: Request,
    say: Callable[[str], None],
) -> ImpactFound:
    """Measure the keys of the child table that has the most of ``relationships``.

    Raises :class:`IncompleteError` when no table has any, when its rows cannot be copied, or when
    a key cannot be added.
    """
    started = datetime.now(UTC)
    schema = copy.read()
    with closing(copy.administer()) as admin:
        possible = _possible(admin, relationships, schema)
        keys = busiest([item for item, _ in possible])
        if not keys:
            raise IncompleteError(
                f"environment {request.environment!r}: no relationship that a key could enforce",
                "declare relationships between tables that are there",
            )
        orphans = {item.id: found for item, found in possible}
        aside = quarantine(admin, [item for item, _ in possible], orphans)
        child = _writable(admin, schema, keys)
        parents = [
            rows_of(admin, schema.tables[name], (), {})
            for name in dict.fromkeys(item.parent for item in keys)
        ]
        rows = admin.execute(sql.SQL("SELECT count(*) FROM {}").format(child.name)).fetchone()
    usable, left_out = _copyable(copy, parents)
    pair = _pair(copy, schema, keys, (child, *usable))
    say(f"{len(keys)} keys of {keys[0].child.label}, with and without")
    series = [*_warm(pair, request, say), *_cold(pair, say)]
    with closing(copy.administer(pair.names[True])) as session:
        triggers = timing.trigger_times(session, child, EXPLAINED)
    say("deletes parents with and without an index on the child")
    missing = missing_index(copy, pair.names[True], [item for item, _ in possible])
    return ImpactFound(
        environment=request.environment,
        started=started,
        finished=datetime.now(UTC),
        tool_version=__version__,
        copy_used=copy_used(copy),
        table=keys[0].child.label,
        keys=tuple(item.label for item in keys),
        rows=int(rows[0]) if rows else 0,
        quarantined=sum(item.rows or 0 for item in aside),
        seconds_each=request.seconds,
        cold=COLD if copy.server.private else NOT_COLD,
        series=tuple(series),
        triggers=triggers,
        missing_index=missing,
        left_out=left_out,
        estimate_ms=request.estimate_ms,
        accepted_ms=request.accepted_ms,
        rollback_ms=request.rollback_ms,
    )


def _possible(
    session: Session, relationships: Sequence[Relationship], schema: Schema
) -> list[tuple[Relationship, sql.Composed]]:
    """The relationships that a key can enforce, with their orphan rows."""
    known = [r for r in relationships if r.child in schema.tables and r.parent in schema.tables]
    compared = operators.read(session, known)
    return [
        (item, query.orphans(item, schema, pairs, item.match or Match.SIMPLE))
        for item, pairs in zip(known, compared, strict=True)
        if pairs.pairs and not pairs.incomparable
    ]


def _writable(session: Session, schema: Schema, keys: Sequence[Relationship]) -> Rows:
    name = keys[0].child
    found = rows_of(session, schema.tables[name], keys, {})
    if found is None or not found.keys or not found.fresh:
        why = (
            "has no primary key"
            if found is None
            else (
                "has no rows"
                if not found.keys
                else "has a unique index that no new value is known for"
            )
        )
        raise IncompleteError(
            f"{name}: {why}: its rows cannot be copied", "measure on an environment with more rows"
        )
    return found


def _copyable(copy: Copy, parents: Sequence[Rows | None]) -> tuple[list[Rows], dict[str, str]]:
    """The parents whose rows can be copied and deleted again, and the others with why."""
    usable, left_out = [], {}
    with closing(copy.administer()) as session:
        for rows in parents:
            if rows is None or not rows.keys or not rows.fresh:
                if rows is not None:
                    left_out[rows.table.name.label] = "no copy of a row can be made"
                continue
            try:
                with session.transaction(force_rollback=True):
                    key = session.execute(insertion(rows, rows.keys[0])).fetchone()
                    session.execute(deletion(rows, key or ()))
            except psycopg.Error as error:
                left_out[rows.table.name.label] = reason(error)
            else:
                usable.append(rows)
    return usable, left_out


def _pair(
    copy: Copy, schema: Schema, keys: Sequence[Relationship], tables: tuple[Rows, ...]
) -> _Pair:
    names = {keyed: copy.server.new_name("keys" if keyed else "plain") for keyed in (False, True)}
    for keyed, name in names.items():
        copy.server.create(name, copy.database)
        with closing(copy.administer(name)) as session:
            for key in schema.keys_of(keys[0].child):
                declaring.drop(session, key.child, key.name)
            for number, item in enumerate(keys):
                if schema.tables[item.child].index_leading_with(item.columns) is None:
                    session.execute(declaring.index(item, f"runbook_impact_{number}"))
                if keyed:
                    declaring.add(session, item)
            session.execute("ANALYZE")
    return _Pair(copy, names, tables)


def _warm(pair: _Pair, request: Request, say: Callable[[str], None]) -> list[Series]:
    found = []

    def enough(rounds: int, seconds: float) -> bool:
        return rounds > 0 and seconds >= request.seconds / len(TURNS) * 2

    for writers in WRITERS:
        say(f"{writers} writers at a time" if writers > 1 else "one writer")
        for keyed in (False, True):
            timing.round_of(pair.connect(keys=keyed), pair.tables, writers, lambda n, _: n >= 10)
        times = {False: timing.Times(), True: timing.Times()}
        for keyed in TURNS:
            connect = pair.connect(keys=keyed)
            times[keyed].add(timing.round_of(connect, pair.tables, writers, enough))
            times[keyed].add(timing.copies_of(connect, pair.tables[0], writers, enough))
        for keyed in (False, True):
            found += times[keyed].series(writers, "warm", keys=keyed)
    return found


def _cold(pair: _Pair, say: Callable[[str], None]) -> list[Series]:
    if pair.copy.server.private is None:
        return []
    say("cold: the first writes after a restart")
    times = {False: timing.Times(), True: timing.Times()}
    for _ in range(RESTARTS):
        for keyed in (False, True):
            pair.copy.server.restart()
            connect = pair.connect(keys=keyed)
            times[keyed].add(
                timing.round_of(connect, pair.tables, 1, lambda rounds, _: rounds >= COLD_ROUNDS)
            )
    return [
        series.model_copy(update={"per_second": None})
        for keyed in (False, True)
        for series in times[keyed].series(1, "cold", keys=keyed)
    ]
