"""Proposals from declarations alone: candidates, their chances, one parent for each column."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from runbook.discovery import actions, candidates, composite, model, refusals, sentences
from runbook.discovery import unnamed as silent
from runbook.discovery.candidates import Candidate
from runbook.discovery.composite import Composite
from runbook.discovery.offers import USED
from runbook.discovery.proposal import Evidence, Found, Proposal, Source, Tier
from runbook.discovery.roles import HISTORIES
from runbook.discovery.told import NOTHING, Told
from runbook.discovery.unnamed import Unnamed
from runbook.discovery.vocabulary import Vocabulary
from runbook.discovery.weights import WEIGHTS
from runbook.schema import Schema, TableName

# between how often each shape of a composite key was right in the schemas that are scored, nearly
# always, and in the further ones of docs/discovery.md, three times in four
SHAPES = {
    composite.TENANT: (0.75, "{parent} has a unique key that is there to be referred to"),
    composite.OWNED: (0.85, "{child} is named after {parent} and has its whole key"),
    composite.SPELLED: (0.75, "the columns together spell {parent}, and are its whole key"),
    composite.NATURAL: (0.8, "the columns are the whole key of {parent}, and of no other table"),
    composite.HOME: (
        0.8,
        "the columns are the whole key of {parent}, which others are named after",
    ),
}
AGREED = 1.5  # log-odds: a join, and rows that would make the same key likely without it
MOST_HELD = 5  # proposals of one table that rest on rows alone
Column = tuple[TableName, str]


def propose(
    schema: Schema,
    *,
    extra: Sequence[Proposal] = (),
    weights: Mapping[str, float] = WEIGHTS,
    told: Told = NOTHING,
) -> Found:
    """As :func:`runbook.discovery.propose`; ``weights`` are those of the features.

    ``told`` is what rows and statements say, where somebody has looked.
    """
    vocabulary = Vocabulary(schema)
    known = {key.shape for key in schema.foreign_keys}
    found = {item.shape: item for item in extra if item.shape not in known}
    taken = {(item.child, item.columns) for item in found.values()}
    covered: set[Column] = set()
    for each in composite.best(vocabulary):
        proposal = _composite(vocabulary, each)
        covered |= {(each.child, column) for column in _settled(each)}
        if proposal.shape not in known and (each.child, proposal.columns) not in taken:
            found[proposal.shape] = proposal
    alone = candidates.of(vocabulary)
    unnamed = silent.of(vocabulary, alone, told, weights)
    left: dict[TableName, list[Proposal]] = defaultdict(list)
    for child, column in dict.fromkeys((*alone, *unnamed.joined, *unnamed.near)):
        place = child, column
        if place in covered or (child, (column,)) in taken:
            continue
        if refusals.polymorphic(schema.tables[child], column):
            continue
        offered = (*alone.get(place, ()), *unnamed.joined.get(place, ()))
        proposals = tuple(_single(vocabulary, offered, weights, told, unnamed))
        for proposal in proposals:
            found.setdefault(proposal.shape, proposal)
        if not proposals:
            left[child] += _held(vocabulary, unnamed, place, told)
    for held in left.values():
        for proposal in sorted(held, key=lambda item: -item.confidence)[:MOST_HELD]:
            found.setdefault(proposal.shape, proposal)
    proposals = tuple(
        sorted(found.values(), key=lambda item: (item.tier.rank, -item.confidence, str(item.child)))
    )
    settled = {(item.child, column) for item in proposals for column in item.columns}
    settled |= {(key.child, column) for key in schema.foreign_keys for column in key.columns}
    not_keys, dangling = refusals.of(vocabulary, frozenset(settled))
    return Found(proposals, not_keys, dangling)


def chances(
    schema: Schema, table: TableName, column: str, told: Told = NOTHING
) -> tuple[tuple[Candidate, float], ...]:
    """Every key that one column may mean, with its chance, the best first."""
    vocabulary = Vocabulary(schema)
    alone = candidates.of(vocabulary)
    unnamed = silent.of(vocabulary, alone, told)
    offered = (*alone.get((table, column), ()), *unnamed.joined.get((table, column), ()))
    found = zip(offered, _odds(vocabulary, offered, WEIGHTS, told, unnamed), strict=True)
    named = sorted(found, key=lambda each: (-each[1], str(each[0].key.table)))
    return tuple(named) or silent.ranked(vocabulary, unnamed, (table, column), told)


def _settled(each: Composite) -> Iterator[str]:
    """The columns that need no key of their own: the composite key's parent has it."""
    for column, referred in each.pairs:
        if each.shape != composite.TENANT or column != referred:
            yield column


