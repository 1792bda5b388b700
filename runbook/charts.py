"""Plots as inline SVG that follow the page's colours, each with its numbers in a table.

Plain SVG text: byte-stable, readable in light and dark, no script and no picture file.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from runbook import markup

WIDTH = 640
ROW = 30
LINE = 56
LABEL = 190
VALUE = 90
SPACE = WIDTH - LABEL - VALUE


@dataclass(frozen=True)
class Bar:
    """A bar: its label and its value in the chart's unit."""

    label: str
    value: float


@dataclass(frozen=True)
class Part:
    """A part of stacked bars: its name, its tone (good, bad, warn, unknown), a number for each."""

    label: str
    tone: str
    values: tuple[int, ...]


def bars(title: str, unit: str, values: Sequence[Bar], digits: int = 3) -> str:
    """Horizontal bars on one scale from zero; the table below has the same numbers."""
    largest = max((bar.value for bar in values), default=0) or 1
    parts = []
    for number, bar in enumerate(values):
        top = number * ROW + 6
        length = max(1.0, SPACE * max(bar.value, 0) / largest)
        parts += [
            _label(bar.label, top + 13),
            f'<rect x="{LABEL}" y="{top}" width="{length:.1f}" height="18" rx="2"/>',
            _text(f"{bar.value:.{digits}f} {unit}", LABEL + length + 6, top + 13, "start"),
        ]
    rows = [(bar.label, round(bar.value, digits)) for bar in values]
    return _figure(title, len(values) * ROW + 6, parts) + _numbers(title, ("", unit), rows)


