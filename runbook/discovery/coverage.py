"""The chance that a column refers to a key, by rows alone: nothing here looks at a name.

Numbers that count rows lie inside each other by coincidence, so an inclusion says little by
itself. What speaks is how much of the parent the values cover, how far up its range they go, how
many other keys would do as well, and what the declarations say of either side.

The weights, in log-odds, are fitted by ``python -m tests.score --fit-rows`` to the six schemas
that come with rows, with their names hidden and, for columns that no name matched, as they are.
How well they do on a schema that was left out of the fit is in docs/discovery.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runbook.discovery import types
from runbook.discovery.data import Spread
from runbook.discovery.house import leads
from runbook.discovery.nearest import Fit
from runbook.discovery.vocabulary import Vocabulary
from runbook.schema import Column, TableName

FULL = 0.98
CLOSE = 0.1  # of nearness: another key fits as well
WEIGHTS: Mapping[str, float] = {
    "behind": -0.93,
    "coverage": 0.193,
    "distinct": -0.084,
    "full": 0.522,
    "gaps": 1.241,
    "in.pk": 0.746,
    "is.pk": -2.092,
    "is.pk.first": -1.865,
    "led": 1.699,
    "not.primary": -1.188,
    "nullable": 1.782,
    "one": -2.738,
    "orphans": -2.15,
    "reach": 1.058,
    "repeated": -0.319,
    "rivals": -0.833,
    "same.schema": 1.305,
    "spoken": -2.286,
    "text": 1.184,
    "top": 0.87,
    "type.same": 1.745,
    "unique": -1.484,
}


@dataclass(frozen=True)
class Tested:
    """A key that a column's values fit, and the share of its rows without a parent."""

    fit: Fit
    orphans: float


def features(  # noqa: PLR0913, PLR0917 - a column, its keys and the schema
    vocabulary: Vocabulary,
    name: TableName,
    column: Column,
    spread: Spread,
    tested: Sequence[Tested],
    spoken: float,
) -> tuple[Mapping[str, float], ...]:
    """Those of each key that was tested; ``spoken`` is how much this schema's names say."""
    shared = _column(vocabulary, name, column, spread) | {"spoken": spoken}
    nearest = max(each.fit.nearness for each in tested)
    several = len({table.schema for table in vocabulary.tables}) > 1
    found = []
    for each in tested:
        fit, key = each.fit, each.fit.key
        rivals = sum(other.fit.nearness > fit.nearness - CLOSE for other in tested) - 1
        own: dict[str, float] = {
            "coverage": fit.coverage,
            "reach": fit.reach,
            "full": fit.coverage >= FULL,
            "top": fit.reach >= FULL,
            "gaps": fit.gaps,
            "behind": nearest - fit.nearness,
            "rivals": math.log1p(rivals),
            "type.same": column.type == key.column.type,
            "not.primary": not key.primary,
            "orphans": each.orphans > 0,
            "same.schema": several and key.table.schema == name.schema,
        }
        found.append({n: float(v) for n, v in (shared | own).items() if v})
    return tuple(found)


def _column(
    vocabulary: Vocabulary, name: TableName, column: Column, spread: Spread
) -> dict[str, float]:
    """What is the same whichever key it refers to."""
    child = vocabulary.tables[name]
    primary = child.table.primary_key
    inside = primary is not None and column.name in primary.columns
    alone = inside and primary is not None and len(primary.columns) == 1
    unique = any(index.unique and index.columns == (column.name,) for index in child.table.indexes)
    numbers = types.family(column.type) == "integer"
    return {
        "one": 1.0,
        "is.pk": alone,
        "is.pk.first": alone and numbers and spread.least <= 1,
        "in.pk": inside and not alone,
        "unique": unique and not alone,
        "led": leads(child, column),
        "nullable": not column.not_null,
        "text": not numbers,
        "distinct": math.log10(max(spread.distinct, 1.0)),
        "repeated": math.log10(max(spread.values / max(spread.distinct, 1.0), 1.0)),
    }
