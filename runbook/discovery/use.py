"""Joins in the bodies of views and functions and in pg_stat_statements, parsed with pglast."""

from __future__ import annotations

import importlib.util
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from runbook.schema import Schema, Shape, TableName
from runbook.session import Session, reason

# with an empty search_path the server writes the schema of every name but the system's;
# what an extension brought along says nothing about this database
VIEWS: LiteralString = """
SELECT 'view ' || c.oid::regclass::text, pg_get_viewdef(c.oid), false
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('v', 'm') AND n.nspname !~ '^(pg_|information_schema$)'
  AND (c.oid, 'pg_class'::regclass) NOT IN (
      SELECT objid, classid FROM pg_depend WHERE deptype = 'e')
ORDER BY 1
"""
FUNCTIONS: LiteralString = """
SELECT 'function ' || p.oid::regprocedure::text,
       CASE WHEN l.lanname = 'sql' AND p.prosqlbody IS NULL
            THEN p.prosrc ELSE pg_get_functiondef(p.oid) END,
       l.lanname = 'plpgsql'
FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace
JOIN pg_language l ON l.oid = p.prolang
WHERE l.lanname IN ('sql', 'plpgsql') AND p.prokind IN ('f', 'p')
  AND n.nspname !~ '^(pg_|information_schema$)'
  AND (p.oid, 'pg_proc'::regclass) NOT IN (
      SELECT objid, classid FROM pg_depend WHERE deptype = 'e')
ORDER BY 1
"""
EXTENSION: LiteralString = """
SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'pg_stat_statements'
"""
# the server shows no queryid, and "<insufficient privilege>" for the text, of other roles'
# statements: https://www.postgresql.org/docs/current/pgstatstatements.html
STATEMENTS: LiteralString = r"""
WITH own AS (
    SELECT calls, queryid, query FROM {}.pg_stat_statements
    WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
)
SELECT quote_ident(current_user), count(*), true FROM own WHERE queryid IS NULL
UNION ALL
(SELECT query, calls, false FROM own
 WHERE queryid IS NOT NULL AND query ~* '\m(select|update|delete|merge)\M'
 ORDER BY calls DESC, queryid LIMIT 5000)
"""
MISSING = (
    "joins in views and functions: pglast is not installed: pip install 'fk-runbook[discovery]'"
)
Side = tuple[TableName, str]
Pair = tuple[Side, Side]


@dataclass(frozen=True)
class Text:
    """SQL, or the definition of a PL/pgSQL function, and where it was read."""

    place: str
    body: str
    plpgsql: bool = False


def read(session: Session, schema: Schema, unread: list[str]) -> Mapping[Shape, tuple[str, ...]]:
    """Shapes that are joined somewhere, with the places; what cannot be read goes to ``unread``."""
    if importlib.util.find_spec("pglast") is None:
        unread.append(MISSING)
        return {}
    texts = [
        Text(place.replace(" public.", " ", 1), body, plpgsql)
        for title, query in (("views", VIEWS), ("functions", FUNCTIONS))
        for place, body, plpgsql in _fetched(session, title, sql.SQL(query), unread)
    ]
    for (place,) in _fetched(session, "the extensions", sql.SQL(EXTENSION), unread):
        query = sql.SQL(STATEMENTS).format(sql.Identifier(place))
        for body, number, hidden in _fetched(session, "pg_stat_statements", query, unread):
            if not hidden:
                times = "once" if number == 1 else f"{number:,} times"
                texts.append(Text(f"a statement that ran {times}", body))
            elif number:
                unread.append(
                    f"pg_stat_statements: statements of other roles, hidden from {body}:"
                    f" {number:,}; an administrator runs: GRANT pg_read_all_stats TO {body}"
                )
    return shapes(schema, texts, unread)


def _fetched(
    session: Session, title: str, query: sql.SQL | sql.Composed, unread: list[str]
) -> list[tuple[Any, ...]]:
    try:
        with session.transaction(force_rollback=True):
            session.execute("SET LOCAL search_path = ''")
            return session.execute(query).fetchall()
    except psycopg.Error as error:
        unread.append(f"{title}: {reason(error)}")
        return []


def shapes(
    schema: Schema, texts: Iterable[Text], unread: list[str]
) -> dict[Shape, tuple[str, ...]]:
    """The joins in ``texts``, as keys that they could be."""
    found: dict[Shape, dict[str, None]] = defaultdict(dict)
    for text in texts:
        try:
            for one, other in _joins(schema, text):
                for child, parent in ((one, other), (other, one)):
                    if child != parent and _is_key(schema, parent):
                        shape = child[0], parent[0], frozenset({(child[1], parent[1])})
                        found[shape][text.place] = None
        except ValueError as error:
            unread.append(f"{text.place}: {' '.join(str(error).split())}")
    return {shape: tuple(places) for shape, places in found.items()}


def _is_key(schema: Schema, side: Side) -> bool:
    indexes = schema.tables[side[0]].indexes
    return any(index.can_be_referenced and index.columns == (side[1],) for index in indexes)


def _joins(schema: Schema, text: Text) -> Iterator[Pair]:
    """Pairs of columns that the statements in ``text`` set equal; raises ValueError."""
    import pglast  # noqa: PLC0415 - an extra
    from pglast.parser import ParseError  # noqa: PLC0415

    try:
        queries = _queries(pglast.parse_plpgsql(text.body)) if text.plpgsql else (text.body,)
        for query in queries:
            yield from _Scope(schema).pairs(pglast.parse_sql(query))
    except ParseError as error:
        raise ValueError(f"not parsed: {error.args[0]}") from None
    except RecursionError:
        raise ValueError("not parsed: nested too deep") from None


