"""The evidence of a proposal in words."""

from __future__ import annotations

import math
from collections.abc import Iterator

from runbook.discovery.candidates import Candidate
from runbook.discovery.offers import HELD, USED
from runbook.discovery.proposal import Evidence, Source

KINDS = {
    "join": "the table's name joins two tables, and this column is the side of {parent}",
    "pair": "the name is one side of a link, and {child} links rows of {parent}",
    "full": "the name is that of {parent} and its key",
    "full_role": "the name is that of {parent} after the role {role!r}",
    "key": "the name is that of the key {key}",
    "key_role": "the name is that of the key {key} after the role {role!r}",
    "sibling": "{parent} is to its family what {child} is to its own",
    "context": "the name goes on from that of {child} to {parent}",
    "tail": "the name is the end of {parent}",
    "tail_role": "the name is the end of {parent} after the role {role!r}",
    "head": "the name is the beginning of {parent}",
    "abbr": "the name is short for {parent}",
    "initials": "the name has the initials of {parent}",
    "self": "the name says another row of the same table",
    "person": "the name says who did it, and {parent} holds people",
    "agent": "the name may say who did it, and {parent} holds people",
    USED: "the names do not say {parent}; a statement does",
    HELD: "the names do not say {parent}; its rows do",
    "learnt": "other columns of such a name refer to {parent}",
}


def of(candidate: Candidate, rivals: int) -> Iterator[Evidence]:
    """What speaks for a candidate, and against it."""
    key, match, features = candidate.key, candidate.match, candidate.features
    words = KINDS[match.kind].format(
        parent=key.table.label,
        child=candidate.child.label,
        key=f"{key.table.label}.{key.column.name}",
        role=" ".join(match.role),
    )
    yield Evidence(Source.NAMES, words)
    same = candidate.column.type == key.column.type
    unlike = f"the type {candidate.column.type} can be compared with {key.column.type}"
    yield Evidence(Source.NAMES, f"both have the type {key.column.type}" if same else unlike)
    if features.get("led"):
        yield Evidence(Source.NAMES, "an index begins with the column")
    if features.get("learnt.yes"):
        yield Evidence(
            Source.ENFORCED,
            f"{features['learnt.yes']:.0%} of the declared keys of this name refer to it",
        )
    if features.get("quantity"):
        yield Evidence(Source.NAMES, "against it: the name is also that of a quantity")
    if match.kind == HELD:
        yield from _held(candidate)
    elif rivals:
        tables = "1 other key" if rivals == 1 else f"{rivals} other keys"
        yield Evidence(Source.NAMES, f"against it: the name may mean {tables}")


def _held(candidate: Candidate) -> Iterator[Evidence]:
    """How much the inclusion says: within a key that is counted from one, many others lie too."""
    features = candidate.features
    coverage, reach = features.get("coverage", 0.0), features.get("reach", 0.0)
    yield Evidence(
        Source.DATA, f"it has {coverage:.0%} of the keys of {candidate.key.table.label},"
        f" up to {reach:.0%} of their range",
    )  # fmt: skip
    others = round(math.expm1(features.get("rivals", 0.0)))
    if others:
        tables = "1 other key holds" if others == 1 else f"{others} other keys hold"
        yield Evidence(Source.DATA, f"against it: {tables} its values as closely")
