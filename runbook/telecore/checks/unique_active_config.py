"""A valid unique index allows one ACTIVE config version per workspace and source type.

This looks at the declaration; ``second_active_refused`` tries it, and
``invariant_2_one_active_config`` counts the rows that break it.
"""

from __future__ import annotations

from typing import LiteralString

from runbook.checks import Context, Outcome, failed, passed
from runbook.findings import Evidence
from runbook.session import fetch

TITLE = "a unique index allows one ACTIVE config version per workspace and source type"
CRITERION = "C1"

COLUMNS = ("source_type", "workspace_id")
PREDICATE = "((status)::text = 'ACTIVE'::text)"  # as PostgreSQL 15 to 18 print it
UNIQUE: LiteralString = """
    SELECT x.relname::text, i.indisvalid AND i.indisready,
           (SELECT pg_catalog.array_agg(a.attname::text ORDER BY a.attname)
              FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = i.indexrelid AND a.attnum <= i.indnkeyatts),
           pg_catalog.pg_get_expr(i.indpred, i.indrelid)
      FROM pg_catalog.pg_index i
      JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
     WHERE i.indrelid = pg_catalog.to_regclass('public.config_versions')
       AND i.indisunique AND i.indpred IS NOT NULL
     ORDER BY x.relname
"""


def run(context: Context) -> Outcome:
    rows = [
        (name, ", ".join(columns), predicate, "yes" if valid else "no")
        for name, valid, columns, predicate in fetch(context.session, UNIQUE)
    ]
    right = [row for row in rows if row[1:] == (", ".join(COLUMNS), PREDICATE, "yes")]
    facts = {"found": len(right), "partial_unique": len(rows)}
    evidence = Evidence.of(
        ("index", "columns", "where", "valid"), rows, "Partial unique indexes of config_versions"
    )
    if right:
        message = f"the index {right[0][0]!r} allows one ACTIVE config version"
        return passed(message, facts, evidence)
    return failed(
        "no valid unique index on config_versions (workspace_id, source_type) where status is"
        f" 'ACTIVE', of {len(rows)} partial unique indexes",
        1,
        facts,
        evidence,
    )
