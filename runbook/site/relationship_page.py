"""The page of one relationship: what it is, how it is in each environment, and what to do."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import groupby

from runbook import charts, ledger, markup, migration, remedies
from runbook.findings import Audit, CheckResult, counted
from runbook.ledger import Cell, Count, Row
from runbook.markup import Html
from runbook.record import RunRecord
from runbook.relationships import Exemption
from runbook.site import light

SHOWN_RUNS = 30
Naming = Mapping[str, Sequence[tuple[str, CheckResult]]]
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
    naming: Naming,
    today: date,
) -> str:
    """The page as HTML; ``histories`` are counts by relationship id, by environment.

    ``naming`` is what :func:`naming` returns for the newest runs.
    """
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
        _checks(row, naming),
    ]
    return markup.light(light.page(item.label, "\n".join(filter(None, parts)), "../../", TRAIL))


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
    link = Html(_home(cell.environment))
    if cell.census is None or cell.measured is None or cell.fresh_until is None:
        empty = Html(markup.state("not looked"))
        return (link, empty, empty, "unknown", "", "", "no run looked at it")
    audit = cell.audit
    notes = [cell.census.reason, *cell.census.remarks]
    if audit:
        notes += [audit.reason, ", ".join(audit.samples), _born(audit)]
    moment = Html(markup.moment(cell.measured, cell.fresh_until))
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
    all_of = {name: [count.orphans for count in found] for name, found in shown.items()}
    moved = [(name, found) for name, found in all_of.items() if len(set(found)) > 1]
    title = "Orphan rows where they changed, the newest run to the right"
    rows = [(name, _counts(found[::-1])) for name, found in shown.items()]
    return (
        (charts.steps(title, "rows", moved) if moved else "<p>No count changed.</p>")
        + _leaks(counts)
        + markup.table(("environment", "orphan rows, the newest first"), rows, "Counts by run")
    )


def _counts(counts: Sequence[Count]) -> Html:
    """A line for each stretch of runs that found the same, the newest first.

    What the database enforces is told where it was not the same in the runs after.
    """
    lines = []
    key = ""
    for (_, rows, orphans), found in groupby(counts, lambda one: (one.key, one.rows, one.orphans)):
        same = tuple(found)
        last, first = same[0], same[-1]
        span = f"{last.measured:%Y-%m-%d %H:%M}"
        if len(same) > 1:
            span = f"{first.measured:%Y-%m-%d %H:%M} to {span}, {len(same)} runs"
        said = f"{orphans:,}" if orphans is not None else rows
        changed = f", key {last.key}" if last.key != key else ""
        key = last.key
        lines.append(markup.text(f"{span}: {said}{changed}"))
    return Html("<br>".join(lines))


def _leaks(counts: Mapping[str, Sequence[Count]]) -> str:
    """What is said of each environment; those of which the same is said share a sentence."""
    found: dict[str, list[str]] = {}
    for name, of_one in counts.items():
        found.setdefault(_leak(of_one), []).append(name)
    return "".join(
        f"<p>Leak in {markup.text(', '.join(names))}: {markup.text(said)}.</p>"
        for said, names in found.items()
    )


def _leak(counts: Sequence[Count]) -> str:
    found = ledger.leak(counts)
    if found is None:
        return "not known: it takes two exact counts"
    new, daily = found
    change = counted(abs(new), "orphan row")
    word = "no change" if not new else f"{change} {'more' if new > 0 else 'fewer'}"
    rate = f", {daily:+,.1f} a day" if new else ""
    return f"{word} since the count before{rate}"


def _sql(row: Row) -> list[str]:
    item = row.relationship
    key = migration.statements(item)
    title, statement = remedies.mend(item)
    return [
        "<h3>To find the orphan rows</h3>",
        markup.code(remedies.find(item)),
        "<h3>To add the key</h3><p>Two statements, each in a transaction of its own.</p>",
        markup.code(f"{key.add}\n{key.validate}"),
        (
            f"<h3>To mend</h3><p>{markup.text(title)}. It ends with ROLLBACK: look at what it says"
            " before you write COMMIT instead. runbook remediate keeps every row that it changes,"
            " works in batches, brings parents back and undoes what it did.</p>"
        ),
        markup.code(statement),
    ]


def _checks(row: Row, naming: Naming) -> str:
    """A line for each result; environments in which a check came to the same share it."""
    same: dict[tuple[str, str, str], list[str]] = {}
    for name, check in naming.get(row.relationship.label, ()):
        same.setdefault((check.title, check.status, check.message), []).append(name)
    if not same:
        return "<p>None has it in its evidence.</p>"
    rows = [
        (Html(", ".join(map(_home, names))), title, Html(markup.state(status)), message)
        for (title, status, message), names in same.items()
    ]
    columns = ("environment", "check", "state", "found")
    return markup.table(columns, rows, "Checks with it in their evidence")


def _home(environment: str) -> str:
    return f'<a href="../{environment}/">{markup.text(environment)}</a>'


def naming(runs: Mapping[str, RunRecord]) -> Naming:
    """For each value in the evidence of a check: the checks that have it, with the environment."""
    found: dict[str, dict[tuple[str, str], tuple[str, CheckResult]]] = {}
    for name, run in runs.items():
        for check in run.checks:
            for table in check.evidence:
                for value in (value for row in table.rows for value in row):
                    if isinstance(value, str):
                        found.setdefault(value, {})[name, check.check] = name, check
    return {value: tuple(checks.values()) for value, checks in found.items()}
