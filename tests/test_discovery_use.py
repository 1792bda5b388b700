"""What discovery reads from views, functions and pg_stat_statements: pairs of columns, places."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runbook import catalog
from runbook.discovery import use
from runbook.discovery.use import Text
from runbook.embedded import EmbeddedServer
from runbook.schema import Schema, Shape, TableName
from tests.places import scratch_database
from tests.test_discovery import schema, table
from tests.watched import POSTGRES_15, Server, of

SHOP = schema(
    table("customers", "id integer!, code text!, region integer", unique=("code",)),
    table("orders", "id integer!, buyer integer, code text, shop integer, parent integer"),
    table("shops", "shop integer!, rank integer", key="shop"),
    table('odd "name', "Id integer!, a.b integer", key="Id"),
)


def key(child: str, column: str, parent: str, referenced: str) -> Shape:
    one, other = (TableName("public", name) for name in (child, parent))
    return one, other, frozenset({(column, referenced)})


BUYER = key("orders", "buyer", "customers", "id")
CODE = key("orders", "code", "customers", "code")
SHOPS = key("orders", "shop", "shops", "shop")
SELF = key("orders", "parent", "orders", "id")
ODD = key("orders", "buyer", 'odd "name', "Id")
ODD_COLUMN = key('odd "name', "a.b", "customers", "id")


def found(body: str, within: Schema = SHOP, *, plpgsql: bool = False) -> set[Shape]:
    unread: list[str] = []
    shapes = use.shapes(within, [Text("here", body, plpgsql)], unread)
    assert unread == []
    assert set(shapes.values()) <= {("here",)}
    return set(shapes)


@pytest.mark.parametrize(
    ("body", "shapes"),
    [
        ("SELECT 1 FROM orders o JOIN customers c ON o.buyer = c.id", {BUYER}),
        ("SELECT 1 FROM orders o, customers c WHERE c.id = o.buyer AND o.id > 7", {BUYER}),
        ("SELECT 1 FROM public.orders, public.customers WHERE buyer = customers.id", {BUYER}),
        ("SELECT 1 FROM orders JOIN customers c ON public.orders.buyer = c.id", {BUYER}),
        ("SELECT 1 FROM orders o JOIN customers c ON buyer = c.id", {BUYER}),
        ("SELECT 1 FROM orders JOIN customers ON buyer = region", set()),
        ("SELECT 1 FROM orders JOIN customers c ON c.id = code", set()),  # two have it
        ("SELECT 1 FROM orders o JOIN customers c ON (o.code)::text = (c.code)::text", {CODE}),
        ('SELECT 1 FROM orders o JOIN customers c ON o.code = c.code COLLATE "C"', {CODE}),
        ("SELECT 1 FROM orders o JOIN customers c ON o.buyer OPERATOR(pg_catalog.=) c.id", {BUYER}),
        ("SELECT 1 FROM orders JOIN shops USING (shop)", {SHOPS}),
        ("SELECT 1 FROM orders o NATURAL JOIN shops", {SHOPS}),
        ("SELECT 1 FROM orders o JOIN customers c ON o.buyer = c.id JOIN shops USING (shop)",
         {BUYER, SHOPS}),
        ("SELECT 1 FROM (orders JOIN customers USING (code)) NATURAL JOIN shops", {CODE, SHOPS}),
        ("SELECT 1 FROM orders o JOIN orders p ON o.parent = p.id", {SELF}),
        ('SELECT 1 FROM orders o JOIN "odd ""name" q ON o.buyer = q."Id"', {ODD}),
        ('SELECT 1 FROM "odd ""name" AS "Q 1", customers WHERE "Q 1"."a.b" = customers.id',
         {ODD_COLUMN}),
        ("UPDATE orders o SET code = c.code FROM customers c WHERE o.buyer = c.id", {BUYER}),
        ("DELETE FROM orders USING customers c WHERE buyer = c.id", {BUYER}),
        ("MERGE INTO orders o USING customers c ON o.buyer = c.id WHEN MATCHED THEN DELETE",
         {BUYER}),
        (("INSERT INTO orders AS o (id) VALUES (1)"
         " RETURNING (SELECT c.code FROM customers c WHERE c.id = o.buyer)"), {BUYER}),
        ("INSERT INTO orders (id) SELECT o.id FROM orders o JOIN customers c ON o.buyer = c.id",
         {BUYER}),
    ],
)  # fmt: skip
def test_a_join_is_read(body: str, shapes: set[Shape]) -> None:
    assert found(body) == shapes


@pytest.mark.parametrize(
    ("body", "shapes"),
    [
        ("SELECT 1 FROM orders o WHERE EXISTS (SELECT FROM customers c WHERE c.id = o.buyer)",
         {BUYER}),
        ("SELECT 1 FROM orders WHERE EXISTS (SELECT FROM customers c WHERE c.id = buyer)", {BUYER}),
        ("SELECT 1 FROM orders o WHERE o.buyer IN (SELECT id FROM customers)", {BUYER}),
        ("SELECT 1 FROM orders o WHERE buyer = ANY (SELECT c.id FROM customers c)", {BUYER}),
        ("SELECT 1 FROM orders WHERE buyer > ANY (SELECT id FROM customers)", set()),
        ("SELECT 1 FROM orders WHERE buyer IN (SELECT id FROM customers UNION SELECT 1)", set()),
        ("SELECT 1 FROM (SELECT o.id FROM orders o JOIN customers c ON o.buyer = c.id) q", {BUYER}),
        ("SELECT 1 FROM orders o, LATERAL (SELECT FROM customers c WHERE c.id = o.buyer) q",
         {BUYER}),
        ("WITH q AS (SELECT o.id FROM orders o JOIN customers c ON o.buyer = c.id) SELECT FROM q",
         {BUYER}),
        # one name, two tables: each side of UNION, and each query, has names of its own
        (("SELECT 1 FROM orders o JOIN customers c ON o.buyer = c.id"
         " UNION SELECT 1 FROM shops o JOIN shops c ON o.shop = c.shop"), {BUYER}),
        (("SELECT 1 FROM orders o JOIN customers c ON o.buyer = c.id"
         " WHERE EXISTS (SELECT FROM shops o WHERE o.rank = 1)"), {BUYER}),
        ("SELECT 1 FROM orders o WHERE EXISTS (SELECT FROM customers o WHERE o.id = o.region)",
         {key("customers", "region", "customers", "id")}),
        # what a query is called hides the table of that name, but not from the query itself
        (("WITH customers AS (SELECT 1 AS id) SELECT 1 FROM orders o JOIN customers c"
         " ON o.buyer = c.id"), set()),
        (("WITH customers AS (SELECT c.* FROM customers c JOIN orders o ON o.buyer = c.id)"
         " SELECT 1 FROM customers"), {BUYER}),
        (("WITH RECURSIVE customers AS (SELECT 1 AS id UNION SELECT o.id FROM orders o"
         " JOIN customers c ON o.buyer = c.id) SELECT 1 FROM customers"), set()),
        (("WITH customers AS (SELECT 1 AS id) SELECT 1 FROM orders o JOIN public.customers c"
         " ON o.buyer = c.id"), {BUYER}),
        # a relation that is no known table may have the column
        ("SELECT 1 FROM orders o WHERE EXISTS (SELECT FROM elsewhere c WHERE c.id = buyer)", set()),
        (("SELECT 1 FROM customers c WHERE EXISTS"
         " (SELECT FROM generate_series(1, 3), orders WHERE c.id = buyer)"), set()),
        ("SELECT FROM orders WHERE EXISTS (SELECT FROM elsewhere, customers c WHERE c.id = buyer)",
         set()),
        ("SELECT 1 FROM orders o JOIN customers AS c (code, id) ON o.buyer = c.id", set()),
        (("SELECT 1 FROM orders o WHERE EXISTS (SELECT FROM elsewhere o, customers c"
         " WHERE o.buyer = c.id)"), set()),
    ],
)  # fmt: skip
def test_every_query_has_names_of_its_own(body: str, shapes: set[Shape]) -> None:
    assert found(body) == shapes


@pytest.mark.parametrize(
    "condition",
    ["o.buyer <> c.id", "o.buyer IS DISTINCT FROM c.id", "NULLIF(o.buyer, c.id) = 1",
     "o.buyer = c.id + 1", "o.buyer = abs(c.id)", "o.buyer IN (1, 2)", "o.nothing = c.id",
     "x.buyer = c.id", "o.* = c.*"],
)  # fmt: skip
def test_what_sets_no_two_columns_equal_is_no_join(condition: str) -> None:
    assert found(f"SELECT 1 FROM orders o, customers c WHERE {condition}") == set()


def test_a_name_of_two_schemas_is_read_only_with_its_schema() -> None:
    other = table("customers", "id integer!")
    elsewhere = TableName("sales", "customers")
    within = Schema(
        {**SHOP.tables, elsewhere: type(other)(elsewhere, "r", other.columns, other.indexes)}, ()
    )
    body = "SELECT 1 FROM orders o JOIN {} c ON o.buyer = c.id"
    assert found(body.format("customers"), within) == set()
    assert found(body.format("public.customers"), within) == {BUYER}
    assert found(body.format("sales.customers"), within) == {(BUYER[0], elsewhere, BUYER[2])}
    both = "SELECT 1 FROM public.customers, sales.customers, orders WHERE buyer = customers.id"
    assert found(both, within) == set()


JOIN = "orders o JOIN customers c ON o.buyer = c.id"


@pytest.mark.parametrize(
    "statement",
    [
        f"PERFORM 1 FROM {JOIN};",
        f"SELECT o.id INTO n FROM {JOIN};",
        f"FOR r IN SELECT o.id FROM {JOIN} LOOP NULL; END LOOP;",
        f"IF EXISTS (SELECT FROM {JOIN}) THEN NULL; END IF;",
        f"n := (SELECT count(*) FROM {JOIN});",
        f"n = (SELECT count(*) FROM {JOIN});",
        f"RETURN QUERY SELECT o.id FROM {JOIN};",
        f"WITH q AS (SELECT o.id FROM {JOIN}) UPDATE orders SET shop = 1 FROM q;",
        "DELETE FROM orders o USING customers c WHERE o.buyer = c.id;",
        f"BEGIN n := 1; EXCEPTION WHEN others THEN PERFORM 1 FROM {JOIN}; END;",
    ],
)
def test_a_plpgsql_function_is_read_statement_by_statement(statement: str) -> None:
    body = (
        "CREATE OR REPLACE FUNCTION public.f(a integer) RETURNS SETOF integer LANGUAGE plpgsql"
        f" AS $$ DECLARE n integer; r record; BEGIN {statement} END $$"
    )
    assert found(body, plpgsql=True) == {BUYER}


def test_a_text_that_speaks_of_plpgsql_is_plain_sql() -> None:
    assert found(f"SELECT ' LANGUAGE plpgsql' FROM {JOIN}") == {BUYER}


def test_what_does_not_parse_is_said_and_the_rest_is_read() -> None:
    unread: list[str] = []
    texts = [
        Text("view v", "no sql"),
        Text("view deep", f"SELECT {' || '.join('a' * 9000)} FROM {JOIN}"),
        Text("function f()", "no function", plpgsql=True),
        Text("view w", f"SELECT 1 FROM {JOIN}"),
    ]
    assert use.shapes(SHOP, texts, unread) == {BUYER: ("view w",)}
    assert unread == [
        'view v: not parsed: syntax error at or near "no"',
        "view deep: not parsed: nested too deep",
        'function f(): not parsed: syntax error at or near "no"',
    ]


def test_without_pglast_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    unread: list[str] = []
    assert use.read(None, SHOP, unread) == {}  # type: ignore[arg-type]  # nothing is asked
    assert unread == [
        "joins in views and functions: pglast is not installed: pip install 'fk-runbook[discovery]'"
    ]


OBJECTS = """
CREATE SCHEMA "re port";
CREATE TABLE customers (id integer PRIMARY KEY, code varchar(9) UNIQUE);
CREATE TABLE orders (id integer PRIMARY KEY, buyer integer, code varchar(9), shop integer);
CREATE TABLE shops (shop integer PRIMARY KEY);
CREATE TABLE "odd ""%name" ("Id" integer PRIMARY KEY, "a.b" integer);
CREATE VIEW bought AS SELECT o.id FROM orders o JOIN customers c ON o.buyer = c.id;
CREATE VIEW "re port"."by ""code" AS SELECT o.id FROM orders o JOIN customers USING (code);
CREATE MATERIALIZED VIEW sold AS SELECT o.id FROM orders o NATURAL JOIN shops;
CREATE VIEW both_ways AS SELECT o.id FROM orders o JOIN customers c ON o.buyer = c.id
  UNION SELECT o.shop FROM shops o JOIN "odd ""%name" c ON o.shop = c."Id";
