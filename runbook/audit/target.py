"""What is needed to count the orphan rows of a relationship, read before anything is counted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from runbook import statistics
from runbook.audit import query
from runbook.operators import Comparisons
from runbook.relationships import Relationship
from runbook.schema import Match, Schema
from runbook.session import Session
from runbook.statistics import UNKNOWN, Statistics

# names of columns that hold when a row was made, without case and underscores
BIRTHS = ("createdat", "created", "createdon", "creationdate", "creationtime", "insertedat")
_TIME = re.compile(r"timestamp|date")


@dataclass(frozen=True)
class Target:
    """A relationship with all that is needed to count its orphan rows."""

    relationship: Relationship
    schema: Schema
    comparisons: Comparisons
    statistics: Statistics

    @property
    def match(self) -> Match:
        return match_of(self.relationship, self.schema)

    @property
    def found(self) -> sql.Composed:
        """``FROM … WHERE …``: the orphan rows."""
        return query.orphans(self.relationship, self.schema, self.comparisons, self.match)

    @property
    def child(self) -> sql.Composed:
        return query.table(self.schema.tables[self.relationship.child])

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that name a child row; empty without a primary key."""
        primary = self.schema.tables[self.relationship.child].primary_key
        return primary.columns if primary else ()

    @property
    def birth(self) -> str:
        """The column that tells when a child row came into being, or its key; empty without one."""
        table = self.schema.tables[self.relationship.child]
        for column in table.columns:
            plain = column.name.replace("_", "").lower()
            if plain in BIRTHS and _TIME.match(column.type):
                return column.name
        key = table.column(self.key[0]) if len(self.key) == 1 else None
        return key.name if key and key.type in ("smallint", "integer", "bigint") else ""

    @property
    def not_looked(self) -> str:
        """Why its rows cannot be counted at all; empty when they can."""
        if any(key.temporal for key in self.schema.keys_like(self.relationship.shape)):
            return "a key with PERIOD compares ranges, which is not counted yet"
        if not self.comparisons.pairs:
            return "PostgreSQL could not compare the two sides: the key is impossible"
        return ""


def targets(
    session: Session,
    relationships: Sequence[Relationship],
    schema: Schema,
    comparisons: Sequence[Comparisons],
) -> tuple[Target, ...]:
    """Everything that is needed to count, with the statistics read in the caller's transaction.

    Statistics only choose the way: when they cannot be read, everything is counted by anti-join,
    and what is wrong with the server shows there. Raises psycopg.Error for a lost connection.
    """
    try:
        with session.transaction():
            known = statistics.read(session, relationships)
    except psycopg.Error:
        if session.closed:
            raise
        known = (UNKNOWN,) * len(relationships)
    return tuple(
        Target(relationship, schema, comparison, numbers)
        for relationship, comparison, numbers in zip(relationships, comparisons, known, strict=True)
    )


def match_of(relationship: Relationship, schema: Schema) -> Match:
    """As it was decided, else as the database's key has it, else MATCH SIMPLE."""
    if relationship.match is not None:
        return relationship.match
    for key in schema.keys_like(relationship.shape):
        return key.match
    return Match.SIMPLE
