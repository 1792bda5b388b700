"""What rows and statements say of candidates, beside their declarations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from runbook.discovery import data
from runbook.discovery.candidates import Candidate
from runbook.discovery.data import Rows
from runbook.discovery.proposal import Evidence, Source
from runbook.schema import Shape

JOINED = 3.0  # log-odds: whoever wrote the statement knew what belongs together


@dataclass(frozen=True)
class Told:
    """The rows, and the joins in statements: shapes with the places where they were read."""

    rows: Rows = field(default_factory=Rows)
    joins: Mapping[Shape, tuple[str, ...]] = field(default_factory=dict)

    def shifts(self, offered: Sequence[Candidate]) -> tuple[float, ...]:
        """What all of it adds to the log-odds of each candidate of one column."""
        return tuple(
            shift + (JOINED if data.shape(each) in self.joins else 0.0)
            for each, shift in zip(offered, data.shifts(offered, self.rows), strict=True)
        )

    def sentences(self, each: Candidate) -> Iterator[Evidence]:
        yield from data.sentences(each, self.rows)
        places = self.joins.get(data.shape(each), ())
        if places:
            yield Evidence(Source.USE, f"joined in {places[0]}{_more(places)}")


def _more(places: Sequence[str]) -> str:
    return f" and {len(places) - 1} more" if len(places) > 1 else ""


NOTHING = Told()
