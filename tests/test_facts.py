"""Facts that no run measures: the history file, and what is wrong in it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from runbook import facts
from runbook.errors import FileError, UsageError
from runbook.settings import Settings
from runbook.settings import read as read_settings
from tests.conftest import ROOT

GOOD = '[tables]\nvalue = 16\nsource = "the report"\ndate = 2025-12-29\n'


def with_history(path: Path) -> Settings:
    settings = read_settings(ROOT)
    section = settings.project.model_copy(update={"history": path})
    return settings.model_copy(update={"project": section})


def test_the_history_is_read_with_source_and_date(tmp_path: Path) -> None:
    path = tmp_path / "history.toml"
    path.write_text(GOOD, encoding="utf-8")
    (fact,) = facts.of_history(with_history(path))
    assert (fact.name, fact.value, fact.source) == ("history.tables", 16, "the report")
    assert fact.measured == date(2025, 12, 29)


def test_a_history_that_is_missing_is_named_once(tmp_path: Path) -> None:
    path = tmp_path / "history.toml"
    with pytest.raises(UsageError) as caught:
        list(facts.of_history(with_history(path)))
    assert str(caught.value) == (
        f"{path}: no such file\nhint: correct project.history in runbook.toml"
    )


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (GOOD + "[more\n", "5: not valid TOML: expected ']' at the end of a table declaration",
         "mend the line"),
        (GOOD + "[more]\nvalue = 1\n", "5: [more] lacks value, source or date", "add them"),
    ],
)  # fmt: skip
def test_a_fault_in_the_history_is_named_with_its_line(
    tmp_path: Path, text: str, message: str, hint: str
) -> None:
    path = tmp_path / "history.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FileError) as caught:
        list(facts.of_history(with_history(path)))
    assert (caught.value.message, caught.value.hint) == (f"{path}:{message}", hint)
