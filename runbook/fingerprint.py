"""The digest of a schema's declarations: equal in two databases that declare the same.

Rows, statistics and names that PostgreSQL makes up do not count.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runbook.schema import ForeignKey, Table


def of(tables: Iterable[Table], keys: Iterable[ForeignKey] | None = None) -> str:
    """The first 16 hex digits of the SHA-256 of these tables, and of these keys where given."""
    value: dict[str, object] = {"tables": _tables(tables)}
    if keys is not None:
        value["keys"] = _keys(keys)
    text = json.dumps(value, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _tables(tables: Iterable[Table]) -> list[object]:
    return [
        {
            "table": str(table.name),
            "kind": table.kind,
            "columns": [
                [c.name, c.type, c.not_null, c.collation, c.generated] for c in table.columns
            ],
            "indexes": sorted(
                [i.definition or i.name, i.valid, i.immediate] for i in table.indexes
            ),
            "checks": sorted(f"{check.name} {check.definition}" for check in table.checks),
        }
        for table in sorted(tables, key=lambda table: table.name)
    ]


def _keys(keys: Iterable[ForeignKey]) -> list[tuple[object, ...]]:
    return sorted(
        (
            str(key.child),
            list(key.columns),
            str(key.parent),
            list(key.references),
            key.on_delete.value,
            key.on_update.value,
            key.match.value,
            key.deferrable,
            key.temporal,
            key.validated,
            key.enforced,
            key.disabled_triggers > 0,
        )
        for key in keys
    )
