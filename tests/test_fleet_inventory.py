"""fleet.toml: what is read, what is refused, and what becomes of a database's connection."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from runbook import connection
from runbook.errors import UsageError
from runbook.fleet import inventory
from runbook.settings import Settings
from tests import fleet

HEAD = '[fleet]\nenvironment = "production"\n'
ONE = '[[database]]\nname = "a"\nserver = "one"\ndbname = "a"\n'


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return fleet.project(tmp_path, "host=nowhere").settings


def read(settings: Settings, text: str) -> inventory.Inventory:
    path = settings.folder / "fleet.toml"
    path.write_text(text, encoding="utf-8")
    return inventory.read(path, settings)


def test_what_is_not_written_has_its_default(settings: Settings) -> None:
    found = read(settings, HEAD + ONE)
    assert found.fleet.jobs_per_server == 4
    assert found.fleet.retries == 2
    assert found.fleet.slow_after == timedelta(minutes=1)
    assert found.fleet.give_up_after == timedelta(minutes=10)
    assert found.fleet.wait_for_workers == timedelta(minutes=1)


def test_a_server_has_its_own_limit_and_the_command_line_goes_first(settings: Settings) -> None:
    found = read(settings, HEAD + "[servers.one]\njobs = 9\n" + ONE)
    assert found.jobs("one") == 9
    assert found.jobs("another") == 4
    assert found.jobs("one", 2) == 2


def test_a_server_without_jobs_takes_the_fleets(settings: Settings) -> None:
    found = read(settings, HEAD + "jobs_per_server = 3\n[servers.one]\n" + ONE)
    assert found.jobs("one") == 3
    assert found.jobs("one", 2) == 2


def test_a_database_takes_the_environments_settings_and_no_way_to_write(
    settings: Settings,
) -> None:
    other = '[[database]]\nname = "b"\nserver = "two"\nreader = { service = "b" }\n'
    found = read(settings, HEAD + ONE + other)
    template = settings.environments["production"]
    first, second = (inventory.environment_of(each, template) for each in found.database)
    assert first.name == "a"
    assert first.reader.variable == fleet.VARIABLE
    assert first.reader.dbname == "a"
    assert connection.parameters(first, connection.Purpose.READ) == {"dbname": "a"}
    assert first.timeouts == template.timeouts
    assert (first.owner, first.writes) == (None, False)
    assert (second.reader.service, second.reader.variable, second.reader.dbname) == ("b", "", "")


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        (
            HEAD + ONE + ONE,
            8,
            "database[1].name: 'a' is already that of database[0]",
            "correct the value",
        ),
        (
            HEAD + ONE + ONE.replace('name = "a"', 'name = "b"', 1),
            7,
            "database[1]: 'b' is reached as database[0] is, 'a'",
            "correct the value",
        ),
        (
            HEAD + '[[database]]\nname = "a"\nserver = "one"\n',
            3,
            "database[0]: expected dbname, reader or both: it would be the environment's own",
            "correct the value",
        ),
        (
            HEAD + "[servers.three]\njobs = 1\n" + ONE,
            3,
            "servers.three: no database is on server 'three'",
            "correct the value",
        ),
        (
            HEAD + 'slow_after = "5m"\ngive_up_after = "1m"\n' + ONE,
            4,
            "fleet.give_up_after: expected slow_after above 0s and give_up_after not before it",
            "correct the value",
        ),
        (
            HEAD + 'password = "x"\n' + ONE,
            3,
            "fleet.password: extra inputs are not permitted",
            "remove the key, or look for its right spelling in the settings reference",
        ),
        (HEAD, 2, "database: field required", "add the key"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    settings: Settings, text: str, line: int, message: str, hint: str
) -> None:
    with pytest.raises(UsageError) as caught:
        read(settings, text)
    place = settings.folder / "fleet.toml"
    assert (caught.value.message, caught.value.hint) == (f"{place}:{line}: {message}", hint)


def test_an_environment_that_nobody_declared(settings: Settings) -> None:
    with pytest.raises(UsageError) as caught:
        read(settings, HEAD.replace("production", "prod") + ONE)
    place = settings.folder / "fleet.toml"
    assert caught.value.message == (
        f"{place}:2: fleet.environment: no environment 'prod' in runbook.toml"
    )
    assert caught.value.hint == "choose one of: production"


def test_an_environment_named_fleet_would_lie_among_the_runs(settings: Settings) -> None:
    template = settings.environments["production"]
    environments = {"production": template, "fleet": template}
    with pytest.raises(UsageError) as caught:
        read(settings.model_copy(update={"environments": environments}), HEAD + ONE)
    assert caught.value.message == (
        "an environment cannot be named 'fleet': its runs would lie among the fleet's"
    )
    assert caught.value.hint == "give the environment another name in runbook.toml"


def test_no_file(settings: Settings) -> None:
    with pytest.raises(UsageError) as caught:
        inventory.read(settings.folder / "none.toml", settings)
    assert caught.value.message == f"{settings.folder / 'none.toml'}: no such file"
    assert caught.value.hint == "name the file with --inventory"
