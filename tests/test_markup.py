"""Values from a database are inert on a page: they show as themselves and do nothing."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook import markup
from runbook.findings import Value
from runbook.markup import Html

ENTITY = re.compile(r"&(?:#\d+|amp|lt|gt|quot);")
ACTIVE = set("<>{}\"'&`*_[]|~$#%\\!^")


def browser(text: str) -> str:
    """What a browser shows of HTML text without elements."""
    return html.unescape(text)


@given(st.text(st.characters()))
def test_text_is_inert_and_shows_itself(value: str) -> None:
    found = markup.text(value)
    assert not ACTIVE & set(ENTITY.sub("", found))
    assert "\n" not in found
    if value.isprintable() and len(value) <= markup.LONGEST:
        assert browser(found) == value


@given(st.text(st.characters()))
def test_code_is_inert_and_keeps_its_lines(value: str) -> None:
    found = markup.code(value)
    inner = found.removeprefix('<pre class="rb-code" tabindex="0"><code>').removesuffix(
        "</code></pre>"
    )
    assert not ACTIVE & set(ENTITY.sub("", inner))
    assert inner.count("\n") == value.count("\n")
    if all(line.isprintable() for line in value.split("\n")):
        assert browser(inner) == value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ('" onload="x', "&quot; onload=&quot;x"),
        ("it's", "it&#39;s"),
        ("a & b &amp; c", "a &amp; b &amp;amp; c"),
        ("{{ 7 * 7 }}", "&#123;&#123; 7 &#42; 7 &#125;&#125;"),
        ("{% raw %}", "&#123;&#37; raw &#37;&#125;"),
        ("{# note #}", "&#123;&#35; note &#35;&#125;"),
        ("**bold** `code`", "&#42;&#42;bold&#42;&#42; &#96;code&#96;"),
        ("[x](javascript:y)", "&#91;x&#93;(javascript:y)"),
        ("![x](y)", "&#33;&#91;x&#93;(y)"),
        ("a | b \\ c", "a &#124; b &#92; c"),
        ("--8<-- 'x'", "--8&lt;-- &#39;x&#39;"),
        ("two\nlines\r\n", "two⏎lines‹U+000D›⏎"),
        ("NUL \0", "NUL ‹U+0000›"),
        ("\u202etxt.exe", "‹U+202E›txt.exe"),
        ("zero\u200bwidth", "zero‹U+200B›width"),
        ("\u2066isolate\u2069", "‹U+2066›isolate‹U+2069›"),
        ("\ud800", "‹U+D800›"),
        ("\x1b&#91;31m", "‹U+001B›&amp;&#35;91;31m"),
        ("Grüße 🦆 שלום", "Grüße 🦆 שלום"),
        ("", ""),
    ],
)
def test_hostile_values(value: str, shown: str) -> None:
    assert markup.text(value) == shown


def test_a_long_value_is_cut_and_says_so() -> None:
    assert markup.text("x" * 400) == "x" * 400
    assert markup.text("x" * 10_000) == "x" * 400 + "… (10,000 characters)"
    assert markup.text("<" * 10_000) == "&lt;" * 400 + "… (10,000 characters)"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, '<span class="rb-none">unknown</span>'),
        (True, "yes"),
        (False, "no"),
        (0, "0"),
        (236512, "236,512"),
        (-3, "-3"),
        (3.0, "3"),
        (1234.5, "1,234.5"),
        (100.0, "100"),
        (0.0254, "0.025"),
        (timedelta(days=7), "7 d"),
        (timedelta(hours=24), "24 h"),
        (timedelta(seconds=90), "90 s"),
        (timedelta(minutes=5), "5 min"),
        (
            datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            '<time datetime="2026-01-02T03:04:05Z">2026-01-02 03:04 UTC</time>',
        ),
    ],
)
def test_other_values(value: Value | datetime | timedelta, shown: str) -> None:
    assert markup.text(value) == shown


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("NO-GO", "no-go"),
        ("could not look", "could-not-look"),
        ('x" onclick="y', "x-onclick-y"),
        ("<b>", "b"),
    ],
)
def test_a_state_is_a_badge(value: str, name: str) -> None:
    assert markup.state(value) == (f'<span class="rb-state rb-{name}">{markup.text(value)}</span>')


def test_a_table_escapes_every_cell() -> None:
    found = markup.table(
        ("<th>", "n"), [("<td>", 1000), (Html("<b>ours</b>"), None), (True, 1.5)], 'a "caption"'
    )
    assert found == (
        '<div class="rb-table" tabindex="0" role="region" aria-label="a &quot;caption&quot;">'
        "<table><caption>a &quot;caption&quot;</caption>\n"
        '<thead><tr><th scope="col">&lt;th&gt;</th><th scope="col">n</th></tr></thead>\n'
        "<tbody>\n"
        '<tr><td>&lt;td&gt;</td><td class="rb-number">1,000</td></tr>\n'
        '<tr><td><b>ours</b></td><td><span class="rb-none">unknown</span></td></tr>\n'
        '<tr><td>yes</td><td class="rb-number">1.5</td></tr>\n'
        "</tbody></table></div>"
    )


def test_a_table_without_a_caption_has_a_label() -> None:
    assert markup.table(("a",), []).startswith(
        '<div class="rb-table" tabindex="0" role="region" aria-label="table"><table>\n'
    )


def test_a_column_without_a_title_has_no_heading() -> None:
    found = markup.table(("", "rows"), ())
    assert '<thead><tr><td></td><th scope="col">rows</th></tr></thead>' in found
