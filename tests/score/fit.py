"""Fits the weights of the features: a conditional logit with a prior, by Newton's method.

The prior is what general knowledge expects of a feature before any schema was seen; it also
stands for features that only one schema shows. Plain Python, so that anyone can repeat it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from runbook.discovery import candidates, composite, engine, refusals
from runbook.discovery.data import shape
from runbook.discovery.proposal import Found
from runbook.discovery.vocabulary import Vocabulary
from runbook.schema import Schema, Shape
from tests.score.layout import Known

PRIOR = {
    "named": 2.0, "kind.initials": 1.5, "rare.short": 2.5, "kind.sibling": 2.0,
    "rival.sibling": -2.0, "subtype": 3.0, "subtype.rival": -3.0, "quantity": -3.0,
    "quantity.role": -0.5, "kind.self": 1.5, "kind.person": 1.0, "tail.off": -1.5,
    "bare.off": -2.0, "plural": -1.0, "shadowed": -2.0, "not.primary": -2.0, "alt.said": 2.0,
    "own": -3.0, "kind.join": 4.0, "kind.pair": 3.0,
    "said.differs": -1.5, "self": -1.0,
}  # fmt: skip
LEARNT = ("learnt.", "last.", "kind.learnt")  # fitted with half of the keys left in place
STEPS = 12
SHARE = 0.05  # of what a scored schema weighs, for a further one: they declare fewer of their keys
USUAL = 60  # keys: a schema of so many weighs one, a larger one less for each of its keys

Weights = dict[str, float]


@dataclass(frozen=True)
class Choice:
    """A column: the features of its candidates, the right ones, and how much it weighs."""

    offered: tuple[Mapping[str, float], ...]
    right: tuple[float, ...]  # sums to one, or all nought where the column is no key
    weight: float


def weights(known: Sequence[Known], further: Sequence[Known] = ()) -> Weights:
    """Fit without keys first; then, with the rest fixed, what declared keys teach.

    The ``further`` schemas weigh a ``SHARE`` of the ``known`` ones.
    """
    plain: list[Choice] = []
    halves: list[Choice] = []
    for each, share in (*((k, 1.0) for k in known), *((k, SHARE) for k in further)):
        plain += _choices(each.stripped, each.answer, share)
        for seed in range(2):
            halves += _choices(*each.half(seed), share)
    found = newton(plain, dict(PRIOR), lambda name: not name.startswith(LEARNT), PRIOR)
    return newton(halves, found, lambda name: name.startswith(LEARNT), PRIOR)


def leave_one_out(known: Sequence[Known]) -> dict[str, Found]:
    """What is proposed for each schema with weights that were fitted to the others alone."""
    found = {}
    for each in known:
        fitted = weights([other for other in known if other.name != each.name])
        found[each.name] = engine.propose(each.stripped, weights=fitted)
    return found


def source(fitted: Weights) -> str:
    """The text of the table in ``runbook/discovery/weights.py``."""
    lines = [f'    "{name}": {round(value, 3)},' for name, value in sorted(fitted.items())]
    return "WEIGHTS: Mapping[str, float] = {\n" + "\n".join(lines) + "\n}"


def _choices(schema: Schema, answer: frozenset[Shape], share: float) -> Iterable[Choice]:
    vocabulary = Vocabulary(schema)
    covered = {(each.child, c) for each in composite.best(vocabulary) for c, _ in each.pairs}
    weight = share * math.sqrt(USUAL / max(len(answer), 1))
    for (child, column), offered in candidates.of(vocabulary).items():
        if (child, column) in covered or refusals.polymorphic(schema.tables[child], column):
            continue
        hits = [float(shape(each) in answer) for each in offered]
        whole = sum(hits) or 1.0
        features = tuple(each.features for each in offered)
        yield Choice(features, tuple(hit / whole for hit in hits), weight)


def newton(
    choices: Sequence[Choice],
    start: Weights,
    free: Callable[[str], bool],
    prior: Mapping[str, float],
) -> Weights:
    """The ``free`` weights that fit the choices best, near the ``prior``."""
    found = dict(start)
    names = sorted({n for c in choices for f in c.offered for n in f if free(n)})
    place = {name: number for number, name in enumerate(names)}
    for _ in range(STEPS):
        slope = [found.get(name, 0.0) - prior.get(name, 0.0) for name in names]
        curve = [[0.0] * len(names) for _ in names]
        for number in range(len(names)):
            curve[number][number] = 1.0
        for choice in choices:
            _add(choice, found, place, slope, curve)
        step = _solved(curve, slope)
        largest = max(map(abs, step), default=0.0)
        for name, value in zip(names, step, strict=True):
            found[name] = found.get(name, 0.0) - value * min(1.0, 2 / max(largest, 1e-9))
        if largest < 1e-3:
            break
    return found


def _add(
    choice: Choice,
    found: Mapping[str, float],
    place: Mapping[str, int],
    slope: list[float],
    curve: list[list[float]],
) -> None:
    """Add the first and second derivatives of one column's loss."""
    odds = [math.exp(min(30.0, sum(found.get(n, 0.0) * v for n, v in f.items())))
            for f in choice.offered]  # fmt: skip
    whole = 1 + sum(odds)
    mean: dict[int, float] = {}
    for features, odd, right in zip(choice.offered, odds, choice.right, strict=True):
        chance = odd / whole
        row = [(place[n], v) for n, v in features.items() if n in place]
        for i, v in row:
            slope[i] += choice.weight * (chance - right) * v
            mean[i] = mean.get(i, 0.0) + chance * v
            for j, u in row:
                curve[i][j] += choice.weight * chance * v * u
    for i, v in mean.items():
        for j, u in mean.items():
            curve[i][j] -= choice.weight * v * u


def _solved(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Gauss's elimination with pivots; the prior makes the matrix regular."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    size = len(rows)
    for at in range(size):
        pivot = max(range(at, size), key=lambda number: abs(rows[number][at]))
        rows[at], rows[pivot] = rows[pivot], rows[at]
        for below in range(at + 1, size):
            factor = rows[below][at] / rows[at][at]
            if factor:
                rows[below] = [a - factor * b for a, b in zip(rows[below], rows[at], strict=True)]
    found = [0.0] * size
    for at in reversed(range(size)):
        rest = sum(rows[at][n] * found[n] for n in range(at + 1, size))
        found[at] = (rows[at][size] - rest) / rows[at][at]
    return found
