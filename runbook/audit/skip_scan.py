"""Counts orphan rows by walking an index from one distinct value to the next.

A recursive query takes the next distinct value from the index, as
https://wiki.postgresql.org/wiki/Loose_indexscan has it; each is looked up in the parent once, and
only the rows of missing values are counted. Its cost grows with the distinct values, not the rows.
"""

from __future__ import annotations

from psycopg import sql

from runbook.audit import query
from runbook.operators import Comparisons
from runbook.relationships import Relationship
from runbook.schema import Schema

# The planner knows nothing of how few steps it will be: without these it sorts the whole table
# for every step.
SETTINGS = ("enable_seqscan", "enable_sort", "enable_bitmapscan", "enable_hashjoin")


def values(
    relationship: Relationship,
    schema: Schema,
    comparisons: Comparisons,
    columns: tuple[str, ...],
    most_steps: int,
) -> sql.Composed:
    """``WITH RECURSIVE step … , missing …``: distinct values, and those without a parent.

    ``columns`` are the child columns in the index's order. ``step`` has at most ``most_steps``
    rows, its column ``place`` counts them from 1.
    """
    child = query.table(schema.tables[relationship.child])
    parent = query.table(schema.tables[relationship.parent])
    return sql.SQL(
        "WITH RECURSIVE step AS ("
        "(SELECT {names}, 1 AS place FROM {child} fk WHERE {present} ORDER BY {order} LIMIT 1)"
        " UNION ALL SELECT next.*, step.place + 1 FROM step CROSS JOIN LATERAL ("
        "SELECT {names} FROM {child} fk WHERE {after} AND {present} ORDER BY {order} LIMIT 1) next"
        " WHERE step.place < {most}),"
        " missing AS MATERIALIZED (SELECT {own} FROM step fk"
        " WHERE NOT EXISTS (SELECT FROM {parent} pk WHERE {equal})) "
    ).format(
        names=_list("fk", columns),
        own=_list("fk", columns),
        child=child,
        parent=parent,
        present=query.present(columns),
        order=_list("fk", columns),
        after=_after(columns),
        most=sql.Literal(most_steps),
        equal=query.equal(relationship, comparisons),
    )


def count(found: sql.Composed, child: sql.Composed, columns: tuple[str, ...]) -> sql.Composed:
    """One row: steps taken, values without a parent, rows that hold them."""
    return found + sql.SQL(
        "SELECT (SELECT count(*) FROM step), (SELECT count(*) FROM missing),"
        " (SELECT count(*) FROM missing JOIN {child} fk ON {same})"
    ).format(child=child, same=_same(columns))


def samples(
    found: sql.Composed,
    child: sql.Composed,
    columns: tuple[str, ...],
    key: tuple[str, ...],
    shown: sql.Composed,
) -> sql.Composed:
    """The first rows without a parent by ``key``, as ``shown``; a LIMIT has to follow."""
    return found + sql.SQL("SELECT {shown} {rows} ORDER BY {order} LIMIT ").format(
        shown=shown, rows=rows(child, columns), order=_list("fk", key)
    )


def rows(child: sql.Composed, columns: tuple[str, ...]) -> sql.Composed:
    """``FROM …``: the rows without a parent, alias ``fk``; it follows :func:`values`."""
    return sql.SQL("FROM missing JOIN {child} fk ON {same}").format(
        child=child, same=_same(columns)
    )


def _list(alias: str, names: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(alias, name) for name in names)


def _after(columns: tuple[str, ...]) -> sql.Composed:
    """The next value in the index's order; a row comparison for a composite."""
    return sql.SQL("({}) > ({})").format(_list("fk", columns), _list("step", columns))


def _same(columns: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(sql.Identifier("fk", name), sql.Identifier("missing", name))
        for name in columns
    )