def _single(
    vocabulary: Vocabulary,
    offered: tuple[Candidate, ...],
    weights: Mapping[str, float],
    told: Told,
    unnamed: Unnamed,
) -> Iterator[Proposal]:
    if not offered:
        return
    odds = _odds(vocabulary, offered, weights, told, unnamed)
    confidence, number = max((chance, -number) for number, chance in enumerate(odds))
    best = offered[-number]
    doubt = _doubt(vocabulary, best)
    if best.match.kind == USED:  # a join alone is for a person to judge
        doubt = doubt or not silent.agrees(vocabulary, unnamed, best, told)
    tier = model.tier(confidence, doubt)
    if tier is not None:
        yield _proposal(vocabulary, best, confidence, tier, len(offered) - 1, told)


def _odds(
    vocabulary: Vocabulary,
    offered: Sequence[Candidate],
    weights: Mapping[str, float],
    told: Told,
    unnamed: Unnamed,
) -> tuple[float, ...]:
    """The chances of the keys that names and joins offer."""
    shifts = list(told.shifts(offered))
    for number, each in enumerate(offered):
        if each.match.kind == USED and silent.agrees(vocabulary, unnamed, each, told):
            shifts[number] += AGREED
    return model.chances(offered, weights, shifts)


def _held(
    vocabulary: Vocabulary, unnamed: Unnamed, place: Column, told: Told
) -> Iterator[Proposal]:
    """What the rows alone propose for a column: never without a person."""
    for best, confidence in silent.ranked(vocabulary, unnamed, place, told)[:1]:
        tier = model.tier(confidence, doubt=True)
        if tier is not None:
            tier = Tier.POSSIBLE if unnamed.spoken >= silent.SPEAKING else tier
            yield _proposal(vocabulary, best, confidence, tier, 0, told)


def _proposal(  # noqa: PLR0913, PLR0917 - what a proposal is made of
    vocabulary: Vocabulary,
    best: Candidate,
    confidence: float,
    tier: Tier,
    rivals: int,
    told: Told,
) -> Proposal:
    columns, parent = (best.column.name,), best.key.table
    action, reason = actions.fitting(vocabulary, best.child, columns, parent)
    return Proposal(
        best.child,
        columns,
        parent,
        (best.key.column.name,),
        round(confidence, 3),
        tier,
        (*sentences.of(best, rivals), *told.sentences(best)),
        action,
        reason,
    )


def _doubt(vocabulary: Vocabulary, best: Candidate) -> bool:
    """Whether a person looks first: copies and histories are often left without keys."""
    child = vocabulary.tables[best.child]
    return child.table.primary_key is None or bool(set(child.words) & HISTORIES)


def _composite(vocabulary: Vocabulary, each: Composite) -> Proposal:
    confidence, words = SHAPES[each.shape]
    columns = tuple(column for column, _ in each.pairs)
    action, reason = actions.fitting(vocabulary, each.child, columns, each.parent)
    said = words.format(child=each.child.label, parent=each.parent.label)
    return Proposal(
        each.child,
        columns,
        each.parent,
        tuple(column for _, column in each.pairs),
        confidence,
        Tier.LIKELY if confidence < model.SURE else Tier.ACCEPTED,
        (Evidence(Source.NAMES, said),),
        action,
        reason,
    )
