"""Projects in a folder of their own, for tests that run, break or rebuild things."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent


def copy(folder: Path) -> Path:
    """This repository's project without its runs: settings, notebooks, docs and packages."""
    for name in ("runbook.toml", "mkdocs.yml", "README.md"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("notebooks", "docs", "runbook", "tests"):
        shutil.copytree(
            ROOT / name,
            folder / name,
            ignore=shutil.ignore_patterns("results", "__pycache__", "node_modules"),
        )
    return folder


def notebook(path: Path, *code: str) -> Path:
    """A notebook of these code cells, with the parameters' cell before them."""
    cells = [
        nbformat.v4.new_code_cell(
            'environment = ""\nrun_folder = ""', metadata={"tags": ["parameters"]}
        ),
        *(nbformat.v4.new_code_cell(source) for source in code),
    ]
    content = nbformat.v4.new_notebook(
        cells=cells,
        metadata={"kernelspec": {"name": "python3", "display_name": "", "language": "python"}},
    )
    nbformat.write(content, path)
    return path
