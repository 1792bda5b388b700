"""The same functions as runbook.references has, for asynchronous connections and pools.

``from runbook.references import asynchronous as references``: names and arguments are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from runbook.references import batch, checking
from runbook.references.asking import AsyncSource, answered_async
from runbook.references.batch import CHUNK, MOST_ERRORS, BatchValidation
from runbook.references.checking import Validation
from runbook.references.reference import Parent, Reference
from runbook.references.setup import PLAIN, Setup


async def reference_exists(  # noqa: PLR0913 - all but the first three have a default
    source: AsyncSource,
    table: str,
    id: object,  # noqa: A002 - the column's name, as callers know it
    id_column: str = "id",
    *,
    lock: bool = False,
    setup: Setup = PLAIN,
) -> bool:
    """As :func:`runbook.references.reference_exists`."""
    item = Reference(id_column, id, table, id_column)
    return checking.exists(await validate_references(source, [item], lock=lock, setup=setup))


async def validate_references(
    source: AsyncSource,
    references: Iterable[Reference],
    *,
    lock: bool = False,
    setup: Setup = PLAIN,
) -> Validation:
    """As :func:`runbook.references.validate_references`."""
    return await answered_async(source, checking.checked(references, setup, lock=lock), lock=lock)


async def validate_batch_references(  # noqa: PLR0913 - all but the first three have a default
    source: AsyncSource,
    records: Iterable[Mapping[str, object]],
    parents: Mapping[str, Parent | str],
    *,
    lock: bool = False,
    chunk: int = CHUNK,
    most_errors: int = MOST_ERRORS,
    setup: Setup = PLAIN,
) -> BatchValidation:
    """As :func:`runbook.references.validate_batch_references`.

    The records come from an ordinary iterable.
    """
    work = batch.checked(records, parents, setup, batch.Size(chunk, most_errors), lock=lock)
    return await answered_async(source, work, lock=lock)
