"""A plan: the steps that bring the missing keys into being, in order, and what is left out.

The document ``plan.json``. Whoever applies it runs exactly these statements.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict

from runbook.relationships import Priority
from runbook.schema import Action, ForeignKey, Match, TableName


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StepKind(StrEnum):
    """What a step does; the order is that of one relationship's steps."""

    INDEX = "index"  # CREATE INDEX CONCURRENTLY on the child
    ADD = "add"  # ADD … NOT VALID: refuses new orphan rows from here on
    REMEDIATE = "remediate"  # orphan rows, by a person's decision: runbook remediate
    VALIDATE = "validate"
    ATTACH = "attach"  # of a partitioned child before PostgreSQL 18: the key on its root
    DROP = "drop"  # of the key that was not as decided, once the right one is there
    PROVE = "prove"  # the catalog and an independent count say that it holds


class TableLock(_Model):
    """A lock that a step takes; ``mode`` in PostgreSQL's words, as ``SHARE ROW EXCLUSIVE``."""

    table: str
    mode: str


class PlanStep(_Model):
    """One step of one relationship.

    ``statements`` are run in one transaction unless ``kind`` is index; ``seconds`` is an estimate
    or None where nothing is known; ``undo`` is SQL or empty; ``orphans`` is what the last audit
    counted, for remediate.
    """

    id: str  # "012-add", unique in the plan and in its order
    kind: StepKind
    relationship: str  # Relationship.id
    title: str
    why: str = ""
    name: str = ""  # of the constraint or index that it makes, changes or drops
    schema_name: str = ""  # of that name: the table's schema
    table: str = ""
    statements: tuple[str, ...] = ()
    locks: tuple[TableLock, ...] = ()
    waits_for: str = ""
    seconds: float | None = None
    undo: str = ""
    orphans: int | None = None


class PlannedKey(_Model):
    """The key that the steps of one relationship bring into being, or validate.

    Tables are as :meth:`TableName.parse` reads them. ``replaces`` are the names of the keys that
    are not as decided, and are dropped at the end. ``on_update``, ``match`` and ``late`` (its
    ``DEFERRABLE …`` in SQL, or empty) are None where any will do. ``declared`` and ``validated``
    are what was there when it was planned.
    """

    relationship: str
    child: str
    columns: tuple[str, ...]
    parent: str
    references: tuple[str, ...]
    on_delete: Action
    on_update: Action | None = None
    match: Match | None = None
    late: str | None = None
    priority: Priority = Priority.LOW
    why: str = ""
    name: str = ""
    declared: bool = False
    validated: bool = False
    replaces: tuple[str, ...] = ()

    @property
    def child_name(self) -> TableName:
        return TableName.parse(self.child)

    @property
    def parent_name(self) -> TableName:
        return TableName.parse(self.parent)

    def is_that_of(self, key: ForeignKey) -> bool:
        """Whether ``key``, of the child or a partition of it, does what was decided, once valid."""
        return self.has_shape_of(key) and (
            key.enforced
            and not key.temporal
            and not key.disabled_triggers
            and key.on_delete is self.on_delete
            and self.on_update in (None, key.on_update)
            and self.match in (None, key.match)
            and (self.late is None or bool(self.late) is key.deferrable)
        )

    def has_shape_of(self, key: ForeignKey) -> bool:
        """Whether ``key`` is between the same columns, by whatever name."""
        mine = set(zip(self.columns, self.references, strict=True))
        pairs = set(zip(key.columns, key.references, strict=True))
        return key.parent == self.parent_name and pairs == mine


class LeftOut(_Model):
    """A relationship that the plan does nothing about, and why."""

    relationship: str
    state: str
    reason: str


class Plan(_Model):
    """The whole plan.

    ``fingerprint`` is of all that the plan presupposes in the schema, without what its own steps
    make, so that it still fits after a part of them is done; ``presupposes`` are its sentences.
    ``keys`` has one of each relationship that there are steps for.
    """

    format: Literal[1] = 1
    environment: str
    planned: datetime
    tool_version: str
    database: str
    system_identifier: str
    server_version: int  # as 180006
    fingerprint: str
    steps: tuple[PlanStep, ...]
    left_out: tuple[LeftOut, ...] = ()
    keys: tuple[PlannedKey, ...] = ()
    presupposes: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of the whole document, in hex: a rehearsal is of exactly this plan."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def key_of(self, step: PlanStep) -> PlannedKey:
        """The key that ``step`` is a part of."""
        return next(key for key in self.keys if key.relationship == step.relationship)

    @property
    def relationships(self) -> tuple[str, ...]:
        """The ids that it has steps for, in its order."""
        return tuple(dict.fromkeys(step.relationship for step in self.steps))
