"""Finding figures that are no facts."""

from __future__ import annotations

import pytest

from runbook.site.figures import Figure, bare


def texts(markdown: str) -> list[str]:
    return [figure.text for figure in bare(markdown)]


@pytest.mark.parametrize(
    ("markdown", "found"),
    [
        ("there are 45 keys", ["45"]),
        ("95 % or 95% of them", ["95", "95%"]),
        ("about 2.5 ms, or 236,512 rows", ["2.5", "236,512"]),
        ("Forty-five keys", ["Forty", "five"]),
        ("three criteria and a dozen checks", ["three", "dozen"]),
        ("twice as many, half as fast", ["twice", "half"]),
        ("| tables | 16 |", ["16"]),
        ("# The 8 audits", ["8"]),
        ("* 3 are missing", ["3"]),
        ("[the 19 keys](strategy.md)", ["19"]),
        ("a range of 7–10 days", ["7", "10"]),
        ("C12 and I44", ["12", "44"]),
    ],
)
def test_a_figure_in_prose_is_found(markdown: str, found: list[str]) -> None:
    assert texts(markdown) == found


def test_it_says_which_line() -> None:
    assert bare("# Title\n\nthere are 45\nand six more\n") == (Figure(3, "45"), Figure(4, "six"))


@pytest.mark.parametrize(
    "markdown",
    [
        "one key, no orphan rows, the first and the second step",
        "criteria C1–C6, I1 and N2",
        "ADR 001, action 1, phase 2, step 3, audit 8 and invariant 4",
        "PostgreSQL 15, Python 3.11+, XML 1.0, UTF-8, SHA-256, WCAG 2.1",
        "exit code 3, or HTTP 400",
        "deployed on 2025-12-29",
        "`SELECT 1`, `25P02` and `varchar(100)`",
        "```sql\nSELECT 45;\n```",
        "~~~text\n45\n~~~",
        '{{ fact("history.audit_1") }} and {{ tick("a.b", 45) }}',
        "[the decision](decisions/001-foreign-keys.md#section-2)",
        '<span title="45">none</span>',
        "a heading {: #section-2 }",
        "1. first\n2. second\n    3. inner",
        "---\ntitle: 45\n---\n\nnone",
        "tenth, someone, often, weight and network",
    ],
)
def test_what_is_no_prose_is_not_found(markdown: str) -> None:
    assert texts(markdown) == []


def test_lines_are_counted_through_what_is_left_out() -> None:
    page = "---\nrender_macros: true\n---\n\n```sql\nSELECT 1;\n```\n\nthere are 45\n"
    assert bare(page) == (Figure(9, "45"),)


def test_code_does_not_hide_what_follows_it() -> None:
    assert texts("```sql\nSELECT 1;\n```\nsix\n```sql\nSELECT 2;\n```\n7") == ["six", "7"]
    assert texts("`a` 45 `b`") == ["45"]
