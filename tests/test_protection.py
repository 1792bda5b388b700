"""What may be written where, and who has to say so."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from runbook.commands.run import permit
from runbook.environment import Connection, Environment, Load
from runbook.errors import UsageError

WAY = Connection(service="somewhere")


def environment(**values: object) -> Environment:
    known = {"name": "production", "reader": WAY, "owner": WAY, "gate": "g", "writes": True}
    return Environment.model_validate(
        known | {"protected": True, "confirms": "the DBA on call"} | values
    )


def test_a_run_that_writes_where_it_is_protected_has_to_be_confirmed() -> None:
    with pytest.raises(UsageError) as caught:
        permit(environment(), "")
    assert str(caught.value) == (
        "environment 'production' is protected, and checks that write are allowed in it\n"
        "hint: with the consent of the DBA on call: runbook run production --confirm production"
    )
    permit(environment(), "production")


@pytest.mark.parametrize("values", [{"writes": False}, {"protected": False}])
def test_where_nothing_is_written_or_protected_nothing_is_confirmed(
    values: dict[str, object],
) -> None:
    permit(environment(**values), "")


def test_another_name_confirms_nothing() -> None:
    with pytest.raises(UsageError) as caught:
        permit(environment(protected=False), "staging")
    assert str(caught.value) == (
        "--confirm 'staging' is not the environment, expected 'production'\n"
        "hint: confirm the environment that you mean"
    )


def test_protection_needs_somebody() -> None:
    with pytest.raises(ValidationError, match="who has to agree to a run that writes"):
        environment(confirms="")


@pytest.mark.parametrize(
    ("memory", "size"), [("64MB", 64 * 2**20), ("1GB", 2**30), (" 20480 kB ", 20 * 2**20)]
)
def test_sizes_are_those_of_postgresql(memory: str, size: int) -> None:
    assert Load.model_validate({"memory": memory}).memory == size


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"memory": "64 megs"}, "not a size: '64 megs', expected text such as '512MB' or '2GB'"),
        ({"memory": 64}, "not a size: 64, expected text such as '512MB' or '2GB'"),
        ({"memory": "1MB"}, "greater than or equal to 12582912"),
        ({"jobs": 0}, "greater than or equal to 1"),
        ({"budget": "soon"}, "not a duration: 'soon'"),
    ],
)
def test_a_load_that_cannot_be_is_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Load.model_validate(values)
