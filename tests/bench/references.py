"""What checks of references cost: ``python -m tests.bench.references --help``.

Five parents of different sizes, and records that refer to all of them. Ratios hold on any machine
whose server is as near; seconds hold on the one that measured them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from rich.console import Console

from runbook.references import Cache, Reference, Setup, reference_exists, validate_references
from runbook.references.batch import CHUNK
from runbook.references.validation import validate_batch_references
from tests.bench import results, server
from tests.bench.ways import timed

# rows of each parent; three have text keys as the demo's tables, two have uuids
PARENTS = {"a": 100, "b": 1_000, "c": 10_000, "d": 50_000, "e": 100_000}
UUIDS = ("b", "d")
SINGLE = 1_000
SAMPLE = 50
Record = dict[str, object]
TABLES = {name: f"public.parent_{name}" for name in PARENTS}


def build(owner: psycopg.Connection[Any], rows: int) -> None:
    """The parents, and a table ``records`` with ``rows`` rows that refer to all of them."""
    for name, size in PARENTS.items():
        kind = "uuid" if name in UUIDS else "text"
        table = sql.Identifier("public", f"parent_{name}")
        owner.execute(
            sql.SQL("CREATE TABLE {} (id {} PRIMARY KEY, name text)").format(table, sql.SQL(kind))
        )
        owner.execute(
            sql.SQL(
                "INSERT INTO {} SELECT md5({} || n)::uuid::{}, 'row ' || n"
                " FROM generate_series(1, %s) AS n"
            ).format(table, sql.Literal(name), sql.SQL(kind)),
            [size],
        )
    columns = sql.SQL(", ").join(
        sql.SQL("md5({} || 1 + (n * 7919) % {})::uuid::{} AS {}").format(
            sql.Literal(name),
            sql.Literal(size),
            sql.SQL("uuid" if name in UUIDS else "text"),
            sql.Identifier(name),
        )
        for name, size in PARENTS.items()
    )
    statement = sql.SQL(
        "CREATE TABLE public.records AS SELECT {} FROM generate_series(1, {}::bigint) AS n"
    )
    owner.execute(statement.format(columns, sql.Literal(rows)))
    owner.execute("ANALYZE")


def records(owner: psycopg.Connection[Any]) -> list[Record]:
    """The table's rows, with every value as the text that a file or a request has."""
    fields = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(n)) for n in PARENTS)
    found = owner.execute(sql.SQL("SELECT {} FROM public.records").format(fields)).fetchall()
    return [dict(zip(PARENTS, row, strict=True)) for row in found]


def joins() -> sql.Composed:
    return sql.SQL(" ").join(
        sql.SQL("LEFT JOIN {} AS {} ON {}.id = r.{}").format(
            sql.Identifier("public", f"parent_{name}"),
            sql.Identifier(f"p_{name}"),
            sql.Identifier(f"p_{name}"),
            sql.Identifier(name),
        )
        for name in PARENTS
    )


def missing() -> sql.Composed:
    return sql.SQL(" OR ").join(
        sql.SQL("{}.id IS NULL").format(sql.Identifier(f"p_{name}")) for name in PARENTS
    )


def sent_join(owner: psycopg.Connection[Any], rows: list[Record]) -> int:
    """The bare SQL join: all records sent as five arrays, and joined to the five parents."""
    arrays = sql.SQL(", ").join(
        sql.SQL("%s::{}[]").format(sql.SQL("uuid" if name in UUIDS else "text")) for name in PARENTS
    )
    statement = sql.SQL("SELECT r.n FROM unnest({}) WITH ORDINALITY AS r({}, n) {} WHERE {}")
    names = sql.SQL(", ").join(map(sql.Identifier, PARENTS))
    values = [[row[name] for row in rows] for name in PARENTS]
    return len(
        owner.execute(statement.format(arrays, names, joins(), missing()), values).fetchall()
    )


def stored_join(owner: psycopg.Connection[Any]) -> int:
    """The same join over records that are in the database: nothing is sent."""
    statement = sql.SQL("SELECT count(*) FROM public.records AS r {} WHERE {}")
    row = owner.execute(statement.format(joins(), missing())).fetchone()
    assert row is not None
    return int(row[0])


def one_by_one(owner: psycopg.Connection[Any], rows: list[Record]) -> int:
    return sum(
        not reference_exists(owner, TABLES[name], value)
        for row in rows
        for name, value in row.items()
    )


def references(row: Record) -> list[Reference]:
    return [Reference(name, value, TABLES[name]) for name, value in row.items()]


def expect_clean(found: object) -> None:
    if found != 0:  # as built; anything else is a broken benchmark
        raise RuntimeError(f"expected no failures, got {found!r}")