CREATE FUNCTION plain() RETURNS bigint LANGUAGE sql AS
  $$ SELECT count(*) FROM orders o WHERE EXISTS (SELECT FROM customers c WHERE c.id = buyer) $$;
CREATE FUNCTION atomic() RETURNS bigint LANGUAGE sql BEGIN ATOMIC
  SELECT count(*) FROM orders o JOIN shops s ON o.shop = s.shop; END;
CREATE PROCEDURE "re port"."do %s"("a b" orders) LANGUAGE plpgsql AS $body$
  DECLARE row_ orders%ROWTYPE; BEGIN
  DELETE FROM "odd ""%name" q USING customers WHERE q."a.b" = customers.id; END $body$;
CREATE FUNCTION checked() RETURNS trigger LANGUAGE plpgsql AS $body$ BEGIN
  IF NOT EXISTS (SELECT FROM orders o JOIN shops USING (shop) WHERE o.id = NEW.id)
  THEN RAISE EXCEPTION 'none'; END IF; RETURN NEW; END $body$;
CREATE FUNCTION listed() RETURNS TABLE (id integer) LANGUAGE plpgsql AS $body$ BEGIN
  RETURN QUERY SELECT o.id FROM orders o JOIN customers c ON o.buyer = c.id; END $body$;
CREATE FUNCTION dynamic() RETURNS void LANGUAGE plpgsql AS $body$ BEGIN
  EXECUTE 'SELECT 1 FROM shops s JOIN orders o ON s.shop = o.id'; END $body$;
