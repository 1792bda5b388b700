"""Facts: the values that pages quote, each with its source, its age and what proves it.

Names: ``<environment>.…`` from the newest run record of an environment, ``history.…`` from the
history file, ``bench.…`` from what ``make bench`` saved, ``limits.…`` from runbook.toml,
``project.…`` counted from the repository itself.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path

from runbook import checks, declarations, judgement, past_runs, run_folders
from runbook.errors import FileError, IncompleteError
from runbook.findings import Value
from runbook.record import RunRecord
from runbook.settings import Settings


@dataclass(frozen=True)
class Fact:
    """A value and where it comes from.

    ``proof`` is the page that proves it, as a path in docs/ with an anchor, or empty.
    ``fresh_until`` is None for what does not age.
    """

    name: str
    value: Value
    source: str
    measured: datetime | date | None = None
    fresh_until: datetime | None = None
    proof: str = ""

    def stale(self, at: datetime) -> bool:
        return self.fresh_until is not None and at > self.fresh_until


@dataclass(frozen=True)
class Facts:
    """All facts by name, and the newest run of each environment that has one."""

    by_name: Mapping[str, Fact]
    runs: Mapping[str, RunRecord]

    def __getitem__(self, name: str) -> Fact:
        """The fact; raises :class:`IncompleteError` when there is none of that name.

        What a run could not measure is a fact without a value (None), shown as unknown.
        """
        fact = self.by_name.get(name)
        if fact is not None:
            return fact
        head = name.partition(".")[0]
        run = self.runs.get(head)
        lost = [step.title for step in run.steps if step.status != "succeeded"] if run else []
        if run and lost:
            source = f"{head}, run {run.run_id}: not measured, {', '.join(lost)} did not succeed"
            return Fact(name, None, source, run.finished, proof=f"results/{head}/index.md")
        if not any(known.startswith(f"{head}.") for known in self.by_name):
            raise IncompleteError(
                f"fact {name!r} is unknown: no run of {head!r}", f"run it: runbook run {head}"
            )
        close = get_close_matches(name, self.by_name, n=1, cutoff=0.6)
        near = f", the nearest is {close[0]!r}" if close else ""
        raise IncompleteError(f"fact {name!r} is unknown{near}", "correct the name in the page")

    def __iter__(self) -> Iterator[Fact]:
        return iter(self.by_name.values())


def collect(settings: Settings) -> Facts:
    """Read every source of facts; raises :class:`IncompleteError` for a corrupt run record."""
    found: dict[str, Fact] = {}
    runs: dict[str, RunRecord] = {}
    for name, environment in settings.environments.items():
        folder = run_folders.newest(settings.runs, name)
        if folder is not None:
            runs[name] = past_runs.whole(folder)
            for fact in of_run(runs[name], environment.fresh_for):
                found[fact.name] = fact
    for fact in (
        *of_history(settings),
        *of_benchmarks(settings),
        *of_limits(settings),
        *of_project(settings),
    ):
        found[fact.name] = fact
    return Facts(found, runs)


def of_run(run: RunRecord, fresh_for: timedelta) -> Iterator[Fact]:
    """The facts of a run record, each pointing at the notebook that measured it."""
    home = f"results/{run.environment}/index.md"
    source = f"{run.environment}, run {run.run_id}"

    def fact(name: str, value: Value, proof: str = home) -> Fact:
        return Fact(
            f"{run.environment}.{name}",
            value,
            source,
            run.as_of,
            run.as_of + fresh_for,
            proof,
        )

    pages = {step.name: f"results/{run.environment}/{step.name}.ipynb" for step in run.steps}
    for step in run.steps:
        for name, value in step.facts.items():
            yield fact(name, value, pages[step.name])
    proofs = {
        check: f"{pages[step.name]}#cell-id={step.cells[check]}" if check in step.cells else home
        for step in run.steps
        for check in step.checks
    }
    for name, value in judgement.facts_of((), run.checks).items():
        yield fact(name, value, proofs.get(name.split(".")[1], home))
    for verdict in run.verdicts:
        yield fact(f"verdict.{verdict.gate}", verdict.state.value)
        yield fact(f"accepted.{verdict.gate}", len(verdict.accepted))
    yield fact("run.id", run.run_id)
    yield fact("run.seconds", round((run.finished - run.started).total_seconds()))
    yield fact("run.steps", len(run.steps))
    yield fact("run.steps_succeeded", sum(step.status == "succeeded" for step in run.steps))
    yield fact("checks.total", len(run.checks))
    yield fact("checks.passed", sum(check.status == "passed" for check in run.checks))
    if run.server:
        yield fact("server.version", run.server.version)
        yield fact("server.database", run.server.database)
    yield fact("fingerprint", run.fingerprint)


def of_history(settings: Settings) -> Iterator[Fact]:
    """What no run can measure: the entries of the history file, each with source and date."""
    if settings.project.history is None:
        return
    path = settings.path(settings.project.history)
    text = declarations.read_text(path, "correct project.history in runbook.toml")
    for name, entry in declarations.tables(text, path).items():
        if not isinstance(entry, dict) or not {"value", "source", "date"} <= entry.keys():
            line = declarations.line_of(text, (name,))
            raise FileError(path, line, f"[{name}] lacks value, source or date", "add them")
        yield Fact(f"history.{name}", entry["value"], entry["source"], entry["date"])


# of the sections of benchmarks.json, where they are not the benchmarks' own
PAGES = {"fleet": "fleet.md", "score": "discovery.md", "further": "discovery.md"}
SOURCES = {"score": "make score", "further": "python -m tests.score --name further"}


def of_benchmarks(settings: Settings) -> Iterator[Fact]:
    """What the benchmarks measured: benchmarks.json in the documents, where there is one."""
    path = settings.path(settings.project.docs) / "benchmarks.json"
    if not path.is_file():
        return
    try:
        for section, part in json.loads(path.read_text(encoding="utf-8")).items():
            measured = date.fromisoformat(part["measured"])
            proof = PAGES.get(section, "performance.md")
            source = SOURCES.get(section, "make bench")
            for name, value in part["facts"].items():
                yield Fact(f"bench.{name}", value, source, measured, proof=proof)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        hint = "measure again: python -m tests.bench --save"
        raise FileError(path, None, f"cannot be read: {error!r}", hint) from None


def of_limits(settings: Settings) -> Iterator[Fact]:
    for name, value in settings.limits.items():
        yield Fact(f"limits.{name}", value, "runbook.toml", proof="reference/settings.md")


_FENCE = re.compile(r"^```\s*(\w+)", re.MULTILINE)


def of_project(settings: Settings) -> Iterator[Fact]:
    """Counts of the repository itself: documents, notebooks, checks, tests, code blocks."""
    relationships = settings.relationships()
    docs = settings.path(settings.project.docs)
    made = {"results", "examples"}  # by a build, or packages of other languages
    pages = [path for path in docs.rglob("*.md") if not made & {*path.relative_to(docs).parts}]
    fences = [kind for page in pages for kind in _FENCE.findall(page.read_text(encoding="utf-8"))]
    criteria = settings.criteria
    counts: dict[str, Value] = {
        "documents": len(pages),
        "notebooks": len(settings.step),
        "checks": len(checks.of_project(settings)),
        "writing_checks": sum(check.writes for check in checks.of_project(settings).values()),
        "tests": _tests(settings.folder / "tests"),
        "code_blocks": len(fences),
        "sql_blocks": fences.count("sql"),
        "relationships": len(relationships),
        "core_relationships": sum(settings.is_core(item) for item in relationships),
        "outer_relationships": sum(not settings.is_core(item) for item in relationships),
        "team_decisions": sum(item.decided_by == "team" for item in relationships),
        "tables": len({item.child for item in relationships if settings.is_core(item)}),
        "critical_audits": sum(item.alert != "below" for item in relationships),
        "environments": len(settings.environments),
        "gates": len(settings.gate),
        "criteria": len(criteria),
    }
    for tier in ("critical", "important", "nice to have"):
        name = f"{tier.split()[0]}_criteria"
        counts[name] = sum(criterion.tier == tier for criterion in criteria)
    for priority in ("critical", "high", "medium", "low"):
        counts[f"{priority}_priority"] = sum(item.priority == priority for item in relationships)
    for name, value in counts.items():
        yield Fact(f"project.{name}", value, "this repository", proof="reference/artefacts.md")


def _tests(folder: Path) -> int:
    """The test functions in ``folder``, before parameters multiply them."""
    total = 0
    for path in folder.rglob("test_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        total += sum(
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and node.name.startswith("test_")
            for node in ast.walk(tree)
        )
    return total
