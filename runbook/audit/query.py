"""The SQL that finds the orphan rows of a relationship.

Follows ``RI_Initial_Check`` of PostgreSQL's ``ri_triggers.c``: the key's operators, casts and
collations; ``ONLY`` on both sides unless the table is partitioned; MATCH SIMPLE skips a row with
any NULL, MATCH FULL only a row of all NULLs.
"""

from __future__ import annotations

from psycopg import sql

from runbook.operators import Comparison, Comparisons
from runbook.relationships import Relationship
from runbook.schema import Match, Schema, Table


def table(item: Table) -> sql.Composed:
    """``ONLY schema.table``, or without ONLY where the rows are in partitions."""
    name = sql.Identifier(item.name.schema, item.name.table)
    return sql.Composed([name]) if item.kind == "p" else sql.SQL("ONLY {}").format(name)


def orphans(
    relationship: Relationship, schema: Schema, comparisons: Comparisons, match: Match
) -> sql.Composed:
    """``FROM child fk WHERE …``: the orphan rows of a relationship, alias ``fk``."""
    child, parent = schema.tables[relationship.child], schema.tables[relationship.parent]
    return sql.SQL(
        "FROM {child} fk WHERE ({present}) AND NOT EXISTS (SELECT FROM {parent} pk WHERE {equal})"
    ).format(
        child=table(child),
        present=present(relationship.columns, match),
        parent=table(parent),
        equal=equal(relationship, comparisons),
    )


def present(
    columns: tuple[str, ...], match: Match = Match.SIMPLE, child: str = "fk"
) -> sql.Composed:
    """The child rows that a key looks at: those without NULL, or not of NULLs alone."""
    joiner = sql.SQL(" AND " if match is Match.SIMPLE else " OR ")
    return joiner.join(
        sql.SQL("{} IS NOT NULL").format(sql.Identifier(child, column)) for column in columns
    )


def equal(
    relationship: Relationship, comparisons: Comparisons, parent: str = "pk", child: str = "fk"
) -> sql.Composed:
    """The parent row ``pk`` of the child row ``fk``, compared as the key would."""
    return sql.SQL(" AND ").join(
        _equal(sql.Identifier(parent, reference), sql.Identifier(child, column), comparison)
        for reference, column, comparison in zip(
            relationship.references, relationship.columns, comparisons.pairs, strict=True
        )
    )


def count(found: sql.Composed, columns: tuple[str, ...]) -> sql.Composed:
    """One row: the orphan rows, and how many distinct values they refer to."""
    return sql.SQL("SELECT count(*), count(DISTINCT ({})) {}").format(_list(columns), found)


def key_text(key: tuple[str, ...], shown: tuple[str, ...] = ()) -> sql.Composed:
    """A child row's key as one text: ``1, 2``, and with other columns ``1, 2 (name: x, …)``."""
    comma = sql.SQL(" || ', ' || ")
    text = comma.join(sql.SQL("fk.{}::text").format(sql.Identifier(name)) for name in key)
    if not shown:
        return text
    others = comma.join(
        sql.SQL("{} || coalesce(fk.{}::text, 'NULL')").format(
            sql.Literal(f"{name}: "), sql.Identifier(name)
        )
        for name in shown
    )
    return sql.SQL("{} || ' (' || {} || ')'").format(text, others)


def samples(found: sql.Composed, key: tuple[str, ...], shown: tuple[str, ...] = ()) -> sql.Composed:
    """The keys of the first orphan rows, as text; a LIMIT has to follow."""
    return sql.SQL("SELECT {} {} ORDER BY {} LIMIT ").format(
        key_text(key, shown), found, _list(key)
    )


def born(found: sql.Composed, column: str) -> sql.Composed:
    """One row: the first and the last value of ``column`` among the orphan rows, as text."""
    name = sql.Identifier("fk", column)
    return sql.SQL("SELECT min({0})::text, max({0})::text {1}").format(name, found)


def _list(columns: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier("fk", name) for name in columns)


def _equal(
    reference: sql.Identifier, column: sql.Identifier, comparison: Comparison
) -> sql.Composed:
    left = _cast(reference, comparison.left)
    right = _cast(column, comparison.right)
    equal = sql.SQL("{} OPERATOR({}.{}) {}").format(
        left,
        sql.Identifier(comparison.schema),
        # operators have no quoted form; this text comes from pg_operator, and its alphabet
        # holds no quote, bracket or space
        sql.SQL(comparison.name),
        right,
    )
    if comparison.collation:
        equal += sql.SQL(" COLLATE {}").format(sql.Identifier(*comparison.collation))
    return equal


def _cast(value: sql.Identifier, type_name: str) -> sql.Composed:
    if not type_name:
        return sql.Composed([value])
    # the text comes from format_type, which quotes what needs quotes
    return sql.SQL("{}::{}").format(value, sql.SQL(type_name))
