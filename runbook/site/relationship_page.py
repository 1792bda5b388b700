"""The page of one relationship: what it is, how it is in each environment, and what to do."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import date

from runbook import charts, ledger, markup, migration, remedies
from runbook.findings import Audit, CheckResult, counted
from runbook.ledger import Cell, Count, Row
from runbook.markup import Html
from runbook.record import RunRecord
from runbook.relationships import Exemption
from runbook.site import light

SHOWN_RUNS = 30
TRAIL = (("Home", ""), ("Results", "results/"), ("Ledger", "results/ledger/"))
_WORD = re.compile(r"[^a-z0-9]+")


def slug(relationship_id: str) -> str:
    """A folder's name for a relationship: readable, and one of its own whatever its name is."""
    digest = hashlib.sha256(relationship_id.encode()).hexdigest()[:8]
    words = _WORD.sub("-", relationship_id.partition(" -> ")[0].lower()).strip("-")
    return f"{words[:60].strip('-')}-{digest}".lstrip("-")


def render(
    row: Row,
    exemption: Exemption | None,
    histories: Mapping[str, Mapping[str, Sequence[Count]]],
    runs: Mapping[str, RunRecord],
    today: date,
) -> str:
    """The page as HTML; ``histories`` are counts by relationship id, by environment."""
    item = row.relationship
    counts = {name: found.get(item.id, ()) for name, found in histories.items()}
    parts = [
        _about(row),
        _exception(exemption, today),
        "<h2>In each environment</h2>",
        _cells(row),
        f"<p>Environments disagree: {markup.text(row.disagreement)}.</p>"
        if row.disagreement
        else "",
        "<h2>From run to run</h2>",
        _history(counts),
        "<h2>SQL</h2>",
        *_sql(row),
        "<h2>Checks that name it</h2>",
        _checks(row, runs),
    ]
    return light.page(item.label, "\n".join(filter(None, parts)), "../../../", TRAIL)


def _about(row: Row) -> str:
    item = row.relationship
    rules = [f"on delete {item.on_delete}"]
    rules += [f"on update {item.on_update}"] if item.on_update else []
    rules += [f"match {item.match}"] if item.match else []
    return light.definitions(
        (
            ("refers to", item.target),
            ("child", item.source),
            ("parent", f"{item.parent}({', '.join(item.references)})"),
            ("rules", ", ".join(rules)),
            ("decided by", item.decided_by),
            ("why", item.why),
            ("group", item.group),
            ("priority", item.priority.value),
            ("alert", item.alert.value),
        )
    )


def _exception(exemption: Exemption | None, today: date) -> str:
    if exemption is None:
        return ""
    overdue = exemption.overdue(today)
    state = markup.state("overdue" if overdue else "excepted")
    said = markup.text(
        f"not wanted as a key: {exemption.reason}. {exemption.owner} answers for it, to be"
        f" reviewed by {exemption.review_by}."
    )
    return f"<p>{state} {said}</p>"


def _cells(row: Row) -> str:
    columns = (
        "environment",
        "key",
        "rows",
        "orphan rows",
        "counted by",
        "looked at",
        "why, examples",
    )
    return markup.table(columns, [_cell(cell) for cell in row.cells], "Newest run of each")


def _cell(cell: Cell) -> tuple[str | int | Html, ...]:
    link = Html(f'<a href="../../{cell.environment}/">{markup.text(cell.environment)}</a>')
    if cell.census is None or cell.measured is None or cell.fresh_until is None:
        empty = Html(markup.state("not looked"))
        return (link, empty, empty, "unknown", "", "", "no run looked at it")
    audit = cell.audit
    notes = [cell.census.reason, *cell.census.remarks]
    if audit:
        notes += [audit.reason, ", ".join(audit.samples), _born(audit)]
    moment = Html(
        f'<span class="rb-fact" data-fresh-until="{cell.fresh_until:%Y-%m-%dT%H:%M:%SZ}">'
        f"{markup.moment(cell.measured)}</span>"
    )
    return (
        link,
        Html(markup.state(cell.key)),
        Html(markup.state(cell.rows)),
        cell.orphans if cell.orphans is not None else "unknown",
        f"{audit.strategy}{'' if audit.exact else ', an estimate'}"
        if audit and audit.strategy
        else "",
        moment,
        "; ".join(filter(None, notes)),
    )


def _born(audit: Audit) -> str:
    if audit.born is None:
        return ""
    span = audit.born.first
    if audit.born.last != audit.born.first:
        span += f" to {audit.born.last}"
    return f"born, by {audit.born.by}: {span}"


def _history(counts: Mapping[str, Sequence[Count]]) -> str:
    shown = {name: found[-SHOWN_RUNS:] for name, found in counts.items() if found}
    if not shown:
        return "<p>No run has looked at it.</p>"
    series = [(name, [count.orphans for count in found]) for name, found in shown.items()]
    rows = [
        (
            count.environment,
            Html(markup.moment(count.measured)),
            Html(markup.state(count.key)),
            Html(markup.state(count.rows)),
            count.orphans if count.orphans is not None else "unknown",
        )
        for found in shown.values()
        for count in reversed(found)
    ]
    columns = ("environment", "run", "key", "rows", "orphan rows")
    return (
        charts.steps("Orphan rows, the newest run to the right", "rows", series)
        + "".join(_leak(name, found) for name, found in counts.items())
        + markup.table(columns, rows, "Orphan rows by run")
    )


def _leak(environment: str, counts: Sequence[Count]) -> str:
    found = ledger.leak(counts)
    if found is None:
        said = "not known: it takes two exact counts"
    else:
        new, daily = found
        change = counted(abs(new), "orphan row")
        word = "no change" if not new else f"{change} {'more' if new > 0 else 'fewer'}"
        rate = f", {daily:+,.1f} a day" if new else ""
        said = f"{word} since the count before{rate}"
    return f"<p>Leak in {markup.text(environment)}: {markup.text(said)}.</p>"


def _sql(row: Row) -> list[str]:
    item = row.relationship
    key = migration.statements(item)
    return [
        "<h3>To find the orphan rows</h3>",
        markup.code(remedies.find(item)),
        "<h3>To add the key</h3><p>Two statements, each in a transaction of its own.</p>",
        markup.code(f"{key.add}\n{key.validate}"),
        (
            "<h3>To mend</h3><p>A person decides which, and for which rows. Each is a transaction"
            " that ends with ROLLBACK: look at what it says before you write COMMIT instead.</p>"
        ),
        *(
            f"<details><summary>{markup.text(title)}</summary>{markup.code(statement)}</details>"
            for title, statement in remedies.mend(item)
        ),
    ]


def _checks(row: Row, runs: Mapping[str, RunRecord]) -> str:
    label = row.relationship.label
    rows = [
        (
            Html(f'<a href="../../{name}/">{markup.text(name)}</a>'),
            check.title,
            Html(markup.state(check.status)),
            check.message,
        )
        for name, run in runs.items()
        for check in run.checks
        if _names(check, label)
    ]
    if not rows:
        return "<p>None has it in its evidence.</p>"
    columns = ("environment", "check", "state", "found")
    return markup.table(columns, rows, "Checks with it in their evidence")


def _names(check: CheckResult, label: str) -> bool:
    return any(label in row for table in check.evidence for row in table.rows)