GRANT USAGE ON SCHEMA "re port" TO telecore_reader;
"""
ODD_BUYER = key('odd "%name', "a.b", "customers", "id")


def test_bodies_are_read_from_a_server_whatever_their_names(server: Server) -> None:
    """By a role that may read no row; and nothing of the session is changed."""
    with scratch_database(server.connect) as name:
        with server.connect(name, None) as admin:
            admin.execute(OBJECTS)
        unread: list[str] = []
        with server.connect(name, "telecore_reader") as reader:
            reader.execute('SET search_path = "re port", public')
            with reader.transaction():
                shapes = use.read(reader, catalog.read(reader), unread)
                assert reader.execute("SHOW search_path").fetchone() == ('"re port", public',)
    assert unread == []
    assert shapes == {
        BUYER: ("view both_ways", "view bought", "function listed()", "function plain()"),
        CODE: ('view "re port"."by ""code"',),
        SHOPS: ("view sold", "function atomic()", "function checked()"),
        key("shops", "shop", 'odd "%name', "Id"): ("view both_ways",),
        key('odd "%name', "Id", "shops", "shop"): ("view both_ways",),
        ODD_BUYER: ('function "re port"."do %s"(public.orders)',),
    }


def test_what_an_extension_brought_along_is_not_read(server: Server) -> None:
    """pg_stat_statements has views and functions of its own; unloaded, it says so once."""
    with scratch_database(server.connect) as name, server.connect(name, None) as admin:
        ((loaded,),) = admin.execute("SHOW shared_preload_libraries").fetchall()
        if "pg_stat_statements" in loaded:
            pytest.skip("needs a server without pg_stat_statements loaded")
        admin.execute(OBJECTS)
        with admin.transaction(force_rollback=True):
            admin.execute('CREATE EXTENSION pg_stat_statements SCHEMA "re port"')
            rows = admin.execute(use.VIEWS).fetchall()
            unread: list[str] = []
            use.read(admin, catalog.read(admin), unread)
    assert [row[0] for row in rows] == [
        'view "re port"."by ""code"', "view both_ways", "view bought", "view sold",
    ]  # fmt: skip
    said = "pg_stat_statements must be loaded via shared_preload_libraries (55000)"
    assert [text.replace('"', "") for text in unread] == [f"pg_stat_statements: {said}"]


@pytest.fixture(scope="module")
def with_statements() -> Iterator[Server]:
    if not (POSTGRES_15.parent / "lib" / "pg_stat_statements.so").is_file():
        pytest.skip("needs Debian's PostgreSQL 15")
    loaded = {"shared_preload_libraries": "pg_stat_statements"}
    with tempfile.TemporaryDirectory(prefix="fkr-use-") as folder:
        Path(folder).chmod(0o755)
        with EmbeddedServer(Path(folder) / "server", POSTGRES_15, loaded) as server:
            yield of(server)


@pytest.fixture
def ran(with_statements: Server) -> Iterator[tuple[Server, str, psycopg.Connection[Any]]]:
    """A database whose administrator has run some statements, each with its own constants."""
    connect = with_statements.connect
    with scratch_database(connect) as name, connect(name, None) as admin:
        admin.execute('CREATE SCHEMA "st at"')
        admin.execute('CREATE EXTENSION pg_stat_statements SCHEMA "st at"')
        admin.execute('GRANT USAGE ON SCHEMA "st at" TO telecore_reader')
        admin.execute("CREATE TABLE customers (id integer PRIMARY KEY, code varchar UNIQUE)")
        admin.execute("CREATE TABLE orders (id int, buyer int, code varchar, at date)")
        admin.execute("CREATE FUNCTION json_exists(integer) RETURNS integer RETURN $1")
        admin.execute('SELECT "st at".pg_stat_statements_reset()')
        for day in range(1, 4):
            admin.execute(
                "SELECT 1 FROM orders o, customers c WHERE o.buyer = c.id"
                f" AND at > date '2026-01-0{day}' - interval '{day} days'"
            )
        admin.execute("UPDATE orders o SET at = NULL FROM customers c WHERE c.code = o.code")
        yield with_statements, name, admin


def looked(connection: psycopg.Connection[Any]) -> tuple[dict[Shape, tuple[str, ...]], list[str]]:
    unread: list[str] = []
    with connection.transaction():
        return dict(use.read(connection, catalog.read(connection), unread)), unread


@pytest.mark.postgres15
def test_statements_that_ran_are_read(
    ran: tuple[Server, str, psycopg.Connection[Any]],
) -> None:
    _, _, admin = ran
    assert looked(admin) == (
        {BUYER: ("a statement that ran 3 times",), CODE: ("a statement that ran once",)},
        [],
    )


@pytest.mark.postgres15
def test_a_statement_that_pglast_does_not_parse_is_said(
    ran: tuple[Server, str, psycopg.Connection[Any]],
) -> None:
    """PostgreSQL 15 knows no json_exists of SQL/JSON, so the name was free for a function."""
    _, _, admin = ran
    admin.execute("SELECT json_exists(o.id) FROM orders o")
    shapes, unread = looked(admin)
    assert set(shapes) == {BUYER, CODE}
    assert unread == ['a statement that ran once: not parsed: syntax error at or near ")"']


@pytest.mark.postgres15
def test_statements_that_are_hidden_are_said(
    ran: tuple[Server, str, psycopg.Connection[Any]],
) -> None:
    server, name, admin = ran
    count = admin.execute(
        'SELECT count(*) FROM "st at".pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid'
        " WHERE d.datname = current_database()"
    ).fetchone()
    assert count is not None
    with server.connect(name, "telecore_reader") as reader:
        shapes, unread = looked(reader)
        assert shapes == {}
        (said,) = unread
        assert said == (
            "pg_stat_statements: statements of other roles, hidden from telecore_reader:"
            f" {count[0] + 1}; an administrator runs: GRANT pg_read_all_stats TO telecore_reader"
        )
        admin.execute("GRANT pg_read_all_stats TO telecore_reader")
        try:
            shapes, unread = looked(reader)
        finally:
            admin.execute("REVOKE pg_read_all_stats FROM telecore_reader")
    assert (set(shapes), unread) == ({BUYER, CODE}, [])


@pytest.mark.postgres15
def test_statements_that_may_not_be_asked_for_are_said(
    ran: tuple[Server, str, psycopg.Connection[Any]],
) -> None:
    _, _, admin = ran
    admin.execute("CREATE ROLE fkr_nobody")
    try:
        admin.execute("SET ROLE fkr_nobody")
        assert looked(admin) == (
            {},
            ["pg_stat_statements: permission denied for schema st at (42501)"],
        )
    finally:
        admin.execute("RESET ROLE")
        admin.execute("DROP ROLE fkr_nobody")
