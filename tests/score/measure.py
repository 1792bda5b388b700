"""Precision, recall and F1 of proposals against an answer."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from runbook.schema import Shape


@dataclass(frozen=True)
class Score:
    """How many proposals are right, of how many, against how many keys."""

    right: int
    proposed: int
    keys: int

    @property
    def precision(self) -> float:
        return self.right / self.proposed if self.proposed else 0.0

    @property
    def recall(self) -> float:
        return self.right / self.keys if self.keys else 0.0

    @property
    def f1(self) -> float:
        both = self.proposed + self.keys
        return 2 * self.right / both if both else 0.0

    def __add__(self, other: Score) -> Score:
        return Score(
            self.right + other.right, self.proposed + other.proposed, self.keys + other.keys
        )


def score(proposed: AbstractSet[Shape], answer: AbstractSet[Shape]) -> Score:
    return Score(len(proposed & answer), len(proposed), len(answer))


def micro(scores: Iterable[Score]) -> Score:
    return sum(scores, Score(0, 0, 0))


def macro(scores: Iterable[Score]) -> float:
    """The mean F1: every schema counts the same, whatever its size."""
    values = [each.f1 for each in scores]
    return sum(values) / len(values) if values else 0.0
