"""From missing foreign keys to enforced ones: the statements, the plan, and its execution."""

from runbook.migration.statements import (
    LONGEST_NAME,
    KeyStatements,
    constraint_name,
    missing,
    options,
    quote,
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
