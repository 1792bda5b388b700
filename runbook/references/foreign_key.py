"""What the catalog knows of a foreign key: its columns, and the parent."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from runbook.references.asking import Question, Work

# of a key of a partition the parent, which is the table that people know, is the same
KEY = """
    SELECT pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY k.place),
           pg_catalog.array_agg(b.attname::pg_catalog.text ORDER BY k.place),
           s.nspname::pg_catalog.text, p.relname::pg_catalog.text
      FROM pg_catalog.pg_constraint AS c
      JOIN pg_catalog.pg_class AS t ON t.oid = c.conrelid
      JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
      JOIN pg_catalog.pg_class AS p ON p.oid = c.confrelid
      JOIN pg_catalog.pg_namespace AS s ON s.oid = p.relnamespace
      JOIN unnest(c.conkey, c.confkey) WITH ORDINALITY AS k (child, parent, place) ON true
      JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = k.child
      JOIN pg_catalog.pg_attribute AS b ON b.attrelid = c.confrelid AND b.attnum = k.parent
     WHERE c.contype = 'f' AND n.nspname = %s AND t.relname = %s AND c.conname = %s
     GROUP BY s.nspname, p.relname
"""


@dataclass(frozen=True)
class ForeignKey:
    """The child's columns, and the parent with its columns in the same order."""

    columns: tuple[str, ...]
    references: tuple[str, ...]
    schema: str
    parent: str

    @property
    def table(self) -> str:
        return f"{self.schema}.{self.parent}"


def read(schema: str, table: str, constraint: str) -> Work[ForeignKey | None]:
    """The key of that name of a child table, in one round trip."""
    answer = yield Question(sql.Composed([sql.SQL(KEY)]), [schema, table, constraint])
    for columns, references, parent_schema, parent in answer.rows:
        return ForeignKey(tuple(columns), tuple(references), parent_schema, parent)
    return None
