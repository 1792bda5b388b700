"""What the numbers recommend, and that they are the run's."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbook.facts import Fact, Facts
from runbook.findings import Audit, AuditState, CensusRow, KeyState
from runbook.record import RunRecord
from runbook.relationships import Relationship
from runbook.schema import TableName
from runbook.settings import read as read_settings
from runbook.site import recommendation
from tests import project
from tests.test_record import RUN

SETTINGS = read_settings(project.ROOT)
SCAN = "no index leads with the child columns: deletes of a parent scan the child"


def item(number: int) -> Relationship:
    child, parent = TableName("public", "c"), TableName("public", "p")
    return Relationship(child, (f"p{number}",), parent, ("id",), group="core")


def run(*states: KeyState, audits: tuple[Audit, ...] = ()) -> RunRecord:
    rows = [CensusRow(item(n), state, None, "why", (SCAN,)) for n, state in enumerate(states)]
    return RUN.model_copy(update={"census": tuple(rows), "audits": audits})


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ((), "Nothing can be recommended: the run took no census."),
        ((KeyState.ENFORCED,), "There is nothing to decide: no core key is missing."),
        ((KeyState.ENFORCED, KeyState.MISSING), "Option A: add the missing keys."),
        (
            (KeyState.IMPOSSIBLE, KeyState.IMPOSSIBLE, KeyState.MISSING),
            "Option B: PostgreSQL would refuse more of the keys than it would take.",
        ),
    ],
)
def test_the_recommendation(states: tuple[KeyState, ...], said: str) -> None:
    html = recommendation.recommend(SETTINGS, Facts({}, {}), run(*states))
    assert html.startswith(f"<p><strong>{said}</strong></p>")


def test_it_rests_on_the_runs_numbers(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"folder": tmp_path})  # which has no changes on record
    audits = (
        Audit(item(0), AuditState.ORPHANS, 7, exact=True),
        Audit(item(1), AuditState.COULD_NOT_LOOK),
    )
    found = run(KeyState.MISSING, KeyState.MISSING, audits=audits)
    cost = Fact("staging.impact.insert.cost_ms", 0.125, "run")
    html = recommendation.recommend(settings, Facts({cost.name: cost}, {}), found)
    assert html.partition("<ul>")[2] == (
        "<li>2 core keys are missing, 0 of the core relationships cannot have one</li>"
        "<li>7 orphan rows would have to be mended before all of them can be validated; 1 of 2 were"
        " looked at</li>"
        "<li>2 children would need an index first, or deletes of a parent scan it</li>"
        "<li>the keys cost an insert 0.12 ms, as measured</li>"
        "<li>effort and locks are not planned: runbook migrate plan staging</li>"
        "<li>how long writers would wait is not measured: runbook migrate rehearse staging</li>"
        "<li>the cost under load is not measured: runbook impact staging</li></ul>"
    )
