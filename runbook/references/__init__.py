"""Checks of references for applications whose database has no foreign key for them (option B).

Needs psycopg and nothing else of this package. A check is no foreign key: what it cannot prevent
is in docs/validation-guide.md.
"""

from __future__ import annotations

from runbook.references.error import InvalidReferenceError
from runbook.references.validation import (
    MOST_REFERENCES,
    Reference,
    Validation,
    reference_exists,
    validate_references,
)

__all__ = [
    "MOST_REFERENCES",
    "InvalidReferenceError",
    "Reference",
    "Validation",
    "reference_exists",
    "validate_references",
]
