"""What the results of a fleet come to: worst first, distribution, and schemas that differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from runbook.fleet.ledger import FleetRecord
from runbook.fleet.result import Result, State

CLASSES = (
    (0, "none"),
    (9, "1 to 9"),
    (99, "10 to 99"),
    (999, "100 to 999"),
    (9999, "1,000 to 9,999"),
)
MORE = "10,000 or more"


@dataclass(frozen=True)
class Schema:
    """Databases that declare the same tables: how many, and their names."""

    structure: str
    databases: tuple[str, ...]


@dataclass(frozen=True)
class Summary:
    """Counts of databases by state, orphan rows in all, and the order to look at them in.

    ``distribution`` counts databases by their orphan rows, of those that were looked at. The first
    of ``schemas`` is the one that most have; ``keys_differ`` names databases of that schema whose
    foreign keys are not those that most have.
    """

    databases: int
    states: dict[State, int]
    orphan_rows: int
    worst: tuple[Result, ...]
    distribution: tuple[tuple[str, int], ...]
    schemas: tuple[Schema, ...]
    unread: tuple[str, ...]
    keys_differ: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def outliers(self) -> tuple[Schema, ...]:
        """The schemas that are not the one that most databases have."""
        return self.schemas[1:]


def of(found: FleetRecord) -> Summary:
    """Pure; the same results give the same summary in any order."""
    worst = sorted(found.results, key=_badness)
    states = Counter(result.state for result in worst)
    states[State.NOT_LOOKED] += len(found.missing)
    schemas = _schemas(worst)
    return Summary(
        databases=len(found.databases),
        states={state: states[state] for state in State},
        orphan_rows=sum(result.orphan_rows for result in worst),
        worst=tuple(worst),
        distribution=_distribution([r.orphan_rows for r in worst if r.looked]),
        schemas=schemas,
        unread=tuple(sorted(result.database for result in worst if not result.structure)),
        keys_differ=_keys_differ(worst, schemas),
        missing=found.missing,
    )


def _badness(result: Result) -> tuple[int, int, str]:
    return result.state.rank, -result.orphan_rows, result.database


def _distribution(rows: Sequence[int]) -> tuple[tuple[str, int], ...]:
    counts = Counter(
        next((label for most, label in CLASSES if number <= most), MORE) for number in rows
    )
    return tuple((label, counts[label]) for label in (*(label for _, label in CLASSES), MORE))


def _schemas(results: Sequence[Result]) -> tuple[Schema, ...]:
    """The schemas by how many databases have them; of equals, the first name decides."""
    names: dict[str, list[str]] = {}
    for result in sorted(results, key=lambda result: result.database):
        if result.structure:
            names.setdefault(result.structure, []).append(result.database)
    found = [Schema(structure, tuple(databases)) for structure, databases in names.items()]
    return tuple(sorted(found, key=lambda schema: (-len(schema.databases), schema.databases)))


def _keys_differ(results: Sequence[Result], schemas: Sequence[Schema]) -> tuple[str, ...]:
    """Databases of the common schema whose keys are not those that most of them have."""
    if not schemas:
        return ()
    same = [r for r in results if r.structure == schemas[0].structure and r.fingerprint]
    if not same:
        return ()
    counts = Counter(result.fingerprint for result in sorted(same, key=lambda r: r.database))
    usual = counts.most_common(1)[0][0]
    return tuple(sorted(result.database for result in same if result.fingerprint != usual))
