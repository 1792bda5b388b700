"""A plan: the steps that bring the missing keys into being, in order, and what is left out.

The document ``plan.json``. Whoever applies it runs exactly these statements.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict


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


class LeftOut(_Model):
    """A relationship that the plan does nothing about, and why."""

    relationship: str
    state: str
    reason: str


class Plan(_Model):
    """The whole plan.

    ``fingerprint`` is of all that the plan presupposes in the schema, without what its own steps
    make, so that it still fits after a part of them is done.
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

    @property
    def relationships(self) -> tuple[str, ...]:
        """The ids that it has steps for, in its order."""
        return tuple(dict.fromkeys(step.relationship for step in self.steps))
