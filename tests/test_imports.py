"""What our own processes do not import."""

from __future__ import annotations

import subprocess
import sys

import pytest

from runbook import imports

LOADED = "import sys; print('jsonschema' in sys.modules, sys.modules.get({!r}) is not None)"


def loaded(code: str) -> str:
    """Whether a new Python has jsonschema and its grammars after ``code``."""
    command = [sys.executable, "-c", f"{code}\n{LOADED.format(imports.GRAMMARS)}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


LEAVE_OUT = "from runbook import imports; imports.leave_out_grammars()"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import nbformat", "True True"),
        (f"{LEAVE_OUT}\nimport nbformat", "True False"),
        (f"import rfc3987_syntax\n{LEAVE_OUT}", "False True"),
        ("import runbook.references, runbook.notebook", "True True"),
    ],
    ids=["as it comes", "left out", "there already", "a library that we are takes nothing away"],
)
def test_grammars_are_left_out_where_it_is_said(code: str, expected: str) -> None:
    assert loaded(code) == expected


def test_a_notebook_is_still_validated() -> None:
    code = (
        f"{LEAVE_OUT}\n"
        "import nbformat\n"
        "book = {'cells': [{'cell_type': 'x'}], 'metadata': {}, 'nbformat': 4}\n"
        "try: nbformat.validate(book | {'nbformat_minor': 5})\n"
        "except nbformat.ValidationError as error: print(str(error).splitlines()[0])"
    )
    assert loaded(code).splitlines()[0].endswith("is not valid under any of the given schemas")
