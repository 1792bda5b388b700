"""The types of parents' columns, and which values a type refuses.

Read only where they are needed: by batches, and after the server refused a value.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg import sql

from runbook.references.asking import UNFIT, Question, Work, identifier
from runbook.references.reference import Column

# a domain compares as its base type does
TYPES = """
    SELECT w.n, s.nspname, b.typname, pg_catalog.format_type(b.oid, NULL),
           pg_catalog.current_setting('server_version_num')::pg_catalog.int4
      FROM unnest(%s::pg_catalog.text[], %s::pg_catalog.text[])
           WITH ORDINALITY AS w(relation, name, n)
      JOIN pg_catalog.pg_attribute AS a
        ON a.attrelid = pg_catalog.to_regclass(w.relation) AND a.attname = w.name
       AND NOT a.attisdropped
      JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
      JOIN pg_catalog.pg_type AS b
        ON b.oid = CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END
      JOIN pg_catalog.pg_namespace AS s ON s.oid = b.typnamespace
"""
REFUSED = """
    SELECT v.n FROM unnest(%s::pg_catalog.text[]) WITH ORDINALITY AS v(value, n) WHERE NOT
"""
VALID = "pg_catalog.pg_input_is_valid(v.value, %s)"  # PostgreSQL 16
SOFT_ERRORS = 160000
# for servers before that; what a type's input function takes
UUID_TEXT = "^([0-9a-f]{4}-?){7}[0-9a-f]{4}$|^[{]([0-9a-f]{4}-?){7}[0-9a-f]{4}[}]$"
INTEGER_TEXT = r"^\s*[-+]?[0-9]+\s*$"
IS_UUID = "v.value ~* {}"
IS_INTEGER = (
    "CASE WHEN v.value ~ {} THEN v.value::pg_catalog.numeric BETWEEN {} AND {} ELSE false END"
)
INTEGERS = {
    "int2": (-(2**15), 2**15 - 1),
    "int4": (-(2**31), 2**31 - 1),
    "int8": (-(2**63), 2**63 - 1),
}
NUMBERS = {*INTEGERS, "numeric", "oid", "float4", "float8"}
ANY_TEXT = {"text", "varchar", "bpchar"}


@dataclass(frozen=True)
class ColumnType:
    """The base type of a column: its name in parts, as PostgreSQL writes it, and the server."""

    schema: str
    name: str
    written: str
    server: int

    @property
    def array(self) -> sql.Composed:
        return sql.SQL("{}[]").format(identifier(self.schema, self.name))

    def takes(self, kind: type) -> bool:
        """Whether values of a Python type can be compared with the column: str, int or UUID."""
        if kind is str:
            return True
        return self.schema == "pg_catalog" and (
            self.name in NUMBERS if kind is int else kind is UUID and self.name == "uuid"
        )

    def holds(self, value: int) -> bool:
        lowest, highest = INTEGERS.get(self.name, (value, value))
        return lowest <= value <= highest


def read(columns: Sequence[Column]) -> Work[dict[Column, ColumnType]]:
    """The types, in one round trip; raises psycopg.Error where a table or column is missing."""
    relations = [".".join('"' + part.replace('"', '""') + '"' for part in c.table) for c in columns]
    answer = yield Question(
        sql.Composed([sql.SQL(TYPES)]), [relations, [column.name for column in columns]]
    )
    found = {columns[n - 1]: ColumnType(*rest) for n, *rest in answer.rows}
    for column in columns:
        if column not in found:
            # the server has its own words for what is missing, and for what may not be seen
            probe = sql.SQL("SELECT {} FROM {} LIMIT 0")
            name = identifier(column.name)
            yield Question(probe.format(name, identifier(*column.table)), [])
            raise LookupError(f"expected a column of a table, got {column.table}, {column.name!r}")
    return found


def refused(of: ColumnType, texts: Sequence[str]) -> Work[set[str]]:
    """The texts that are no value of the type, in one round trip where the server can say so."""
    if of.schema == "pg_catalog" and of.name in ANY_TEXT:
        return set()
    condition, values = _condition(of)
    if condition is None:
        return (yield from _tried(of, texts))
    statement = sql.SQL("{} ({})").format(sql.SQL(REFUSED), condition)
    try:
        answer = yield Question(statement, [array(texts), *values])
    except UNFIT:  # the type's own input function does not answer softly
        return (yield from _tried(of, texts))
    return {texts[n - 1] for (n,) in answer.rows}


def _condition(of: ColumnType) -> tuple[sql.Composable | None, list[str]]:
    """What holds for the texts that the type takes; None where nothing can be said at once."""
    if of.server >= SOFT_ERRORS:
        return sql.SQL(VALID), [of.written]
    if of.schema == "pg_catalog" and of.name == "uuid":
        return sql.SQL(IS_UUID).format(sql.Literal(UUID_TEXT)), []
    if of.schema == "pg_catalog" and of.name in INTEGERS:
        limits = map(sql.Literal, INTEGERS[of.name])
        return sql.SQL(IS_INTEGER).format(sql.Literal(INTEGER_TEXT), *limits), []
    return None, []


def _tried(of: ColumnType, texts: Sequence[str]) -> Work[set[str]]:
    """By halves: as many round trips as twice the refused ones, times how often they halve."""
    statement = sql.SQL("SELECT %s::{}").format(of.array)
    try:
        yield Question(statement, [array(texts)])
    except UNFIT:
        if len(texts) == 1:
            return set(texts)
        middle = len(texts) // 2
        first = yield from _tried(of, texts[:middle])
        second = yield from _tried(of, texts[middle:])
        return first | second
    return set()


def array(texts: Iterable[str]) -> str:
    """A PostgreSQL array literal of texts without zero bytes.

    Several times faster than a list as a parameter, whose elements are dumped one by one.
    """
    joined = "\0".join(texts)
    if not joined:
        return "{}"
    escaped = joined.replace("\\", "\\\\").replace('"', '\\"').replace("\0", '","')
    return '{"' + escaped + '"}'