def _queries(tree: Any) -> Iterator[str]:
    """The SQL in a PL/pgSQL function: statements, and expressions as what they would select."""
    if isinstance(tree, dict):  # the modes of RawParseMode: 2 an expression, above an assignment
        query, mode = tree.get("query"), tree.get("parseMode")
        if isinstance(query, str) and mode != 1:
            value = re.split(":?=", query, maxsplit=1)[1] if mode and mode > 2 else query
            yield f"SELECT {value}" if mode else value
        tree = list(tree.values())
    for each in tree if isinstance(tree, list) else ():
        yield from _queries(each)


@dataclass(frozen=True)
class _Scope:
    """What names mean inside one statement; None stands for a relation that is no known table."""

    schema: Schema
    tables: Mapping[str, TableName | None] = field(default_factory=dict)
    named: frozenset[str] = frozenset()  # by WITH: they hide tables
    outer: _Scope | None = None

    def pairs(self, node: Any) -> Iterator[Pair]:
        """Every two columns of known tables that ``node`` sets equal."""
        if isinstance(node, tuple):
            for each in node:
                yield from self.pairs(each)
        elif _is_node(node):
            inner = self
            if hasattr(node, "withClause"):  # a statement, or a query in one
                for scope, query in self._with(node):
                    yield from scope.pairs(query)
                inner = self._inside(node)
            yield from inner.own(node)
            for name in node:
                if name != "withClause":
                    yield from inner.pairs(getattr(node, name))

    def _with(self, node: Any) -> Iterator[tuple[_Scope, Any]]:
        """Each query in WITH, and what names mean in it: without RECURSIVE not its own."""
        scope, clause = self, node.withClause
        for query in clause.ctes if clause else ():
            after = replace(scope, named=scope.named | {query.ctename})
            yield (after if clause.recursive else scope), query.ctequery
            scope = after

    def _inside(self, node: Any) -> _Scope:
        """What names mean in a statement, after its WITH."""
        ctes = {each.ctename for each in (node.withClause.ctes if node.withClause else ())}
        outer = replace(self, named=self.named | ctes)
        tables: dict[str, TableName | None] = {}
        for part in ("relation", "sourceRelation", "fromClause", "usingClause"):
            for name, table in outer.relations(getattr(node, part, None)):
                tables[name] = None if name in tables else table
        return _Scope(self.schema, tables, outer.named, outer)

    def relations(self, node: Any) -> Iterator[tuple[str, TableName | None]]:
        """The relations of a FROM clause by the names that they go by."""
        kind, alias = type(node).__name__, getattr(node, "alias", None)
        if kind == "tuple":
            for each in node:
                yield from self.relations(each)
        elif kind == "JoinExpr":
            yield from self.relations((node.larg, node.rarg))
        elif kind == "RangeVar":
            hidden = not node.schemaname and node.relname in self.named
            table = None if hidden or (alias and alias.colnames) else self._table(node)
            yield alias.aliasname if alias else node.relname, table
        elif node is not None:
            yield alias.aliasname if alias else "", None

    def own(self, node: Any) -> Iterator[Pair]:
        """The pairs of ``node`` itself: an equation, IN with a query, USING and NATURAL."""
        kind = type(node).__name__
        sides: list[tuple[Side | None, Side | None]] = []
        if kind == "A_Expr" and node.kind.name in ("AEXPR_OP", "AEXPR_NOT_DISTINCT"):
            if node.name[-1].sval == "=":
                sides = [(self.column(node.lexpr), self.column(node.rexpr))]
        elif kind == "SubLink" and node.subLinkType.name == "ANY_SUBLINK":
            equal = not node.operName or node.operName[-1].sval == "="
            inside = self._inside(node.subselect)
            chosen = [inside.column(each.val) for each in node.subselect.targetList or ()]
            if equal and len(chosen) == 1:
                sides = [(self.column(node.testexpr), chosen[0])]
        elif kind == "JoinExpr":
            left, right = (
                [table for _, table in self.relations(each) if table]
                for each in (node.larg, node.rarg)
            )
            named = [column.sval for column in node.usingClause or ()]
            for one, other in product(left, right):
                shared = self._columns(one) & self._columns(other)
                common = shared if node.isNatural else shared.intersection(named)
                sides += [((one, column), (other, column)) for column in sorted(common)]
        yield from ((one, other) for one, other in sides if one and other)

    def column(self, node: Any) -> Side | None:
        """The column that an expression is, whatever it is cast to."""
        while type(node).__name__ in ("TypeCast", "CollateClause"):
            node = node.arg
        names = [getattr(each, "sval", None) for each in getattr(node, "fields", None) or ()]
        if not names or None in names:
            return None
        column, scope = str(names[-1]), self
        while True:
            tables = [t for n, t in scope.tables.items() if len(names) == 1 or n == names[-2]]
            found = [t for t in tables if t and column in self._columns(t)]
            # a relation unknown to us may have the column, and then hides those further out
            if None in tables or found or scope.outer is None:
                return (found[0], column) if len(found) == 1 and None not in tables else None
            scope = scope.outer

    def _table(self, node: Any) -> TableName | None:
        """The table of that name; without its schema only where no other has the name."""
        named = [
            name
            for name in self.schema.tables
            if name.table == node.relname and node.schemaname in (None, name.schema)
        ]
        return named[0] if len(named) == 1 else None

    def _columns(self, table: TableName) -> set[str]:
        return {column.name for column in self.schema.tables[table].columns}


def _is_node(value: Any) -> bool:
    from pglast import ast  # noqa: PLC0415 - an extra

    return isinstance(value, ast.Node)
