"""How results become a verdict: criteria, gates, accepted failures, the team's rules.

A gate's verdict over the criteria:

- any critical criterion fails: NO-GO;
- all of the important ones fail (at least three): NO-GO; fewer: HOLD;
- something critical or important was not or could not be looked at: UNKNOWN;
- otherwise GO. Nice-to-have criteria never count.

A known failure outweighs what is unknown: looking further could not turn it into a GO.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from runbook.findings import CheckResult, Status


class Tier(StrEnum):
    """How much a criterion weighs."""

    CRITICAL = "critical"
    IMPORTANT = "important"
    NICE = "nice to have"


class State(StrEnum):
    """A verdict. STALE is UNKNOWN by age: its results are past their ``fresh_for``."""

    GO = "GO"
    HOLD = "HOLD"
    NO_GO = "NO-GO"
    UNKNOWN = "UNKNOWN"
    STALE = "STALE"

    @property
    def exit_code(self) -> int:
        return {State.GO: 0, State.HOLD: 1, State.NO_GO: 1}.get(self, 3)


class CriterionState(StrEnum):
    """What a gate makes of a criterion."""

    PASSED = "passed"
    ACCEPTED = "failed and accepted"
    FAILED = "failed"
    UNKNOWN = "unknown"


NO_CRITERION = "runbook.toml has no [[criterion]] that counts"
IMPORTANT_FAILURES_TO_STOP = 3


@dataclass(frozen=True)
class Criterion:
    """A pass condition that people name; it holds when all of its checks pass."""

    id: str
    title: str
    tier: Tier


@dataclass(frozen=True)
class Acceptance:
    """A failure that a gate accepts while an action is open.

    It covers exactly ``failing`` failures of the check: one more, or one less, is news and is
    not covered. ``failing`` None covers any number.
    """

    check: str
    action: str
    reason: str
    failing: int | None = None


@dataclass(frozen=True)
class Borrowing:
    """A criterion for which a gate takes evidence of another environment of the same schema."""

    criterion: str
    environment: str


@dataclass(frozen=True)
class Gate:
    """A named set of pass conditions: the checks that count, and what is accepted.

    ``ignores`` are checks whose condition this gate does not have.
    """

    name: str
    title: str
    accepts: tuple[Acceptance, ...] = ()
    ignores: tuple[str, ...] = ()
    borrows: tuple[Borrowing, ...] = ()


@dataclass(frozen=True)
class Borrowed:
    """Results of another environment offered in place of what was not looked at here.

    ``refusal`` says why they do not count (another schema, too old, no run); empty: they do.
    ``stale``: they would count, were they not too old.
    """

    environment: str
    run_id: str
    results: tuple[CheckResult, ...] = ()
    refusal: str = ""
    stale: bool = False


@dataclass(frozen=True)
class CriterionResult:
    """A criterion under a gate, with the sentences that say why.

    ``stale``: it is unknown for no other reason than the age of its evidence.
    """

    criterion: Criterion
    state: CriterionState
    reasons: tuple[str, ...]
    stale: bool = False


@dataclass(frozen=True)
class Verdict:
    """What a gate says of a run, and why."""

    gate: str
    state: State
    reasons: tuple[str, ...]
    criteria: tuple[CriterionResult, ...]

    @property
    def accepted(self) -> tuple[CriterionResult, ...]:
        return tuple(c for c in self.criteria if c.state is CriterionState.ACCEPTED)


def judge(
    gate: Gate,
    criteria: Sequence[Criterion],
    results: Sequence[CheckResult],
    open_actions: frozenset[str] = frozenset(),
    borrowed: Mapping[str, Borrowed] | None = None,
) -> Verdict:
    """Apply ``gate`` to the results of a run.

    ``open_actions`` are the ids of actions that are not done: only they carry an acceptance.
    ``borrowed`` maps a criterion's id to the evidence of another environment.
    """
    judged = tuple(
        _criterion(gate, criterion, results, open_actions, (borrowed or {}).get(criterion.id))
        for criterion in criteria
    )
    failed = [c for c in judged if c.state is CriterionState.FAILED]
    critical = [c for c in failed if c.criterion.tier is Tier.CRITICAL]
    important = [c for c in failed if c.criterion.tier is Tier.IMPORTANT]
    unknown = [
        c for c in judged if c.state is CriterionState.UNKNOWN and c.criterion.tier is not Tier.NICE
    ]
    if all(c.criterion.tier is Tier.NICE for c in judged):
        # nothing was asked, so nothing was answered: that is no GO
        return Verdict(gate.name, State.UNKNOWN, (NO_CRITERION,), judged)
    if critical:
        state, because = State.NO_GO, critical + important
    elif len(important) >= IMPORTANT_FAILURES_TO_STOP:
        state, because = State.NO_GO, important
    elif important:
        state, because = State.HOLD, important
    elif unknown:
        stale = all(c.stale for c in unknown)
        state, because = State.STALE if stale else State.UNKNOWN, unknown
    else:
        state, because = State.GO, [c for c in judged if c.state is CriterionState.ACCEPTED]
    reasons = tuple(
        f"{c.criterion.id} {c.state}: {reason}" for c in because for reason in c.reasons
    )
    return Verdict(gate.name, state, reasons, judged)


def _criterion(
    gate: Gate,
    criterion: Criterion,
    results: Sequence[CheckResult],
    open_actions: frozenset[str],
    borrowed: Borrowed | None,
) -> CriterionResult:
    own = [r for r in results if r.criterion == criterion.id and r.check not in gate.ignores]
    if not own:
        return CriterionResult(criterion, CriterionState.UNKNOWN, ("no check of it has run",))
    judged = [_check(gate, result, open_actions, borrowed) for result in own]
    order = (CriterionState.FAILED, CriterionState.UNKNOWN, CriterionState.ACCEPTED)
    state = next((s for s in order if any(j.state is s for j in judged)), CriterionState.PASSED)
    reasons = tuple(j.reason for j in judged if j.state is state and j.reason)
    stale = state is CriterionState.UNKNOWN and all(j.stale for j in judged if j.state is state)
    return CriterionResult(criterion, state, reasons, stale)


@dataclass(frozen=True)
class _Judged:
    """A check under a gate; ``reason`` is empty when it simply passed here."""

    state: CriterionState
    reason: str = ""
    stale: bool = False


def _check(
    gate: Gate, result: CheckResult, open_actions: frozenset[str], borrowed: Borrowed | None
) -> _Judged:
    if result.status is Status.NOT_LOOKED and borrowed is not None:
        return _borrow(gate, result, open_actions, borrowed)
    if result.status is Status.PASSED:
        return _Judged(CriterionState.PASSED)
    if result.status is not Status.FAILED:
        reason = f"{result.check}: {result.status}, {result.message}"
        return _Judged(CriterionState.UNKNOWN, reason)
    acceptance = next((a for a in gate.accepts if a.check == result.check), None)
    refusal = _not_accepted(acceptance, result, open_actions)
    if acceptance is not None and not refusal:
        return _Judged(
            CriterionState.ACCEPTED,
            f"{result.check}: {result.message}; accepted while action {acceptance.action}"
            f" is open: {acceptance.reason}",
        )
    return _Judged(CriterionState.FAILED, f"{result.check}: {result.message}{refusal}")


def _not_accepted(
    acceptance: Acceptance | None, result: CheckResult, open_actions: frozenset[str]
) -> str:
    if acceptance is None:
        return ""
    if acceptance.action not in open_actions:
        return f" (no longer accepted: action {acceptance.action} is done)"
    if acceptance.failing is not None and acceptance.failing != result.failing:
        return f" (not accepted: {acceptance.failing} failures are known, found {result.failing})"
    return ""


def _borrow(
    gate: Gate, result: CheckResult, open_actions: frozenset[str], borrowed: Borrowed
) -> _Judged:
    here = f"{result.check}: {result.status}, {result.message}"
    if borrowed.refusal:
        return _Judged(
            CriterionState.UNKNOWN,
            f"{here}; evidence of {borrowed.environment} does not count: {borrowed.refusal}",
            borrowed.stale,
        )
    there = next((r for r in borrowed.results if r.check == result.check), None)
    if there is None or there.status is Status.NOT_LOOKED:
        return _Judged(
            CriterionState.UNKNOWN, f"{here}; nor was it looked at in {borrowed.environment}"
        )
    judged = _check(gate, there, open_actions, None)
    told = judged.reason or f"{there.check}: {there.status}"
    return _Judged(
        judged.state,
        f"{told} (in {borrowed.environment}, run {borrowed.run_id}, with the same schema)",
    )
