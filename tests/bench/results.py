"""What a benchmark found, as facts that the site quotes (``bench.<name>``).

The file has a section for each part of the benchmark, with the day and the conditions that its
figures were measured on; a new measurement replaces its own section alone.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from runbook.audit.strategy import Strategy
from tests.bench.catalogs import Reading
from tests.bench.model import BILLION
from tests.bench.ratios import Measured
from tests.bench.shapes import FEW
from tests.bench.sizes import CHECKED, FITTED, Models
from tests.bench.ways import ANTI, ENGINE, SKIP, WAYS

Value = str | int | float


def slug(title: str) -> str:
    return re.sub(r"\W+", "_", title.lower())


def rounded(value: float) -> float:
    """Three significant digits: more would claim a precision that no benchmark has."""
    return float(f"{value:.3g}")


def of_ratios(
    found: Sequence[Measured], everything: Measured, keys: int, rounds: int
) -> dict[str, Value]:
    facts: dict[str, Value] = {
        "rows": everything.rows,
        "relationships": len(found) * keys,
        "shapes": len(found),
        "rounds": rounds,
        "few_distinct": FEW,
    }
    for shape in (*found, everything):
        head = f"shape.{slug(shape.title)}"
        facts[f"{head}.rows"] = shape.rows
        facts[f"{head}.strategy"] = shape.strategy
        facts[f"{head}.seconds"] = rounded(shape.median(ENGINE))
        facts[f"{head}.over_best"] = rounded(shape.over_best(ENGINE, (SKIP, ANTI)))
        for way in WAYS[1:]:
            ratio = shape.ratio(way, ENGINE)
            facts[f"{head}.{slug(way)}"] = "–" if ratio is None else rounded(ratio)
    return facts


def of_catalog(reading: Reading) -> dict[str, Value]:
    facts: dict[str, Value] = {
        "catalog.tables": reading.tables,
        "catalog.keys": reading.keys,
        "catalog.seconds": rounded(reading.total),
        "catalog.megabytes": round(reading.megabytes),
    }
    return facts | {
        f"catalog.{title}.seconds": rounded(seconds) for title, seconds in reading.seconds.items()
    }


def of_models(models: Models) -> dict[str, Value]:
    """Coefficients in milliseconds, errors in percent, the prediction in seconds."""
    facts: dict[str, Value] = {
        "model.unit": 1_000_000,
        "model.sizes_fitted": ", ".join(f"{rows / 1e6:g} M" for rows in FITTED),
        "model.sizes_checked": ", ".join(f"{rows / 1e6:g} M" for rows in CHECKED),
        "model.points_checked": len(models.checked),
        "model.billion.rows": BILLION.rows,
        "model.billion.bytes_a_row": BILLION.bytes // BILLION.rows,
        "model.billion.parents": BILLION.parents,
    }
    for strategy, model in (
        (Strategy.ANTI_JOIN, models.anti_join),
        (Strategy.SKIP_SCAN, models.skip_scan),
    ):
        head = f"model.{slug(strategy.value)}"
        for name, seconds in zip(model.names, model.coefficients, strict=True):
            facts[f"{head}.{slug(name)}"] = rounded(seconds * 1000)
        errors = models.errors(strategy)
        facts[f"{head}.error_median"] = round(median(errors) * 100)
        facts[f"{head}.error_largest"] = round(max(errors) * 100)
        facts[f"{head}.billion"] = rounded(model.seconds(BILLION))
    return facts


def conditions(server_version: str) -> dict[str, Value]:
    return {"postgresql": server_version, "cores": os.cpu_count() or 1}


def save(path: Path, section: str, where: Mapping[str, Value], facts: Mapping[str, Value]) -> None:
    """Replace one section of the file; the others keep their dates."""
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    named = {f"{section}.{name}": value for name, value in where.items()}
    known[section] = {
        "measured": datetime.now(UTC).date().isoformat(),
        "facts": dict(facts) | named,
    }
    text = json.dumps(known, indent=2, ensure_ascii=False, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8")
