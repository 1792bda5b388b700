"""A run as JUnit XML: what is unknown is no success, and no text breaks the file."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from runbook import junit
from runbook.findings import Status
from runbook.record import RunRecord
from tests.test_record import CHECK, MOMENT, RUN


def with_check(status: Status, message: str = "why", **values: str) -> RunRecord:
    check = replace(CHECK, status=status, message=message, **values)  # type: ignore[arg-type]
    return RUN.model_copy(update={"checks": (check,)})


def cases(run: RunRecord, suite: str) -> list[ET.Element]:
    root = ET.fromstring(junit.render(run))  # noqa: S314 - our own
    return root.findall(f"testsuite[@name='{suite}']/testcase")


@pytest.mark.parametrize(
    ("status", "children"),
    [
        (Status.PASSED, []),
        (Status.FAILED, [("failure", "why")]),
        (Status.COULD_NOT_LOOK, [("error", "why")]),
        (Status.NOT_LOOKED, [("skipped", "why")]),
    ],
)
def test_a_check_is_a_case(status: Status, children: list[tuple[str, str]]) -> None:
    (case,) = cases(with_check(status), "checks")
    assert case.attrib == {"classname": "C1", "name": "foreign_keys", "time": "0.250"}
    assert [(child.tag, child.get("message")) for child in case] == children


def test_a_check_without_a_criterion_is_other() -> None:
    (case,) = cases(with_check(Status.PASSED, criterion=""), "checks")
    assert case.get("classname") == "other"


def test_steps_are_cases() -> None:
    found = [
        (case.get("name"), case.get("time"), [(c.tag, c.get("message")) for c in case])
        for case in cases(RUN, "steps")
    ]
    assert found == [
        ("one", "0.000", []),
        ("two", "0.000", [("error", "it broke")]),
        ("three", "0.000", [("skipped", "")]),
    ]


def test_a_step_has_its_time() -> None:
    step = RUN.steps[0].model_copy(update={"finished": MOMENT.replace(second=7)})
    (case,) = cases(RUN.model_copy(update={"steps": (step,)}), "steps")
    assert case.get("time") == "2.000"


def test_suites_count_their_cases() -> None:
    root = ET.fromstring(junit.render(RUN))  # noqa: S314 - our own
    assert (root.tag, root.get("name")) == ("testsuites", "staging 20260102T030405Z")
    assert [suite.attrib for suite in root] == [
        {"name": "checks", "tests": "1", "failures": "1", "errors": "0", "skipped": "0"},
        {"name": "steps", "tests": "3", "failures": "0", "errors": "1", "skipped": "1"},
    ]


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("<script>alert('x')</script> & \"]]>", "<script>alert('x')</script> & \"]]>"),
        ("two\nlines\tand\rmore", "two\nlines\tand\rmore"),
        ("NUL \0 and \x1b[31m", "NUL \ufffd and \ufffd[31m"),
        ("\ud800 \ufffe", "\ufffd \ufffd"),
        ("\u202e 🦆", "\u202e 🦆"),
    ],
)
def test_no_text_breaks_the_file(message: str, shown: str) -> None:
    text = junit.render(with_check(Status.FAILED, message, check=message, criterion=message))
    text.encode()
    case = ET.fromstring(text).find("testsuite/testcase")  # noqa: S314 - our own
    assert case is not None
    assert (case.get("name"), case.get("classname")) == (shown, shown)
    assert case[0].get("message") == shown


def test_the_same_run_gives_the_same_text() -> None:
    assert junit.render(RUN) == junit.render(RUN.model_copy())
    assert junit.render(RUN).startswith("<?xml version='1.0' encoding='utf-8'?>\n<testsuites ")
