"""The ON DELETE that fits a relationship, and why."""

from __future__ import annotations

from collections import Counter

from runbook.discovery.vocabulary import Vocabulary
from runbook.schema import Action, TableName

FEWEST = 3  # declared keys to the same parent before their action is the house's


def fitting(
    vocabulary: Vocabulary, child: TableName, columns: tuple[str, ...], parent: TableName
) -> tuple[Action, str]:
    """The action and its reason in words."""
    declared = Counter(
        key.on_delete for key in vocabulary.schema.foreign_keys if key.parent == parent
    )
    if declared:
        action, times = declared.most_common(1)[0]
        if times >= FEWEST and times * 2 > sum(declared.values()):
            return action, f"{times} declared keys to {parent.label} do so"
    table, whole = vocabulary.tables[child], vocabulary.tables[parent]
    primary = table.table.primary_key
    if primary and set(columns) <= set(primary.columns):
        return Action.CASCADE, "the columns are part of the primary key: no row without its parent"
    found = [column for column in table.table.columns if column.name in columns]
    if all(not column.not_null for column in found):
        return Action.SET_NULL, "the columns may be null: the row outlives its parent"
    if child != parent and table.words[: len(whole.words)] == whole.words:
        return Action.CASCADE, f"the name says that the rows are parts of {parent.label}"
    return Action.RESTRICT, "the columns may not be null, and the row stands on its own"
