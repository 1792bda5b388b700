"""One execution of the runbook against one environment, from first step to run record."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from runbook import __version__, changes, judgement, junit, lock, preflight, record, resumption
from runbook.environment import Environment
from runbook.errors import IncompleteError
from runbook.evidence import scan
from runbook.execution import Progress, Work
from runbook.interruption import Interruption, terminable
from runbook.judgement import now
from runbook.preflight import Seen
from runbook.record import RunRecord, Unfinished
from runbook.resumption import Earlier, Present
from runbook.settings import PROJECT_VARIABLE, Settings


def _silent(_step: str, _state: str) -> None:
    """For those who do not want to hear it."""


def execute(
    settings: Settings,
    environment: Environment,
    progress: Progress = _silent,
    *,
    resume: bool = False,
) -> RunRecord:
    """Run all steps, or what another run left of them; write the run record and return it.

    Raises before anything is written when the environment cannot be reached or the relationships
    name what it does not have, while another run is going on in its database, or when there is
    nothing to resume. Ctrl-C stops the steps, still writes the record and raises
    :class:`IncompleteError`.
    """
    with terminable() as interruption:
        seen = preflight.look(settings, environment)
        with lock.alone(environment):
            earlier = resumption.find(settings, environment) if resume else None
            os.environ[PROJECT_VARIABLE] = str(settings.folder)  # the kernels look there too
            work = _begin(settings, environment, progress)
            return _carry_out(work, interruption, seen, earlier)


def _begin(settings: Settings, environment: Environment, progress: Progress) -> Work:
    """Make the run's folder and note that there is a run: it can be resumed even if killed."""
    started = now()
    folder = _new_folder(settings.runs / environment.name, started)
    noted = Unfinished(
        run_id=folder.name,
        environment=environment.name,
        started=started,
        tool_version=__version__,
        declarations=resumption.declarations(settings),
        planned=tuple(entry.name for entry in settings.step),
    )
    _note(folder, noted)
    return Work(settings, environment, folder, noted, progress)


def _note(folder: Path, noted: Unfinished) -> None:
    try:
        record.note(folder, noted)
    except OSError as error:
        raise IncompleteError(
            f"{folder}: cannot be written: {error.strerror}", "make room there and run again"
        ) from None


def _carry_out(
    work: Work, interruption: Interruption, seen: Seen, earlier: Earlier | None
) -> RunRecord:
    """Take over, run the rest, and write the record whatever happens."""
    try:
        if earlier:
            _take_over(work, seen, earlier)
        work.run(interruption)
    except KeyboardInterrupt:
        with interruption.held():
            compose(work)
        raise IncompleteError(
            f"interrupted; the record in {work.folder} says what was finished",
            f"do the rest: runbook run {work.environment.name} --resume",
        ) from None
    except BaseException:
        compose(work)
        raise
    with interruption.held():
        return compose(work)


def _take_over(work: Work, seen: Seen, earlier: Earlier) -> None:
    """Begin with what counts of the earlier run."""
    present = Present(work.settings, work.environment, seen, work.noted.started, work.folder)
    taken = resumption.take_over(earlier, present)
    update = {"resumes": earlier.run_id, "steps": taken.steps, "digests": taken.digests}
    work.noted = work.noted.model_copy(update=update)
    work.why_again = taken.why_again
    _note(work.folder, work.noted)
    for step in taken.steps:
        work.progress(step.name, "started")
        work.progress(step.name, f"taken over from run {step.taken_from}")


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


def _changes(work: Work) -> tuple[str, ...]:
    try:
        return changes.taken_along(work.settings, work.environment.name, work.folder)
    except OSError as error:
        raise IncompleteError(
            f"{work.folder}: the logs of changes could not be copied: {error.strerror}",
            "make room and do the rest with --resume",
        ) from None


def compose(work: Work) -> RunRecord:
    """Put the steps' results together, judge them and write run.json."""
    settings, environment, folder, done = work.settings, work.environment, work.folder, work.steps()
    good = {step.name for step in done if step.status == "succeeded"}
    results = [r for r in judgement.results_of(settings, folder) if r.step in good]
    found = judgement.all_checks(settings, results)
    failed = [f"step {s.name} {s.status}: {s.failure}" for s in done if s.status != "succeeded"]
    first = next((result for result in results if result.server), None)
    run = RunRecord(
        run_id=folder.name,
        environment=environment.name,
        gate=environment.gate,
        started=work.noted.started,
        finished=now(),
        tool_version=__version__,
        server=first.server if first else None,
        fingerprint=first.fingerprint if first else "",
        structure_fingerprint=first.structure_fingerprint if first else "",
        steps=done,
        checks=found,
        census=next((r.census for r in results if r.census), ()),
        undeclared=next((r.undeclared for r in results if r.undeclared is not None), None),
        audits=next((r.audits for r in results if r.audits), ()),
        lookalikes=next((r.lookalikes for r in results if r.lookalikes), ()),
        verdicts=judgement.remarked(
            judgement.verdicts(settings, environment, results, found, failed),
            resumption.remarks(done),
        ),
        digests={},
        resumes=work.noted.resumes,
        changes=_changes(work),
        declarations=work.noted.declarations,
    )
    try:
        run = scan.guarded(folder, run)
        record.write_atomically(folder / junit.FILE_NAME, junit.render(run))
        run = run.model_copy(update={"digests": record.digests(folder)})
        record.write(folder, run)
    except OSError as error:
        raise IncompleteError(
            f"{folder}: the run record could not be written: {error.strerror}",
            "make room and do the rest with --resume; without its record this run counts for"
            " nothing",
        ) from None
    return run
