"""The committed notebooks keep their contract, and every step works by hand."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from runbook.settings import Settings, StepEntry
from runbook.settings import read as read_settings
from runbook.steps import BY_HAND, open_step

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
STEPS = read_settings(ROOT).step
LONGEST_CELL = 10
SQL_WORDS = ("select ", "insert ", "update ", "delete ", "alter ", "create ", "drop ")


def cells(entry: StepEntry) -> list[Any]:
    return list(nbformat.read(NOTEBOOKS / entry.notebook, as_version=4).cells)


def test_every_notebook_is_a_step() -> None:
    assert {entry.notebook for entry in STEPS} == {path.name for path in NOTEBOOKS.iterdir()}


@pytest.mark.parametrize("entry", STEPS, ids=lambda entry: entry.name)
def test_notebook_keeps_its_contract(entry: StepEntry) -> None:
    first, parameters, *rest = cells(entry)
    assert first.cell_type == "markdown"
    assert first.source.startswith(f"# {entry.title}\n")
    assert parameters.metadata["tags"] == ["parameters"]
    assert parameters.source == 'environment: str = "staging"\nrun_folder: str = ""'
    assert rest[-1].source == "step.finish()"
    for cell in (parameters, *rest):
        if cell.cell_type != "code":
            continue
        assert not cell.outputs
        assert cell.execution_count is None
        assert len(cell.source.splitlines()) <= LONGEST_CELL
        tree = ast.parse(cell.source)
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
        assert not any(isinstance(node, kinds) for node in ast.walk(tree))
        assert not any(word in cell.source.lower() for word in SQL_WORDS)


@pytest.mark.parametrize("entry", STEPS, ids=lambda entry: entry.name)
def test_notebook_opens_its_own_step(entry: StepEntry) -> None:
    assert f'step = open_step("{entry.name}", environment, run_folder)' in cells(entry)[2].source


def test_the_committed_file_is_as_nbformat_writes_it() -> None:
    for path in NOTEBOOKS.iterdir():
        text = path.read_text(encoding="utf-8")
        assert text == json.dumps(json.loads(text), indent=1, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("entry", STEPS, ids=lambda entry: entry.name)
def test_step_by_hand_shows_results_and_records_nothing(
    entry: StepEntry, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNBOOK_PROJECT", str(settings.folder))
    before = sorted(settings.runs.rglob("*")) if settings.runs.exists() else []
    names: dict[str, Any] = {}
    shown = []
    for cell in cells(entry):
        if cell.cell_type == "code":
            *body, last = ast.parse(cell.source).body
            exec(compile(ast.Module(body, []), entry.notebook, "exec"), names)
            if isinstance(last, ast.Expr):
                shown.append(
                    eval(compile(ast.Expression(last.value), entry.notebook, "eval"), names)
                )
            else:
                exec(compile(ast.Module([last], []), entry.notebook, "exec"), names)
    assert shown[-1] == (
        "run by hand: shown here, recorded nowhere, and it counts towards no verdict"
    )
    for result in shown[:-1]:
        assert result._repr_html_().startswith('<div class="rb-result">')
    after = sorted(settings.runs.rglob("*")) if settings.runs.exists() else []
    assert after == before


def test_verdict_by_hand_says_why_there_is_none(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNBOOK_PROJECT", str(settings.folder))
    with open_step("verdict", "staging") as step:
        assert step.judge() == BY_HAND
        assert step.self_test() == BY_HAND
