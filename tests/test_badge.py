"""The badge of an environment."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import UTC, datetime

import pytest

from runbook.environment import Connection, Environment
from runbook.record import RunRecord
from runbook.site import badge
from runbook.verdict import State
from tests.test_record import RUN

HERE = Environment(
    name="staging", title="Staging", reader=Connection(service="s"), gate="production"
)


def said(environment: Environment, run: RunRecord | None) -> list[str]:
    root = ET.fromstring(badge.svg(environment, run))  # noqa: S314 - our own text
    return [str(text.text) for text in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("state", list(State))
def test_it_says_the_verdict_and_the_day(state: State) -> None:
    verdict = RUN.verdicts[0].__class__("production", state, (), ())
    day = datetime(2026, 11, 23, tzinfo=UTC)
    run = RUN.model_copy(update={"verdicts": (verdict,), "finished": day, "steps": RUN.steps[:1]})
    assert said(HERE, run) == ["Staging", f"{state.value} 2026-11-23"]


def test_no_run_and_another_gate_are_unknown() -> None:
    assert said(HERE, None) == ["Staging", "UNKNOWN, no run"]
    other = HERE.model_copy(update={"gate": "other"})
    assert said(other, RUN) == ["Staging", "UNKNOWN 2026-01-02"]


def test_a_title_is_inert() -> None:
    hostile = HERE.model_copy(update={"title": "<script>{{ x }}\u202e"})
    assert said(hostile, None)[0] == "<script>{{ x }}‹U+202E›"
