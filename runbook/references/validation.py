"""Asks whether the rows that references name exist, all of them in one round trip.

Identifiers are quoted by psycopg, values are parameters. A value that cannot be a reference
(None, empty, of another type than the column) is an error of its own and never passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from runbook.references import batch, checking
from runbook.references.asking import Source, answered
from runbook.references.batch import CHUNK, MOST_ERRORS, BatchValidation
from runbook.references.checking import Validation
from runbook.references.reference import Fields, Names, Parent, Reference
from runbook.references.setup import PLAIN, Setup


def reference_exists(  # noqa: PLR0913 - all but the first three have a default
    source: Source,
    table: str,
    id: object,  # noqa: A002 - the column's name, as callers know it
    id_column: Names = "id",
    *,
    lock: bool = False,
    setup: Setup = PLAIN,
) -> bool:
    """Whether ``table`` has a row whose ``id_column`` is ``id``.

    Both are tuples in the same order where several columns are the key.
    ``lock`` keeps that row until the caller's transaction ends, see :func:`validate_references`.
    Raises :class:`InvalidReferenceError` for a value that cannot be a reference at all.
    """
    item = Reference(id_column, id, table, id_column)
    return checking.exists(validate_references(source, [item], lock=lock, setup=setup))


def validate_references(
    source: Source,
    references: Iterable[Reference],
    *,
    lock: bool = False,
    setup: Setup = PLAIN,
) -> Validation:
    """Look up all references in one round trip, whatever the number of tables.

    With ``lock`` every row that is found is locked FOR KEY SHARE: until the caller's transaction
    ends nobody can delete it or change its key. That needs an open transaction, and the right to
    UPDATE the parent tables. Inside a transaction a lookup that fails undoes itself alone.

    Raises ValueError for a name that cannot be an identifier, for more than ``MOST_REFERENCES``
    distinct references, and for ``lock`` outside a transaction; UnknownParentError for a parent
    that ``setup`` does not declare; psycopg.Error where the table or the column does not exist or
    may not be read.
    """
    return answered(source, checking.checked(references, setup, lock=lock), lock=lock)


def validate_batch_references(  # noqa: PLR0913 - all but the first three have a default
    source: Source,
    records: Iterable[Mapping[str, object]],
    parents: Mapping[Fields, Parent | str],
    *,
    lock: bool = False,
    chunk: int = CHUNK,
    most_errors: int = MOST_ERRORS,
    setup: Setup = PLAIN,
) -> BatchValidation:
    """Check the fields of many records, ``chunk`` of them in one round trip.

    ``parents`` has the parent of each field to check: a :class:`Parent`, or a table whose key is
    ``id``. Several fields that are one reference are a tuple, and so is the parent's ``id_column``;
    the parent's ``match`` says what None in some of them means. Memory is that of one chunk and
    ``most_errors`` errors; failures beyond are counted.
    The cache of ``setup`` is not used. Raises as :func:`validate_references` does, and ValueError
    for a record that has no fields; then nothing is known about the records that follow.
    """
    work = batch.checked(records, parents, setup, batch.Size(chunk, most_errors), lock=lock)
    return answered(source, work, lock=lock)
