"""Tries statements as the owner, and says how the database answered.

Only an integrity violation (SQLSTATE class 23) is the database's refusal; any other error means
that the trial itself went wrong, and passes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from runbook.checks import Outcome, failed, passed
from runbook.findings import Evidence, Value
from runbook.session import Session

NOW: LiteralString = "SET CONSTRAINTS ALL IMMEDIATE"  # a deferred key would answer at the end


@dataclass(frozen=True)
class Refusal:
    """The database's no: its SQLSTATE, and the constraint that said it."""

    sqlstate: str
    constraint: str


def refusal(
    owner: Session, statement: LiteralString | sql.Composed, values: Mapping[str, Any]
) -> Refusal | None:
    """How the database refuses ``statement``; None when it accepts. Undone either way."""
    try:
        with owner.transaction(force_rollback=True):
            owner.execute(statement, values)
            owner.execute(NOW)
    except psycopg.IntegrityError as error:
        return Refusal(error.sqlstate or "", error.diag.constraint_name or "")
    return None


@dataclass(frozen=True)
class Move:
    """A statement that has to work, and what the probe has to find after it."""

    says: str
    statement: LiteralString
    expected: tuple[Value, ...]


def walk(
    owner: Session, moves: Sequence[Move], probe: LiteralString, values: Mapping[str, Any]
) -> list[tuple[str, str, str, str]]:
    """Make the moves one after the other: for each what it says, expected, found, holds."""
    rows = []
    for move in moves:
        refused = ""
        try:
            with owner.transaction():
                owner.execute(move.statement, values)
                owner.execute(NOW)
        except psycopg.IntegrityError as error:
            refused = f", refused ({error.sqlstate})"
        found = owner.execute(probe, values).fetchone() or ()
        holds = "no" if refused or tuple(found) != move.expected else "yes"
        rows.append((move.says, _words(move.expected), _words(found) + refused, holds))
    return rows


def judged(rows: Sequence[tuple[str, str, str, str]], title: str, what: str) -> Outcome:
    """The outcome of a walk; ``what`` names its moves in the message."""
    wrong = [row for row in rows if row[-1] == "no"]
    evidence = Evidence.of(("step", "expected", "found", "holds"), rows, title)
    facts = {"held": len(rows) - len(wrong), "total": len(rows)}
    message = f"{len(rows) - len(wrong)} of {len(rows)} {what}"
    if wrong:
        return failed(f"{message}, not: {wrong[0][0]}", len(wrong), facts, evidence)
    return passed(message, facts, evidence)


def _words(values: Sequence[Value]) -> str:
    names = {None: "none", True: "yes", False: "no"}
    return ", ".join(
        names[value] if value is None or isinstance(value, bool) else str(value) for value in values
    )
