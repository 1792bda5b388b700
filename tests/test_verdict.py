"""The team's rules, one by one: what a gate makes of results, and the sentences it gives for it."""

from __future__ import annotations

import pytest

from runbook.findings import CheckResult, Status
from runbook.verdict import (
    Acceptance,
    Borrowed,
    Criterion,
    CriterionResult,
    CriterionState,
    Gate,
    State,
    Tier,
    Verdict,
    judge,
)

CRITICAL = tuple(Criterion(f"C{n}", f"critical {n}", Tier.CRITICAL) for n in (1, 2))
IMPORTANT = tuple(Criterion(f"I{n}", f"important {n}", Tier.IMPORTANT) for n in (1, 2, 3))
NICE = (Criterion("N1", "nice", Tier.NICE),)
CRITERIA = (*CRITICAL, *IMPORTANT, *NICE)
GATE = Gate("production", "Ready for production")
ACCEPTING = Gate(
    "testing", "Ready for testing", accepts=(Acceptance("c1", "1", "the decision is open", 44),)
)


def result(criterion: str, status: Status, failing: int = 0, check: str = "") -> CheckResult:
    name = check or criterion.lower()
    return CheckResult(name, f"title of {name}", criterion, status, f"{status} it", failing)


def results(**statuses: Status) -> list[CheckResult]:
    """A result for each criterion: passed, or what ``statuses`` says."""
    found = [(c.id, statuses.get(c.id, Status.PASSED)) for c in CRITERIA]
    return [result(name, status, int(status is Status.FAILED)) for name, status in found]


def verdict(**statuses: Status) -> Verdict:
    return judge(GATE, CRITERIA, results(**statuses))


def of(found: Verdict, criterion: str) -> CriterionResult:
    return next(c for c in found.criteria if c.criterion.id == criterion)


FAILED, NOT_LOOKED, COULD_NOT = Status.FAILED, Status.NOT_LOOKED, Status.COULD_NOT_LOOK


# --- the rules ----------------------------------------------------------------------------------


def test_all_passed_is_go() -> None:
    found = verdict()
    assert (found.gate, found.state, found.reasons) == ("production", State.GO, ())
    assert {c.state for c in found.criteria} == {CriterionState.PASSED}
    assert [c.criterion for c in found.criteria] == list(CRITERIA)


def test_a_critical_failure_is_no_go() -> None:
    found = verdict(C2=FAILED)
    assert (found.state, found.reasons) == (State.NO_GO, ("C2 failed: c2: failed it",))


def test_a_critical_failure_names_important_ones_too() -> None:
    found = verdict(C1=FAILED, I3=FAILED)
    assert found.state is State.NO_GO
    assert found.reasons == ("C1 failed: c1: failed it", "I3 failed: i3: failed it")


def test_three_important_failures_are_no_go() -> None:
    found = verdict(I1=FAILED, I2=FAILED, I3=FAILED)
    assert found.state is State.NO_GO
    assert found.reasons == tuple(f"I{n} failed: i{n}: failed it" for n in (1, 2, 3))


@pytest.mark.parametrize("failed", [("I1",), ("I3",), ("I1", "I2"), ("I2", "I3")])
def test_one_or_two_important_failures_are_hold(failed: tuple[str, ...]) -> None:
    found = verdict(**dict.fromkeys(failed, FAILED))
    assert found.state is State.HOLD
    assert found.reasons == tuple(f"{n} failed: {n.lower()}: failed it" for n in failed)


@pytest.mark.parametrize("status", [NOT_LOOKED, COULD_NOT])
@pytest.mark.parametrize("criterion", ["C1", "I2"])
def test_what_was_not_looked_at_is_unknown(criterion: str, status: Status) -> None:
    found = verdict(**{criterion: status})
    assert found.state is State.UNKNOWN
    assert found.reasons == (f"{criterion} unknown: {criterion.lower()}: {status}, {status} it",)


@pytest.mark.parametrize("status", [FAILED, NOT_LOOKED, COULD_NOT])
def test_nice_to_have_never_counts(status: Status) -> None:
    found = verdict(N1=status)
    assert (found.state, found.reasons) == (State.GO, ())
    assert of(found, "N1").state is not CriterionState.PASSED


