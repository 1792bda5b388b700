"""The case's own staging: every core key enforced and valid after one plan and one apply."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from runbook import catalog, census, operators
from runbook import session as sessions
from runbook.findings import KeyState
from runbook.settings import Settings
from tests.commands import Runbook
from tests.places import OWNER, READER, Dsn


@pytest.mark.slow
def test_staging_gets_its_keys(
    runbook: Runbook, folder: Path, dsn: Dsn, scratch: str, settings: Settings
) -> None:
    path = folder / "runbook.toml"
    text = path.read_text(encoding="utf-8")
    head = "[environments.staging]\n"
    if "change" not in text.partition(head)[2].partition("[environments.")[0]:
        text = text.replace(head, head + 'change = { lock = "200ms" }\n')
    path.write_text(text, encoding="utf-8")
    variables = {
        "STAGING_DATABASE_URL": dsn(scratch, READER),
        "STAGING_OWNER_URL": dsn(scratch, OWNER),
    }

    def migrate(*arguments: str) -> subprocess.CompletedProcess[str]:
        return runbook("migrate", *arguments, **variables)

    planned = migrate("plan", "staging")
    assert planned.returncode == 0, planned.stderr
    applied = migrate("apply", "staging", "--no-rehearsal", "a test")
    assert applied.returncode == 0, applied.stderr
    (log,) = (folder / "changes" / "staging" / "apply").glob("*/apply.json")
    steps = json.loads(log.read_text(encoding="utf-8"))["steps"]
    assert {step["outcome"] for step in steps} == {"done"}
    environment = settings.environment("staging")
    reader = sessions.connect(environment)
    try:
        with sessions.reading(reader, environment):
            wanted = settings.relationships()
            schema = catalog.read(reader, settings.project.schemas)
            rows = census.take(wanted, schema, operators.read(reader, wanted.items))
    finally:
        reader.close()
    assert {row.state for row in rows} == {KeyState.ENFORCED}
    again = migrate("apply", "staging", "--no-rehearsal", "a test")
    assert (again.returncode, again.stdout.splitlines()[0]) == (
        0,
        "staging: nothing was left to change",
    )
