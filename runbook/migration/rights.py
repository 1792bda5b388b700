"""What the role that applies a plan has to be allowed, asked before anything is locked."""

from __future__ import annotations

from typing import LiteralString

from runbook.errors import IncompleteError
from runbook.migration.plan import Plan, StepKind
from runbook.session import Session, fetch

RIGHTS: LiteralString = """
    SELECT current_user::text,
           pg_has_role(c.relowner, 'USAGE'), pg_get_userbyid(c.relowner)::text,
           has_schema_privilege(n.oid, 'CREATE'),
           has_table_privilege(p.oid, 'REFERENCES')
           OR (SELECT bool_and(has_column_privilege(p.oid, r, 'REFERENCES'))
                 FROM unnest(%s::text[]) r),
           has_table_privilege(p.oid, 'UPDATE, DELETE, TRUNCATE'),
           has_table_privilege(p.oid, 'SELECT') AND has_table_privilege(c.oid, 'SELECT')
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
           pg_class p JOIN pg_namespace pn ON pn.oid = p.relnamespace
     WHERE n.nspname = %s AND c.relname = %s AND pn.nspname = %s AND p.relname = %s
"""


def check(session: Session, plan: Plan) -> None:
    """Raise :class:`IncompleteError` with all that the session's role may not do."""
    faults: dict[str, None] = {}
    role = ""
    indexed = {s.relationship for s in plan.steps if s.kind is StepKind.INDEX}
    for key in plan.keys:
        child, parent = key.child_name, key.parent_name
        names = (child.schema, child.table, parent.schema, parent.table)
        for row in fetch(session, RIGHTS, list(key.references), *names):
            role, owns, owner, creates, references, locks, reads = row
            if not owns:
                faults[f"alter {child}, which {owner!r} owns"] = None
            if not creates and key.relationship in indexed:
                faults[f"create an index in schema {child.schema!r}"] = None
            if not references:
                faults[f"refer to {parent} (REFERENCES)"] = None
            if not locks:
                faults[f"lock {parent} (UPDATE, DELETE or TRUNCATE)"] = None
            if not reads:
                faults[f"count the rows of {child} and {parent} (SELECT)"] = None
    if faults:
        told = list(faults)
        more = f"; and {len(told) - 3} more" if len(told) > 3 else ""
        raise IncompleteError(
            f"{role!r} may not {'; nor '.join(told[:3])}{more}",
            "apply it as the tables' owner, or grant what is missing",
        )
