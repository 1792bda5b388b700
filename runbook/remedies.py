"""SQL for people: to find the orphan rows of a relationship, and to mend them by hand.

Every identifier is quoted where it must be. Whoever runs it decides; each remedy ends with
ROLLBACK.
"""

from __future__ import annotations

from runbook.migration import quote
from runbook.relationships import Relationship
from runbook.schema import TableName


def find(item: Relationship) -> str:
    """The orphan rows, as they are."""
    return f"SELECT child.*\n  FROM {_table(item.child)} AS child\n{_orphan(item)};"


def mend(item: Relationship) -> tuple[tuple[str, str], ...]:
    """Titles and statements: let go of the parent, move the rows away, or bring the parent back."""
    child = _table(item.child)
    nulls = ", ".join(f"{quote(column)} = NULL" for column in item.columns)
    aside = _table(TableName(item.child.schema, f"{item.child.table}_orphans"))
    names = ", ".join(quote(reference) for reference in item.references)
    values = ", ".join(f"child.{quote(column)}" for column in item.columns)
    return (
        (
            "Let the rows refer to nothing, where the columns may be NULL",
            (
                f"BEGIN;\nUPDATE {child} AS child\n   SET {nulls}\n{_orphan(item)}\n"
                "RETURNING child.*;\nROLLBACK;"
            ),
        ),
        (
            "Move the rows into a table beside it",
            (
                f"BEGIN;\nCREATE TABLE IF NOT EXISTS {aside} (LIKE {child});\n"
                f"WITH gone AS (\n  DELETE FROM {child} AS child\n{_orphan(item)}\n"
                f"  RETURNING child.*\n)\nINSERT INTO {aside} SELECT * FROM gone RETURNING *;\n"
                "ROLLBACK;"
            ),
        ),
        (
            "Bring the missing parents back, as far as their key",
            (
                f"BEGIN;\nINSERT INTO {_table(item.parent)} ({names})\nSELECT DISTINCT {values}\n"
                f"  FROM {child} AS child\n{_orphan(item)}\nRETURNING *;\nROLLBACK;"
            ),
        ),
    )


def _orphan(item: Relationship) -> str:
    present = "\n   AND ".join(f"child.{quote(column)} IS NOT NULL" for column in item.columns)
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
