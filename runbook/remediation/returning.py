"""The statements by which kept rows come back, and those that tell whether they can."""

from __future__ import annotations

from psycopg import sql

from runbook.audit import query
from runbook.remediation import statements
from runbook.remediation.remedy import Remedy
from runbook.remediation.statements import AFTER, BEFORE, listed, same_key
from runbook.schema import TableName


def image(remedy: Remedy, alias: str, wanted: str) -> sql.Composed:
    name = statements.own_names(remedy.columns)[1]
    return sql.SQL("{} = {}").format(sql.Identifier(alias, name), sql.Literal(wanted))


def same_row(remedy: Remedy, left: str, right: str) -> sql.Composed:
    """Two rows with the same bytes; the cast keeps PostgreSQL from comparing column by column."""
    return sql.SQL("ROW({})::record OPERATOR(pg_catalog.*=) ROW({})::record").format(
        listed(left, remedy.columns), listed(right, remedy.columns)
    )


def there_again(remedy: Remedy, kept: TableName) -> sql.Composed:
    return sql.SQL("FROM {} fk WHERE {} AND EXISTS (SELECT FROM {} now WHERE {})").format(
        statements.table(kept),
        image(remedy, "fk", BEFORE),
        query.table(remedy.subject),
        same_key(remedy.key, "now", "fk"),
    )


def gone_or_changed(remedy: Remedy, kept: TableName) -> sql.Composed:
    return sql.SQL(
        "FROM {} fk WHERE {} AND NOT EXISTS (SELECT FROM {} now WHERE {} AND {})"
    ).format(
        statements.table(kept),
        image(remedy, "fk", AFTER),
        query.table(remedy.subject),
        same_key(remedy.key, "now", "fk"),
        same_row(remedy, "now", "fk"),
    )


def differing(remedy: Remedy, kept: TableName) -> sql.Composed:
    """One row: for each column, whether any row has another value than before."""
    row = statements.own_names(remedy.columns)[0]
    differs = sql.SQL(", ").join(
        sql.SQL("bool_or(NOT ROW({})::record OPERATOR(pg_catalog.*=) ROW({})::record)").format(
            sql.Identifier("b", name), sql.Identifier("a", name)
        )
        for name in remedy.columns
    )
    return sql.SQL(
        "SELECT {differs} FROM {kept} b JOIN {kept} a USING ({row}) WHERE {b} AND {a}"
    ).format(
        differs=differs,
        kept=statements.table(kept),
        row=sql.Identifier(row),
        b=image(remedy, "b", BEFORE),
        a=image(remedy, "a", AFTER),
    )


def compared(remedy: Remedy, kept: TableName, of: str) -> sql.Composed:
    """One row of ``back``: how many rows, and how many of them are not as in the quarantine."""
    return sql.SQL(
        "SELECT (SELECT count(*) FROM back), (SELECT count(*) FROM (SELECT line FROM back"
        ' EXCEPT ALL SELECT ROW({})::text COLLATE "C" FROM {} fk WHERE {}) different)'
    ).format(listed("fk", remedy.columns), statements.table(kept), image(remedy, "fk", of))


def untaken(remedy: Remedy, kept: TableName) -> sql.Composed:
    writable = [column.name for column in remedy.subject.columns if not column.generated]
    return sql.SQL(
        "WITH back AS (INSERT INTO {subject} AS now ({names}) OVERRIDING SYSTEM VALUE"
        " SELECT {names} FROM {kept} fk WHERE {image} ORDER BY {row}"
        ' RETURNING ROW({columns})::text COLLATE "C" AS line) {compared}'
    ).format(
        subject=statements.table(remedy.subject.name),
        names=statements.plain(writable),
        kept=statements.table(kept),
        image=image(remedy, "fk", BEFORE),
        row=sql.Identifier(statements.own_names(remedy.columns)[0]),
        columns=listed("now", remedy.columns),
        compared=compared(remedy, kept, BEFORE),
    )


def unchanged(remedy: Remedy, kept: TableName, changed: tuple[str, ...]) -> sql.Composed:
    row = statements.own_names(remedy.columns)[0]
    return sql.SQL(
        "WITH back AS (UPDATE {subject} AS now SET {changes} FROM {kept} b JOIN {kept} a"
        " USING ({row}) WHERE {b} AND {a} AND {key}"
        ' RETURNING ROW({columns})::text COLLATE "C" AS line) {compared}'
    ).format(
        subject=query.table(remedy.subject),
        changes=sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(name), sql.Identifier("b", name))
            for name in changed
        ),
        kept=statements.table(kept),
        row=sql.Identifier(row),
        b=image(remedy, "b", BEFORE),
        a=image(remedy, "a", AFTER),
        key=same_key(remedy.key, "now", "a"),
        columns=listed("now", remedy.columns),
        compared=compared(remedy, kept, BEFORE),
    )


def unmade(remedy: Remedy, kept: TableName) -> sql.Composed:
    return sql.SQL(
        "WITH back AS (DELETE FROM {subject} AS now USING {kept} fk WHERE {image} AND {key}"
        ' RETURNING ROW({columns})::text COLLATE "C" AS line) {compared}'
    ).format(
        subject=query.table(remedy.subject),
        kept=statements.table(kept),
        image=image(remedy, "fk", AFTER),
        key=same_key(remedy.key, "now", "fk"),
        columns=listed("now", remedy.columns),
        compared=compared(remedy, kept, AFTER),
    )
