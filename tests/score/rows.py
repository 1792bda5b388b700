"""The tracks that need rows: proposals with data, and injected orphan rows counted exactly."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
from psycopg import conninfo, sql

from runbook import catalog, discovering, operators
from runbook.audit import engine as audits
from runbook.embedded import EmbeddedServer
from runbook.relationships import Relationship
from runbook.schema import ForeignKey, Schema
from tests.score import fit_rows, hashed
from tests.score.fit_rows import Lesson
from tests.score.hashed import Hidden
from tests.score.layout import Known
from tests.score.load import load
from tests.score.measure import Score, score
from tests.score.tracks import proposed

SHARES = (0.0, 0.001, 0.01, 0.05)
_FREE = {"integer": "-1000 - g", "text": "'~' || g", "uuid": "gen_random_uuid()"}


@dataclass(frozen=True)
class Injection:
    """Keys that orphan rows were injected under, those counted exactly, those still proposed."""

    share: float
    keys: int
    exact: int
    proposed: int


@dataclass(frozen=True)
class WithRows:
    name: str
    score: Score
    seconds: float
    tests: int
    injections: tuple[Injection, ...]
    hashed: Hidden  # with names that say nothing
    lesson: Lesson  # of the columns that no name matched


def measure(schemas: Iterable[Known]) -> Iterator[WithRows]:
    """Load each schema that has rows into a private server, and discover in it."""
    with TemporaryDirectory(prefix="fkr-score-") as folder:
        Path(folder).chmod(0o755)
        with EmbeddedServer(Path(folder) / "server") as server:
            for known in schemas:
                if known.data is not None:
                    name = f"score_{known.name}"
                    with psycopg.connect(server.conninfo(), autocommit=True) as admin:
                        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
                    text = conninfo.make_conninfo(server.conninfo(), dbname=name)
                    with psycopg.connect(text, autocommit=True) as connection:
                        load(connection, known)
                        yield one(connection, known)


def one(connection: psycopg.Connection[Any], known: Known) -> WithRows:
    started = time.perf_counter()
    with connection.transaction():
        schema = catalog.read(connection)
        looked = discovering.look(connection, schema)
    seconds = time.perf_counter() - started
    found = tuple(inject(connection, known, schema, share) for share in SHARES)
    whole = score(proposed(looked.found), known.answer)
    without = hashed.measure(connection, known)
    choices = tuple(fit_rows.choices(schema, known.answer, looked.told))
    lesson = Lesson(known.name, choices, len(known.answer))
    return WithRows(known.name, whole, seconds, looked.tests, found, without, lesson)


def inject(
    connection: psycopg.Connection[Any], known: Known, schema: Schema, share: float
) -> Injection:
    """Break a share of the rows of every key of one column that may be updated; then roll back."""
    exact = keys = 0
    with connection.transaction(force_rollback=True):
        expected = {}
        for key in known.schema.foreign_keys:
            if _can_break(schema, key):
                before = _orphans(connection, schema, key) or 0
                expected[key.shape] = before + _break(connection, schema, key, share)
        connection.execute("ANALYZE")
        for key in known.schema.foreign_keys:
            if key.shape in expected:
                keys += 1
                exact += _orphans(connection, schema, key) == expected[key.shape]
        looked = discovering.look(connection, schema)
    return Injection(share, keys, exact, len(proposed(looked.found) & set(expected)))


def _can_break(schema: Schema, key: ForeignKey) -> bool:
    """A column alone, of a type with room for a value that no parent has, in no unique key."""
    table = schema.tables[key.child]
    column = table.column(key.columns[0])
    in_key = any(index.unique and key.columns[0] in index.columns for index in table.indexes)
    alone = [k for k in schema.tables if k == key.parent and k != key.child]
    plain = column is not None and column.type in ("integer", "bigint", "text", "uuid")
    return len(key.columns) == 1 and not in_key and bool(alone) and plain


def _break(
    connection: psycopg.Connection[Any], schema: Schema, key: ForeignKey, share: float
) -> int:
    table, column = (
        sql.Identifier(key.child.schema, key.child.table),
        sql.Identifier(key.columns[0]),
    )
    found = schema.tables[key.child].column(key.columns[0])
    family = "integer" if found and found.type in ("integer", "bigint") else found and found.type
    form = sql.SQL(
        "UPDATE {table} t SET {column} = {value} FROM (SELECT ctid AS place,"
        " row_number() OVER (ORDER BY ctid) AS g FROM {table} WHERE {column} IS NOT NULL"
        " LIMIT (SELECT ceil(count({column}) * %s)::int FROM {table})) s WHERE t.ctid = s.place"
    )
    statement = form.format(table=table, column=column, value=sql.SQL(_FREE[str(family)]))
    return connection.execute(statement, (share,)).rowcount


def _orphans(connection: psycopg.Connection[Any], schema: Schema, key: ForeignKey) -> int | None:

    item = Relationship(key.child, key.columns, key.parent, key.references)
    (audit,) = audits.count(connection, (item,), schema, operators.read(connection, (item,)))
    return audit.orphans if audit.exact else None
