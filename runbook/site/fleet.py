"""The page of the newest run over a fleet: worst first, the distribution, schemas that differ.

Names, reasons and relationships came from databases or from fleet.toml: all of it is inert text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from runbook import charts, markup
from runbook.charts import Bar
from runbook.findings import counted
from runbook.fleet import ledger, summary
from runbook.fleet.inventory import FOLDER
from runbook.fleet.ledger import FleetRecord
from runbook.fleet.result import Result, State
from runbook.fleet.summary import Summary
from runbook.markup import Html
from runbook.settings import Settings

PAGE = f"{FOLDER}/index.md"  # below the results
DATA = f"{FOLDER}/databases.json"
MOST_ROWS = 50
MOST_NAMES = 10


def pages(settings: Settings) -> dict[str, str]:
    """Path below the results → content; nothing where no fleet was run."""
    folder = ledger.newest(settings.runs)
    if folder is None or FOLDER in settings.environments:
        return {}
    found = ledger.read(folder)
    return {PAGE: page(settings, found), DATA: data(found)}


def data(found: FleetRecord) -> str:
    """Every result as JSON, without how the databases are reached."""
    results = [result.model_dump(mode="json", exclude={"worker"}) for result in found.results]
    value = {"run_id": found.run_id, "results": results, "missing": found.missing}
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def page(settings: Settings, found: FleetRecord) -> str:
    told = summary.of(found)
    lines = ["# Fleet", "", *_cut_short(found), *_provenance(settings, found), ""]
    lines += [_states(told), "", "## Worst first", "", _worst(found, told), ""]
    bars = [Bar(label, number) for label, number in told.distribution]
    title = "Databases by their orphan rows, of those that were looked at"
    lines += ["## Distribution", "", charts.bars(title, "databases", bars, digits=0), ""]
    lines += ["## Schemas", "", *_schemas(told), "", "## Servers", "", _servers(found), ""]
    lines += [f"Every result is in [databases.json]({DATA.rpartition('/')[2]}).", ""]
    return "\n".join(lines)


def _cut_short(found: FleetRecord) -> list[str]:
    if found.finished is not None and not found.interrupted:
        return []
    why = "was interrupted" if found.interrupted else "goes on, or was killed"
    number = counted(len(found.missing), "database")
    state = markup.state(State.NOT_LOOKED.value)
    return [f"<p>{state} the run {why}: {number} without a result</p>", ""]


def _provenance(settings: Settings, found: FleetRecord) -> list[str]:
    rows: list[tuple[str, str | Html]] = [
        ("run", found.run_id),
        ("settings of", found.environment),
        ("started", Html(markup.moment(found.started))),
        ("fk-runbook", found.tool_version),
    ]
    if found.finished is not None:
        rows.insert(3, ("finished", Html(markup.moment(found.finished))))
        template = settings.environments.get(found.environment)
        if template is not None:
            until = found.finished + template.fresh_for
            rows.insert(4, ("fresh until", Html(markup.moment(until))))
    return [markup.table(("", "of this run"), rows, "Where these results come from")]


def _states(told: Summary) -> str:
    rows = [(Html(markup.state(state.value)), number) for state, number in told.states.items()]
    rows_in_all = counted(told.orphan_rows, "orphan row")
    caption = f"{counted(told.databases, 'database')}, {rows_in_all} in all"
    return markup.table(("state", "databases"), rows, caption)


def _worst(found: FleetRecord, told: Summary) -> str:
    entries = {entry.name: entry for entry in found.databases}
    bad = [result for result in told.worst if result.state is not State.CLEAN]
    if not bad and not told.missing:
        return f"<p>{markup.state(State.CLEAN.value)} every database</p>"
    rows = [
        (
            result.database,
            entries[result.database].server,
            entries[result.database].region,
            Html(markup.state(result.state.value)),
            result.orphan_rows if result.looked else None,
            f"{result.looked} of {result.relationships}",
            _where(result),
        )
        for result in bad[:MOST_ROWS]
    ]
    rows += [
        (name, entries[name].server, entries[name].region, NOT_LOOKED, None, "none", "no result")
        for name in told.missing[: MOST_ROWS - len(rows)]
    ]
    columns = ("database", "server", "region", "state", "orphan rows", "looked at", "where, or why")
    left = len(bad) + len(told.missing) - len(rows)
    more = f"\n<p>and {counted(left, 'database')} more</p>" if left else ""
    return markup.table(columns, rows, "Databases that are not clean, the worst first") + more


NOT_LOOKED = Html(markup.state(State.NOT_LOOKED.value))


def _where(result: Result) -> str:
    named = ", ".join(f"{label}: {rows:,}" for label, rows in result.worst)
    more = f" and {result.broken - len(result.worst)} more" * (result.broken > len(result.worst))
    return "; ".join(part for part in (f"{named}{more}", result.reason) if part)


def _schemas(told: Summary) -> Iterator[str]:
    if not told.schemas:
        yield f"<p>{markup.state('could not look')} no schema could be read</p>"
        return
    rows = [
        (schema.structure, len(schema.databases), "most" if not number else "differs", names)
        for number, schema in enumerate(told.schemas[:MOST_ROWS])
        for names in [_some(schema.databases)]
    ]
    columns = ("fingerprint", "databases", "", "such as")
    yield markup.table(columns, rows, "Databases by their schema, foreign keys left out")
    if len(told.schemas) > MOST_ROWS:
        yield f"<p>and {counted(len(told.schemas) - MOST_ROWS, 'schema')} more</p>"
    for names, text in (
        (told.keys_differ, "with the common schema and other foreign keys than most"),
        (told.unread, "whose schema could not be read"),
    ):
        if names:
            listed = markup.text(_some(names))
            yield f"<p>{counted(len(names), 'database')} {text}: {listed}</p>"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def _servers(found: FleetRecord) -> str:
    results = {result.database: result for result in found.results}
    servers: dict[str, list[Result | None]] = {}
    for entry in found.databases:
        servers.setdefault(entry.server, []).append(results.get(entry.name))
    rows = []
    for server, of_server in sorted(servers.items()):
        known = [result for result in of_server if result is not None]
        counts = [sum(result.state is state for result in known) for state in State]
        counts[list(State).index(State.NOT_LOOKED)] += len(of_server) - len(known)
        slowest = max((result.seconds for result in known), default=None)
        lost = sum(result.lost_workers for result in known)
        rows.append((server, len(of_server), *counts, slowest, lost))
    columns = (
        "server",
        "databases",
        *(state.value for state in State),
        "slowest, s",
        "lost workers",
    )
    return markup.table(columns, rows, "Databases by server")
