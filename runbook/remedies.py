"""SQL for people: to find the orphan rows of a relationship, and to mend them by hand.

Every identifier is quoted where it must be. Whoever runs it decides; each remedy ends with
ROLLBACK.
"""

from __future__ import annotations

from runbook.migration import quote
from runbook.relationships import Relationship
from runbook.schema import Action, Match, TableName

_ASIDE = "_orphans"


def find(item: Relationship) -> str:
    """The orphan rows, as they are."""
    return f"SELECT child.*\n  FROM {_table(item.child)} AS child\n{_orphan(item)};"


def mend(item: Relationship) -> tuple[str, str]:
    """A title and statements that take the orphan rows out of the way.

    To let go of the parent is offered where the relationship says SET NULL, and only there.
    """
    return _let_go(item) if item.on_delete is Action.SET_NULL else _aside(item)


def _let_go(item: Relationship) -> tuple[str, str]:
    nulls = ", ".join(f"{quote(column)} = NULL" for column in item.columns)
    return (
        "Let the rows refer to nothing, where the columns may be NULL",
        (
            f"BEGIN;\nUPDATE {_table(item.child)} AS child\n   SET {nulls}\n{_orphan(item)}\n"
            "RETURNING child.*;\nROLLBACK;"
        ),
    )


def _aside(item: Relationship) -> tuple[str, str]:
    child = _table(item.child)
    # at most 63 bytes: PostgreSQL would cut a longer name, down to the child's own
    start = item.child.table.encode()[: 63 - len(_ASIDE)].decode(errors="ignore")
    aside = _table(TableName(item.child.schema, start + _ASIDE))
    return (
        "Move the rows into a table beside it",
        (
            f"BEGIN;\nCREATE TABLE IF NOT EXISTS {aside} (LIKE {child});\n"
            f"WITH gone AS (\n  DELETE FROM {child} AS child\n{_orphan(item)}\n"
            f"  RETURNING child.*\n)\nINSERT INTO {aside} SELECT * FROM gone RETURNING *;\n"
            "ROLLBACK;"
        ),
    )


def _orphan(item: Relationship) -> str:
    columns = [f"child.{quote(column)} IS NOT NULL" for column in item.columns]
    present = "\n   AND ".join(columns)
    if item.match is Match.FULL:
        present = f"({' OR '.join(columns)})"
    same = "\n                      AND ".join(
        f"parent.{quote(reference)} = child.{quote(column)}"
        for reference, column in zip(item.references, item.columns, strict=True)
    )
    return (
        f" WHERE {present}\n   AND NOT EXISTS (SELECT FROM {_table(item.parent)} AS parent\n"
        f"                    WHERE {same})"
    )


def _table(name: TableName) -> str:
    return f"{quote(name.schema)}.{quote(name.table)}"
