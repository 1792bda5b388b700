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
    joiner = sql.SQL(" AND " if match is Match.SIMPLE else " OR ")
    present = joiner.join(
        sql.SQL("fk.{} IS NOT NULL").format(sql.Identifier(column))
        for column in relationship.columns
    )
    equal = sql.SQL(" AND ").join(
        _equal(reference, column, comparison)
        for reference, column, comparison in zip(
            relationship.references, relationship.columns, comparisons.pairs, strict=True
        )
    )
    return sql.SQL(
        "FROM {child} fk WHERE ({present}) AND NOT EXISTS (SELECT FROM {parent} pk WHERE {equal})"
    ).format(child=table(child), present=present, parent=table(parent), equal=equal)


def count(found: sql.Composed, relationship: Relationship) -> sql.Composed:
    """One row: the orphan rows, and how many distinct values they refer to."""
    columns = sql.SQL(", ").join(sql.Identifier("fk", column) for column in relationship.columns)
    return sql.SQL("SELECT count(*), count(DISTINCT ({})) {}").format(columns, found)


def samples(found: sql.Composed, key: tuple[str, ...]) -> sql.Composed:
    """The keys of the first orphan rows, as text; the parameter is how many."""
    columns = sql.SQL(", ").join(sql.Identifier("fk", column) for column in key)
    shown = sql.SQL(" || ', ' || ").join(
        sql.SQL("fk.{}::text").format(sql.Identifier(column)) for column in key
    )
    return sql.SQL("SELECT {} {} ORDER BY {} LIMIT ").format(shown, found, columns)


def _equal(reference: str, column: str, comparison: Comparison) -> sql.Composed:
    left = _cast(sql.SQL("pk.{}").format(sql.Identifier(reference)), comparison.left)
    right = _cast(sql.SQL("fk.{}").format(sql.Identifier(column)), comparison.right)
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


def _cast(value: sql.Composed, type_name: str) -> sql.Composed:
    if not type_name:
        return value
    # the text comes from format_type, which quotes what needs quotes
    return sql.SQL("{}::{}").format(value, sql.SQL(type_name))
