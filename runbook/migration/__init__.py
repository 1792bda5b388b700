"""From missing foreign keys to enforced ones: the statements, the plan, and its execution."""

from runbook.migration.ddl import quote
from runbook.migration.naming import LONGEST_NAME, constraint_name
from runbook.migration.statements import (
    KeyStatements,
    missing,
    options,
    statements,
)

__all__ = [
    "LONGEST_NAME",
    "KeyStatements",
    "constraint_name",
    "missing",
    "options",
    "quote",
    "statements",
]
