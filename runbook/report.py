"""Shows results in a notebook: :func:`show` knows how each of them looks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from typing import Any

from runbook import charts, markup
from runbook.audit.lookalikes import Lookalike
from runbook.findings import Audit, CensusRow, CheckResult, Evidence, counted
from runbook.impact import Impact
from runbook.markup import Html
from runbook.migration import KeyStatements
from runbook.record import Server
from runbook.selftest import SelfTest
from runbook.verdict import Verdict


class Shown:
    """HTML for JupyterLab and for the built page."""

    def __init__(self, content: str) -> None:
        self.content = content

    def _repr_html_(self) -> str:
        return f'<div class="rb-result">{self.content}</div>'


def show(result: Any) -> Shown:
    """What ``result`` looks like: a check, census rows, audits, a verdict, an impact …"""
    if isinstance(result, list | tuple):
        return Shown(_many(result))
    return Shown(_html(result))


@singledispatch
def _html(result: Any) -> str:
    raise TypeError(f"cannot show {type(result).__name__}")


@_html.register
def _(result: str) -> str:
    return f"<p>{markup.text(result)}</p>"


@_html.register
def _(result: CheckResult) -> str:
    head = (
        f"<p>{markup.state(result.status)} <strong>{markup.text(result.title)}</strong>"
        f"<br>{markup.text(result.message)}</p>"
    )
    tables = [markup.table(table.columns, table.rows, table.caption) for table in result.evidence]
    return "\n".join((head, *tables))


@_html.register
def _(result: Evidence) -> str:
    return markup.table(result.columns, result.rows, result.caption)


@_html.register
def _(result: Server) -> str:
    rows: list[tuple[str, str]] = [
        ("PostgreSQL", result.version),
        ("database", result.database),
        ("role", result.role),
        ("system identifier", result.system_identifier or "may not be read"),
        ("connection from", result.source),
    ]
    return markup.table(("", "found"), rows, "The server that was looked at")


@_html.register
def _(result: SelfTest) -> str:
    if not result.available:
        return f"<p>{markup.state('not looked')} this database has no record of planted defects</p>"
    right = not result.missed and not result.invented
    summary = (
        f"<p>{markup.state('passed' if right else 'failed')} planted {result.planted} defects,"
        f" found {result.found} of them; missed {len(result.missed)},"
        f" invented {len(result.invented)}</p>"
    )
    parts = [summary]
    for title, sentences in (("Missed", result.missed), ("Invented", result.invented)):
        if sentences:
            parts.append(markup.table((title,), [(line,) for line in sentences], title))
    return "\n".join(parts)


@_html.register
def _(result: Verdict) -> str:
    parts = [
        f"<p>Gate <strong>{markup.text(result.gate)}</strong>: {markup.state(result.state)}</p>"
    ]
    parts.append(
        markup.table(
            ("criterion", "", "weight", "state", "why"),
            [
                (
                    c.criterion.id,
                    c.criterion.title,
                    c.criterion.tier.value,
                    Html(markup.state(c.state)),
                    Html("<br>".join(markup.text(reason) for reason in c.reasons)),
                )
                for c in result.criteria
            ],
            f"Criteria under the gate {result.gate}",
        )
    )
    return "\n".join(parts)


@_html.register
def _(result: Impact) -> str:
    title = f"One-row inserts into {result.table.label}, {len(result.keys)} keys"
    return charts.spread(
        title,
        "ms",
        [
            ("without keys", result.without),
            ("with keys", result.with_keys),
            ("of that, the keys", result.triggers),
        ],
    )


def _many(results: Sequence[Any]) -> str:
    if not results:
        return "<p>nothing to show</p>"
    first = results[0]
    if isinstance(first, CensusRow):
        return census_table(results)
    if isinstance(first, Audit):
        return audit_table(results)
    if isinstance(first, Lookalike):
        return lookalike_table(results)
    if isinstance(first, KeyStatements):
        return statements_list(results)
    return "\n".join(_html(result) for result in results)


def census_table(rows: Sequence[CensusRow]) -> str:
    """Every relationship with the state of its key."""
    return markup.table(
        ("relationship", "refers to", "on delete", "priority", "key", "why"),
        [
            (
                row.relationship.label,
                row.relationship.target,
                row.relationship.on_delete.value,
                row.relationship.priority.value,
                Html(markup.state(row.state)),
                "; ".join(filter(None, (row.reason, *row.remarks))),
            )
            for row in rows
        ],
        "Census: what should hold against what the database enforces",
    )


def audit_table(audits: Sequence[Audit]) -> str:
    """Every relationship with its orphan rows, and how they were counted."""
    return markup.table(
        ("relationship", "alert", "result", "orphan rows", "examples", "counted by", "seconds"),
        [
            (
                audit.relationship.label,
                audit.relationship.alert.value,
                Html(markup.state(audit.state)),
                audit.orphans if audit.orphans is not None else "unknown",
                ", ".join(audit.samples) or audit.reason,
                audit.strategy,
                round(audit.seconds, 3),
            )
            for audit in audits
        ],
        "Orphan rows by relationship",
    )


def lookalike_table(found: Sequence[Lookalike]) -> str:
    """What is no orphan row, by name, with its rows."""
    return markup.table(
        ("what it is", "where", "told by", "rows", "why not"),
        [
            (
                item.kind.value,
                item.label,
                ", ".join(item.by),
                item.rows if item.rows is not None else "unknown",
                item.reason,
            )
            for item in found
        ],
        "No orphan rows, though they look like them",
    )


def statements_list(keys: Sequence[KeyStatements]) -> str:
    """The SQL of each missing key, with the reason for its ON DELETE."""
    count = counted(len(keys), "key is missing", "keys are missing")
    parts = [f"<p>{count}. Each is added in two statements, one after the other.</p>"]
    for key in keys:
        item = key.relationship
        parts.append(
            f"<details><summary>{markup.text(item.label)} → {markup.text(item.target)}"
            f" ({item.priority}, on delete {item.on_delete})</summary>"
            f"<p>{markup.text(item.why)}</p>{markup.code(f'{key.add}{chr(10)}{key.validate}')}"
            "</details>"
        )
    return "\n".join(parts)
