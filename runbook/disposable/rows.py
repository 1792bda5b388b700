"""A sample of the rows: some of each table, and the parents that these refer to.

Read in one snapshot of the source, as its reader, and written into a copy that has the tables
but neither indexes nor keys yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from psycopg import sql

from runbook.schema import ForeignKey, Schema, Table, TableName
from runbook.server import Session

ROUNDS = 32  # how far up the parents of parents are followed


@dataclass(frozen=True)
class Reference:
    """Child columns and the parent columns that they refer to, whether or not a key says so."""

    child: TableName
    columns: tuple[str, ...]
    parent: TableName
    references: tuple[str, ...]

    @classmethod
    def of_key(cls, key: ForeignKey) -> Reference:
        return cls(key.child, key.columns, key.parent, key.references)


def sample(
    source: Session, target: Session, schema: Schema, references: Sequence[Reference], rows: int
) -> dict[TableName, int]:
    """Copy about ``rows`` rows of each table, then the missing parents; rows by table.

    ``source`` is in a transaction with one snapshot. Orphan rows of the sample stay orphan rows:
    a parent that exists is brought along, one that does not cannot be.
    """
    tables = [table for table in schema.tables.values() if table.kind in ("r", "p")]
    roots = [table for table in tables if not _is_partition(source, table)]
    for table in roots:
        chosen = sql.SQL("SELECT {} FROM {} LIMIT {}").format(
            _columns(table), _from(table), sql.Literal(rows)
        )
        _move(source, target, table, chosen)
    known = {table.name: table for table in roots}
    usable = [item for item in references if item.child in known and item.parent in known]
    for _ in range(ROUNDS):
        if not sum(_bring(source, target, known, item) for item in usable):
            break
    return {table.name: _count(target, table) for table in roots}


def _bring(source: Session, target: Session, known: dict[TableName, Table], item: Reference) -> int:
    """Copy the parents that the copy's children refer to and that are not there; how many."""
    child, parent = known[item.child], known[item.parent]
    whole = sql.SQL(" AND ").join(
        sql.SQL("fk.{} IS NOT NULL").format(sql.Identifier(name)) for name in item.columns
    )
    missing = target.execute(
        sql.SQL(
            "SELECT {} FROM (SELECT DISTINCT {} FROM {} fk WHERE {}"
            " AND NOT EXISTS (SELECT FROM {} pk WHERE {})) fk"
        ).format(
            sql.SQL(", ").join(
                sql.SQL("array_agg(fk.{}::text)").format(sql.Identifier(name))
                for name in item.columns
            ),
            _plain(item.columns),
            _name(child.name),
            whole,
            _name(parent.name),
            _equal(item.references, "fk", item.columns),
        )
    ).fetchone()
    if missing is None or missing[0] is None:
        return 0
    wanted = sql.SQL(", ").join(
        # the type's text comes from format_type, which quotes what needs quotes
        sql.SQL("{}::text[]::{}[]").format(sql.Literal(values), sql.SQL(_type(child, name)))
        for values, name in zip(missing, item.columns, strict=True)
    )
    names = tuple(f"w{at}" for at in range(len(item.columns)))
    chosen = sql.SQL(
        "SELECT {} FROM {} pk WHERE EXISTS (SELECT FROM unnest({}) wanted({}) WHERE {})"
    ).format(
        _columns(parent),
        _from(parent),
        wanted,
        _plain(names),
        _equal(item.references, "wanted", names),
    )
    return _move(source, target, parent, chosen)


def _equal(references: Sequence[str], alias: str, columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(" AND ").join(
        sql.SQL("pk.{} = {}").format(sql.Identifier(reference), sql.Identifier(alias, column))
        for reference, column in zip(references, columns, strict=True)
    )


def _move(source: Session, target: Session, table: Table, chosen: sql.Composed) -> int:
    into = sql.SQL("COPY {} ({}) FROM STDIN").format(_name(table.name), _columns(table))
    out = sql.SQL("COPY ({}) TO STDOUT").format(chosen)
    with target.cursor() as cursor:
        with source.cursor().copy(out) as reading, cursor.copy(into) as writing:
            for block in reading:
                writing.write(block)
        return cursor.rowcount


def _is_partition(source: Session, table: Table) -> bool:
    found = source.execute(
        "SELECT c.relispartition FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = %s",
        (table.name.schema, table.name.table),
    ).fetchone()
    return bool(found and found[0])


def _count(target: Session, table: Table) -> int:
    row = target.execute(sql.SQL("SELECT count(*) FROM {}").format(_from(table))).fetchone()
    return int(row[0]) if row else 0


def _type(table: Table, name: str) -> str:
    column = table.column(name)
    return column.type if column else "text"


def _columns(table: Table) -> sql.Composed:
    return _plain(tuple(column.name for column in table.columns if not column.generated))


def _plain(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name in names)


def _name(table: TableName) -> sql.Identifier:
    return sql.Identifier(table.schema, table.table)


def _from(table: Table) -> sql.Composed:
    """Its own rows: those of its partitions where it is partitioned, not those of its heirs."""
    name = _name(table.name)
    return sql.Composed([name]) if table.kind == "p" else sql.SQL("ONLY {}").format(name)


def references_of(schema: Schema, others: Sequence[Reference]) -> tuple[Reference, ...]:
    """The references of all keys in ``schema`` and ``others``, each once."""
    every: Iterator[Reference] = (Reference.of_key(key) for key in schema.foreign_keys)
    return tuple(dict.fromkeys((*every, *others)))
