"""What rows and statements say of candidates, beside their declarations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from runbook.discovery import data
from runbook.discovery.candidates import Candidate
from runbook.discovery.data import Rows
from runbook.discovery.offers import USED
from runbook.discovery.proposal import Evidence, Source
from runbook.schema import Shape

JOINED = 3.0  # log-odds: whoever wrote the statement knew what belongs together
# the same where the names say nothing: about two in three, the author's guess, as no schema that
# is scored comes with its statements
JOINED_ALONE = 0.7
# a primary key that is joined, a unique key that is not the primary one, a name that says another
AGAINST = {"used.pk": -2.0, "used.unique": -1.0, "used.named": -1.0}


@dataclass(frozen=True)
class Told:
    """The rows, and the joins in statements: shapes with the places where they were read."""

    rows: Rows = field(default_factory=Rows)
    joins: Mapping[Shape, tuple[str, ...]] = field(default_factory=dict)

    def shifts(self, offered: Sequence[Candidate]) -> tuple[float, ...]:
        """What all of it adds to the log-odds of each candidate of one column."""
        return tuple(
            shift + self._join(each)
            for each, shift in zip(offered, data.shifts(offered, self.rows), strict=True)
        )

    def _join(self, each: Candidate) -> float:
        if data.shape(each) not in self.joins:
            return 0.0
        if each.match.kind != USED:
            return JOINED
        return JOINED_ALONE + sum(AGAINST[name] for name in each.features)

    def sentences(self, each: Candidate) -> Iterator[Evidence]:
        yield from data.sentences(each, self.rows)
        places = self.joins.get(data.shape(each), ())
        if places:
            yield Evidence(Source.USE, f"joined in {places[0]}{_more(places)}")


def _more(places: Sequence[str]) -> str:
    return f" and {len(places) - 1} more" if len(places) > 1 else ""


NOTHING = Told()
