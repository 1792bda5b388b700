"""Benchmarks of the audit: ``python -m tests.bench --help``.

Ratios of one run hold on any machine; seconds hold on the one that measured them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

from runbook import session as sessions
from tests.bench import catalogs, results, server, shapes, sizes, ways
from tests.bench.ratios import Measured, total
from tests.bench.server import Bench

ENOUGH_SECONDS, MOST_ROUNDS = 10, 31  # short rounds are noisy: they are taken more often


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="child rows of all shapes")
    parser.add_argument("--rounds", type=int, default=5, help="of each way and shape, at least")
    parser.add_argument("--shapes", nargs="*", default=[], help="only these titles")
    parser.add_argument("--folder", type=Path, help="for the server; removed at the end")
    parser.add_argument("--catalog", type=int, metavar="TABLES", help="read so many tables instead")
    parser.add_argument("--census", action="store_true", help="with --catalog: take it as well")
    parser.add_argument("--model", action="store_true", help="fit the cost model instead")
    parser.add_argument("--save", type=Path, help="JSON file whose facts the site quotes")
    return parser.parse_args()


def measure(bench: Bench, shape: shapes.Shape, rows: int, rounds: int, say: Console) -> Measured:
    took = ways.timed(lambda: shapes.build(bench.owner, shape, rows))
    say.print(f"{shape.title}: {shape.rows(rows):,} rows built in {took:.0f} s")
    reader = sessions.connect(bench.environment)
    try:
        subject = ways.look(bench, reader, shapes.relationships(shape))
        skips = ways.can_skip(bench, reader, subject)
        # the first round fills the caches, and tells how many more a small table needs
        once = ways.timed(lambda: ways.one_round(bench, reader, subject, skips, 0))
        again = max(rounds, min(MOST_ROUNDS, int(ENOUGH_SECONDS / once)))
        found = [ways.one_round(bench, reader, subject, skips, n) for n in range(again)]
    finally:
        reader.close()
    seconds = {way: [each.seconds[way] for each in found] for way in found[0].seconds}
    return Measured(shape.title, shape.rows(rows), found[0].strategy, seconds)


def version_of(bench: Bench) -> str:
    number = bench.owner.info.server_version
    return f"{number // 10000}.{number % 10000}"


def show(found: list[Measured], say: Console) -> None:
    table = Table("shape", "rows", "took", "seconds", "over best", *ways.WAYS[1:])
    for shape in found:
        ratios = [shape.ratio(way, ways.ENGINE) for way in ways.WAYS[1:]]
        table.add_row(
            shape.title,
            f"{shape.rows:,}",
            shape.strategy,
            f"{shape.median(ways.ENGINE):.3f}",
            f"{shape.over_best(ways.ENGINE, (ways.SKIP, ways.ANTI)):.2f}",
            *("" if ratio is None else f"{ratio:.2f}" for ratio in ratios),
        )
    say.print(table)


def ratios(given: argparse.Namespace, bench: Bench, say: Console) -> dict[str, results.Value]:
    found = [
        measure(bench, shape, given.rows, given.rounds, say)
        for shape in shapes.chosen(given.shapes)
    ]
    everything = total(found, "all", ways.WAYS)
    show([*found, everything], say)
    return results.of_ratios(found, everything, shapes.KEYS, given.rounds)


def read_catalog(given: argparse.Namespace, bench: Bench, say: Console) -> dict[str, results.Value]:
    tables = given.catalog
    catalogs.build(bench, tables)
    reading = catalogs.read(bench, tables, catalogs.relationships(tables), given.census)
    for title, seconds in reading.seconds.items():
        say.print(f"{title}: {seconds:.2f} s")
    say.print(f"together: {reading.total:.2f} s, peak {reading.megabytes:.0f} MB")
    return results.of_catalog(reading)


def fit_model(given: argparse.Namespace, bench: Bench, say: Console) -> dict[str, results.Value]:
    facts = results.of_models(sizes.models(bench, given.rounds))
    for name, value in facts.items():
        say.print(f"{name}: {value}")
    return facts


def main() -> None:
    given = arguments()
    say = Console(width=140)
    with server.started(given.folder) as bench:
        where = results.conditions(version_of(bench))
        if given.catalog:
            section, facts = "catalog", read_catalog(given, bench, say)
        elif given.model:
            section, facts = "model", fit_model(given, bench, say)
        else:
            section, facts = "ratios", ratios(given, bench, say)
    if given.save:
        results.save(given.save, section, where, facts)


if __name__ == "__main__":
    main()
