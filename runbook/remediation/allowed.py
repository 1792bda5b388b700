"""What a relationship allows to be done about its orphan rows, and what it refuses."""

from __future__ import annotations

from collections.abc import Sequence

from runbook.errors import UsageError
from runbook.relationships import Relationship
from runbook.remediation.remedy import Remedy, Strategy
from runbook.schema import Action

ANYWAY = "quarantine, restore, reassign or flag"


def find(items: Sequence[Relationship], wanted: str) -> Relationship:
    """The relationship that ``wanted`` names, whole or by a part that only one has."""
    whole = [item for item in items if wanted in (item.id, item.source, item.label)]
    found = whole or [item for item in items if wanted in item.id or wanted in item.label]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(item.label for item in found[:3])
        raise UsageError(
            f"{len(found)} relationships match {wanted!r}, expected one: {names}"
            + (" and more" if len(found) > 3 else ""),
            "write its columns too, as orders.customer_id",
        )
    raise UsageError(
        f"no relationship {wanted!r} in relationships.toml",
        "names look like orders.customer_id; runbook audit ENVIRONMENT --all lists them",
    )


def refuse(remedy: Remedy, without_key: str) -> None:
    """Raise :class:`UsageError` where the strategy is none for this relationship."""
    item, strategy = remedy.relationship, remedy.strategy
    if remedy.child.kind not in "rp" or remedy.parent.kind not in "rp":
        raise UsageError(
            f"{item.id}: expected two tables, got a view or a foreign table",
            "mend the rows in the tables under it",
        )
    if not remedy.comparisons.pairs or any(
        key.temporal for key in remedy.schema.keys_like(item.shape)
    ):
        raise UsageError(
            f"{item.id}: its orphan rows cannot be told",
            "runbook audit says why the two sides cannot be compared",
        )
    _refuse_against_on_delete(remedy)
    if (strategy.changes or strategy in (Strategy.FLAG, Strategy.RESTORE)) and not remedy.key:
        raise UsageError(
            f"{remedy.subject.name} has no primary key: its rows could not be found again",
            "use quarantine, or add a primary key",
        )
    if remedy.minimum_age is not None and not remedy.birth:
        raise UsageError(
            f"--minimum-age: {item.child} has no column that says when a row was made",
            "leave it out; new orphan rows are refused by the key",
        )
    if remedy.enforcing is None and not without_key:
        raise UsageError(
            f"no foreign key refuses new orphan rows of {item.id}: rows could become orphans, or"
            " get their parent, while they are mended",
            "add the key NOT VALID first (runbook migrate), or say why not: --without-key REASON",
        )


def _refuse_against_on_delete(remedy: Remedy) -> None:
    item, strategy = remedy.relationship, remedy.strategy
    if strategy is Strategy.DELETE and item.on_delete is not Action.CASCADE:
        raise UsageError(
            f"delete is refused: ON DELETE of {item.id} is {item.on_delete.value!r},"
            f" expected {Action.CASCADE.value!r}",
            f"use {_others(item)}",
        )
    if strategy is not Strategy.SET_NULL:
        return
    if item.on_delete is not Action.SET_NULL:
        raise UsageError(
            f"set-null is refused: ON DELETE of {item.id} is {item.on_delete.value!r},"
            f" expected {Action.SET_NULL.value!r}",
            f"use {_others(item)}",
        )
    for column in remedy.child.columns:
        if column.name in remedy.changed and column.not_null:
            raise UsageError(
                f"set-null is refused: {item.child}.{column.name} is NOT NULL", f"use {ANYWAY}"
            )


def _others(item: Relationship) -> str:
    own = {Action.CASCADE: "delete, ", Action.SET_NULL: "set-null, "}
    return own.get(item.on_delete, "") + ANYWAY


def refuse_rules(remedy: Remedy, rules: Sequence[str]) -> None:
    """A rule rewrites the statement, and PostgreSQL then cannot keep its rows."""
    if rules:
        raise UsageError(
            f"rule {rules[0]!r} of {remedy.subject.name} rewrites {remedy.strategy.event}:"
            " its rows could not be kept in the same statement",
            "use flag, or drop the rule for as long as it takes",
        )


def refuse_dependents(remedy: Remedy, counted: Sequence[tuple[str, int]]) -> None:
    """Rows that refer to what is taken away would be lost with it, or become orphan rows."""
    removes = remedy.strategy.removes
    for source, rows in counted:
        if rows:
            raise UsageError(
                f"{rows:,} rows of {source} refer to rows that {remedy.strategy} would"
                f" {'remove' if removes else 'change'}",
                f"mend those first, or use {'reassign, ' if removes else ''}restore or flag",
            )
