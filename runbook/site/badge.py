"""A badge for an environment: a small picture for a README or a wiki.

A picture cannot turn stale by itself, so it carries the day of the run.
"""

from __future__ import annotations

from runbook import markup
from runbook.environment import Environment
from runbook.record import RunRecord
from runbook.verdict import State

# on white letters, each over 4.5:1
_COLOURS = {State.GO: "#1a6b2c", State.HOLD: "#7a4b00", State.NO_GO: "#a31621"}
_UNKNOWN = "#4b4b57"
_LETTER = 6.6  # pixels, as wide as the average of an 11 pixel sans serif
_SPACE = 12


def svg(environment: Environment, run: RunRecord | None) -> str:
    """The badge: the environment's title, the verdict of its gate, and the day of the run."""
    verdict = run.verdict(environment.gate) if run else None
    state = verdict.state if verdict else State.UNKNOWN
    said = f"{state.value} {run.as_of:%Y-%m-%d}" if run else "UNKNOWN, no run"
    left, right = _width(environment.title), _width(said)
    name = markup.text(f"{environment.title}: {said}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img"'
        f' aria-label="{name}"><title>{name}</title>'
        f'<rect width="{left}" height="20" fill="#33333d"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{_COLOURS.get(state, _UNKNOWN)}"/>'
        '<g fill="#fff" font-family="Verdana, DejaVu Sans, sans-serif" font-size="11"'
        ' text-anchor="middle">'
        f'<text x="{left / 2}" y="14">{markup.text(environment.title)}</text>'
        f'<text x="{left + right / 2}" y="14">{markup.text(said)}</text></g></svg>\n'
    )


def _width(text: str) -> int:
    return round(len(text[: markup.LONGEST]) * _LETTER) + _SPACE
