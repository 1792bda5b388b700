"""A made-up project of any size for the benchmark of the site: settings, run records, notebooks.

No database is asked: the run records are written as a run would write them. The same numbers give
the same project, but for the ages of its runs, which end now.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nbformat
import yaml

from runbook import junit, markup, record
from runbook.findings import Audit, AuditState, CensusRow, CheckResult, Evidence, KeyState, Status
from runbook.record import RunRecord, Server, Step
from runbook.relationships import Alert, Priority, Relationship
from runbook.schema import Action, TableName
from runbook.verdict import Criterion, CriterionResult, CriterionState, State, Tier, Verdict
from tests.project import ROOT

SEED = 20261123
SCHEMAS = ("public", "billing", "catalog", "fulfilment")
CRITERION = Criterion("C1", "References hold", Tier.CRITICAL)
WORDS = ("order", "invoice", "shipment", "customer", "product", "payment", "stock", "return")


@dataclass(frozen=True)
class Size:
    """How large the project is; ``runs``, ``findings`` and ``pages`` are of all environments."""

    tables: int = 2_000
    relationships: int = 5_000
    environments: int = 5
    runs: int = 50
    findings: int = 10_000
    pages: int = 100
    rows: int = 500

    @property
    def steps(self) -> int:
        return self.pages // self.environments

    @property
    def findings_a_step(self) -> int:
        return self.findings // (self.environments * self.steps)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"environment_{number}" for number in range(1, self.environments + 1))


def relationships(size: Size) -> tuple[Relationship, ...]:
    """Each table but the first refers to an earlier one, and the rest are drawn by chance."""
    chance = random.Random(SEED)  # noqa: S311 - the same every time, no secret
    tables = [
        TableName(SCHEMAS[n % len(SCHEMAS)], f"{WORDS[n % len(WORDS)]}_{n:04}")
        for n in range(size.tables)
    ]
    pairs = [(n, chance.randrange(max(0, n - 40), n)) for n in range(1, size.tables)]
    while len(pairs) < size.relationships:
        child = chance.randrange(1, size.tables)
        pairs.append((child, chance.randrange(child)))
    seen: dict[int, int] = {}
    items = []
    for child, parent in pairs[: size.relationships]:
        seen[child] = seen.get(child, 0) + 1
        column = f"{tables[parent].table}_id_{seen[child]}"
        items.append(
            Relationship(
                tables[child],
                (column,),
                tables[parent],
                ("id",),
                chance.choice((Action.RESTRICT, Action.CASCADE, Action.NO_ACTION)),
                chance.choice(tuple(Priority)),
                chance.choice(tuple(Alert)),
                group="core",
                decided_by="team",
                why=f"a {tables[child].table} is worth nothing without its {tables[parent].table}",
            )
        )
    return tuple(items)


def write(folder: Path, size: Size) -> None:
    """The whole project below ``folder``."""
    items = relationships(size)
    (folder / "runbook.toml").write_text("\n".join(_settings(size)), encoding="utf-8")
    declared = "\n".join(_declared(items))
    (folder / "relationships.toml").write_text(declared, encoding="utf-8")
    shutil.copytree(ROOT / "docs" / "assets", folder / "docs" / "assets")
    (folder / "docs" / "index.md").write_text("# Start\n\nA made-up project.\n", encoding="utf-8")
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    config["nav"] = [{"Start": "index.md"}, {"Results": "results/index.md"}]
    (folder / "mkdocs.yml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    end = datetime.now(UTC).replace(microsecond=0)
    runs = size.runs // size.environments
    for name in size.names:
        for number in range(runs):
            add_run(folder, size, items, name, number, end - timedelta(days=runs - number))


def _settings(size: Size) -> Iterator[str]:
    yield '[project]\ntitle = "Large"\nrelationships = "relationships.toml"\n'
    for name in size.names:
        yield f'[environments.{name}]\ngate = "production"\nfresh_for = "90d"'
        yield 'reader = { variable = "NOBODY" }\n'
    yield f'[[criterion]]\nid = "{CRITERION.id}"\ntitle = "{CRITERION.title}"\ntier = "critical"\n'
    yield '[[gate]]\nname = "production"\ntitle = "Ready for production"\n'
    for number in range(size.steps):
        yield f'[[step]]\nname = "step_{number}"\ntitle = "Step {number}"'
        yield f'notebook = "{number:02}.ipynb"\n'


def _declared(items: Sequence[Relationship]) -> Iterator[str]:
    for item in items:
        yield "[[relationship]]"
        yield f'child = "{item.child}"\ncolumns = ["{item.columns[0]}"]'
        yield f'parent = "{item.parent}"\nreferences = ["{item.references[0]}"]'
        yield f'on_delete = "{item.on_delete}"\npriority = "{item.priority}"'
        yield f'alert = "{item.alert}"\ngroup = "{item.group}"'
        yield f'decided_by = "{item.decided_by}"\nwhy = "{item.why}"\n'


def add_run(  # noqa: PLR0913, PLR0917 - each is one thing that a run has
    folder: Path,
    size: Size,
    items: Sequence[Relationship],
    environment: str,
    number: int,
    end: datetime,
) -> Path:
    """One more run of ``environment``, that ended at ``end``; returns its folder."""
    run = _run(size, items, environment, number, end)
    place = folder / "runs" / environment / run.run_id
    place.mkdir(parents=True)
    for step in run.steps:
        nbformat.write(_notebook(run, step, size), place / step.notebook)
    (place / junit.FILE_NAME).write_text(junit.render(run), encoding="utf-8")
    record.write(place, run.model_copy(update={"digests": record.digests(place)}))
    return place


def _run(
    size: Size, items: Sequence[Relationship], environment: str, number: int, end: datetime
) -> RunRecord:
    chance = random.Random(environment)  # noqa: S311 - the same every time
    census = tuple(_census(item, chance) for item in items)
    audits = tuple(_audit(item, chance, number) for item in items)
    checks = tuple(_check(items, size, step) for step in range(size.steps))
    begun = end - timedelta(minutes=9)
    steps = tuple(
        Step(
            name=f"step_{at}",
            title=f"Step {at}",
            notebook=f"{at:02}.ipynb",
            status="succeeded",
            started=begun,
            finished=end,
            checks=(check.check,),
        )
        for at, check in enumerate(checks)
    )
    failed = CriterionResult(CRITERION, CriterionState.FAILED, ("foreign keys are missing",))
    return RunRecord(
        run_id=f"{end:%Y%m%dT%H%M%SZ}",
        environment=environment,
        gate="production",
        started=begun,
        finished=end,
        tool_version="0",
        server=Server(
            version="18.0",
            version_number=180000,
            system_identifier="7",
            database=environment,
            role="reader",
            source="a variable",
        ),
        fingerprint="f" * 16,
        structure_fingerprint="e" * 16,
        steps=steps,
        checks=checks,
        census=census,
        undeclared=0,
        audits=audits,
        verdicts=(Verdict("production", State.NO_GO, ("C1 failed",), (failed,)),),
        digests={},
    )


def _census(item: Relationship, chance: random.Random) -> CensusRow:
    if chance.random() < 0.4:
        return CensusRow(item, KeyState.ENFORCED, None)
    return CensusRow(item, KeyState.MISSING, None, "the database has no such key")


def _audit(item: Relationship, chance: random.Random, number: int) -> Audit:
    seconds = round(chance.random(), 4)
    if chance.random() < 0.8:
        return Audit(item, AuditState.CLEAN, 0, 0, "anti-join", True, seconds, rows=120_000)
    count = chance.randrange(1, 5_000) + (number if chance.random() < 0.3 else 0)
    samples = tuple(str(chance.randrange(10**6)) for _ in range(5))
    return Audit(
        item, AuditState.ORPHANS, count, 9, "anti-join", True, seconds, "", samples, 120_000
    )


def _check(items: Sequence[Relationship], size: Size, step: int) -> CheckResult:
    """A failed check whose evidence is its share of the findings."""
    count = size.findings_a_step
    found = [items[(step * count + at) % len(items)] for at in range(count)]
    rows = [(item.label, item.target, at + 1, item.why) for at, item in enumerate(found)]
    columns = ("relationship", "refers to", "orphan rows", "why")
    return CheckResult(
        check=f"check_{step}",
        title=f"references of part {step} hold",
        criterion=CRITERION.id,
        status=Status.FAILED,
        message=f"{count} relationships do not hold",
        failing=count,
        evidence=(Evidence.of(columns, rows, "What does not hold"),),
    )


def _notebook(run: RunRecord, step: Step, size: Size) -> nbformat.NotebookNode:
    """A notebook as papermill leaves it, which no other run's is, with ``size.rows`` rows."""
    begin = int(step.name.removeprefix("step_")) * size.rows
    audits = [run.audits[(begin + at) % len(run.audits)] for at in range(size.rows)]
    rows = [
        (audit.relationship.label, audit.relationship.target, audit.orphans, audit.strategy)
        for audit in audits
    ]
    columns = ("relationship", "refers to", "orphan rows", "counted by")
    shown = f'<div class="rb-result">{markup.table(columns, rows, "Orphan rows")}</div>'
    output = nbformat.v4.new_output(
        "execute_result", {"text/html": shown, "text/plain": "a table"}, execution_count=2
    )
    folder = f"runs/{run.environment}/{run.run_id}"
    cells = [
        nbformat.v4.new_markdown_cell(f"# {step.title}\n\nWhat this step looked at.", id="title"),
        nbformat.v4.new_code_cell(f'run_folder = "{folder}"', execution_count=1, id="parameters"),
        nbformat.v4.new_code_cell("show(audits)", outputs=[output], execution_count=2, id="shown"),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    papermill = {"parameters": {"run_folder": folder}, "start_time": run.started.isoformat()}
    found: nbformat.NotebookNode = nbformat.v4.new_notebook(
        cells=cells, metadata={"kernelspec": kernel, "papermill": papermill}
    )
    return found
