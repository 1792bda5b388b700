"""Plots as inline SVG that follow the page's colours, each with its numbers in a table.

Plain SVG text: byte-stable, readable in light and dark, no script and no picture file.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from runbook import markup

WIDTH = 640
ROW = 30
LABEL = 190
VALUE = 90
SPACE = WIDTH - LABEL - VALUE


@dataclass(frozen=True)
class Bar:
    """A bar: its label and its value in the chart's unit."""

    label: str
    value: float


def bars(title: str, unit: str, values: Sequence[Bar]) -> str:
    """Horizontal bars on one scale from zero; the table below has the same numbers."""
    largest = max((bar.value for bar in values), default=0) or 1
    parts = []
    for number, bar in enumerate(values):
        top = number * ROW + 6
        length = max(1.0, SPACE * max(bar.value, 0) / largest)
        parts += [
            _label(bar.label, top + 13),
            f'<rect x="{LABEL}" y="{top}" width="{length:.1f}" height="18" rx="2"/>',
            _text(f"{bar.value:.3f} {unit}", LABEL + length + 6, top + 13, "start"),
        ]
    rows = [(bar.label, round(bar.value, 3)) for bar in values]
    return _figure(title, len(values) * ROW + 6, parts) + _numbers(title, ("", unit), rows)


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
        f'<figure class="rb-chart"><svg viewBox="0 0 {WIDTH} {height}" role="img"'
        f' aria-label="{name}" xmlns="http://www.w3.org/2000/svg" font-size="13"'
        f' fill="currentColor">{"".join(parts)}</svg><figcaption>{name}</figcaption></figure>'
    )


def _numbers(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str | float | int]]
) -> str:
    return markup.table(columns, rows, f"{title}, as a table")
