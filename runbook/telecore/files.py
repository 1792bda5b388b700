"""The files that the demo is built from, as they lie in the installed package."""

from __future__ import annotations

import hashlib
import tomllib
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

MIGRATION = "20251229010228_add_master_tables_final_v2/migration.sql"

_ROOT = files("runbook.telecore")
_INPUTS = ("defects.py", "demo.py", "relationships.toml", "rows", "seed.py", "sql")


def script(name: str) -> bytes:
    """The SQL file ``name`` below ``sql/``; raises FileNotFoundError where there is none."""
    return _ROOT.joinpath("sql", *name.split("/")).read_bytes()


def relationships() -> list[dict[str, Any]]:
    """The entries of relationships.toml, in its order."""
    entries: list[dict[str, Any]] = tomllib.loads(
        _ROOT.joinpath("relationships.toml").read_text(encoding="utf-8")
    )["relationship"]
    return entries


def fingerprint(environment: str) -> str:
    """A digest of everything that decides what the environment's database holds."""
    digest = hashlib.sha256(environment.encode())
    for name in _INPUTS:
        for path, content in sorted(_contents(_ROOT.joinpath(name), name)):
            digest.update(f"\0{path}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()[:16]


def _contents(entry: Traversable, path: str) -> list[tuple[str, bytes]]:
    """The files at or below ``entry``, without what Python compiled."""
    if entry.is_file():
        return [(path, entry.read_bytes())] if path.endswith((".py", ".sql", ".toml")) else []
    return [
        found for below in entry.iterdir() for found in _contents(below, f"{path}/{below.name}")
    ]
