"""Turns the refusal of a foreign key (option A) into the errors of a check (option B).

Callers then see the same error whether the application or the database found it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import psycopg

from runbook.references.error import NO_ROW, InvalidReferenceError, StillReferencedError
from runbook.references.reference import Reference

FOREIGN_KEY_VIOLATION = "23503"
RESTRICT_VIOLATION = "23001"  # PostgreSQL 18 says so for ON DELETE RESTRICT
# Key (site_id)=(s-1) is not present in table "sites".
KEY = re.compile(r"\((?P<columns>.+?)\)=\((?P<values>.*)\)(?P<rest>[^()]*)", re.DOTALL)
QUOTED = re.compile(r'"([^"]+)"')


def from_database(
    error: psycopg.Error, references: Iterable[Reference] = ()
) -> InvalidReferenceError | None:
    """The same refusal as an error of this package; None for any other error.

    The server names the column, the value and the parent in its detail, which it leaves out where
    the role may not read the key; then the field is the constraint's name and the value None. The
    parent's schema is in no part of the message: ``references``, as the caller checked them, give
    the table as the caller writes it.
    """
    if error.sqlstate not in (FOREIGN_KEY_VIOLATION, RESTRICT_VIOLATION):
        return None
    child = ".".join(filter(None, (error.diag.schema_name, error.diag.table_name)))
    detail = error.diag.message_detail or ""
    found = KEY.search(detail)
    constraint = error.diag.constraint_name or "foreign key"
    field = found["columns"] if found else constraint
    value = found["values"] if found else None
    tables = QUOTED.findall(found["rest"] if found else detail)
    parent = tables[-1] if tables else "its parent"
    if _is_delete(error):
        return StillReferencedError(field, value, child)
    for item in references:
        if item.field == field and item.table.rpartition(".")[2] == parent:
            return InvalidReferenceError(field, item.value, item.table, NO_ROW)
    return InvalidReferenceError(field, value, parent, NO_ROW)


@contextmanager
def translated(references: Iterable[Reference] = ()) -> Iterator[None]:
    """Raise :func:`from_database`'s error for a refusal inside the block; other errors as they are.

    Put it around the transaction and not into it: a deferred key refuses at the commit. It serves
    asynchronous code as well, where it is an ordinary ``with``.
    """
    items = tuple(references)
    try:
        yield
    except psycopg.Error as error:
        same = from_database(error, items)
        if same is None:
            raise
        raise same from error


def _is_delete(error: psycopg.Error) -> bool:
    """Whether a parent was to go: then the message names the parent, the key and the child."""
    return error.sqlstate == RESTRICT_VIOLATION or (
        len(QUOTED.findall(error.diag.message_primary or "")) > 2
    )
