"""The benchmark of the site: its project is what it says, and builds."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbook import past_runs, record, run_folders
from runbook.settings import read as read_settings
from tests.bench import site, site_project
from tests.bench.site_project import Size

SMALL = Size(tables=6, relationships=9, environments=2, runs=4, findings=16, pages=4, rows=3)


def test_the_project_has_the_size_that_was_asked_for(tmp_path: Path) -> None:
    site_project.write(tmp_path, SMALL)
    settings = read_settings(tmp_path)
    items = settings.relationships().items
    assert items == site_project.relationships(SMALL)
    assert len({table for item in items for table in (item.child, item.parent)}) == 6
    runs = [run for name in SMALL.names for run in past_runs.of(settings.runs, name)]
    assert [len(run.counts) for run in runs] == [9] * 4
    newest = [record.read(found) for name in SMALL.names
              if (found := run_folders.newest(settings.runs, name))]  # fmt: skip
    evidence = [check.evidence[0].rows for run in newest for check in run.checks]
    assert sum(map(len, evidence)) == 16
    notebooks = list(tmp_path.glob("runs/*/*/*.ipynb"))
    assert len(notebooks) == 8  # two environments of two runs of two steps
    assert notebooks[0].read_text(encoding="utf-8").count("<tr><td>") == 3


def test_a_build_that_fails_ends_the_benchmark(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        site.build(tmp_path, ("mkdocs", "build"))
    assert str(caught.value).startswith("mkdocs build ended with 1:\n")


@pytest.mark.slow
def test_the_project_builds_as_ours_and_the_stock_way(tmp_path: Path) -> None:
    project, plain = tmp_path / "project", tmp_path / "plain"
    project.mkdir()
    plain.mkdir()
    site_project.write(project, SMALL)
    ours = site.build(project, ("runbook", "site", "build"))
    other = site.stock(project, plain, SMALL.names)
    assert len(list((project / "site").glob("results/relationships/*.html"))) == 9
    assert len(list((plain / "site").glob("environment_*/*/index.html"))) == 4
    facts = site.facts_of(SMALL, ours, ours, other)
    assert facts["site.findings"] == 16
    assert facts["site.pages"] == 4
    assert ours.largest_relationship < 15_000
