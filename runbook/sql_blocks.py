"""The SQL blocks of documents: whether a server can prepare each of their statements.

Nothing is executed: a statement is only parsed, and a query or a change of rows analysed against
the tables that are there
(https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import pq

from runbook import session
from runbook.environment import Environment
from runbook.errors import IncompleteError

_FENCE = re.compile(r"^```sql\n(.*?)^```", re.DOTALL | re.MULTILINE)
_END = re.compile(r";[ \t]*(?:--[^\n]*)?$", re.MULTILINE)
_DOLLAR = re.compile(r"\$\w*\$")


def faults(environment: Environment, page: Path) -> Iterator[tuple[int, str]]:
    """The line of every statement of a page that cannot be prepared, and what the server says."""
    text = page.read_text(encoding="utf-8")
    blocks = list(_FENCE.finditer(text))
    if not blocks:
        return
    reader = session.connect(environment)
    try:
        with session.reading(reader, environment):
            session.set_local(reader, search_path="pg_catalog, public")
            for block in blocks:
                first = text.count("\n", 0, block.start()) + 2
                for offset, statement in statements(block[1]):
                    said = _prepared(reader, statement)
                    if said:
                        yield first + offset, said
    except psycopg.Error as error:
        raise IncompleteError(
            f"environment {environment.name!r}: {session.reason(error)}", "check again"
        ) from None
    finally:
        reader.close()


def statements(text: str) -> Iterator[tuple[int, str]]:
    """The statements of a block, each with the number of the line that it starts on, from 0.

    A statement ends with a semicolon at the end of a line, outside of dollar quotes.
    """
    start = 0
    for end in _END.finditer(text):
        piece = text[start : end.start()]
        if len(_DOLLAR.findall(piece)) % 2:
            continue  # inside a function's body
        yield from _statement(text, start, piece)
        start = end.end()
    yield from _statement(text, start, text[start:])


def _statement(text: str, start: int, piece: str) -> Iterator[tuple[int, str]]:
    code = "\n".join(line for line in piece.split("\n") if not line.strip().startswith("--"))
    if code.strip():
        lead = len(piece) - len(piece.lstrip())
        yield text.count("\n", 0, start + lead), piece.strip()


def _prepared(reader: session.Session, statement: str) -> str:
    """What the server has against a statement; empty when it can be prepared."""
    reader.execute("SAVEPOINT preparing")
    result = reader.pgconn.prepare(b"", statement.encode())
    said = ""
    if result.status != pq.ExecStatus.COMMAND_OK:
        primary = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b"no reason given"
        said = f"the SQL cannot be prepared: {primary.decode('utf-8', 'replace')}"
    reader.execute("ROLLBACK TO SAVEPOINT preparing")
    return said
