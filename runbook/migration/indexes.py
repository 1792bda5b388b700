"""Which index of a table saves building one, and which was left over invalid; pure."""

from __future__ import annotations

from collections.abc import Sequence

from runbook.migration import ddl
from runbook.schema import Index, Table


def serving(table: Table, columns: tuple[str, ...], *, partition: bool = False) -> Index | None:
    """The index of ``table`` that saves building one on ``columns``.

    Of a ``partition`` only the very index that the partitioned table's own would take over: beside
    any other one PostgreSQL builds another, and nobody may write to the partition meanwhile.
    """
    if not partition:
        return table.index_leading_with(columns)
    return next((index for index in _plain(table, columns) if index.valid), None)


def invalid(table: Table, columns: Sequence[str]) -> tuple[str, ...]:
    """The names of indexes on exactly ``columns`` whose building failed."""
    return tuple(index.name for index in _plain(table, columns) if not index.valid)


def _plain(table: Table, columns: Sequence[str]) -> list[Index]:
    """The indexes that ``CREATE INDEX … (columns)`` makes, by whatever name."""
    ending = f" USING btree ({ddl.columns(columns)})"
    return [i for i in table.indexes if not i.unique and i.definition.endswith(ending)]
