"""What a person found out about proposals that no project declares as a key: adjudicated.toml."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from runbook.schema import Shape
from tests.score.layout import qualified

FILE = Path(__file__).parent / "adjudicated.toml"


class Ruling(StrEnum):
    """What a proposal turned out to be; without evidence it is undecided."""

    REFERENCE = "reference"
    WRONG = "wrong"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Entry:
    """One proposal, what it is, and the place in the project's source that says so."""

    schema: str
    shape: Shape
    ruling: Ruling
    because: str


@dataclass(frozen=True)
class Judged:
    """Proposals of one tier: those that are declared keys, and the rulings on the others."""

    declared: int
    references: int
    wrong: int
    undecided: int
    without_entry: int

    @property
    def proposals(self) -> int:
        return sum((self.declared, self.references, self.wrong, self.undecided, self.without_entry))

    @property
    def precision(self) -> float:
        """With references that no project declared as right ones; all doubts count as wrong."""
        return (self.declared + self.references) / self.proposals if self.proposals else 0.0


def read(path: Path = FILE) -> tuple[Entry, ...]:
    """All entries; raises ValueError where two are about the same proposal."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    entries = tuple(_entry(each) for each in content["proposal"])
    for (schema, shape), times in Counter((e.schema, e.shape) for e in entries).items():
        if times > 1:
            raise ValueError(f"{times} entries for {_text(schema, shape)!r}, expected one")
    return entries


def judge(
    proposed: Mapping[str, AbstractSet[Shape]],
    answers: Mapping[str, AbstractSet[Shape]],
    entries: Iterable[Entry],
) -> Judged:
    """Hold the proposals of schemas against their keys, then against the entries."""
    rulings = {(each.schema, each.shape): each.ruling for each in entries}
    declared = sum(len(shapes & answers[name]) for name, shapes in proposed.items())
    found = Counter(
        rulings.get((name, shape))
        for name, shapes in proposed.items()
        for shape in shapes - answers[name]
    )
    return Judged(
        declared,
        found[Ruling.REFERENCE],
        found[Ruling.WRONG],
        found[Ruling.UNDECIDED],
        found[None],
    )


def _entry(content: Mapping[str, object]) -> Entry:
    columns, references = content["columns"], content["references"]
    if not isinstance(columns, list) or not isinstance(references, list):
        raise TypeError(f"entry {content!r}, expected lists of columns and references")
    shape = (
        qualified(str(content["child"])),
        qualified(str(content["parent"])),
        frozenset(zip(columns, references, strict=True)),
    )
    return Entry(str(content["schema"]), shape, Ruling(str(content["is"])), str(content["because"]))


def _text(schema: str, shape: Shape) -> str:
    child, parent, pairs = shape
    return f"{schema}: {child}.{', '.join(sorted(column for column, _ in pairs))} -> {parent}"
