"""Estimates the orphan rows of a table from some of its pages.

``TABLESAMPLE SYSTEM`` takes whole pages, and orphan rows cluster in them, so a page is the unit:
the estimate is the mean of the pages' counts times the pages, and its variance is that between
pages (Cochran, *Sampling Techniques*, 9.2: single-stage cluster sampling). With no orphan row in
``m`` pages, at most the share ``1 - 0.05 ** (1 / m)`` of the pages can hold any, at 95 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from psycopg import sql

from runbook.audit import query
from runbook.operators import Comparisons
from runbook.relationships import Relationship
from runbook.schema import Match, Schema

SEED = 20251229
USUAL_PERCENT = 1.0
USUAL_PAGES = (1_000, 50_000)  # at least and at most: the bound narrows with the pages alone
FEWEST_PAGES = 30  # with fewer the normal bound means nothing: count exactly instead
QUANTILE = 1.96


@dataclass(frozen=True)
class Estimate:
    """Orphan rows: the estimate, and the bounds of its 95 % interval."""

    rows: int
    low: int
    high: int


def percent(all_pages: int) -> float:
    """How much of a table of so many pages is worth reading for an estimate; 100: all of it."""
    least, most = USUAL_PAGES
    wanted = min(max(all_pages * USUAL_PERCENT / 100, least), most)
    return min(100.0, 100 * wanted / max(all_pages, 1))


def pages(
    relationship: Relationship,
    schema: Schema,
    comparisons: Comparisons,
    match: Match,
    percentage: float,
) -> sql.Composed:
    """One row over the sampled pages: pages, rows, orphan rows, sum of squared orphan rows."""
    child, parent = schema.tables[relationship.child], schema.tables[relationship.parent]
    return sql.SQL(
        "SELECT count(*), coalesce(sum(n), 0), coalesce(sum(o), 0), coalesce(sum(o * o), 0)"
        " FROM (SELECT count(*) AS n, count(*) FILTER (WHERE ({present}) AND pk.{key} IS NULL) AS o"
        " FROM {child} fk TABLESAMPLE SYSTEM ({percent}) REPEATABLE ({seed})"
        " LEFT JOIN {parent} pk ON {equal}"
        " GROUP BY fk.tableoid, (fk.ctid::text::point)[0]) page"
    ).format(
        present=query.present(relationship.columns, match),
        key=sql.Identifier(relationship.references[0]),
        child=query.table(child),
        percent=sql.Literal(percentage),
        seed=sql.Literal(SEED),
        parent=query.table(parent),
        equal=query.equal(relationship, comparisons),
    )


def estimate(all_pages: int, sampled: int, rows: int, orphans: int, squares: int) -> Estimate:
    """From the sums of ``sampled`` pages to the whole table of ``all_pages``.

    ``low`` is never under what was seen with our own eyes.
    """
    if sampled >= all_pages:
        return Estimate(orphans, orphans, orphans)
    if orphans == 0:
        share = 1 - 0.05 ** (1 / sampled)
        return Estimate(0, 0, math.ceil(share * all_pages * rows / sampled))
    mean = orphans / sampled
    variance = max(0.0, (squares - sampled * mean**2) / (sampled - 1))
    spread = QUANTILE * all_pages * math.sqrt((1 - sampled / all_pages) * variance / sampled)
    total = mean * all_pages
    return Estimate(round(total), max(orphans, round(total - spread)), math.ceil(total + spread))
