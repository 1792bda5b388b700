"""No row that a check made is left: none whose id, or a workspace's code, begins with ``check-``.

The writing checks roll back whatever happens; this looks whether they did.
"""

from __future__ import annotations

from typing import LiteralString

from psycopg import sql

from runbook.checks import Context, Outcome, could_not_look, failed, passed
from runbook.findings import Evidence
from runbook.telecore.checks._sample import PREFIX

TITLE = "the checks left no row behind"
CRITERION = ""

LEFT: LiteralString = """
    SELECT count(*), pg_catalog.array_to_string(
               (pg_catalog.array_agg({column}::text ORDER BY {column}::text))[1:5], ', ')
      FROM {table} WHERE pg_catalog.starts_with({column}::text, %s)
"""


def run(context: Context) -> Outcome:
    looked = 0
    rows = []
    for name, table in sorted(context.schema.tables.items()):
        column = "code" if name.table == "workspaces" else "id"
        if table.kind not in ("r", "p") or table.column(column) is None:
            continue
        looked += 1
        query = sql.SQL(LEFT).format(
            table=sql.Identifier(name.schema, name.table), column=sql.Identifier(column)
        )
        count, examples = context.session.execute(query, [PREFIX]).fetchall()[0]
        if count:
            rows.append((name.label, count, examples))
    left = sum(int(row[1]) for row in rows)
    facts = {"rows": left, "tables": looked}
    if not looked:
        return could_not_look("no table with an id", facts)
    if not rows:
        return passed(f"no row of a check is left in {looked} tables", facts)
    evidence = Evidence.of(("table", "rows", "examples"), rows, "Rows that checks left behind")
    return failed(
        f"{left} rows of checks are left in {len(rows)} of {looked} tables", left, facts, evidence
    )
