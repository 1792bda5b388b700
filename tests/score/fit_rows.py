"""Fits the weights of rows alone: by schemas that come with rows, under their names and hidden.

The loss and the method are those of :mod:`tests.score.fit`. Under the real names only the columns
are left that no name matched, so that the fit also learns how little rows say there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from runbook.discovery import candidates, data, model, unnamed
from runbook.discovery.told import Told
from runbook.discovery.vocabulary import Vocabulary
from runbook.schema import Schema, Shape
from tests.score import fit
from tests.score.fit import Choice, Weights
from tests.score.measure import Score

PRIOR = {"spoken": -3.0}
FEWEST = 8  # keys: the weight of a schema with fewer does not grow any more


@dataclass(frozen=True)
class Lesson:
    """The columns of one schema whose keys the rows may tell, and the number of its keys."""

    name: str
    choices: tuple[Choice, ...]
    keys: int


def choices(schema: Schema, answer: frozenset[Shape], told: Told) -> Iterable[Choice]:
    """Each column that no name matched, with the keys that hold its values."""
    vocabulary = Vocabulary(schema)
    found = unnamed.of(vocabulary, candidates.of(vocabulary), told)
    weight = math.sqrt(fit.USUAL / max(len(answer), FEWEST))
    for place in found.near:
        offered = [each for each, _ in unnamed.ranked(vocabulary, found, place, told)]
        if offered:
            hits = [float(data.shape(each) in answer) for each in offered]
            whole = sum(hits) or 1.0
            right = tuple(hit / whole for hit in hits)
            yield Choice(tuple(each.features for each in offered), right, weight)


def weights(lessons: Sequence[Lesson]) -> Weights:
    """As in ``runbook/discovery/coverage.py``."""
    every = [choice for lesson in lessons for choice in lesson.choices]
    return fit.newton(every, dict(PRIOR), lambda _: True, PRIOR)


def unseen(hidden: Sequence[Lesson], named: Sequence[Lesson]) -> list[Score]:
    """What is found of each schema's hidden keys with weights fitted to the others alone."""
    scores = []
    for lesson in hidden:
        others = [each for each in (*hidden, *named) if each.name != lesson.name]
        scores.append(_scored(lesson, weights(others)))
    return scores


def _scored(lesson: Lesson, fitted: Mapping[str, float]) -> Score:
    right = proposed = 0
    for choice in lesson.choices:
        scores = [model.score(features, fitted) for features in choice.offered]
        odds = [math.exp(max(-model.MOST, min(model.MOST, each))) for each in scores]
        if max(odds) / (1 + sum(odds)) >= model.LIKELY:
            proposed += 1
            right += choice.right[odds.index(max(odds))] > 0
    return Score(right, proposed, lesson.keys)
