"""Asks the server, over a connection or a pool, synchronous or not.

What is asked is decided by generators that do no I/O: they yield a :class:`Question`, get an
:class:`Answer` or the server's error, and return the result. One text of each rule serves both.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import psycopg
from psycopg import AsyncConnection, Connection, pq, sql
from psycopg.rows import tuple_row

# what the server or psycopg says of a value that the column's type refuses, or has no equality with
UNFIT = (psycopg.DataError, psycopg.errors.UndefinedFunction, UnicodeEncodeError)
SAVEPOINT = "SAVEPOINT runbook_references"
RELEASE = "RELEASE SAVEPOINT runbook_references"
UNDO = "ROLLBACK TO SAVEPOINT runbook_references"

T = TypeVar("T")


@dataclass(frozen=True)
class Question:
    """One statement, and the values of its placeholders."""

    statement: sql.Composed
    values: Sequence[object]


@dataclass(frozen=True)
class Answer:
    """The rows; ``fresh`` where no transaction was open, so that all of them were committed."""

    rows: list[tuple[Any, ...]]
    fresh: bool


Work = Generator[Question, Answer, T]


def identifier(*names: str) -> sql.Identifier:
    """A quoted name in a statement with parameters, where a percent sign is written twice."""
    return sql.Identifier(*(name.replace("%", "%%") for name in names))


class Pool(Protocol):
    """What psycopg_pool's ConnectionPool is, as far as it is used here."""

    def connection(self) -> AbstractContextManager[Connection[Any]]:
        """A connection for the length of the block."""


class AsyncPool(Protocol):
    """The same of AsyncConnectionPool."""

    def connection(self) -> AbstractAsyncContextManager[AsyncConnection[Any]]:
        """A connection for the length of the block."""


Source = Connection[Any] | Pool
AsyncSource = AsyncConnection[Any] | AsyncPool


def answered(source: Source, work: Work[T], *, lock: bool = False) -> T:
    """The result of ``work``; a pool's connection is taken only where there is something to ask.

    Raises ValueError for ``lock`` outside a transaction, TypeError for another kind of source.
    """
    _check_source(source, AsyncConnection, "runbook.references.asynchronous")
    _check_lock(source, lock=lock)
    try:
        question = next(work)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    with _connection(source) as connection:
        while True:
            try:
                try:
                    answer = _ask(connection, question)
                except UNFIT as error:
                    question = work.throw(error)
                else:
                    question = work.send(answer)
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]


async def answered_async(source: AsyncSource, work: Work[T], *, lock: bool = False) -> T:
    """The same over an asynchronous connection or pool."""
    _check_source(source, Connection, "runbook.references")
    _check_lock(source, lock=lock)
    try:
        question = next(work)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    async with _async_connection(source) as connection:
        while True:
            try:
                try:
                    answer = await _ask_async(connection, question)
                except UNFIT as error:
                    question = work.throw(error)
                else:
                    question = work.send(answer)
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]


def _ask(connection: Connection[Any], question: Question) -> Answer:
    """One round trip; in a transaction with a savepoint around it, sent in the same one."""
    # a cursor of our own: the connection's may answer with dicts
    cursor = psycopg.Cursor(connection, row_factory=tuple_row)
    fresh, guarded = _state(connection)
    try:
        with connection.pipeline() if guarded and _pipelines() else nullcontext():
            if guarded:
                connection.execute(SAVEPOINT)
            cursor.execute(question.statement, question.values)
            if guarded:
                connection.execute(RELEASE)
    except (psycopg.Error, UnicodeEncodeError):
        if guarded and not connection.closed:
            connection.execute(UNDO)
            connection.execute(RELEASE)
        raise
    return Answer(cursor.fetchall(), fresh)


async def _ask_async(connection: AsyncConnection[Any], question: Question) -> Answer:
    cursor = psycopg.AsyncCursor(connection, row_factory=tuple_row)
    fresh, guarded = _state(connection)
    try:
        async with connection.pipeline() if guarded and _pipelines() else nullcontext():
            if guarded:
                await connection.execute(SAVEPOINT)
            await cursor.execute(question.statement, question.values)
            if guarded:
                await connection.execute(RELEASE)
    except (psycopg.Error, UnicodeEncodeError):
        if guarded and not connection.closed:
            await connection.execute(UNDO)
            await connection.execute(RELEASE)
        raise
    return Answer(await cursor.fetchall(), fresh)


def _pipelines() -> bool:
    return psycopg.Pipeline.is_supported()


def _state(connection: Connection[Any] | AsyncConnection[Any]) -> tuple[bool, bool]:
    """Whether no transaction is open, and whether the statement needs a savepoint."""
    status = connection.info.transaction_status
    idle = status == pq.TransactionStatus.IDLE
    broken = status == pq.TransactionStatus.INERROR
    return idle, not broken and not (idle and connection.autocommit)


def _check_lock(source: object, *, lock: bool) -> None:
    if not lock:
        return
    if not isinstance(source, Connection | AsyncConnection):
        raise ValueError(  # noqa: TRY004 - it says where lock=True may be used, as the next does
            f"lock=True needs an open transaction, got {type(source).__name__};"
            " take a connection from it and call it inside connection.transaction()"
        )
    if source.autocommit and source.info.transaction_status == pq.TransactionStatus.IDLE:
        raise ValueError(
            "lock=True needs an open transaction, got a connection in autocommit mode outside one;"
            " call it inside connection.transaction()"
        )


def _check_source(source: object, other: type, module: str) -> None:
    """Raise TypeError for what is no connection or pool, or one of the other kind."""
    fits = isinstance(source, Connection | AsyncConnection)
    if isinstance(source, other) or not (fits or callable(getattr(source, "connection", None))):
        raise TypeError(
            f"expected a connection or a pool of them, got {type(source).__name__};"
            f" the other kind has its functions in {module}"
        )


def _connection(source: Source) -> AbstractContextManager[Connection[Any]]:
    return nullcontext(source) if isinstance(source, Connection) else source.connection()


def _async_connection(
    source: AsyncSource,
) -> AbstractAsyncContextManager[AsyncConnection[Any]]:
    if isinstance(source, AsyncConnection):
        return nullcontext(source)
    return source.connection()
