"""Reading a catalog of many tables: seconds of each reader, and the peak memory of the process."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from runbook import catalog, census, operators, statistics
from runbook import session as sessions
from runbook.relationships import Relationship, Relationships
from runbook.schema import TableName
from tests.bench.server import Bench
from tests.bench.ways import timed

SCHEMA = "wide"
BATCH = 500  # tables of one transaction: each takes locks until its end

Read = TypeVar("Read")


@dataclass(frozen=True)
class Reading:
    """Seconds by reader, and megabytes of the process at its largest."""

    tables: int
    keys: int
    seconds: dict[str, float]
    megabytes: float

    @property
    def total(self) -> float:
        return sum(self.seconds.values())


def name(number: int) -> str:
    return f"table_{number}"


def relationships(tables: int) -> Relationships:
    """Each table refers to the next one, the last to the first."""
    return Relationships(
        tuple(
            Relationship(
                TableName(SCHEMA, name(number)),
                ("parent_id",),
                TableName(SCHEMA, name((number + 1) % tables)),
                ("id",),
            )
            for number in range(tables)
        )
    )


def build(bench: Bench, tables: int) -> None:
    """Tables of five columns with a primary key and an index, and a foreign key each."""
    bench.owner.execute(f"CREATE SCHEMA {SCHEMA}".encode())
    create = (
        f"CREATE TABLE {SCHEMA}.{{name}} (id bigint PRIMARY KEY, parent_id bigint,"
        " title text NOT NULL, made timestamptz, state text CHECK (state <> ''));"
        f"CREATE INDEX ON {SCHEMA}.{{name}} (parent_id)"
    )
    link = (
        f"ALTER TABLE {SCHEMA}.{{name}} ADD FOREIGN KEY (parent_id)"
        f" REFERENCES {SCHEMA}.{{parent}} (id)"
    )
    for text in (create, link):
        for first in range(0, tables, BATCH):
            numbers = range(first, min(first + BATCH, tables))
            batch = [text.format(name=name(n), parent=name((n + 1) % tables)) for n in numbers]
            bench.owner.execute("; ".join(batch).encode())
    bench.owner.execute("VACUUM (ANALYZE) pg_catalog.pg_class")
    bench.owner.execute("ANALYZE")


def read(bench: Bench, tables: int, keys: Relationships, with_census: bool) -> Reading:
    """Read everything that an audit reads before it counts, in one transaction."""
    seconds: dict[str, float] = {}

    def clocked(title: str, work: Callable[[], Read]) -> Read:
        found: list[Read] = []
        seconds[title] = timed(lambda: found.append(work()))
        return found[0]

    reader = sessions.connect(bench.environment)
    try:
        with sessions.reading(reader, bench.environment):
            schema = clocked("catalog", lambda: catalog.read(reader, [SCHEMA]))
            comparisons = clocked("operators", lambda: operators.read(reader, keys.items))
            clocked("statistics", lambda: statistics.read(reader, keys.items))
    finally:
        reader.close()
    if with_census:
        clocked("census", lambda: census.take(keys, schema, comparisons))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    per_megabyte = 1024**2 if sys.platform == "darwin" else 1024  # bytes there, kilobytes here
    return Reading(tables, len(schema.foreign_keys), seconds, peak / per_megabyte)
