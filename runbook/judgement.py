"""Judges the results of a run's steps: all checks, all facts, the verdict of each gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from runbook import checks, record, run_folders
from runbook.environment import Environment
from runbook.errors import IncompleteError
from runbook.findings import CheckResult, Status, Value
from runbook.record import StepResult
from runbook.settings import Settings
from runbook.verdict import Borrowed, Gate, State, Verdict, judge


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def results_of(settings: Settings, folder: Path) -> list[StepResult]:
    """What the steps of a run have written so far, in the order of the steps."""
    found = (record.read_step(folder, entry.name) for entry in settings.step)
    return [result for result in found if result is not None]


def all_checks(settings: Settings, results: Sequence[StepResult]) -> tuple[CheckResult, ...]:
    """The result of every check; one that no finished step holds is ``could not look``."""
    found = {check.check: check for result in results for check in result.checks}
    wanted = {criterion.id for criterion in settings.criteria}
    for check in checks.of_project(settings).values():
        if check.criterion in wanted and check.id not in found:
            found[check.id] = CheckResult(
                check=check.id,
                title=check.title,
                criterion=check.criterion,
                status=Status.COULD_NOT_LOOK,
                message="no step of this run finished it",
            )
    return tuple(found.values())


def verdicts(
    settings: Settings,
    environment: Environment,
    results: Sequence[StepResult],
    found: Sequence[CheckResult],
    unfinished: Sequence[str] = (),
) -> tuple[Verdict, ...]:
    """The verdict of each gate of the environment; a step that failed leaves no GO."""
    facts = facts_of(results, found)
    unfinished_actions = frozenset(
        action.id
        for action in settings.action
        if action.fact in facts and facts[action.fact] != action.equals
    )
    schema = next((r for r in results if r.fingerprint), None)
    verdicts = []
    for gate in settings.gates_of(environment):
        verdict = judge(
            gate,
            settings.criteria,
            found,
            unfinished_actions,
            _borrowed(settings, gate, schema),
        )
        if unfinished and verdict.state is State.NO_GO:
            verdict = replace(verdict, reasons=(*verdict.reasons, *unfinished))
        elif unfinished:
            reasons = (*unfinished, *verdict.reasons)
            verdict = replace(verdict, state=State.UNKNOWN, reasons=reasons)
        verdicts.append(verdict)
    return tuple(verdicts)


def remarked(verdicts: Sequence[Verdict], remarks: Sequence[str]) -> tuple[Verdict, ...]:
    """The same verdicts; ``remarks`` are told after their reasons."""
    return tuple(replace(v, reasons=(*v.reasons, *remarks)) for v in verdicts)


def facts_of(results: Sequence[StepResult], found: Sequence[CheckResult]) -> dict[str, Value]:
    """All values that this run measured, by the name that pages and actions use."""
    facts: dict[str, Value] = {}
    for result in results:
        facts |= result.facts
    for check in found:
        facts[f"checks.{check.check}.status"] = check.status.value
        facts[f"checks.{check.check}.failing"] = check.failing if check.status.known else None
        facts |= {f"checks.{check.check}.{name}": value for name, value in check.facts.items()}
    return facts


def _borrowed(settings: Settings, gate: Gate, schema: StepResult | None) -> dict[str, Borrowed]:
    """Evidence of other environments for the criteria that ``gate`` takes it for.

    It counts for the same schema alone, foreign keys included: what a database without keys
    allows, one with keys refuses.
    """
    names = dict.fromkeys(entry.environment for entry in gate.borrows)
    evidence = {name: _evidence(settings, name, schema) for name in names}
    return {entry.criterion: evidence[entry.environment] for entry in gate.borrows}


def _evidence(settings: Settings, environment: str, schema: StepResult | None) -> Borrowed:
    """The newest run of another environment, or why it does not count."""
    folder = run_folders.newest(settings.runs, environment)
    if folder is None:
        return Borrowed(environment, "", refusal="it has no run")
    try:
        other = record.read(folder)
    except IncompleteError:
        return Borrowed(environment, folder.name, refusal=f"its run {folder.name} is corrupt")
    refusal, stale = "", False
    if schema is None or other.fingerprint != schema.fingerprint:
        refusal = "its schema is another one"
        if schema and other.structure_fingerprint == schema.structure_fingerprint:
            refusal = "it has the same tables with other foreign keys"
    elif now() - other.as_of > settings.environment(environment).fresh_for:
        refusal, stale = f"its run {other.run_id} is stale", True
    return Borrowed(environment, other.run_id, other.checks, refusal, stale)
