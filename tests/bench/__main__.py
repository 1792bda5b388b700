"""Counting orphan rows on the demo's staging, this engine against the plain ways.

Each round runs all of them in turn, so that drift hits all alike; the ratio is the median of the
rounds' own ratios. ``VALIDATE`` needs the keys, so it runs as the owner in a transaction that is
rolled back.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from runbook import checks, demo, migration, session, steps
from runbook.audit import engine
from runbook.environment import Connection, Environment
from runbook.findings import KeyState
from runbook.relationships import Relationship
from runbook.session import Purpose
from runbook.settings import read as read_settings


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def missing(context: checks.Context) -> list[Relationship]:
    """The relationships without a key here: the only ones that VALIDATE can be timed on."""
    return [row.relationship for row in context.census if row.state is KeyState.MISSING]


def left_joins(context: checks.Context) -> None:
    """The query of hand-written audits: LEFT JOIN, then the rows without a parent."""
    for item in missing(context):
        on = " AND ".join(
            f"p.{migration.quote(reference)} = c.{migration.quote(column)}"
            for reference, column in zip(item.references, item.columns, strict=True)
        )
        first, column = migration.quote(item.references[0]), migration.quote(item.columns[0])
        context.session.execute(
            f"SELECT count(*) FROM {item.child} c LEFT JOIN {item.parent} p ON {on}"
            f" WHERE p.{first} IS NULL AND c.{column} IS NOT NULL"
        ).fetchall()


def audits(context: checks.Context) -> None:
    chosen = missing(context)
    comparisons = [
        comparison
        for item, comparison in zip(context.relationships, context.comparisons, strict=True)
        if item in chosen
    ]
    engine.count(context.session, chosen, context.schema, comparisons)


def validate(environment: Environment, context: checks.Context) -> float:
    """Seconds of VALIDATE alone, each key in a transaction of its own that is rolled back."""
    owner = session.connect(environment, Purpose.WRITE)
    seconds = 0.0
    try:
        for item in missing(context):
            with session.trying(owner, environment):
                keys = migration.statements(item)
                owner.execute(keys.add.encode())
                seconds += timed(lambda keys=keys: owner.execute(keys.validate.encode()))  # type: ignore[misc]
    finally:
        owner.close()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    settings = read_settings()
    console = Console()
    demo.prepare(settings, None, console.print)
    environment = settings.environment("staging")
    owner = Connection(embedded="telecore_staging", role="telecore_owner")
    environment = environment.model_copy(update={"owner": owner})
    reader = session.connect(environment)
    ways: dict[str, list[float]] = {"this engine": [], "LEFT JOIN": [], "VALIDATE": []}
    with session.reading(reader, environment):
        context = steps.look(settings, environment, reader)
        for _ in range(rounds):
            ways["this engine"].append(timed(lambda: audits(context)))
            ways["LEFT JOIN"].append(timed(lambda: left_joins(context)))
    reader.close()
    ways["VALIDATE"] = [validate(environment, context) for _ in range(rounds)]
    table = Table("way", "median seconds", "ratio to this engine")
    for name, seconds in ways.items():
        ratios = [other / own for other, own in zip(seconds, ways["this engine"], strict=True)]
        table.add_row(name, f"{statistics.median(seconds):.3f}", f"{statistics.median(ratios):.2f}")
    console.print(f"{len(missing(context))} relationships, {rounds} rounds")
    console.print(table)


main()
