"""The statements that mend a batch of orphan rows, and keep each row in the same breath."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from runbook.audit import query
from runbook.remediation.remedy import Remedy, Strategy
from runbook.remediation.statements import (
    AFTER,
    BEFORE,
    listed,
    own_names,
    plain,
    restorable,
    table,
    to_mend,
)
from runbook.schema import TableName


@dataclass(frozen=True)
class Batch:
    """One batch: its number, the rows kept so far, and where its candidates are."""

    number: sql.Composable
    first: sql.Composable
    parts: sql.Composable
    places: sql.Composable
    size: sql.Composable

    @classmethod
    def of(cls, number: int, first: int, places: Sequence[tuple[int, str]], size: int) -> Batch:
        return cls(
            sql.Literal(number),
            sql.Literal(first),
            sql.Literal([part for part, _ in places]),
            sql.Literal([place for _, place in places]),
            sql.Literal(size),
        )

    @classmethod
    def shown(cls) -> Batch:
        """With the variables of psql in place of values, for people to read."""
        names = (":batch", ":kept", ":parts", ":places", ":size")
        return cls(*(sql.SQL(name) for name in names))


def mend(remedy: Remedy, kept: TableName, batch: Batch) -> sql.Composed:
    """One statement that mends a batch and keeps its rows; its row count is that of kept rows."""
    if remedy.strategy is Strategy.RESTORE:
        return _restore(remedy, kept, batch)
    if remedy.strategy.changes:
        return _change(remedy, kept, batch)
    return _take(remedy, kept, batch)


def _places(batch: Batch) -> sql.Composed:
    return sql.SQL(
        "SELECT part, place FROM unnest({}::oid[], {}::tid[]) AS place_of(part, place)"
    ).format(batch.parts, batch.places)


_AT_PLACE = sql.SQL("fk.tableoid = candidate.part AND fk.ctid = candidate.place")


def _keep(
    remedy: Remedy, kept: TableName, batch: Batch, image: str, rows: sql.Composable
) -> sql.Composed:
    return sql.SQL(
        "INSERT INTO {kept} ({own}, {columns})\n"
        "SELECT {first} + row_number() OVER (), {image}, {batch}, clock_timestamp(), {values}\n"
        "  FROM {rows}"
    ).format(
        kept=table(kept),
        own=plain(own_names(remedy.columns)),
        columns=plain(remedy.columns),
        first=batch.first,
        image=sql.Literal(image),
        batch=batch.number,
        values=listed("fk", remedy.columns),
        rows=rows,
    )


def _take(remedy: Remedy, kept: TableName, batch: Batch) -> sql.Composed:
    """Remove rows (delete, quarantine) or only note them (flag)."""
    parts = {
        "places": _places(batch),
        "child": query.table(remedy.child),
        "at": _AT_PLACE,
        "wanted": to_mend(remedy, kept),
        "columns": listed("fk", remedy.columns),
    }
    if remedy.strategy is Strategy.FLAG:
        rows = sql.SQL("{child} fk, candidate\n WHERE {at}\n   AND {wanted}").format(**parts)
        return sql.SQL("WITH candidate AS (\n  {}\n)\n{}").format(
            parts["places"], _keep(remedy, kept, batch, BEFORE, rows)
        )
    return sql.SQL(
        "WITH candidate AS (\n  {places}\n), gone AS (\n"
        "  DELETE FROM {child} AS fk USING candidate\n   WHERE {at}\n     AND {wanted}\n"
        "  RETURNING {columns}\n)\n{keep}"
    ).format(keep=_keep(remedy, kept, batch, BEFORE, sql.SQL("gone AS fk")), **parts)


def _change(remedy: Remedy, kept: TableName, batch: Batch) -> sql.Composed:
    """Change the reference; the row is kept as it was and as it became."""
    old = [f"b{place}" for place in range(len(remedy.columns))]
    new = [f"a{place}" for place in range(len(remedy.columns))]
    return sql.SQL(
        "WITH candidate AS (\n  {places}\n), chosen AS (\n"
        "  SELECT fk.tableoid AS part, fk.ctid AS place, {renamed}\n"
        "    FROM {child} AS fk, candidate\n   WHERE {at}\n     AND {wanted}\n"
        "     FOR UPDATE OF fk\n), changed ({old}, {new}) AS (\n"
        "  UPDATE {child} AS fk SET {changes} FROM chosen\n"
        "   WHERE fk.tableoid = chosen.part AND fk.ctid = chosen.place\n"
        "  RETURNING {chosen}, {columns}\n), numbered AS (\n"
        "  SELECT {first} + row_number() OVER () AS number, changed.* FROM changed\n)\n"
        "INSERT INTO {kept} ({own}, {names})\n"
        "SELECT number, {before}, {batch}, clock_timestamp(), {old} FROM numbered\n"
        " UNION ALL\n"
        "SELECT number, {after}, {batch}, clock_timestamp(), {new} FROM numbered"
    ).format(
        places=_places(batch),
        renamed=sql.SQL(", ").join(
            sql.SQL("{} AS {}").format(sql.Identifier("fk", name), sql.Identifier(alias))
            for name, alias in zip(remedy.columns, old, strict=True)
        ),
        child=query.table(remedy.child),
        at=_AT_PLACE,
        wanted=to_mend(remedy, kept),
        old=plain(old),
        new=plain(new),
        changes=sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(value))
            for name, value in remedy.changed.items()
        ),
        chosen=listed("chosen", old),
        columns=listed("fk", remedy.columns),
        first=batch.first,
        kept=table(kept),
        own=plain(own_names(remedy.columns)),
        names=plain(remedy.columns),
        before=sql.Literal(BEFORE),
        after=sql.Literal(AFTER),
        batch=batch.number,
    )


def _restore(remedy: Remedy, kept: TableName, batch: Batch) -> sql.Composed:
    return sql.SQL(
        "WITH made AS (\n  INSERT INTO {parent} AS pk ({names}) OVERRIDING SYSTEM VALUE\n"
        "  SELECT {values} {source}\n   LIMIT {size}\n  RETURNING {columns}\n)\n{keep}"
    ).format(
        parent=table(remedy.parent.name),
        names=plain(remedy.source_columns),
        values=listed("source", remedy.source_columns),
        source=restorable(remedy),
        size=batch.size,
        columns=listed("pk", remedy.columns),
        keep=_keep(remedy, kept, batch, AFTER, sql.SQL("made AS fk")),
    )
