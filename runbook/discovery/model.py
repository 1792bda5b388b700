"""The chance of each candidate of a column: one of the keys that its name may mean, or none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from runbook.discovery.candidates import Candidate
from runbook.discovery.proposal import Tier

LIKELY, POSSIBLE = 0.42, 0.2
SURE = 0.9
MOST = 30.0  # of a score, so that no chance is exactly one


def chances(
    found: Sequence[Candidate], weights: Mapping[str, float], shifts: Sequence[float] = ()
) -> tuple[float, ...]:
    """The chance of each (0 to 1); what is missing to one is that the column is no key.

    A conditional logit: a column refers to one parent at most, so the candidates compete.
    ``shifts`` are what other evidence adds to the log-odds of each.
    """
    added = shifts or (0.0,) * len(found)
    scores = [score(each.features, weights) + more for each, more in zip(found, added, strict=True)]
    odds = [math.exp(max(-MOST, min(MOST, each))) for each in scores]
    whole = 1 + sum(odds)
    return tuple(each / whole for each in odds)


def score(features: Mapping[str, float], weights: Mapping[str, float]) -> float:
    return sum(weights.get(name, 0.0) * value for name, value in features.items())


def tier(confidence: float, doubt: bool) -> Tier | None:
    """The tier of a confidence; with a ``doubt`` a person looks first. None: not proposed."""
    if confidence >= SURE and not doubt:
        return Tier.ACCEPTED
    if confidence >= LIKELY:
        return Tier.LIKELY
    return Tier.POSSIBLE if confidence >= POSSIBLE else None