@pytest.mark.parametrize(
    ("statuses", "state"),
    [
        ({"C1": FAILED, "C2": COULD_NOT}, State.NO_GO),
        ({"I1": FAILED, "I2": FAILED, "I3": FAILED, "C1": COULD_NOT}, State.NO_GO),
        ({"I1": FAILED, "C1": NOT_LOOKED}, State.HOLD),
    ],
)
def test_a_known_failure_outweighs_what_is_unknown(
    statuses: dict[str, Status], state: State
) -> None:
    found = verdict(**statuses)
    assert found.state is state
    assert all(" failed: " in reason for reason in found.reasons)


def test_a_criterion_without_results_is_unknown() -> None:
    found = judge(GATE, CRITERIA, results()[1:])
    assert found.state is State.UNKNOWN
    assert found.reasons == ("C1 unknown: no check of it has run",)


@pytest.mark.parametrize("criteria", [(), (Criterion("N", "nice", Tier.NICE),)])
def test_without_criteria_that_count_nothing_is_known(criteria: tuple[Criterion, ...]) -> None:
    found = judge(GATE, criteria, ())
    assert (found.state, found.reasons) == (
        State.UNKNOWN,
        ("runbook.toml has no [[criterion]] that counts",),
    )


def test_a_check_that_a_gate_ignores_does_not_count() -> None:
    gate = Gate("g", "G", ignores=("extra",))
    extra = result("C1", FAILED, 1, "extra")
    assert judge(gate, CRITERIA, [*results(), extra]).state is State.GO
    found = judge(GATE, CRITERIA, [*results(), extra])
    assert found.reasons == ("C1 failed: extra: failed it",)


def test_the_worst_check_decides_its_criterion() -> None:
    more = [result("C1", FAILED, 1, "b"), result("C1", COULD_NOT, 0, "c")]
    found = judge(GATE, CRITERIA, [*results(), *more])
    assert of(found, "C1") == CriterionResult(CRITICAL[0], CriterionState.FAILED, ("b: failed it",))
    found = judge(GATE, CRITERIA, [*results(), more[1]])
    assert of(found, "C1") == CriterionResult(
        CRITICAL[0], CriterionState.UNKNOWN, ("c: could not look, could not look it",)
    )


@pytest.mark.parametrize(
    ("state", "code"),
    [(State.GO, 0), (State.HOLD, 1), (State.NO_GO, 1), (State.UNKNOWN, 3), (State.STALE, 3)],
)
def test_exit_codes(state: State, code: int) -> None:
    assert state.exit_code == code


# --- accepted failures --------------------------------------------------------------------------


def accepted(failing: int, open_actions: frozenset[str] = frozenset("1")) -> Verdict:
    found = [result("C1", FAILED, failing), *results()[1:]]
    return judge(ACCEPTING, CRITERIA, found, open_actions)


def test_the_known_number_of_failures_is_accepted_and_shown() -> None:
    found = accepted(44)
    reason = "c1: failed it; accepted while action 1 is open: the decision is open"
    assert found.state is State.GO
    assert found.reasons == (f"C1 failed and accepted: {reason}",)
    assert found.accepted == (CriterionResult(CRITICAL[0], CriterionState.ACCEPTED, (reason,)),)


@pytest.mark.parametrize("failing", [43, 45])
def test_one_failure_more_or_less_is_not_accepted(failing: int) -> None:
    found = accepted(failing)
    assert found.state is State.NO_GO
    assert found.reasons == (
        f"C1 failed: c1: failed it (not accepted: 44 failures are known, found {failing})",
    )
    assert found.accepted == ()


def test_nothing_is_accepted_after_its_action_is_done() -> None:
    found = accepted(44, frozenset("2"))
    assert found.state is State.NO_GO
    assert found.reasons == ("C1 failed: c1: failed it (no longer accepted: action 1 is done)",)


def test_an_acceptance_without_a_number_covers_any() -> None:
    gate = Gate("g", "G", accepts=(Acceptance("c1", "1", "known"),))
    for failing in (1, 100):
        found = [result("C1", FAILED, failing), *results()[1:]]
        assert judge(gate, CRITERIA, found, frozenset("1")).state is State.GO


def test_an_acceptance_covers_its_own_check_alone() -> None:
    found = judge(
        ACCEPTING, CRITERIA, [*results(), result("C1", FAILED, 44, "other")], frozenset("1")
    )
    assert found.reasons == ("C1 failed: other: failed it",)


