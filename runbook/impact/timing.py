"""Times the writes of one table, by one or several writers at a time."""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Literal

import psycopg
from psycopg import sql

from runbook.errors import IncompleteError
from runbook.impact.outcome import Series, TriggerTime
from runbook.rehearsal.rows import Rows, deletion, insertion, moving
from runbook.server import Session
from runbook.session import reason

COPIED = 1_000  # rows of one COPY
COPY = f"COPY of {COPIED:,} rows"
# the commit's wait for the disk is the same with and without keys, and would hide their cost
SETTINGS = "SET statement_timeout = '60s'; SET synchronous_commit = off"

Connect = Callable[[], Session]


@dataclass
class Times:
    """Seconds of each operation, and of all the time that it was measured in."""

    of: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    wall: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, other: Times) -> None:
        for name, values in other.of.items():
            self.of[name] += values
        for name, seconds in other.wall.items():
            self.wall[name] += seconds

    def series(
        self, writers: int, temperature: Literal["warm", "cold"], *, keys: bool
    ) -> list[Series]:
        return [
            Series(
                operation=name,
                writers=writers,
                temperature=temperature,
                keys=keys,
                count=len(values),
                p50_ms=_ms(statistics.median(values)),
                p95_ms=_ms(_percentile(values, 95)),
                p99_ms=_ms(_percentile(values, 99)),
                per_second=round(len(values) / self.wall[name], 1) if self.wall[name] else None,
            )
            for name, values in self.of.items()
        ]


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 4)


def _percentile(values: Sequence[float], percent: int) -> float:
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def round_of(
    connect: Connect, tables: Sequence[Rows], writers: int, enough: Callable[[int, float], bool]
) -> Times:
    """Let ``writers`` write to ``tables``, child first, until ``enough(rounds, seconds)``.

    A round inserts a copy of a row, lets it refer to other parents, and deletes it; and inserts
    and deletes one of a parent, each in its turn. Raises :class:`IncompleteError` when a writer
    fails.
    """
    return _together(writers, lambda number: _writes(connect, tables, number, enough))


def copies_of(
    connect: Connect, child: Rows, writers: int, enough: Callable[[int, float], bool]
) -> Times:
    """The same with COPY; each is rolled back once it is measured."""
    return _together(writers, lambda _: _bulk(connect, child, enough))


def _together(writers: int, work: Callable[[int], Times]) -> Times:
    found, failures = [], []

    def run(number: int) -> None:
        try:
            found.append(work(number))
        except psycopg.Error as error:
            failures.append(reason(error))

    threads = [
        threading.Thread(target=run, args=(number,), daemon=True, name=f"impact {number}")
        for number in range(writers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise IncompleteError(
            f"a writer failed while the keys were measured: {failures[0]}",
            "measure with --sample-rows, or mend what its rows break",
        )
    whole = Times()
    for times in found:
        whole.add(times)
    for name in whole.wall:  # of the writers' sum, the share of one: they worked at the same time
        whole.wall[name] /= writers
    return whole


def _writes(
    connect: Connect, tables: Sequence[Rows], number: int, enough: Callable[[int, float], bool]
) -> Times:
    times, chance = Times(), random.Random(number)  # noqa: S311 - which row it is does not matter
    with closing(connect()) as session:
        session.execute(SETTINGS)
        began, rounds, parents = time.monotonic(), 0, tables[1:]
        while not enough(rounds, time.monotonic() - began):
            _round(session, times, tables[0], "", chance)
            if parents:
                _round(session, times, parents[rounds % len(parents)], "parent ", chance)
            rounds += 1
    for name, values in times.of.items():
        times.wall[name] = sum(values)
    return times


def _round(session: Session, times: Times, rows: Rows, prefix: str, chance: random.Random) -> None:
    key = _timed(session, times, f"{prefix}insert", insertion(rows, chance.choice(rows.keys)))
    if not prefix:
        _timed(session, times, "update", moving(rows, key, chance.choice(rows.keys)))
    _timed(session, times, f"{prefix}delete", deletion(rows, key))


def _timed(session: Session, times: Times, name: str, statement: sql.Composed) -> tuple[str, ...]:
    query = statement.as_bytes(session)
    began = time.perf_counter()
    cursor = session.execute(query)
    times.of[name].append(time.perf_counter() - began)
    row = cursor.fetchone() if cursor.description else None
    return tuple(row) if row else ()


def _bulk(connect: Connect, child: Rows, enough: Callable[[int, float], bool]) -> Times:
    times = Times()
    fresh = dict(child.fresh)
    names = [column.name for column in child.table.columns if not column.generated]
    columns = sql.SQL(", ").join(map(sql.Identifier, names))
    chosen = sql.SQL("COPY (SELECT {} FROM {}, generate_series(1, {}) LIMIT {}) TO STDOUT").format(
        sql.SQL(", ").join(fresh.get(name, sql.Identifier(name)) for name in names),
        child.name,
        sql.Literal(-(-COPIED // max(1, len(child.keys)))),
        sql.Literal(COPIED),
    )
    into = sql.SQL("COPY {} ({}) FROM STDIN").format(child.name, columns)
    with closing(connect()) as session:
        session.execute(SETTINGS)
        with session.cursor().copy(chosen) as reading:  # each writer has keys of its own
            data = b"".join(bytes(block) for block in reading)
        began, rounds = time.monotonic(), 0
        while not enough(rounds, time.monotonic() - began):
            with session.transaction(force_rollback=True), session.cursor() as cursor:
                start = time.perf_counter()
                with cursor.copy(into) as writing:
                    writing.write(data)
                times.of[COPY].append(time.perf_counter() - start)
            rounds += 1
        times.wall[COPY] = sum(times.of[COPY])
    return times


def trigger_times(session: Session, child: Rows, count: int) -> tuple[TriggerTime, ...]:
    """The constraint triggers' part of an insert, an update and a delete, by EXPLAIN ANALYZE."""
    chance = random.Random(0)  # noqa: S311 - which row it is does not matter
    found: dict[str, list[tuple[float, float]]] = {"insert": [], "update": [], "delete": []}
    for _ in range(count):
        row, other = chance.choice(child.keys), chance.choice(child.keys)
        with session.transaction(force_rollback=True):
            found["insert"].append(_explained(session, insertion(child, row)))
            made = session.execute(insertion(child, row)).fetchone()
            key = tuple(made) if made else row
            found["update"].append(_explained(session, moving(child, key, other)))
            found["delete"].append(_explained(session, deletion(child, key)))
    return tuple(
        TriggerTime(
            operation=name,
            count=len(pairs),
            triggers_ms=round(statistics.median(t for t, _ in pairs), 4),
            statement_ms=round(statistics.median(whole for _, whole in pairs), 4),
        )
        for name, pairs in found.items()
    )


def _explained(session: Session, statement: sql.Composed) -> tuple[float, float]:
    """Milliseconds in triggers of constraints, and altogether."""
    row = session.execute(sql.SQL("EXPLAIN (ANALYZE, FORMAT JSON) ") + statement).fetchone()
    if row is None:
        raise IncompleteError("EXPLAIN ANALYZE returned no plan", "run it again")
    plan = row[0][0]
    named = [t["Time"] for t in plan.get("Triggers", []) if "Constraint Name" in t]
    return sum(named), plan["Execution Time"]
