"""runbook.toml: what it means, and every message about what is wrong in it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from runbook import declarations, settings
from runbook.errors import FileError, UsageError
from runbook.settings import Settings
from runbook.verdict import Acceptance, Borrowing, Criterion, Gate, Tier

ROOT = Path(__file__).parents[1]

GOOD = """\
[project]
title = "Shop"
relationships = "relationships.toml"
core = "core"

[environments.staging]
gate = "testing"
gates = ["testing", "production"]
writes = true
fresh_for = "12h"
reader = { variable = "STAGING_URL" }

[environments.staging.owner]
service = "staging_owner"

[environments.staging.timeouts]
statement = "1500ms"
lock = "1s"

[environments.production]
title = "The real one"
gate = "production"

[environments.production.reader]
embedded = "shop"
role = "reader"

[limits]
tables = 3
slow_ms = 2.5
name = "text"

[[criterion]]
id = "C1"
title = "Keys"
tier = "critical"

[[criterion]]
id = "N1"
title = "Times"
tier = "nice to have"

[[action]]
id = "1"
title = "Add the keys"
fact = "core.foreign_keys.enforced"
equals = 3

[[gate]]
name = "testing"
title = "Ready for testing"
ignore = ["timings"]

[[gate.accept]]
check = "foreign_keys"
action = "1"
reason = "known"
failing = 2

[[gate.accept]]
check = "orphan_rows"
action = "1"
reason = "known too"

[[gate]]
name = "production"
title = "Ready for production"

[[gate.evidence]]
criterion = "C1"
environment = "staging"

