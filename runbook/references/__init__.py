"""Checks of references for applications whose database has no foreign key for them (option B).

Needs psycopg and nothing else of this package. A check is no foreign key: what it cannot prevent
is in docs/validation-guide.md. Asynchronous code finds the same functions in
``runbook.references.asynchronous``, web applications a middleware in ``.asgi`` and ``.wsgi``.
"""

from __future__ import annotations

from runbook.references.batch import BatchError, BatchValidation
from runbook.references.cache import Cache
from runbook.references.checking import MOST_REFERENCES, Validation
from runbook.references.declared import Declared, declare, read_relationships
from runbook.references.error import (
    InvalidReferenceError,
    StillReferencedError,
    UnknownParentError,
)
from runbook.references.metrics import Metrics, alert_rule
from runbook.references.reference import Parent, Reference
from runbook.references.setup import Setup
from runbook.references.translation import from_database, translated
from runbook.references.validation import (
    reference_exists,
    validate_batch_references,
    validate_references,
)

__all__ = [
    "MOST_REFERENCES",
    "BatchError",
    "BatchValidation",
    "Cache",
    "Declared",
    "InvalidReferenceError",
    "Metrics",
    "Parent",
    "Reference",
    "Setup",
    "StillReferencedError",
    "UnknownParentError",
    "Validation",
    "alert_rule",
    "declare",
    "from_database",
    "read_relationships",
    "reference_exists",
    "translated",
    "validate_batch_references",
    "validate_references",
]
