"""The pure parts of the benchmark: ratios, the model's fit, the shapes, and the saved facts."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from runbook import facts as all_facts
from runbook.errors import FileError
from runbook.settings import read as read_settings
from tests.bench import ratios, results, shapes
from tests.bench.model import ANTI_JOIN, Point, anti_join_terms, fit, solve
from tests.bench.ratios import Measured
from tests.bench.ways import dbt, left_join
from tests.conftest import ROOT


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    found = Measured("x", 1, "", {"own": [1.0, 2.0, 10.0], "other": [3.0, 2.0, 40.0]})
    assert found.ratio("other", "own") == 3.0
    assert found.ratio("never measured", "own") is None


def test_the_engine_is_held_against_the_best_single_strategy() -> None:
    found = Measured("x", 1, "", {"own": [2.0], "a": [1.0], "b": [4.0]})
    assert found.over_best("own", ("a", "b", "not measured")) == 2.0


def test_all_shapes_together_leave_out_what_was_not_measured_everywhere() -> None:
    both = [
        Measured("x", 10, "", {"own": [1.0, 2.0], "skip": [1.0, 1.0]}),
        Measured("y", 20, "", {"own": [3.0, 4.0]}),
    ]
    assert ratios.total(both, "all", ("own", "skip")) == Measured(
        "all", 30, "", {"own": [4.0, 6.0]}
    )


def test_a_fit_finds_the_coefficients_that_made_the_points() -> None:
    sizes = [(rows, wide * rows, parents)
             for rows in (200_000, 600_000, 2_000_000)
             for wide in (50, 400)
             for parents in (1_000, 200_000)]  # fmt: skip
    points = [Point(*size, 0.0) for size in sizes]
    made = [
        Point(p.rows, p.bytes, p.parents, 0.002 + p.rows / 1e6 * 0.2 + p.bytes / 1e9 * 0.1)
        for p in points
    ]
    model = fit(ANTI_JOIN, anti_join_terms, made)
    assert model.coefficients == pytest.approx((0.002, 0.2, 0.1, 0.0), abs=1e-6)
    assert max(model.error(point) for point in made) < 1e-6


def test_a_coefficient_is_never_negative() -> None:
    points = [Point(1_000_000 * n, 0, 1_000_000 * n, 1.0 / n) for n in (1, 2, 3)]
    assert min(fit(ANTI_JOIN, anti_join_terms, points).coefficients) >= 0


def test_equations_that_say_the_same_are_not_solved() -> None:
    assert solve([(1.0, 2.0), (1.0, 2.0)]) is None
    assert solve([(2.0,), (2.0,)]) == (0.5,)


def test_there_are_45_relationships_and_all_rows_are_given_away() -> None:
    assert sum(len(shapes.relationships(shape)) for shape in shapes.SHAPES) == 45
    assert sum(shape.share for shape in shapes.SHAPES) == 100
    assert sum(shape.rows(10_000_000) for shape in shapes.SHAPES) == 10_000_000


def test_an_unknown_shape_is_refused() -> None:
    assert shapes.chosen([]) == shapes.SHAPES
    with pytest.raises(ValueError, match="no shape 'round', expected one of unindexed text"):
        shapes.chosen(["round"])


def test_the_queries_of_other_tools() -> None:
    plain, composite = (
        next(iter(shapes.relationships(shape))) for shape in (shapes.SHAPES[0], shapes.SHAPES[-1])
    )
    assert left_join(composite) == (
        "SELECT count(*) FROM bench.composite c LEFT JOIN bench.composite_parent p"
        " ON p.tenant = c.key_1_tenant AND p.id = c.key_1"
        " WHERE p.tenant IS NULL AND c.key_1_tenant IS NOT NULL AND c.key_1 IS NOT NULL"
    )
    assert "left join parent on child.from_field = parent.to_field" in dbt(plain)


def test_saving_replaces_one_section(tmp_path: Path) -> None:
    path = tmp_path / "benchmarks.json"
    results.save(path, "catalog", {"cores": 2}, {"catalog.tables": 1})
    results.save(path, "ratios", {"cores": 4}, {"rows": 10})
    results.save(path, "ratios", {"cores": 4}, {"rows": 20})
    saved = json.loads(path.read_text())
    assert saved["catalog"]["facts"] == {"catalog.tables": 1, "catalog.cores": 2}
    assert saved["ratios"]["facts"] == {"rows": 20, "ratios.cores": 4}


def test_the_site_quotes_what_was_saved() -> None:
    settings = read_settings(ROOT)
    found = {fact.name: fact for fact in all_facts.of_benchmarks(settings)}
    rows = found["bench.rows"]
    assert (rows.source, rows.proof) == ("make bench", "performance.md")
    assert isinstance(rows.measured, date)
    assert str(ROOT) not in (ROOT / "docs" / "benchmarks.json").read_text()


def test_a_benchmark_file_that_is_broken_says_so(tmp_path: Path) -> None:
    settings = read_settings(ROOT)
    project = settings.project.model_copy(update={"docs": tmp_path})
    broken = settings.model_copy(update={"project": project})
    assert list(all_facts.of_benchmarks(broken)) == []
    (tmp_path / "benchmarks.json").write_text('{"ratios": {"facts": {}}}')
    with pytest.raises(FileError, match=r"cannot be read: KeyError\('measured'\)"):
        list(all_facts.of_benchmarks(broken))


def test_the_batch_validator_was_measured_near_the_bare_join() -> None:
    """The saved figures keep what the guide promises of 100,000 records and five parents."""
    saved = json.loads((ROOT / "docs" / "benchmarks.json").read_text(encoding="utf-8"))
    found = saved["references"]["facts"]
    assert (found["references.rows"], found["references.parents"]) == (100_000, 5)
    assert found["references.batch.over_sql"] <= 1.5
    assert found["references.memory.more_mb"] < 1.5 * found["references.memory.mb"]
