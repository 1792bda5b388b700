"""Proposals from schema.prisma, for :func:`runbook.discovery.propose`."""

from __future__ import annotations

from runbook.discovery.proposal import Evidence, Proposal, Source, Tier
from runbook.prisma.models import Declared
from runbook.prisma.relations import Relation, relations
from runbook.schema import Schema, TableName


def proposals(declared: Declared, schema: Schema) -> tuple[Proposal, ...]:
    """The relations whose tables and columns ``schema`` has; the application declares them.

    The others are differences (:func:`runbook.prisma.differences`), not relationships.
    """
    found = {
        relation.shape: _proposal(relation)
        for relation in reversed(relations(declared))
        if _is_there(schema, relation.child, relation.columns)
        and _is_there(schema, relation.parent, relation.references)
    }
    return tuple(reversed(found.values()))


def _is_there(schema: Schema, name: TableName, columns: tuple[str, ...]) -> bool:
    table = schema.tables.get(name)
    return table is not None and all(table.column(column) for column in columns)


def _proposal(relation: Relation) -> Proposal:
    place = f"{relation.place.path.name}:{relation.place.line}"
    said = "as it says" if relation.delete_said else "Prisma's default"
    return Proposal(
        relation.child,
        relation.columns,
        relation.parent,
        relation.references,
        1.0,
        Tier.ACCEPTED,
        (Evidence(Source.PRISMA, f"{relation.name} is a relation at {place}"),),
        relation.on_delete,
        f"on delete {relation.on_delete.value}: {said}",
    )