[[step]]
name = "preflight"
title = "Preflight"
notebook = "00_preflight.ipynb"
alone = true
"""

CORRECT = "correct the value"
ADD = "add the key"
REMOVE = "remove the key, or look for its right spelling in the settings reference"
MEND = "mend the line"
DURATION = "expected text such as '30s', '5m' or '24h'"


def read(folder: Path, text: str) -> Settings:
    (folder / "runbook.toml").write_text(text)
    return settings.read(folder)


# --- what it means ------------------------------------------------------------------------------


def test_settings_are_read(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD)
    staging, production = found.environment("staging"), found.environment("production")
    assert (staging.name, staging.title) == ("staging", "Staging")
    assert (production.name, production.title) == ("production", "The real one")
    assert staging.fresh_for == timedelta(hours=12)
    assert staging.timeouts.statement == timedelta(seconds=1.5)
    assert staging.timeouts.idle == timedelta(minutes=1)
    assert staging.all_gates == ("testing", "production")
    assert production.all_gates == ("production",)
    assert found.criteria == (
        Criterion("C1", "Keys", Tier.CRITICAL),
        Criterion("N1", "Times", Tier.NICE),
    )
    assert found.gates_of(staging) == (
        Gate(
            name="testing",
            title="Ready for testing",
            accepts=(
                Acceptance("foreign_keys", "1", "known", 2),
                Acceptance("orphan_rows", "1", "known too", None),
            ),
            ignores=("timings",),
        ),
        Gate("production", "Ready for production", borrows=(Borrowing("C1", "staging"),)),
    )
    assert found.runs == tmp_path / "runs"
    assert found.limit("slow_ms") == 2.5


def test_the_projects_own_settings_are_read() -> None:
    found = settings.read(ROOT)
    assert list(found.environments) == ["staging", "production", "development"]
    assert sum(found.is_core(item) for item in found.relationships()) == 45


def test_settings_are_found_from_a_folder_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(tmp_path, GOOD)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert settings.find(below) == tmp_path
    monkeypatch.chdir(below)
    monkeypatch.delenv("RUNBOOK_PROJECT", raising=False)
    assert settings.read().folder == tmp_path
    monkeypatch.chdir("/")
    monkeypatch.setenv("RUNBOOK_PROJECT", str(below))
    assert settings.read().folder == tmp_path


# --- bad input ----------------------------------------------------------------------------------

FAULTS: dict[str, tuple[str, str, str]] = {
    "malformed": (
        GOOD.replace("tables = 3", "tables = three"),
        "29: not valid TOML: invalid value",
        MEND,
    ),
    "table twice": (
        GOOD + "\n[project]\n",
        "79: not valid TOML: cannot declare ('project',) twice",
        MEND,
    ),
    "unknown key": (
        GOOD.replace("fresh_for", "fresh"),
        "10: environments.staging.fresh: extra inputs are not permitted",
        REMOVE,
    ),
    "unknown table": (
        GOOD + "\n[projects]\n",
        "79: projects: extra inputs are not permitted",
        REMOVE,
    ),
    "unknown key of an inline table": (
        GOOD.replace("{ variable =", "{ varable ="),
        "11: environments.staging.reader.varable: extra inputs are not permitted",
        REMOVE,
    ),
    "missing key": (
        GOOD.replace('title = "Shop"\n', ""),
        "1: project.title: field required",
        ADD,
    ),
    "missing key of the second gate": (
        GOOD.replace('title = "Ready for production"\n', ""),
        "65: gate[1].title: field required",
        ADD,
    ),
    "bad tier": (
        GOOD.replace('"nice to have"', '"nice"'),
        (
            "41: criterion[1].tier: input should be 'critical', 'important' or 'nice to have',"
            " got 'nice'"
        ),
        CORRECT,
    ),
    "a text for a truth": (
        GOOD.replace("writes = true", 'writes = "maybe"'),
        (
            "9: environments.staging.writes: input should be a valid boolean, unable to interpret"
            " input, got 'maybe'"
        ),
        CORRECT,
    ),
    "bad value of several types": (
        GOOD.replace("equals = 3", "equals = 3.5"),
        (
            "47: action[0].equals: input should be a valid integer, got a number with a fractional"
            " part, got 3.5"
        ),
        CORRECT,
    ),
    "a step that covers an unknown criterion": (
        GOOD + 'covers = ["C1", "C11"]\n',
        "78: step[0].covers: no criterion 'C11', expected one of: C1, N1",
        CORRECT,
    ),
    "bad limit": (
        GOOD.replace("tables = 3", "tables = [3]"),
        "29: limits.tables: input should be a valid integer, got [3]",
        CORRECT,
    ),
    "bad demo": (
        'demo = "shop"\n' + GOOD,
        "1: demo: input should be 'telecore' or '', got 'shop'",
        CORRECT,
    ),
    "bad duration": (
        GOOD.replace('"12h"', '"12 hours"'),
        f"10: environments.staging.fresh_for: not a duration: '12 hours', {DURATION}",
        CORRECT,
    ),
    "a number for a duration": (
        GOOD.replace('"1500ms"', "1500"),
        f"17: environments.staging.timeouts.statement: not a duration: 1500, {DURATION}",
        CORRECT,
    ),
    "a duration without an end": (
        GOOD.replace('"12h"', '"99999999999d"'),
        f"10: environments.staging.fresh_for: not a duration: '99999999999d', {DURATION}",
        CORRECT,
    ),
    "unknown gate": (
        GOOD.replace('gate = "testing"', 'gate = "tests"'),
        "7: environments.staging.gate: no gate 'tests', expected one of: testing, production",
        CORRECT,
    ),
    "unknown further gate": (
        GOOD.replace('"testing", "production"', '"testing", "live"'),
        "8: environments.staging.gates: no gate 'live', expected one of: testing, production",
        CORRECT,
    ),
    "no gate at all": (
        GOOD[: GOOD.index("[[gate]]")],
        "7: environments.staging.gate: no gate 'testing', expected one of: none is declared",
        CORRECT,
    ),
    "unknown action": (
        GOOD.replace('check = "orphan_rows"\naction = "1"', 'check = "orphan_rows"\naction = "2"'),
        "62: gate[0].accept[1].action: no action '2', expected one of: 1",
        CORRECT,
    ),
    "unknown criterion": (
        GOOD.replace('criterion = "C1"', 'criterion = "C9"'),
        "70: gate[1].evidence[0].criterion: no criterion 'C9', expected one of: C1, N1",
        CORRECT,
    ),
    "unknown environment": (
        GOOD.replace('environment = "staging"', 'environment = "stage"'),
        (
            "71: gate[1].evidence[0].environment: no environment 'stage', expected one of: staging,"
            " production"
        ),
        CORRECT,
    ),
    "gate twice": (
        GOOD.replace('name = "production"', 'name = "testing"'),
        "66: gate[1].name: 'testing' is already that of gate[0]",
        CORRECT,
    ),
    "criterion twice": (
        GOOD.replace('id = "N1"', 'id = "C1"'),
        "39: criterion[1].id: 'C1' is already that of criterion[0]",
        CORRECT,
    ),
    "writes without an owner": (
        GOOD.replace("[environments.staging.owner]", "[environments.production.owner]"),
        "6: environments.staging: writes = true needs an [environments.staging.owner] to write as",
        CORRECT,
    ),
    "no way to connect": (
        GOOD.replace('{ variable = "STAGING_URL" }', "{}"),
        (
            "11: environments.staging.reader: no way to connect, expected variable, service,"
            " socket or embedded"
        ),
        CORRECT,
    ),
    "embedded without a role": (
        GOOD.replace('role = "reader"\n', ""),
        "24: environments.production.reader: embedded needs the role to connect as",
        CORRECT,
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_with_its_line_and_key(fault: str, tmp_path: Path) -> None:
    text, message, hint = FAULTS[fault]
    with pytest.raises(FileError) as caught:
        read(tmp_path, text)
    path = tmp_path / "runbook.toml"
    assert (caught.value.message, caught.value.hint) == (f"{path}:{message}", hint)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1: project: field required"),
        ("\n\n# nothing yet\n\n", "3: project: field required"),
        (GOOD[: GOOD.index("[environments")], "4: environments: field required"),
        (
            GOOD[: GOOD.index("[environments")] + "[environments]\n",
            (
                "6: environments: dictionary should have at least 1 item after validation, not 0,"
                " got {}"
            ),
        ),
    ],
)
def test_what_is_missing_is_missing_at_the_end(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(FileError) as caught:
        read(tmp_path, text)
    assert caught.value.message == f"{tmp_path / 'runbook.toml'}:{message}"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        settings.read(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / 'runbook.toml'}: no such file\nhint: go to a project's folder"
    )


def test_no_project_around_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        settings.find(tmp_path)
    assert str(caught.value) == (
        f"no runbook.toml in {tmp_path} or above it\n"
        "hint: go to a project's folder, or set RUNBOOK_PROJECT"
    )


def test_an_unknown_environment_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD)
    with pytest.raises(UsageError) as caught:
        found.environment("prod")
    assert str(caught.value) == (
        f"no environment 'prod' in {tmp_path / 'runbook.toml'}\n"
        "hint: choose one of: staging, production"
    )


@pytest.mark.parametrize(("name", "got"), [("nothing", "None"), ("name", "'text'")])
def test_a_limit_that_is_no_number_is_named(name: str, got: str, tmp_path: Path) -> None:
    found = read(tmp_path, GOOD)
    with pytest.raises(UsageError) as caught:
        found.limit(name)
    assert str(caught.value) == (
        f"{tmp_path / 'runbook.toml'}: limits.{name}: expected a number, got {got}\n"
        f"hint: add {name} = … under [limits]"
    )


# --- lines --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (("project",), 1),
        (("project", "nothing"), 1),
        (("nothing",), None),
        (("environments",), 6),
        (("environments", "staging", "reader", "variable"), 11),
        (("gate", 0, "accept", 0, "check"), 55),
        (("gate", 0, "accept", 1, "check"), 61),
        (("gate", 0, "accept", 1, "nothing"), 60),
        (("gate", 1, "evidence", 0), 69),
    ],
)
def test_lines_of_keys(keys: tuple[int | str, ...], line: int | None) -> None:
    assert declarations.line_of(GOOD, keys) == line


def test_lines_of_quoted_and_dotted_keys() -> None:
    text = '[a."b.c"] # [d]\n"k e y" = 1\nx . y = 2\n[a]\nx.y = 3\n'
    assert declarations.line_of(text, ("a", "b.c", "k e y")) == 2
    assert declarations.line_of(text, ("a", "b.c", "x", "y")) == 3
    assert declarations.line_of(text, ("a", "x", "y")) == 5
    assert declarations.line_of(text, ("d",)) is None


def test_keys_are_shown_as_toml_spells_them() -> None:
    assert declarations.dotted(("gate", 0, "accept", 1, "action")) == "gate[0].accept[1].action"
    assert declarations.dotted(()) == ""
