"""Every partition has its own part of each foreign key from or to a partitioned table.

PostgreSQL enforces such a key through one clone of it for each partition, on both sides. Older
versions forgot some of them: when a partition was attached or detached (fixed in 15.9, 16.5 and
17.1, https://www.postgresql.org/docs/release/17.1/), and in keys of a partitioned table to itself
(fixed in 15.13, 16.9 and 17.5, https://www.postgresql.org/docs/release/17.5/). An upgrade does not
repair what is missing, and the key stays valid: drop it and add it anew, which fails where orphan
rows have crept in.

The query of the release notes compares numbers of clones. This one names each partition, looks at
all levels, and is right for a key of a table to itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

from runbook.checks import Context, Outcome, failed, passed
from runbook.findings import Evidence, counted
from runbook.schema import TableName
from runbook.session import Session, fetch

TITLE = "every partition has its part of each foreign key"
CRITERION = ""

# pg_partition_tree() would lock every partition; this takes no lock on any table
MISSING: LiteralString = """
WITH RECURSIVE keys AS (
    SELECT k.oid, k.conname, k.conrelid, k.confrelid
      FROM pg_constraint k
      JOIN pg_class c ON c.oid = k.conrelid
      JOIN pg_class p ON p.oid = k.confrelid
      JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE k.contype = 'f' AND k.conparentid = 0 AND 'p' IN (c.relkind, p.relkind)
       AND (%s::text[] IS NULL OR n.nspname = ANY (%s::text[]))
), clones AS (
    SELECT oid AS key, oid, conrelid, confrelid FROM keys
     UNION ALL
    SELECT c.key, k.oid, k.conrelid, k.confrelid
      FROM clones c JOIN pg_constraint k ON k.conparentid = c.oid AND k.contype = 'f'
), partitions AS (
    SELECT r.root, r.root AS oid FROM (SELECT conrelid FROM keys UNION SELECT confrelid FROM keys)
           AS r(root)
     UNION ALL
    SELECT p.root, i.inhrelid
      FROM partitions p JOIN pg_inherits i ON i.inhparent = p.oid
      JOIN pg_class k ON k.oid = i.inhrelid AND k.relispartition
), missing AS (
    SELECT k.*, p.oid AS partition, 'child' AS side
      FROM keys k JOIN partitions p ON p.root = k.conrelid
     WHERE NOT EXISTS (SELECT FROM clones c WHERE c.key = k.oid
                          AND c.conrelid = p.oid AND c.confrelid = k.confrelid)
     UNION ALL
    SELECT k.*, p.oid, 'parent'
      FROM keys k JOIN partitions p ON p.root = k.confrelid
     WHERE NOT EXISTS (SELECT FROM clones c WHERE c.key = k.oid
                          AND c.conrelid = k.conrelid AND c.confrelid = p.oid)
)
SELECT (SELECT count(*) FROM keys), m.conname::text, cn.nspname::text, c.relname::text,
       pn.nspname::text, p.relname::text, m.side
  FROM (VALUES (true)) AS one(row)
  LEFT JOIN missing m ON true
  LEFT JOIN pg_class c ON c.oid = m.conrelid
  LEFT JOIN pg_namespace cn ON cn.oid = c.relnamespace
  LEFT JOIN pg_class p ON p.oid = m.partition
  LEFT JOIN pg_namespace pn ON pn.oid = p.relnamespace
 ORDER BY 3, 4, 2, 7, 5, 6
"""


@dataclass(frozen=True)
class MissingClone:
    """A partition that a key does not reach; ``side`` is the end of the key that it is on."""

    key: str
    table: TableName
    partition: TableName
    side: str


def read(session: Session, schemas: Sequence[str] | None) -> tuple[int, tuple[MissingClone, ...]]:
    """How many keys have a partitioned end, and the partitions that lack their clone of one."""
    wanted = list(schemas) if schemas is not None else None
    rows = fetch(session, MISSING, wanted, wanted)
    return rows[0][0], tuple(
        MissingClone(key, TableName(schema, table), TableName(its_schema, partition), side)
        for _, key, schema, table, its_schema, partition, side in rows
        if key is not None
    )


def run(context: Context) -> Outcome:
    keys, missing = read(context.session, context.settings.project.schemas)
    facts = {"keys": keys, "missing": len(missing)}
    if not missing:
        return passed(f"{counted(keys, 'foreign key')} of partitioned tables looked at", facts)
    evidence = Evidence.of(
        ("key", "of table", "partition", "side"),
        [(m.key, m.table.label, m.partition.label, m.side) for m in missing],
        "Partitions that a foreign key does not reach",
    )
    broken = len({(m.table, m.key) for m in missing})
    message = (
        f"{counted(len(missing), 'partition')} without their part of"
        f" {counted(broken, 'foreign key')}, {keys} of partitioned tables looked at:"
        " drop those keys and add them anew"
    )
    return failed(message, len(missing), facts, evidence)
