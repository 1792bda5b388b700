"""The track of hashed names: rows and types stay, tables, columns and indexes are called anything.

Every column gets a name of its own: with one hash for equal names, the names would still speak.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from runbook import catalog, discovering
from runbook.schema import Shape, TableName
from tests.score import fit_rows
from tests.score.fit_rows import Lesson
from tests.score.layout import Known
from tests.score.measure import Score, score
from tests.score.tracks import proposed

_LETTERS = str.maketrans("0123456789abcdef", "bcdfghjklmnpqrst")
INDEXES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'i' AND n.nspname = ANY(%s)
"""


@dataclass(frozen=True)
class Hidden:
    """What counts as proposed, what is proposed in any tier, and what the rows could teach."""

    score: Score
    every: Score
    lesson: Lesson


def measure(connection: psycopg.Connection[Any], known: Known) -> Hidden:
    """Discover in the loaded database with all names hidden; then roll back."""
    answer = frozenset(map(hidden, known.answer))
    with connection.transaction(force_rollback=True):
        hide(connection, known)
        schema = catalog.read(connection)
        looked = discovering.look(connection, schema)
    choices = tuple(fit_rows.choices(schema, answer, looked.told))
    every = frozenset(each.shape for each in looked.found.proposals)
    return Hidden(
        score(proposed(looked.found), answer),
        score(every, answer),
        Lesson(known.name, choices, len(answer)),
    )


def hide(connection: psycopg.Connection[Any], known: Known) -> None:
    """Rename all columns, tables and indexes of the schema."""
    schemas = sorted({name.schema for name in known.schema.tables})
    for table in known.schema.tables.values():
        place = sql.Identifier(table.name.schema, table.name.table)
        for column in table.columns:
            form = sql.SQL("ALTER TABLE {} RENAME COLUMN {} TO {}")
            new = _column(table.name, column.name)
            connection.execute(form.format(place, sql.Identifier(column.name), sql.Identifier(new)))
        form = sql.SQL("ALTER TABLE {} RENAME TO {}")
        connection.execute(form.format(place, sql.Identifier(_table(table.name).table)))
    for schema, index in connection.execute(INDEXES, (schemas,)).fetchall():
        form = sql.SQL("ALTER INDEX {} RENAME TO {}")
        new = meaningless(f"{schema}.{index}")
        connection.execute(form.format(sql.Identifier(schema, index), sql.Identifier(new)))


def hidden(shape: Shape) -> Shape:
    """The same key in the hidden names."""
    child, parent, pairs = shape
    renamed = frozenset((_column(child, one), _column(parent, other)) for one, other in pairs)
    return _table(child), _table(parent), renamed


def meaningless(text: str) -> str:
    """A word of consonants: no digit, vowel or underscore that could be taken for a part."""
    return hashlib.sha256(text.encode()).hexdigest()[:16].translate(_LETTERS)


def _table(name: TableName) -> TableName:
    return TableName(name.schema, meaningless(str(name)))


def _column(table: TableName, column: str) -> str:
    return meaningless(f"{table}.{column}")
