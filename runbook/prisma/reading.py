"""Reads schema.prisma: one file, or a folder of several."""

from __future__ import annotations

from pathlib import Path

from runbook import declarations
from runbook.errors import UsageError
from runbook.prisma import models, syntax
from runbook.prisma.models import Declared


def parse(text: str, path: Path, schema: str = "public") -> Declared:
    """What ``text`` of ``path`` declares; raises :class:`FileError` with line and column."""
    return models.resolve(syntax.parse(text, path), schema)


def read(path: Path, schema: str = "public") -> Declared:
    """Read a file, or every ``.prisma`` file in a folder and below it, as one.

    What names no schema is in ``schema``. Raises :class:`UsageError` where there is nothing to
    read, :class:`FileError` with line and column where it is wrong.
    """
    files = sorted(path.rglob("*.prisma")) if path.is_dir() else [path]
    hint = "name schema.prisma, or the folder of its files"
    if not files:
        raise UsageError(f"{path}: no .prisma file in it", hint)
    blocks = [
        block for file in files for block in syntax.parse(declarations.read_text(file, hint), file)
    ]
    return models.resolve(blocks, schema)
