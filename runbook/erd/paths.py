"""The lines of a diagram as SVG path data."""

from __future__ import annotations

from collections.abc import Sequence

from runbook.erd.layers import Lane

Point = tuple[float, float]


def loop(start: Point, down: float, out: float) -> str:
    """From a box to itself: ``out`` to the right, and ``down`` below where it began."""
    x, y = start
    return f"M{number(x)} {number(y)}c{out:.0f} 0 {out:.0f} {number(down)} 0 {number(down)}"


def around(start: Point, end: Point, bend: float) -> str:
    """A bow from one box to another above or below it, which reaches out to x = ``bend``."""
    (x1, y1), (x2, y2), across = start, end, number(bend)
    return (
        f"M{number(x1)} {number(y1)}"
        f"C{across} {number(y1)} {across} {number(y2)} {number(x2)} {number(y2)}"
    )


def curves(start: Point, end: Point, lanes: Sequence[Lane]) -> str:
    """Level where it leaves, passes a layer and arrives, and a bow between."""
    x, y = start
    path = f"M{number(x)} {number(y)}"
    for enter, leave, level in (*lanes, (end[0], end[0], end[1])):
        half = (x + enter) / 2
        bow, to = number(half), number(level)
        path += f"C{bow} {number(y)} {bow} {to} {number(enter)} {to}"
        if leave != enter:
            path += f"H{number(leave)}"
        x, y = leave, level
    return path


def arrow(x: float, y: float, side: int) -> str:
    """The point of the line at the parent; ``side`` 1: on the right of its box."""
    back = number(x + 7 * side)
    return f"M{back} {number(y - 3.5)}L{number(x)} {number(y)}L{back} {number(y + 3.5)}"


def number(value: float) -> str:
    """A coordinate, to half a unit."""
    return f"{round(value * 2) / 2:g}"
