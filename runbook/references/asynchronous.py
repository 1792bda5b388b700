"""The same functions as runbook.references has, for asynchronous connections and pools.

``from runbook.references import asynchronous as references``: names and arguments are the same.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress

import psycopg

from runbook.references import batch, checking
from runbook.references.asking import AsyncSource, answered_async
from runbook.references.batch import CHUNK, MOST_ERRORS, BatchValidation
from runbook.references.checking import Validation
from runbook.references.reference import Fields, Names, Parent, Reference
from runbook.references.setup import PLAIN, Setup
from runbook.references.translation import can_be_asked, from_database, key_of_refusal


async def reference_exists(  # noqa: PLR0913 - all but the first three have a default
    source: AsyncSource,
    table: str,
    id: object,  # noqa: A002 - the column's name, as callers know it
    id_column: Names = "id",
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
    parents: Mapping[Fields, Parent | str],
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


@asynccontextmanager
async def translated(
    references: Iterable[Reference] = (), source: AsyncSource | None = None
) -> AsyncIterator[None]:
    """As :func:`runbook.references.translated`, in an ``async with``."""
    items = tuple(references)
    try:
        yield
    except psycopg.Error as error:
        key = None
        if source is not None and can_be_asked(source):
            with suppress(psycopg.Error):  # the refusal is what the caller has to know
                key = await answered_async(source, key_of_refusal(error))
        same = from_database(error, items, key)
        if same is None:
            raise
        raise same from error
