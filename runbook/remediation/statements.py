"""The SQL of a remediation.

Values are literals and not parameters: a name may hold a percent sign, which psycopg would take
for a placeholder. An orphan row is told by :mod:`runbook.audit.query`, as PostgreSQL tells it.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from runbook.audit import query
from runbook.remediation.remedy import KeyColumn, Remedy, Strategy
from runbook.schema import TableName

BEFORE, AFTER = "before", "after"
OWN = ("runbook_row", "runbook_image", "runbook_batch", "runbook_at")


def own_names(columns: Sequence[str]) -> tuple[str, ...]:
    """The columns that a quarantine table has before those of its rows; never one of theirs."""
    names = list(OWN)
    for place in range(len(OWN)):
        while names[place] in columns:
            names[place] += "_"
    if any(len(name.encode()) > 63 for name in names):
        raise ValueError(f"no name is left beside the columns {columns!r}")
    return tuple(names)


def listed(alias: str, columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(alias, name) for name in columns)


def plain(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name in columns)


def table(name: TableName) -> sql.Identifier:
    return sql.Identifier(name.schema, name.table)


def same_key(key: Sequence[KeyColumn], left: str, right: str) -> sql.Composed:
    """Two rows with the same primary key, compared as its index does."""
    return sql.SQL(" AND ").join(
        # an operator has no quoted form; its name comes from pg_operator
        sql.SQL("{} OPERATOR({}.{}) {}").format(
            sql.Identifier(left, column.name),
            sql.Identifier(column.schema),
            sql.SQL(column.operator),
            sql.Identifier(right, column.name),
        )
        for column in key
    )


def orphan(remedy: Remedy) -> sql.Composed:
    """Whether the row ``fk`` is an orphan row, of the missing parent where one was named."""
    found = sql.SQL("({}) AND NOT EXISTS (SELECT FROM {} pk WHERE {})").format(
        query.present(remedy.relationship.columns, remedy.match),
        query.table(remedy.parent),
        query.equal(remedy.relationship, remedy.comparisons),
    )
    named = zip(remedy.relationship.columns, remedy.missing, strict=False)  # empty: of any parent
    return found + sql.Composed(
        [
            sql.SQL(" AND {}::text = {}").format(sql.Identifier("fk", column), sql.Literal(value))
            for column, value in named
        ]
    )


def old_enough(remedy: Remedy) -> sql.Composed:
    """`` AND …``: born long enough ago; nothing where no age was asked for."""
    if remedy.minimum_age is None:
        return sql.Composed([])
    return sql.SQL(" AND {} < pg_catalog.now() - pg_catalog.make_interval(secs => {})").format(
        sql.Identifier("fk", remedy.birth), sql.Literal(remedy.minimum_age.total_seconds())
    )


def without_dependents(remedy: Remedy) -> sql.Composed:
    """`` AND …``: no row of another table refers to the row ``fk``."""
    return sql.Composed(
        [
            sql.SQL(" AND NOT EXISTS (SELECT FROM {} dependent WHERE ({}) AND {})").format(
                query.table(remedy.schema.tables[item.relationship.child]),
                query.present(item.relationship.columns, item.match, child="dependent"),
                query.equal(item.relationship, item.comparisons, parent="fk", child="dependent"),
            )
            for item in remedy.dependents
        ]
    )


def unflagged(remedy: Remedy, kept: TableName) -> sql.Composed:
    """`` AND …``: not yet in the quarantine table, for rows that stay where they are."""
    if remedy.strategy is not Strategy.FLAG:
        return sql.Composed([])
    return sql.SQL(" AND NOT EXISTS (SELECT FROM {} kept WHERE {})").format(
        table(kept), same_key(remedy.key, "kept", "fk")
    )


def to_mend(remedy: Remedy, kept: TableName | None) -> sql.Composed:
    """Whether the row ``fk`` is one that the strategy does something about."""
    found = orphan(remedy) + old_enough(remedy) + without_dependents(remedy)
    return found if kept is None else found + unflagged(remedy, kept)


def count(remedy: Remedy) -> sql.Composed:
    """One row: all orphan rows, their distinct values, and those that are old enough."""
    return sql.SQL(
        "SELECT count(*), count(DISTINCT ({})), count(*) FILTER (WHERE true{}) FROM {} fk WHERE {}"
    ).format(
        listed("fk", remedy.relationship.columns),
        old_enough(remedy),
        query.table(remedy.child),
        orphan(remedy),
    )


def count_dependents(remedy: Remedy, number: int) -> sql.Composed:
    """One row: the rows of one dependent relationship that refer to rows to be mended."""
    item = remedy.dependents[number]
    return sql.SQL(
        "SELECT count(*) FROM {} dependent WHERE ({}) AND EXISTS"
        " (SELECT FROM {} fk WHERE {} AND {})"
    ).format(
        query.table(remedy.schema.tables[item.relationship.child]),
        query.present(item.relationship.columns, item.match, child="dependent"),
        query.table(remedy.child),
        query.equal(item.relationship, item.comparisons, parent="fk", child="dependent"),
        orphan(remedy) + old_enough(remedy),
    )


def lock(remedy: Remedy) -> sql.Composed | None:
    """Wait for who writes parents now, and let nobody begin: else a parent could come unseen."""
    if not remedy.locked:
        return None
    names = sql.SQL(", ").join(query.table(item) for item in remedy.locked)
    return sql.SQL("LOCK TABLE {} IN SHARE MODE").format(names)


def candidates(remedy: Remedy, kept: TableName, limit: int, *, lock: bool = False) -> sql.Composed:
    """Where the next rows to mend are: rows of (partition's oid, ctid as text).

    With ``lock`` they stay there until the end of the transaction.
    """
    found = sql.SQL("SELECT fk.tableoid::bigint, fk.ctid::text FROM {} fk WHERE {} LIMIT {}")
    whole = found.format(query.table(remedy.child), to_mend(remedy, kept), sql.Literal(limit))
    return whole + sql.SQL(" FOR UPDATE OF fk") if lock else whole


def restorable(remedy: Remedy) -> sql.Composed:
    """``FROM …``: the rows of the source, alias ``source``, whose key an orphan row refers to."""
    if remedy.source is None:
        raise ValueError("restore without a source")
    return sql.SQL("FROM {} source WHERE EXISTS (SELECT FROM {} fk WHERE {} AND {})").format(
        table(remedy.source),
        query.table(remedy.child),
        query.equal(remedy.relationship, remedy.comparisons, parent="source"),
        orphan(remedy) + old_enough(remedy),
    )
