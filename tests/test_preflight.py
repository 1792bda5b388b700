"""Names in runbook.toml that can be checked before anything is started."""

from __future__ import annotations

import pytest

from runbook import preflight
from runbook.errors import UsageError
from runbook.settings import Settings
from runbook.settings import read as read_settings
from tests.conftest import ROOT


def with_fact(name: str) -> Settings:
    """This repository's settings, with ``name`` as the fact of its action."""
    settings = read_settings(ROOT)
    action = settings.action[0].model_copy(update={"fact": name})
    return settings.model_copy(update={"action": (action,)})


@pytest.mark.parametrize(
    ("name", "guess"),
    [
        ("core.foreign_keys.enforcd", ", the nearest is 'core.foreign_keys.enforced'"),
        ("check.foreign_keys.failing", ", the nearest is 'checks.foreign_keys.failing'"),
        ("checks.foreign_kyes.failing", ", the nearest is 'checks.foreign_keys.failing'"),
        ("done", ""),
        ("staging.core.foreign_keys.enforced", ", the nearest is 'core.foreign_keys.enforced'"),
    ],
)
def test_an_action_whose_fact_nobody_measures_is_reported(name: str, guess: str) -> None:
    with pytest.raises(UsageError) as caught:
        preflight.look(with_fact(name), with_fact(name).environment("production"))
    assert str(caught.value) == (
        f"{ROOT}/runbook.toml: action[0].fact: no step measures {name!r}{guess}\n"
        "hint: correct the name"
    )


@pytest.mark.parametrize(
    "name",
    [
        "core.foreign_keys.enforced",
        "relationship.workflow_instances.workspace_id.key",
        "undeclared.orphans.rows",
        "impact.insert.cost_ms",
        "self_test.missed",
        "checks.foreign_keys.failing",
        "checks.check_constraints.valid",
        "orphan_audit.whatever_the_notebook_calls_it",
    ],
)
def test_a_fact_that_a_step_measures_is_not_reported(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the next thing that is looked at is a file of the settings, which is not there
    monkeypatch.delenv("RUNBOOK_READER_DSN", raising=False)
    settings = with_fact(name)
    section = settings.project.model_copy(update={"history": "nowhere.toml"})
    with pytest.raises(UsageError, match=r"'nowhere\.toml': no such file"):
        preflight.look(
            settings.model_copy(update={"project": section}), settings.environment("production")
        )


def test_a_runbook_without_steps_is_refused(settings: Settings) -> None:
    empty = settings.model_copy(update={"step": ()})
    with pytest.raises(UsageError) as caught:
        preflight.look(empty, empty.environment("staging"))
    assert str(caught.value) == (
        f"{settings.folder / 'runbook.toml'} has no [[step]]: a run would look at nothing\n"
        "hint: name the notebooks to run, or count orphan rows alone: runbook audit ENVIRONMENT"
    )
