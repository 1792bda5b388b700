"""Writes decisions into relationships.toml: entries are added, nothing else changes."""

from __future__ import annotations

from collections.abc import Sequence

import tomlkit
from tomlkit.items import AoT, Table

from runbook.discovery.proposal import Proposal
from runbook.relationships import Rejected


def added(text: str, proposals: Sequence[Proposal]) -> str:
    """``text`` with a ``[[relationship]]`` for each proposal; its evidence is the ``why``."""
    return _appended(text, "relationship", [_entry(item) for item in proposals])


def rejected(text: str, decisions: Sequence[Rejected]) -> str:
    """``text`` with a ``[[rejected]]`` for each decision."""
    return _appended(text, "rejected", [_refusal(item) for item in decisions])


def _appended(text: str, name: str, entries: Sequence[Table]) -> str:
    if not entries:
        return text
    fresh = tomlkit.document()
    listed = tomlkit.aot()
    for entry in entries:
        listed.append(entry)
    fresh.append(name, listed)
    # at the end of the text, not inside the document: a comment stays where it stood
    added_text = tomlkit.dumps(fresh)
    joined = f"{text.rstrip()}\n\n{added_text}" if text.strip() else added_text
    whole = tomlkit.parse(joined)
    if not isinstance(whole[name], AoT):
        raise TypeError(f"{name}: expected [[{name}]] entries, got {type(whole[name]).__name__}")
    return joined


def _entry(item: Proposal) -> Table:
    entry = tomlkit.table()
    entry["child"] = str(item.child)
    entry["columns"] = list(item.columns)
    entry["parent"] = str(item.parent)
    entry["references"] = list(item.references)
    entry["on_delete"] = item.on_delete.value
    evidence = "; ".join(each.words for each in item.evidence)
    entry["why"] = (
        f"discovered with confidence {item.confidence:.2f}: {evidence};"
        f" {item.on_delete.value}: {item.on_delete_reason}"
    )
    return entry


def _refusal(item: Rejected) -> Table:
    entry = tomlkit.table()
    entry["child"] = str(item.child)
    entry["columns"] = list(item.columns)
    if item.parent is not None:
        entry["parent"] = str(item.parent)
    entry["reason"] = item.reason
    return entry