def test_an_acceptance_does_not_cover_what_could_not_be_looked_at() -> None:
    found = judge(ACCEPTING, CRITERIA, results(C1=COULD_NOT), frozenset("1"))
    assert found.state is State.UNKNOWN


# --- evidence of another environment ------------------------------------------------------------


def borrow(evidence: Borrowed, gate: Gate = GATE, status: Status = NOT_LOOKED) -> Verdict:
    found = results(C1=status)
    return judge(gate, CRITERIA, found, frozenset("1"), {"C1": evidence})


def test_borrowed_evidence_counts() -> None:
    found = borrow(Borrowed("staging", "r1", tuple(results())))
    assert found.state is State.GO
    assert of(found, "C1").reasons == ("c1: passed (in staging, run r1, with the same schema)",)


def test_a_borrowed_failure_fails() -> None:
    found = borrow(Borrowed("staging", "r1", (result("C1", FAILED, 3),)))
    assert found.state is State.NO_GO
    assert found.reasons == ("C1 failed: c1: failed it (in staging, run r1, with the same schema)",)


def test_a_borrowed_failure_may_be_accepted() -> None:
    found = borrow(Borrowed("staging", "r1", (result("C1", FAILED, 44),)), ACCEPTING)
    assert found.state is State.GO
    assert found.reasons == (
        (
            "C1 failed and accepted: c1: failed it; accepted while action 1 is open: the decision"
            " is open (in staging, run r1, with the same schema)"
        ),
    )


def test_what_could_not_be_looked_at_there_is_unknown() -> None:
    found = borrow(Borrowed("staging", "r1", (result("C1", COULD_NOT),)))
    assert found.state is State.UNKNOWN
    assert found.reasons == (
        (
            "C1 unknown: c1: could not look, could not look it (in staging, run r1, with the same"
            " schema)"
        ),
    )


def test_refused_evidence_does_not_count() -> None:
    found = borrow(Borrowed("staging", "r1", tuple(results()), "its schema is another one"))
    assert found.state is State.UNKNOWN
    assert found.reasons == (
        (
            "C1 unknown: c1: not looked, not looked it; evidence of staging does not count: its"
            " schema is another one"
        ),
    )


@pytest.mark.parametrize("there", [(), (result("C1", NOT_LOOKED),)])
def test_evidence_that_is_not_there_does_not_count(there: tuple[CheckResult, ...]) -> None:
    found = borrow(Borrowed("staging", "r1", there))
    assert found.state is State.UNKNOWN
    assert found.reasons == (
        "C1 unknown: c1: not looked, not looked it; nor was it looked at in staging",
    )


@pytest.mark.parametrize(("status", "state"), [(FAILED, State.NO_GO), (COULD_NOT, State.UNKNOWN)])
def test_evidence_replaces_only_what_was_not_looked_at(status: Status, state: State) -> None:
    assert borrow(Borrowed("staging", "r1", tuple(results())), status=status).state is state


def test_evidence_for_one_criterion_is_none_for_another() -> None:
    evidence = {"C1": Borrowed("staging", "r1", tuple(results()))}
    found = judge(GATE, CRITERIA, results(C2=NOT_LOOKED), frozenset(), evidence)
    assert found.reasons == ("C2 unknown: c2: not looked, not looked it",)


_STALE = (
    "C9 unknown: probe: not looked, not here; evidence of staging does not count: its run r1"
    " is stale"
)


def test_evidence_that_is_only_too_old_makes_the_verdict_stale() -> None:
    critical = Criterion("C9", "probe", Tier.CRITICAL)
    here = CheckResult("probe", "", "C9", Status.NOT_LOOKED, "not here")
    borrowed = {"C9": Borrowed("staging", "r1", (), "its run r1 is stale", stale=True)}
    found = judge(Gate("g", "g"), (critical,), (here,), frozenset(), borrowed)
    assert (found.state, found.state.exit_code) == (State.STALE, 3)
    assert found.reasons == (_STALE,)
    fresh = {"C9": Borrowed("staging", "r1", (), "it has no run")}
    other = judge(Gate("g", "g"), (critical,), (here,), frozenset(), fresh)
    assert other.state is State.UNKNOWN
