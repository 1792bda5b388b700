"""A rehearsal as an executed notebook, beside its document."""

from __future__ import annotations

from pathlib import Path

import nbformat

from runbook import notebook
from runbook.errors import IncompleteError
from runbook.kernels import Kernels

FILE_NAME = "rehearsal.ipynb"
ABOUT = """# Rehearsal

The plan was applied to a disposable copy of the database while writers inserted, updated and
deleted on the same tables. What follows is read from `rehearsal.json` beside this notebook; no
database is asked."""
READ = """from pathlib import Path

from runbook import changes, rehearsal_report
from runbook.rehearsal.outcome import Rehearsal
from runbook.report import Shown

found = changes.read(Path(folder), changes.Kind.REHEARSAL, Rehearsal)"""
PARTS = ("outcome", "timeline", "steps", "surroundings")


def write(folder: Path) -> Path:
    """Execute the notebook of the rehearsal in ``folder`` there, and return it.

    Raises :class:`IncompleteError` when it does not come to its end.
    """
    source = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell(ABOUT, id="title"),
            nbformat.v4.new_code_cell(
                'folder: str = "."', id="parameters", metadata={"tags": ["parameters"]}
            ),
            nbformat.v4.new_code_cell(READ, id="read"),
            *(
                nbformat.v4.new_code_cell(f"Shown(rehearsal_report.{part}(found))", id=part)
                for part in PARTS
            ),
        ],
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
        },
    )
    output = folder / FILE_NAME
    with Kernels() as kernels:
        given = kernels.folder / "source.ipynb"
        nbformat.write(source, given)
        execution = notebook.execute_alone(kernels, given, output, folder)
    if execution.failure:
        raise IncompleteError(
            f"{output}: {execution.failure}", "the rehearsal itself is in rehearsal.json beside it"
        )
    return output
