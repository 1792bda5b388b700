"""One execution of the runbook against one environment, from first step to run record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from runbook import __version__, checks, judgement, junit, notebook, record, session, steps
from runbook.environment import Environment
from runbook.errors import IncompleteError
from runbook.judgement import now
from runbook.record import RunRecord, Step
from runbook.session import Purpose
from runbook.settings import Settings, StepEntry

KERNELS = 3  # beside each other; on two cores a fourth only slows the others down

Progress = Callable[[str, str], None]
"""Called with a step's name and ``started``, ``succeeded`` or ``failed``."""


def execute(
    settings: Settings, environment: Environment, progress: Progress = lambda _step, _state: None
) -> RunRecord:
    """Run all steps, write the run record and return it.

    Raises before anything is written when the environment cannot be reached or the relationships
    name what it does not have. Ctrl-C stops the steps and still writes the record.
    """
    _preflight(settings, environment)
    started = now()
    folder = _new_folder(settings.runs / environment.name, started)
    done: list[Step] = []
    try:
        with notebook.private_runtime():
            for group in _groups(settings.step):
                done += _together(settings, environment, folder, group, progress)
    finally:
        finished = {step.name for step in done}
        done += [_not_run(entry) for entry in settings.step if entry.name not in finished]
        run = compose(settings, environment, folder, started, done)
    return run


def _preflight(settings: Settings, environment: Environment) -> None:
    """Fail early: connect and resolve all names before a kernel starts or a file is written."""
    checks.of_project(settings)
    reader = session.connect(environment, Purpose.READ)
    try:
        with session.reading(reader, environment):
            steps.look(settings, environment, reader)
    finally:
        reader.close()


def _new_folder(runs: Path, started: datetime) -> Path:
    """A new folder named after the time, so that run ids sort by it."""
    stamp = started.strftime("%Y%m%dT%H%M%SZ")
    for number in range(100):
        folder = runs / (f"{stamp}-{number:02d}" if number else stamp)
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise IncompleteError(f"{runs}: a hundred runs started at {stamp}", "wait a second")


def _groups(entries: Sequence[StepEntry]) -> Iterator[list[StepEntry]]:
    """Steps that may run beside each other: neighbours that are not ``alone``."""
    group: list[StepEntry] = []
    for entry in entries:
        if entry.alone:
            if group:
                yield group
            yield [entry]
            group = []
        else:
            group.append(entry)
    if group:
        yield group


def _together(
    settings: Settings,
    environment: Environment,
    folder: Path,
    group: Sequence[StepEntry],
    progress: Progress,
) -> list[Step]:
    def one(entry: StepEntry) -> Step:
        progress(entry.name, "started")
        step = _step(settings, environment, folder, entry)
        progress(entry.name, step.status)
        return step

    with ThreadPoolExecutor(min(KERNELS, len(group))) as pool:
        return list(pool.map(one, group))


def _step(settings: Settings, environment: Environment, folder: Path, entry: StepEntry) -> Step:
    started = datetime.now(UTC)
    execution = notebook.execute(
        settings.path(settings.project.notebooks) / entry.notebook,
        folder / entry.notebook,
        entry.name,
        settings.folder,
        environment=environment.name,
        run_folder=folder.relative_to(settings.folder).as_posix(),
    )
    result = record.read_step(folder, entry.name)
    return Step(
        name=entry.name,
        title=entry.title,
        notebook=entry.notebook,
        status="failed" if execution.failure else "succeeded",
        started=started,
        finished=datetime.now(UTC),
        failure=execution.failure,
        failed_cell=execution.cell,
        checks=tuple(check.check for check in result.checks) if result else (),
        cells=notebook.cells_of_checks(folder / entry.notebook),
        facts=result.facts if result and not execution.failure else {},
    )


def _not_run(entry: StepEntry) -> Step:
    return Step(
        name=entry.name,
        title=entry.title,
        notebook=entry.notebook,
        status="not run",
        failure="the run was interrupted before this step",
    )


def compose(
    settings: Settings,
    environment: Environment,
    folder: Path,
    started: datetime,
    done: Sequence[Step],
) -> RunRecord:
    """Put the steps' results together, judge them and write run.json."""
    good = {step.name for step in done if step.status == "succeeded"}
    results = [r for r in judgement.results_of(settings, folder) if r.step in good]
    found = judgement.all_checks(settings, results)
    failed = [f"step {s.name} {s.status}: {s.failure}" for s in done if s.status != "succeeded"]
    first = next((result for result in results if result.server), None)
    run = RunRecord(
        run_id=folder.name,
        environment=environment.name,
        gate=environment.gate,
        started=started,
        finished=now(),
        tool_version=__version__,
        server=first.server if first else None,
        fingerprint=first.fingerprint if first else "",
        structure_fingerprint=first.structure_fingerprint if first else "",
        steps=tuple(done),
        checks=found,
        census=next((r.census for r in results if r.census), ()),
        undeclared=next((r.undeclared for r in results if r.undeclared is not None), None),
        audits=next((r.audits for r in results if r.audits), ()),
        verdicts=judgement.verdicts(settings, environment, results, found, failed),
        digests={},
    )
    try:
        record.write_atomically(folder / junit.FILE_NAME, junit.render(run))
        run = run.model_copy(update={"digests": record.digests(folder)})
        record.write(folder, run)
    except OSError as error:
        raise IncompleteError(
            f"{folder}: the run record could not be written: {error.strerror}",
            "make room and run again; without its record this run counts for nothing",
        ) from None
    return run