def stacked(title: str, of: str, labels: Sequence[str], parts: Sequence[Part]) -> str:
    """A bar for each label, in parts on one scale; the table below has the same numbers.

    ``of`` is what the labels name, for the heading of their column.

    Parts differ in colour and in how they are hatched; each number stands in its part if it fits.
    """
    totals = [sum(part.values[at] for part in parts) for at in range(len(labels))]
    scale = SPACE / (max(totals, default=0) or 1)
    drawn = []
    for at, label in enumerate(labels):
        top, left = at * ROW + 6, float(LABEL)
        drawn.append(_label(label, top + 14))
        for number, part in enumerate(parts):
            width = part.values[at] * scale
            drawn += _segment(part, number, part.values[at], (left, top, width)) if width else []
            left += width
        drawn.append(_text(f"{totals[at]:,}", left + 6, top + 14, "start"))
    top = len(labels) * ROW + 12
    for number, part in enumerate(parts):
        x, y = LABEL + number % 3 * 150, top + number // 3 * 22
        drawn += _segment(part, number, 0, (x, y, 20.0))
        drawn.append(_text(part.label, x + 26, y + 14, "start"))
    height = top + -(-len(parts) // 3) * 22 + 4
    rows: list[tuple[str | int, ...]] = [
        (label, *(part.values[at] for part in parts)) for at, label in enumerate(labels)
    ]
    columns = (of, *(part.label for part in parts))
    return _figure(title, height, drawn) + _numbers(title, columns, rows)


def _segment(part: Part, number: int, value: int, box: tuple[float, float, float]) -> Iterator[str]:
    """A rectangle at (left, top, width), hatched by the part's ``number``, with its value."""
    left, top, width = box
    yield (
        f'<g class="rb-part rb-tone-{part.tone}"><rect x="{left:.1f}" y="{top}"'
        f' width="{max(width - 1, 1):.1f}" height="18"/>'
    )
    step = (0, 5, 9, 14, 3, 18, 7, 11)[number % 8]
    if step and width > 4:
        ends = [left + step * at for at in range(1, int((width - 1) / step) + 1)]
        lines = "".join(f"M{x:.1f} {top}v18" for x in ends if x < left + width - 2)
        yield f'<path class="rb-hatch" d="{lines}"/>' if lines else ""
    yield "</g>"
    shown = f"{value:,}"
    if value and width > 9 * len(shown) + 6:
        yield (
            f'<text class="rb-in-part" x="{left + width / 2:.1f}" y="{top + 14}"'
            f' text-anchor="middle">{shown}</text>'
        )


@dataclass(frozen=True)
class Span:
    """A stretch of a timeline's row: its tone, and when it began and how long it took."""

    tone: str
    began: float
    length: float


@dataclass(frozen=True)
class Mark:
    """A point of a timeline's row that stands out, with what to write beside it."""

    at: float
    text: str


def timeline(
    title: str, unit: str, rows: Sequence[tuple[str, Sequence[Span], Sequence[Mark]]]
) -> str:
    """A row each: its spans from left to right on one scale from zero, and its marks.

    What the spans are stands in a table of the caller's, as what they mean is the caller's too.
    """
    ends = [span.began + span.length for _, spans, _ in rows for span in spans]
    largest = max((*ends, *(mark.at for _, _, marks in rows for mark in marks)), default=0) or 1
    parts = []
    for number, (label, spans, marks) in enumerate(rows):
        top = number * ROW + 6
        parts.append(_label(label, top + 14))
        for span in spans:
            left, width = LABEL + SPACE * span.began / largest, SPACE * span.length / largest
            parts.append(
                f'<g class="rb-part rb-tone-{span.tone}"><rect x="{left:.1f}" y="{top}"'
                f' width="{max(width, 1):.1f}" height="18"/></g>'
            )
        for mark in marks:
            at = LABEL + SPACE * mark.at / largest
            parts += [
                f'<path d="M{at:.1f} {top - 4}v26" stroke="currentColor" stroke-width="2"/>',
                _text(mark.text, at + 5, top + 14, "start"),
            ]
    height = len(rows) * ROW + 26
    parts += [
        _text("0", LABEL, height - 6, "middle"),
        _text(f"{largest:.1f} {unit}", LABEL + SPACE, height - 6, "middle"),
    ]
    return _figure(title, height, parts)


def spread(title: str, unit: str, series: Sequence[tuple[str, Sequence[float]]]) -> str:
    """Each series as a strip: a mark a value, the median a line; up to the 95th percentile."""
    largest = max((_percentile(values, 95) for _, values in series), default=0) or 1
    parts, rows = [], []
    for number, (label, values) in enumerate(series):
        top = number * (ROW + 10) + 6
        median = statistics.median(values)
        parts += [
            _label(label, top + 16),
            *(
                f'<circle cx="{LABEL + SPACE * value / largest:.1f}"'
                f' cy="{top + 5 + 4 * (place % 4)}" r="2" opacity="0.35"/>'
                for place, value in enumerate(values)
                if value <= largest
            ),
            _median(LABEL + SPACE * median / largest, top),
        ]
        p95 = round(_percentile(values, 95), 3)
        rows.append((label, round(median, 3), p95, round(max(values), 3), len(values)))
    height = len(series) * (ROW + 10) + 26
    parts += [
        _text("0", LABEL, height - 6, "middle"),
        _text(f"{largest:.3f} {unit}", LABEL + SPACE, height - 6, "middle"),
    ]
    columns = ("", f"median {unit}", f"95th percentile {unit}", f"slowest {unit}", "measured")
    return _figure(title, height, parts) + _numbers(title, columns, rows)


def steps(title: str, unit: str, series: Sequence[tuple[str, Sequence[float | None]]]) -> str:
    """A line a series over the same moments, the oldest to the left; a gap where nothing is known.

    The table has the last value of each; the numbers of all belong into a table of their own.
    """
    known = [value for _, values in series for value in values if value is not None]
    largest = max(known, default=0) or 1
    parts = []
    for number, (label, values) in enumerate(series):
        top = number * LINE + 6
        parts += [_label(label, top + LINE // 2), *_line(values, largest, top)]
        last = next((value for value in reversed(values) if value is not None), None)
        shown = "unknown" if last is None else f"{last:,.0f} {unit}"
        parts.append(_text(shown, LABEL + SPACE + 6, top + LINE // 2, "start"))
    return _figure(title, len(series) * LINE + 6, parts)


def _line(values: Sequence[float | None], largest: float, top: int) -> Iterator[str]:
    """Marks at the values, joined where neighbours are both known."""
    width = SPACE / max(len(values) - 1, 1)
    points = [
        None
        if value is None
        else (LABEL + at * width, top + LINE - 10 - (LINE - 16) * value / largest)
        for at, value in enumerate(values)
    ]
    joined = "".join(
        f"M{first[0]:.0f} {first[1]:.1f}L" + " ".join(f"{x:.0f} {y:.1f}" for x, y in rest)
        for first, *rest in _neighbours(points)
        if rest
    )
    if joined:
        yield f'<path d="{joined}" stroke="currentColor" stroke-width="1.5"/>'
    marks = "".join(f"M{at[0]:.0f} {at[1]:.1f}h0" for at in points if at)
    if marks:  # a line of no length with round ends is a dot
        yield (f'<path d="{marks}" stroke="currentColor" stroke-width="6" stroke-linecap="round"/>')


def _neighbours(
    points: Sequence[tuple[float, float] | None],
) -> Iterator[list[tuple[float, float]]]:
    """The points between two gaps, together."""
    for known, found in groupby(points, lambda point: point is not None):
        if known:
            yield [point for point in found if point]


def _percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def _median(at: float, top: int) -> str:
    return (
        f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{top}" y2="{top + 24}" stroke="currentColor"'
        ' stroke-width="2"/>'
    )


def _label(text: str, y: int) -> str:
    return _text(text, LABEL - 8, y, "end")


def _text(text: str, x: float, y: int, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}">{markup.text(text)}</text>'


def _figure(title: str, height: int, parts: Sequence[str]) -> str:
    name = markup.text(title)
    return (
        f'<figure class="rb-chart" tabindex="0"><svg viewBox="0 0 {WIDTH} {height}" role="img"'
        f' aria-label="{name}" xmlns="http://www.w3.org/2000/svg" font-size="13"'
        f' fill="currentColor">{"".join(parts)}</svg><figcaption>{name}</figcaption></figure>'
    )


def _numbers(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str | float | int]]
) -> str:
    return markup.table(columns, rows, f"{title}, as a table")
