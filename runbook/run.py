"""One execution of the runbook against one environment, from first step to run record."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path

from runbook import __version__, checks, context, judgement, junit, notebook, record, session
from runbook.connection import Purpose
from runbook.environment import Environment
from runbook.errors import IncompleteError, UsageError
from runbook.interruption import terminable
from runbook.judgement import now
from runbook.record import RunRecord, Step
from runbook.settings import FILE_NAME, PROJECT_VARIABLE, Settings, StepEntry

OWN_CHECKS = ("documents_complete", "key_cost")  # steps obtain these without a check module
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
    os.environ[PROJECT_VARIABLE] = str(settings.folder)  # the kernels look at the same project
    started = now()
    folder = _new_folder(settings.runs / environment.name, started)
    work = _Work(settings, environment, folder, progress)
    try:
        with notebook.private_runtime(), terminable():
            for group in _groups(settings.step):
                work.together(group)
    finally:
        finished = {step.name: step for step in work.done}
        done = [finished.get(entry.name) or _not_run(entry) for entry in settings.step]
        run = compose(settings, environment, folder, started, done)
    return run


def _preflight(settings: Settings, environment: Environment) -> None:
    """Fail early: connect and resolve all names before a kernel starts or a file is written."""
    _names(settings)
    reader = session.connect(environment, Purpose.READ)
    try:
        with session.reading(reader, environment):
            context.look(settings, environment, reader)
    finally:
        reader.close()


def _names(settings: Settings) -> None:
    """Everything that runbook.toml names and that no connection is needed to look for."""
    place = settings.folder / FILE_NAME
    known = {*checks.of_project(settings), *OWN_CHECKS}
    for gate in settings.gate:
        for name in (*(entry.check for entry in gate.accept), *gate.ignore):
            if name not in known:
                near = get_close_matches(name, known, n=1)
                guess = f", the nearest is {near[0]!r}" if near else ""
                raise UsageError(
                    f"{place}: gate {gate.name!r} names no check: {name!r}{guess}",
                    "correct the name",
                )
    files = [settings.project.notebooks / entry.notebook for entry in settings.step]
    for file in (*files, *filter(None, (settings.project.history,))):
        if not settings.path(file).is_file():
            raise UsageError(f"{place}: {str(file)!r}: no such file", "correct the name")
    core = settings.project.core
    if core and not any(item.group == core for item in settings.relationships()):
        raise UsageError(
            f"{place}: project.core: no relationship has the group {core!r}",
            "correct the name, or leave it out to count all relationships",
        )


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


@dataclass
class _Work:
    """The steps of one run: what is done, and whether a person has ended it."""

    settings: Settings
    environment: Environment
    folder: Path
    progress: Progress
    done: list[Step] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def together(self, group: Sequence[StepEntry]) -> None:
        """Run the steps of a group beside each other; Ctrl-C ends those that run, and the rest."""
        with ThreadPoolExecutor(min(KERNELS, len(group))) as pool:
            futures = [pool.submit(self._one, entry) for entry in group]
            try:
                for future in futures:
                    future.result()
            except KeyboardInterrupt:
                self.stopped.set()
                pool.shutdown(wait=False, cancel_futures=True)
                notebook.interrupt_kernels()
                raise

    def _one(self, entry: StepEntry) -> None:
        if self.stopped.is_set():
            return
        self.progress(entry.name, "started")
        step = self._step(entry)
        if self.stopped.is_set() and step.status == "failed":
            step = step.model_copy(update={"failure": "interrupted"})
        self.done.append(step)
        self.progress(entry.name, step.status)

    def _step(self, entry: StepEntry) -> Step:
        started = datetime.now(UTC)
        project = self.settings.folder
        inside = self.folder.is_relative_to(project)
        execution = notebook.execute(
            self.settings.path(self.settings.project.notebooks) / entry.notebook,
            self.folder / entry.notebook,
            entry.name,
            project,
            environment=self.environment.name,
            run_folder=(self.folder.relative_to(project) if inside else self.folder).as_posix(),
        )
        result = record.read_step(self.folder, entry.name)
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
            cells=notebook.cells_of_checks(self.folder / entry.notebook),
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
        lookalikes=next((r.lookalikes for r in results if r.lookalikes), ()),
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