def medians(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Seconds of each way, the ways taking turns; a first turn warms the caches."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            seconds = timed(lambda way=way: expect_clean(way()))  # type: ignore[misc]
            if turn:
                found[name].append(seconds)
    return {name: statistics.median(each) for name, each in found.items()}


def batches(
    owner: psycopg.Connection[Any], rows: list[Record], rounds: int
) -> dict[str, results.Value]:
    """The batch validator against the bare join, and against a call a record."""
    few = rows[:SINGLE]
    seconds = medians(
        {
            "batch": lambda: validate_batch_references(owner, rows, TABLES).failed,
            "sent": lambda: sent_join(owner, rows),
            "stored": lambda: stored_join(owner),
        },
        rounds,
    )
    slow = medians(
        {
            "single": lambda: one_by_one(owner, few),
            "record": lambda: sum(
                len(validate_references(owner, references(row)).errors) for row in few
            ),
        },
        rounds,
    )
    each = len(few) * len(PARENTS)
    return {
        "rows": len(rows),
        "parents": len(PARENTS),
        "chunk": CHUNK,
        "round_trips": 1 + -(-len(rows) // CHUNK),
        "batch.seconds": results.rounded(seconds["batch"]),
        "batch.rows_per_second": int(results.rounded(len(rows) / seconds["batch"])),
        "batch.over_sql": results.rounded(seconds["batch"] / seconds["sent"]),
        "batch.over_stored_sql": results.rounded(seconds["batch"] / seconds["stored"]),
        "sql.seconds": results.rounded(seconds["sent"]),
        "stored_sql.seconds": results.rounded(seconds["stored"]),
        "record.rows_per_second": int(results.rounded(len(few) / slow["record"])),
        "single.rows_per_second": int(results.rounded(len(few) / slow["single"])),
        "single.round_trips_a_row": len(PARENTS),
        "single.reference_ms": results.rounded(slow["single"] / each * 1000),
        "record.reference_ms": results.rounded(slow["record"] / each * 1000),
    }


def choices(
    owner: psycopg.Connection[Any], rows: list[Record], rounds: int
) -> dict[str, results.Value]:
    """A transaction with one validation of five references: without, with a lock, and cached."""
    cache = Cache(TABLES.values(), most=SAMPLE * len(PARENTS), seconds=3600)
    few = rows[:SAMPLE]

    def checked(*, lock: bool = False, setup: Setup | None = None) -> int:
        errors = 0
        for row in few:
            with owner.transaction():
                found = validate_references(
                    owner, references(row), lock=lock, setup=setup or Setup()
                )
            errors += len(found.errors)
        return errors

    remembered = Setup(cache=cache)
    for row in few:  # outside a transaction: only what is committed is remembered
        validate_references(owner, references(row), setup=remembered)
    found = medians(
        {
            "none": lambda: sum(_empty(owner) for _ in few),
            "read": checked,
            "lock": lambda: checked(lock=True),
            "cache": lambda: checked(setup=remembered),
        },
        rounds * 5,
    )
    each = {name: (found[name] - found["none"]) / len(few) * 1000 for name in found}
    return {
        "read.ms": results.rounded(each["read"]),
        "lock.ms": results.rounded(each["lock"]),
        "lock.over_read": results.rounded(each["lock"] / each["read"]),
        "cache.ms": results.rounded(each["cache"]),
        "cache.over_read": results.rounded(each["cache"] / each["read"]),
    }


def _empty(owner: psycopg.Connection[Any]) -> int:
    with owner.transaction():
        return 0


def memory(
    owner: psycopg.Connection[Any], rows: list[Record], times: int
) -> dict[str, results.Value]:
    """The validator's own peak over the same records ``times`` over, as an iterator."""

    def repeated(n: int) -> Iterator[Record]:
        for _ in range(n):
            yield from rows

    peaks = []
    for n in (1, times):
        tracemalloc.start()
        expect_clean(validate_batch_references(owner, repeated(n), TABLES).failed)
        peaks.append(tracemalloc.get_traced_memory()[1] / 1e6)
        tracemalloc.stop()
    return {
        "memory.mb": results.rounded(peaks[0]),
        "memory.more_rows": len(rows) * times,
        "memory.more_mb": results.rounded(peaks[1]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="for the server; removed at the end")
    parser.add_argument("--save", type=Path, help="JSON file whose facts the site quotes")
    given = parser.parse_args()
    say = Console(width=140)
    with server.started(given.folder) as bench:
        build(bench.owner, given.rows)
        rows = records(bench.owner)
        found = batches(bench.owner, rows, given.rounds)
        found |= choices(bench.owner, rows, given.rounds)
        found |= memory(bench.owner, rows[: given.rows // 5], 5)
        found["postgresql"] = bench.owner.info.server_version // 10000
        found["cores"] = os.cpu_count() or 1
    facts = {f"references.{name}": value for name, value in found.items()}
    for name, value in facts.items():
        say.print(f"{name}: {value}")
    if given.save:
        results.save(given.save, "references", {}, facts)


if __name__ == "__main__":
    main()
