"""Executes the steps of a run beside each other, and notes each of them as it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from runbook import notebook, record
from runbook.environment import Environment
from runbook.interruption import Interruption
from runbook.kernels import Kernels
from runbook.record import Step, Unfinished
from runbook.settings import Settings, StepEntry

KERNELS = 3  # beside each other; on two cores a fourth only slows the others down
INTERRUPTED = "interrupted"
NOT_RUN = "the run was interrupted before this step"

Progress = Callable[[str, str], None]
"""Called with a step's name and ``started``, ``succeeded`` or ``failed``."""


def groups(entries: Sequence[StepEntry]) -> Iterator[list[StepEntry]]:
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
class Work:
    """The steps of one run: what is noted of them, and whether a person has ended it.

    ``why_again`` has, by step, why an earlier result was not taken over.
    """

    settings: Settings
    environment: Environment
    folder: Path
    noted: Unfinished
    progress: Progress
    why_again: dict[str, str] = field(default_factory=dict)
    stopped: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, interruption: Interruption) -> None:
        """Run every step that is not noted yet; Ctrl-C ends those that run, and the rest."""
        before = {step.name for step in self.noted.steps}
        with Kernels() as kernels:
            for group in groups(self.settings.step):
                left = [entry for entry in group if entry.name not in before]
                if left:
                    self._together(left, kernels, interruption)

    def steps(self) -> tuple[Step, ...]:
        """All steps in their order; those that did not end are ``not run``."""
        with self._lock:
            ended = {step.name: step for step in self.noted.steps}
        return tuple(ended.get(entry.name) or self._not_run(entry) for entry in self.settings.step)

    def _together(
        self, group: Sequence[StepEntry], kernels: Kernels, interruption: Interruption
    ) -> None:
        pool = ThreadPoolExecutor(min(KERNELS, len(group)))
        futures: list[Future[None]] = []
        try:
            futures += [pool.submit(self._one, entry, kernels) for entry in group]
            for future in as_completed(futures):
                future.result()
        except BaseException:
            self.stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            kernels.end(lambda: all(f.done() for f in futures), lambda: interruption.urgent)
            raise
        finally:
            pool.shutdown()

    def _one(self, entry: StepEntry, kernels: Kernels) -> None:
        if self.stopped.is_set():
            return
        self.progress(entry.name, "started")
        step = self._step(entry, kernels)
        if self.stopped.is_set() and step.status == "failed":
            step = step.model_copy(update={"failure": INTERRUPTED})
        step = self._note(step)
        self.progress(entry.name, step.status)

    def _note(self, step: Step) -> Step:
        """Keep what became of a step, in case that the run never comes to its record."""
        files = (f"{record.STEPS_FOLDER}/{step.name}.json", step.notebook)
        with self._lock:
            try:
                own = {
                    name: record.digest((self.folder / name).read_bytes())
                    for name in files
                    if (self.folder / name).is_file()
                }
                noted = self._with(step, own)
                record.note(self.folder, noted)
            except OSError as error:
                failure = step.failure or f"its result could not be noted: {error.strerror}"
                step = step.model_copy(update={"status": "failed", "failure": failure, "facts": {}})
                noted = self._with(step, {})
            self.noted = noted
        return step

    def _with(self, step: Step, own: dict[str, str]) -> Unfinished:
        update = {"steps": (*self.noted.steps, step), "digests": self.noted.digests | own}
        return self.noted.model_copy(update=update)

    def _step(self, entry: StepEntry, kernels: Kernels) -> Step:
        started = datetime.now(UTC)
        project = self.settings.folder
        inside = self.folder.is_relative_to(project)
        source = self.settings.path(self.settings.project.notebooks) / entry.notebook
        content = source.read_bytes()
        execution = notebook.execute(
            kernels,
            source,
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
            source=record.digest(content),
            false_starts=execution.false_starts,
            run_again=self.why_again.get(entry.name, ""),
        )

    def _not_run(self, entry: StepEntry) -> Step:
        return Step(
            name=entry.name,
            title=entry.title,
            notebook=entry.notebook,
            status="not run",
            failure=NOT_RUN,
            run_again=self.why_again.get(entry.name, ""),
        )
