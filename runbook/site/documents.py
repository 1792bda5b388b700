"""Criterion N2: all documents exist, and none quotes a fact that is stale or was never measured."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from runbook import facts as all_facts
from runbook import judgement
from runbook.errors import IncompleteError
from runbook.findings import CheckResult, Evidence, Status, counted
from runbook.settings import Settings

_QUOTED = re.compile(r"""\b(?:fact|tick|state)\(\s*["']([^"']+)["']""")


def named_in(nav: Any) -> Iterator[str]:
    """The files that a ``nav`` of mkdocs.yml names."""
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, list):
        for entry in nav:
            yield from named_in(entry)
    elif isinstance(nav, dict):
        for entry in nav.values():
            yield from named_in(entry)


def required(settings: Settings) -> tuple[str, ...]:
    """The hand-written documents of the site, as mkdocs.yml lists them."""
    text = (settings.folder / "mkdocs.yml").read_text(encoding="utf-8")
    return tuple(sorted(set(named_in(yaml.safe_load(text)["nav"]))))


def quoted(page: Path) -> tuple[str, ...]:
    """The facts that a page quotes, in the order of the text."""
    return tuple(dict.fromkeys(_QUOTED.findall(page.read_text(encoding="utf-8"))))


def check(settings: Settings, environment: str) -> CheckResult:
    """Look at every document; the facts of ``environment`` itself are being measured now."""
    docs = settings.path(settings.project.docs)
    names = [name for name in required(settings) if name.endswith(".md")]
    absent = [name for name in names if not (docs / name).is_file()]
    facts = all_facts.collect(settings)
    rows: list[tuple[str, str, str]] = [
        (name, "", "the document does not exist") for name in absent
    ]
    unmeasured: set[str] = set()
    for name in names:
        for fact in quoted(docs / name) if name not in absent else ():
            owner = fact.partition(".")[0]
            if owner == environment:
                continue
            if owner in settings.environments and owner not in facts.runs:
                unmeasured.add(owner)
                continue
            fault = fault_of(facts, fact)
            if fault:
                rows.append((name, fact, fault))
    return _result(len(names), rows, sorted(unmeasured))


def fault_of(facts: all_facts.Facts, name: str) -> str:
    try:
        fact = facts[name]
    except IncompleteError as error:
        return error.message
    return f"stale since {fact.fresh_until}" if fact.stale(judgement.now()) else ""


def _result(documents: int, rows: list[tuple[str, str, str]], unmeasured: list[str]) -> CheckResult:
    evidence = Evidence.of(("document", "fact", "fault"), rows, "Faults in the documents")
    status, message = Status.PASSED, f"{documents} documents, no missing and no stale fact"
    if rows:
        status, message = Status.FAILED, f"{counted(len(rows), 'fault')} in {documents} documents"
    elif unmeasured:
        status = Status.NOT_LOOKED
        message = f"facts of {', '.join(unmeasured)} have no run to hold them against"
    return CheckResult(
        check="documents_complete",
        title="every document exists and quotes only facts that are known and fresh",
        criterion="N2",
        status=status,
        message=message,
        failing=len(rows),
        facts={"documents": documents},
        evidence=(evidence,) if rows else (),
    )
