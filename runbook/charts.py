"""Plots as inline SVG that follow the page's colours, each with its numbers in a table.

Plain SVG text: byte-stable, readable in light and dark, no script and no picture file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runbook import markup

WIDTH = 640
ROW = 30
LABEL = 190
VALUE = 70


@dataclass(frozen=True)
class Bar:
    """A bar: its label, its value in the chart's unit, and what kind of thing it is."""

    label: str
    value: float
    kind: str = "plain"  # plain, good, bad, limit


def bars(title: str, unit: str, values: Sequence[Bar]) -> str:
    """Horizontal bars on one scale from zero; the table below has the same numbers."""
    largest = max((bar.value for bar in values), default=0) or 1
    space = WIDTH - LABEL - VALUE
    parts = []
    for number, bar in enumerate(values):
        top = number * ROW + 6
        length = max(1.0, space * max(bar.value, 0) / largest)
        parts.append(
            f'<text x="{LABEL - 8}" y="{top + 13}" text-anchor="end">{markup.text(bar.label)}</text>'
            f'<rect class="rb-bar-{bar.kind}" x="{LABEL}" y="{top}" width="{length:.1f}"'
            ' height="18" rx="2"/>'
            f'<text x="{LABEL + length + 6:.1f}" y="{top + 13}">{bar.value:.2f} {unit}</text>'
        )
    height = len(values) * ROW + 6
    return (
        '<figure class="rb-chart">'
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{markup.text(title)}"'
        ' xmlns="http://www.w3.org/2000/svg" font-size="13" fill="currentColor">'
        + "".join(parts)
        + f"</svg><figcaption>{markup.text(title)}</figcaption></figure>"
        + markup.table(
            ("", unit), [(bar.label, round(bar.value, 3)) for bar in values], f"{title}, as a table"
        )
    )


def spread(title: str, unit: str, series: Sequence[tuple[str, Sequence[float]]]) -> str:
    """Each series as a strip: every value a mark, the median a line; up to the 95th percentile."""
    ends = [sorted(values)[int(len(values) * 0.95) - 1] for _, values in series if values]
    largest = max(ends, default=0) or 1
    space = WIDTH - LABEL - VALUE
    parts, rows = [], []
    for number, (label, values) in enumerate(series):
        top = number * (ROW + 10) + 6
        ordered = sorted(values)
        median, p95 = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.95) - 1]
        marks = "".join(
            f'<circle cx="{LABEL + space * value / largest:.1f}" cy="{top + 5 + 4 * (n % 4)}" r="2"'
            ' opacity="0.35"/>'
            for n, value in enumerate(values)
            if value <= largest
        )
        at = LABEL + space * median / largest
        parts.append(
            f'<text x="{LABEL - 8}" y="{top + 16}" text-anchor="end">{markup.text(label)}</text>'
            f'{marks}<line class="rb-median" x1="{at:.1f}" x2="{at:.1f}" y1="{top}" y2="{top + 24}"'
            ' stroke="currentColor" stroke-width="2"/>'
        )
        rows.append((label, round(median, 3), round(p95, 3), round(ordered[-1], 3), len(ordered)))
    height = len(series) * (ROW + 10) + 26
    scale = (
        f'<text x="{LABEL}" y="{height - 6}" text-anchor="middle">0</text>'
        f'<text x="{LABEL + space}" y="{height - 6}" text-anchor="middle">{largest:.2f} {unit}</text>'
    )
    return (
        '<figure class="rb-chart">'
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{markup.text(title)}"'
        ' xmlns="http://www.w3.org/2000/svg" font-size="13" fill="currentColor">'
        + "".join(parts)
        + scale
        + f"</svg><figcaption>{markup.text(title)}</figcaption></figure>"
        + markup.table(
            ("", f"median {unit}", f"95th percentile {unit}", f"slowest {unit}", "measured"),
            rows,
            f"{title}, as a table",
        )
    )
