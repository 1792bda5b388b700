"""What is spared while pages are rendered: tables, templates, and files that MkDocs never sees."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jinja2 import Environment
from mkdocs_jupyter import convert
from nbconvert import HTMLExporter as Exporter
from nbformat import NotebookNode

from runbook import markup
from runbook.site import aside, templates

HTMLExporter: Any = Exporter  # has no types
ONE = markup.table(("a", "b"), [("x", 1), ("</table></div>", 2)], "One")
OTHER = markup.table(("c",), [("{{ 7*7 }}",)])


def test_tables_are_set_aside_and_put_back() -> None:
    text = f"# Title\n\n{ONE}\n\nbetween\n\n<details>{OTHER}</details>\n"
    rest, tables = aside.take(text)
    assert rest == (
        '# Title\n\n<div data-rb-aside="0"></div>\n\nbetween\n\n'
        '<details><div data-rb-aside="1"></div></details>\n'
    )
    assert tables == (ONE, OTHER)
    assert aside.put_back(rest, tables) == markup.light(text)
    table = markup.table(("a_b",), [("*<b>* &#95; {{ 1 }}",)])
    assert aside.put_back(*aside.take(table)) == (
        table.replace("a&#95;b", "a_b").replace("&#42;", "*")
    )
    assert "{{" not in table
    assert aside.take("no table") == ("no table", ())


@pytest.mark.parametrize("number", ["2", "99999999999999999999"])
def test_a_place_that_nothing_was_taken_from_stays(number: str) -> None:
    text = f'<div data-rb-aside="{number}"></div>'
    assert aside.put_back(text, (ONE, OTHER)) == text
    assert aside.put_back('<div data-rb-aside="0"></div>', ()) == '<div data-rb-aside="0"></div>'


def test_tables_of_a_notebook_are_those_of_its_outputs() -> None:
    def output(html: str | list[str]) -> NotebookNode:
        data = {"text/html": html, "text/plain": "a table"}
        made: NotebookNode = nbformat.v4.new_output("execute_result", data, execution_count=1)
        return made

    book = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell(ONE),
            nbformat.v4.new_code_cell(
                ONE, outputs=[output(ONE), nbformat.v4.new_output("stream", text=ONE)]
            ),
            nbformat.v4.new_code_cell("x", outputs=[output(f"<p>{OTHER}</p>".splitlines(True))]),
        ]
    )
    text, tables = aside.take_from_notebook(nbformat.writes(book))
    assert tables == (ONE, OTHER)
    found = nbformat.reads(text, as_version=4)
    nbformat.validate(found)
    markdown, first, second = found.cells
    assert (markdown.source, first.source, first.outputs[1].text) == (ONE, ONE, ONE)
    assert first.outputs[0].data["text/html"] == '<div data-rb-aside="0"></div>'
    assert second.outputs[0].data["text/html"] == '<p><div data-rb-aside="1"></div></p>'


@pytest.mark.parametrize("text", ['{"cells": []}', '{"cells": [{"outputs": [{}]}]}\n', "{}"])
def test_a_notebook_without_tables_keeps_its_bytes(text: str) -> None:
    assert aside.take_from_notebook(text) == (text, ())


def test_a_template_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    original = Environment.compile

    def noted(self: Environment, source: object, name: str | None = None, *rest: object) -> object:
        compiled.append(str(name))
        return original(self, source, name, *rest)  # type: ignore[call-overload]

    monkeypatch.setattr(Environment, "compile", noted)
    monkeypatch.setattr("nbconvert.exporters.templateexporter.Environment", Environment)
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")])
    plain, _ = HTMLExporter().from_notebook_node(book)
    once = len(compiled)
    assert once > 1
    HTMLExporter().from_notebook_node(book)
    assert len(compiled) == 2 * once, "nbconvert keeps them by now: templates.py is dead"
    monkeypatch.setattr(templates, "_COMPILED", templates.Compiled())
    templates.compile_once()
    compiled.clear()
    assert HTMLExporter().from_notebook_node(book)[0] == plain
    assert len(compiled) == once
    templates.compile_once()
    assert HTMLExporter().from_notebook_node(book)[0] == plain
    assert len(compiled) == once


def test_a_notebook_comes_without_the_styles_that_the_site_does_not_use(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = tmp_path / "book.ipynb"
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")])
    place.write_text(nbformat.writes(book), encoding="utf-8")
    monkeypatch.setattr("nbconvert.exporters.templateexporter.Environment", Environment)
    whole = convert.nb2html(str(place))
    templates.compile_once()
    light = convert.nb2html(str(place))
    assert len(light) < len(whole) / 10, "mkdocs-jupyter has other style sheets"
    style = re.compile(r"<style.*?</style>", re.DOTALL)
    assert style.sub("", light).split() == style.sub("", whole).split()


def test_a_template_that_changed_is_compiled_anew(tmp_path: Path) -> None:
    place = tmp_path / "rb" / "index.html.j2"
    place.parent.mkdir()
    templates.compile_once()
    book = nbformat.v4.new_notebook()
    for text in ("first", "second"):
        place.write_text(text, encoding="utf-8")
        exporter = HTMLExporter(
            extra_template_paths=[str(place.parent)], template_file="index.html.j2"
        )
        assert text in exporter.from_notebook_node(book)[0]
