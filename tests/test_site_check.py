"""``runbook site check``: every kind of fault is found, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from runbook import sql_blocks
from runbook.settings import Settings
from runbook.settings import read as read_settings
from runbook.site import check
from runbook.site.check import Fault
from tests import project


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Settings]:
    """A project with one document of this text."""
    text = (project.ROOT / "runbook.toml").read_text(encoding="utf-8")
    text = text.replace('"runbook/telecore/', f'"{project.ROOT}/runbook/telecore/')
    (tmp_path / "runbook.toml").write_text(text, encoding="utf-8")
    (tmp_path / "mkdocs.yml").write_text(
        "nav: [index.md, gone.md, results/index.md]\n", encoding="utf-8"
    )
    (tmp_path / "docs" / "results").mkdir(parents=True)
    (tmp_path / "docs" / "results" / "index.md").write_text("made: 42\n", encoding="utf-8")

    def write(document: str) -> Settings:
        (tmp_path / "docs" / "index.md").write_text(document, encoding="utf-8")
        return read_settings(tmp_path)

    return write


def test_a_figure_is_reported(written: Callable[[str], Settings]) -> None:
    settings = written("# Title\n\nIt has twelve keys, `12` of 13.\n")
    assert list(check.of_figures(settings)) == [
        Fault("docs/index.md:3", "the figure 'twelve' is no fact"),
        Fault("docs/index.md:3", "the figure '13' is no fact"),
    ]


def test_a_fact_that_is_unknown_is_reported(written: Callable[[str], Settings]) -> None:
    settings = written('{{ fact("limits.tables") }} {{ fact("limits.tabels") }}')
    assert list(check.of_facts(settings)) == [
        Fault(
            "docs/index.md",
            "fact 'limits.tabels': fact 'limits.tabels' is unknown, the nearest is 'limits.tables'",
        )
    ]


def test_dead_links_are_reported(tmp_path: Path) -> None:
    pages = {
        "index.html": '<a href="a/">x</a><a href="a/#there">x</a><a href="a/#gone">x</a>'
        '<a href="b/">x</a><img src="no.png"><a href="https://elsewhere/">x</a>'
        '<a href="#top">x</a><a href="">x</a><h1 id="top">x</h1>',
        "a/index.html": '<a href="..">x</a><a href="../..">out</a><h2 id="there">x</h2>',
        "404.html": '<a href="/anywhere">x</a>',
    }
    for name, text in pages.items():
        (tmp_path / "site" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "site" / name).write_text(text, encoding="utf-8")
    (tmp_path / "index.html").write_text("", encoding="utf-8")
    assert list(check.of_links(tmp_path / "site")) == [
        Fault("a/index.html", "the link '../..' leads nowhere"),
        Fault("index.html", "the link 'a/#gone' leads to no anchor"),
        Fault("index.html", "the link 'b/' leads nowhere"),
        Fault("index.html", "the link 'no.png' leads nowhere"),
    ]


def test_sql_that_cannot_be_prepared_is_reported(settings: Settings, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# Title\n\n```sql\nSELECT id FROM users;\n\n-- wrong\nSELECT nothing\n  FROM users;\n"
        "DELETE FROM public.users WHERE id = 'x';\nALTER TABEL users ADD x int;\n```\n\n"
        "```sql\nCREATE FUNCTION f() RETURNS int LANGUAGE sql AS $x$\n  SELECT 1;\n"
        "  SELECT 2;\n$x$; -- done\nVACUUM users\n```\n",
        encoding="utf-8",
    )
    found = list(sql_blocks.faults(settings.environment("staging"), page))
    assert found == [
        (6, 'the SQL cannot be prepared: column "nothing" does not exist'),
        (10, 'the SQL cannot be prepared: syntax error at or near "TABEL"'),
    ]


def test_nothing_is_executed(settings: Settings, tmp_path: Path) -> None:
    """``DELETE`` is prepared in a read-only transaction; a function with an effect is not run."""
    page = tmp_path / "page.md"
    page.write_text("```sql\nSELECT pg_sleep(60);\n```\n", encoding="utf-8")
    assert list(sql_blocks.faults(settings.environment("staging"), page)) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("-- only a word\n", []),
        ("SELECT 1", [(0, "SELECT 1")]),
        ("\nSELECT ';' || 1;\n\nSELECT 2;", [(1, "SELECT ';' || 1"), (3, "SELECT 2")]),
        ("DO $$ BEGIN;\nEND; $$;", [(0, "DO $$ BEGIN;\nEND; $$")]),
    ],
)
def test_statements(text: str, found: list[tuple[int, str]]) -> None:
    assert list(sql_blocks.statements(text)) == found
