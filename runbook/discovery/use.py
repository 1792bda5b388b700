"""Joins in the bodies of views and functions and in pg_stat_statements, parsed with pglast."""

from __future__ import annotations

import importlib.util
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from runbook.schema import Schema, Shape, TableName
from runbook.session import Session, reason

VIEWS: LiteralString = """
SELECT 'view ' || c.oid::regclass::text, pg_get_viewdef(c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('v', 'm') AND n.nspname = ANY(%s)
ORDER BY 1
"""
FUNCTIONS: LiteralString = """
SELECT 'function ' || p.oid::regprocedure::text,
       CASE WHEN l.lanname = 'sql'
            THEN coalesce(pg_get_function_sqlbody(p.oid), p.prosrc)
            ELSE pg_get_functiondef(p.oid) END
FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace
JOIN pg_language l ON l.oid = p.prolang
WHERE l.lanname IN ('sql', 'plpgsql') AND p.prokind IN ('f', 'p') AND n.nspname = ANY(%s)
ORDER BY 1
"""
EXTENSION: LiteralString = """
SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'pg_stat_statements'
"""
STATEMENTS: LiteralString = """
SELECT 'a statement that ran ' || calls || ' times', query FROM {}.pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND query ILIKE '%select%'
ORDER BY calls DESC, queryid LIMIT 5000
"""
MISSING = (
    "joins in views and functions: pglast is not installed: pip install 'fk-runbook[discovery]'"
)
Side = tuple[TableName, str]


def read(session: Session, schema: Schema, unread: list[str]) -> Mapping[Shape, tuple[str, ...]]:
    """Shapes that are joined somewhere, with the places; what cannot be read goes to ``unread``."""
    if importlib.util.find_spec("pglast") is None:
        unread.append(MISSING)
        return {}
    texts: list[tuple[str, str]] = []
    schemas = sorted({name.schema for name in schema.tables})
    for title, query in (("views", VIEWS), ("functions", FUNCTIONS)):
        texts += _fetched(session, title, sql.SQL(query), (schemas,), unread)
    extension = _fetched(session, "the extensions", sql.SQL(EXTENSION), None, unread)
    if extension:
        place = sql.Identifier(extension[0][0])
        statements = sql.SQL(STATEMENTS).format(place)
        texts += _fetched(session, "pg_stat_statements", statements, None, unread)
    return shapes(schema, texts, unread)


def _fetched(
    session: Session, title: str, query: sql.SQL | sql.Composed, given: Any, unread: list[str]
) -> list[tuple[str, str]]:
    try:
        with session.transaction():
            return [tuple(row) for row in session.execute(query, given).fetchall()]
    except psycopg.Error as error:
        unread.append(f"{title}: {reason(error)}")
        return []


def shapes(
    schema: Schema, texts: list[tuple[str, str]], unread: list[str]
) -> dict[Shape, tuple[str, ...]]:
    """The joins in ``texts`` (place and SQL), as keys that they could be."""
    found: dict[Shape, dict[str, None]] = defaultdict(dict)
    for place, text in texts:
        try:
            for one, other in _joins(schema, text):
                for child, parent in ((one, other), (other, one)):
                    if child != parent and _is_key(schema, parent):
                        shape = child[0], parent[0], frozenset({(child[1], parent[1])})
                        found[shape][place] = None
        except ValueError as error:
            unread.append(f"{place}: {' '.join(str(error).split())}")
    return {shape: tuple(places) for shape, places in found.items()}


def _is_key(schema: Schema, side: Side) -> bool:
    indexes = schema.tables[side[0]].indexes
    return any(index.can_be_referenced and index.columns == (side[1],) for index in indexes)


def _joins(schema: Schema, text: str) -> Iterator[tuple[Side, Side]]:
    """Pairs of columns that the statements in ``text`` set equal; raises ValueError."""
    import pglast  # noqa: PLC0415 - an extra
    from pglast.parser import ParseError  # noqa: PLC0415

    try:
        if " LANGUAGE plpgsql" in text:
            for query in _queries(pglast.parse_plpgsql(text)):
                for statement in pglast.parse_sql(query):
                    yield from _Statement(schema, statement).pairs()
            return
        for statement in pglast.parse_sql(text):
            yield from _Statement(schema, statement).pairs()
    except ParseError as error:
        raise ValueError(f"not parsed: {error.args[0]}") from None


def _queries(tree: Any) -> Iterator[str]:
    """The SQL statements inside a PL/pgSQL function; its expressions join nothing."""
    if isinstance(tree, dict):
        query = tree.get("query")
        if isinstance(query, str) and query.lstrip()[:6].lower() in ("select", "insert", "update"):
            yield query
        for value in tree.values():
            yield from _queries(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _queries(value)


@dataclass(frozen=True)
class _Statement:
    schema: Schema
    tree: Any

    def pairs(self) -> Iterator[tuple[Side, Side]]:
        """Every ``a.x = b.y`` and ``USING (x)`` whose two columns are of known tables."""
        from pglast import ast  # noqa: PLC0415
        from pglast.visitors import Visitor  # noqa: PLC0415

        scope: dict[str, TableName] = {}
        equal: list[tuple[Any, Any]] = []
        using: list[tuple[Any, Any, str]] = []

        class Collector(Visitor):
            def visit_RangeVar(_, __: Any, node: Any) -> None:  # noqa: N802, N805
                table = self._table(node)
                if table:
                    scope[node.alias.aliasname if node.alias else node.relname] = table

            def visit_A_Expr(_, __: Any, node: Any) -> None:  # noqa: N802, N805
                name = node.name[-1].sval if node.name else ""
                if name == "=" and isinstance(node.lexpr, ast.ColumnRef):
                    equal.append((node.lexpr, node.rexpr))

            def visit_JoinExpr(_, __: Any, node: Any) -> None:  # noqa: N802, N805
                named = node.usingClause or ()
                using.extend((node.larg, node.rarg, column.sval) for column in named)

        Collector()(self.tree)
        for left, right in equal:
            one, other = self._column(scope, left), self._column(scope, right)
            if one and other:
                yield one, other
        for left, right, column in using:
            one, other = (self._side(each, column) for each in (left, right))
            if one and other:
                yield one, other

    def _table(self, node: Any) -> TableName | None:
        if node.schemaname:
            found = TableName(node.schemaname, node.relname)
            return found if found in self.schema.tables else None
        named = [name for name in self.schema.tables if name.table == node.relname]
        return named[0] if len(named) == 1 else None

    def _column(self, scope: Mapping[str, TableName], node: Any) -> Side | None:
        fields = [getattr(field, "sval", None) for field in getattr(node, "fields", None) or ()]
        if len(fields) < 2 or fields[-1] is None or fields[-2] not in scope:
            return None
        table = scope[str(fields[-2])]
        return (table, fields[-1]) if self.schema.tables[table].column(fields[-1]) else None

    def _side(self, node: Any, column: str) -> Side | None:
        table = self._table(node) if hasattr(node, "relname") else None
        if table and self.schema.tables[table].column(column):
            return table, column
        return None
