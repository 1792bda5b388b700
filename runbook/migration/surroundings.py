"""What a plan has to know beside the schema: partitions, names that are taken, defaults."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import LiteralString

from runbook.schema import TableName
from runbook.session import Session, fetch

PARTITIONS: LiteralString = """
    WITH RECURSIVE tree AS (
        SELECT c.oid AS root, c.oid FROM pg_class c WHERE c.relkind = 'p' AND NOT c.relispartition
         UNION ALL
        SELECT t.root, i.inhrelid FROM tree t JOIN pg_inherits i ON i.inhparent = t.oid
    )
    SELECT rn.nspname::text, r.relname::text, n.nspname::text, c.relname::text, c.relkind::text
      FROM tree t
      JOIN pg_class r ON r.oid = t.root JOIN pg_namespace rn ON rn.oid = r.relnamespace
      JOIN pg_class c ON c.oid = t.oid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE t.oid <> t.root AND rn.nspname = ANY (%s::text[])
     ORDER BY 1, 2, 3, 4
"""
CONSTRAINTS: LiteralString = """
    SELECT n.nspname::text, c.relname::text, k.conname::text
      FROM pg_constraint k
      JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
"""
RELATIONS: LiteralString = """
    SELECT n.nspname::text, c.relname::text
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = ANY (%s::text[])
"""
DEFAULTS: LiteralString = """
    SELECT n.nspname::text, c.relname::text, a.attname::text
      FROM pg_attrdef d
      JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
      JOIN pg_class c ON c.oid = d.adrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = ANY (%s::text[])
"""
DECLARED: LiteralString = """
    SELECT n.nspname::text, c.relname::text, k.conname::text, pg_get_constraintdef(k.oid),
           CASE WHEN k.condeferred THEN 'DEFERRABLE INITIALLY DEFERRED'
                WHEN k.condeferrable THEN 'DEFERRABLE' ELSE '' END
      FROM pg_constraint k
      JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE k.contype = 'f' AND n.nspname = ANY (%s::text[])
"""


@dataclass(frozen=True)
class Declared:
    """A key as ``pg_get_constraintdef`` prints it, and its ``DEFERRABLE …`` in SQL, or empty."""

    definition: str = ""
    late: str = ""


@dataclass(frozen=True)
class Partition:
    """A table below a partitioned one, at any depth; ``kind`` as :class:`runbook.schema.Table`."""

    name: TableName
    kind: str


@dataclass(frozen=True)
class Surroundings:
    """``constraints`` are names by table, ``relations`` by schema, ``defaults`` columns.

    ``keys`` are the foreign keys by table and name.
    """

    partitions: Mapping[TableName, tuple[Partition, ...]] = field(default_factory=dict)
    constraints: frozenset[tuple[TableName, str]] = frozenset()
    relations: frozenset[tuple[str, str]] = frozenset()
    defaults: frozenset[tuple[TableName, str]] = frozenset()
    keys: Mapping[tuple[TableName, str], Declared] = field(default_factory=dict)

    def declared(self, table: TableName, key: str) -> Declared:
        return self.keys.get((table, key), Declared())

    def below(self, table: TableName) -> tuple[Partition, ...]:
        return self.partitions.get(table, ())

    def leaves(self, table: TableName) -> tuple[Partition, ...]:
        """The partitions that hold rows."""
        return tuple(part for part in self.below(table) if part.kind != "p")


def read(session: Session, schemas: Sequence[str]) -> Surroundings:
    """Read them of ``schemas``, in the caller's transaction."""
    wanted = list(schemas)
    return Surroundings(
        partitions(session, wanted),
        frozenset((TableName(s, t), name) for s, t, name in fetch(session, CONSTRAINTS)),
        frozenset((s, name) for s, name in fetch(session, RELATIONS, wanted)),
        frozenset((TableName(s, t), name) for s, t, name in fetch(session, DEFAULTS, wanted)),
        {
            (TableName(s, t), name): Declared(text, late)
            for s, t, name, text, late in fetch(session, DECLARED, wanted)
        },
    )


def partitions(
    session: Session, schemas: Sequence[str]
) -> Mapping[TableName, tuple[Partition, ...]]:
    """The partitions of each partitioned table that is no partition itself."""
    found: dict[TableName, list[Partition]] = defaultdict(list)
    for root_schema, root, schema, table, kind in fetch(session, PARTITIONS, list(schemas)):
        found[TableName(root_schema, root)].append(Partition(TableName(schema, table), kind))
    return {root: tuple(below) for root, below in found.items()}
