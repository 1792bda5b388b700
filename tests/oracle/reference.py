"""What PostgreSQL itself says, in transactions that are rolled back; no SQL of the runbook's.

A relationship as a whole: does ``ALTER TABLE … ADD FOREIGN KEY`` succeed? Each row on its own:
does a scratch table with that key take the row's values?
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import psycopg
from psycopg.rows import TupleRow

from tests.oracle.schemas import Database, Link, Server, quoted
from tests.oracle.values import DEFINITIONS, NOT_DETERMINISTIC

ACCEPTED = "ACCEPTED"
ORPHANS = "23503"
# refused whatever the rows are
REFUSED = {
    "42804": "datatype_mismatch",
    "42830": "invalid_foreign_key",
    "42809": "wrong_object_type",
    "42P16": "invalid_table_definition",
    "42601": "syntax_error: on delete set null and a generated column",
    "42P21": "collation_mismatch",
    "0A000": "feature_not_supported",
    "55000": "object_not_in_prerequisite_state: a deferrable unique key",
    "XX000": "internal_error: since 18, columns of which one has a collation and one has none",
}
# refused too, and the census says `missing`: a partitioned table that refers to its own partition
# is in PostgreSQL's own way ("being used by active queries in this session")
DELIBERATE = {"55006": "object_in_use"}
# PostgreSQL declares and validates the key, and then refuses every row: the key's trigger compares
# a `name`, whose collation is "C", with a text of another collation, and does not say which holds
NO_ROW_WORKS = {"42P22": "indeterminate_collation"}
UNREADABLE = "UNREADABLE"
# a value of the child has no counterpart in the parent's type: how far PostgreSQL gets before it
# stops is the plan's affair
UNCOUNTABLE = {"22003": "numeric_value_out_of_range: a bigint that is no oid"}

FUNCTIONS = """
CREATE FUNCTION oracle.attempt(statement text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
EXCEPTION WHEN OTHERS THEN NULL;
END $$;

CREATE FUNCTION oracle.said(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    code text; message text;
BEGIN
    EXECUTE statement;
    RAISE EXCEPTION USING ERRCODE = 'OK000', MESSAGE = 'accepted';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
    RETURN code || ' ' || message;
END $$;

CREATE FUNCTION oracle.orphans(child text, columns text, target text, label text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    code text; message text; names text; total int; lost int[] := '{}'; kinds int; labels json;
    copying bool := false;
BEGIN
    EXECUTE 'CREATE UNLOGGED TABLE oracle.scratch AS SELECT ' || columns || ' FROM ' || child
         || ' WITH NO DATA';
    SELECT string_agg(attname, ', ' ORDER BY attnum) INTO names FROM pg_attribute
     WHERE attrelid = 'oracle.scratch'::regclass AND attnum > 0;
    EXECUTE 'ALTER TABLE oracle.scratch ADD FOREIGN KEY (' || names || ') ' || target;
    copying := true;
    EXECUTE 'CREATE UNLOGGED TABLE oracle.copied AS SELECT row_number() OVER () AS n, ' || label
         || ' AS shown, ' || columns || ' FROM ' || child;
    GET DIAGNOSTICS total = ROW_COUNT;
    copying := false;
    FOR i IN 1 .. total LOOP
        BEGIN
            EXECUTE 'INSERT INTO oracle.scratch SELECT ' || names
                 || ' FROM oracle.copied WHERE n = $1' USING i;
        EXCEPTION WHEN foreign_key_violation THEN
            lost := lost || i;
        END;
    END LOOP;
    EXECUTE 'SELECT count(*) FROM (SELECT DISTINCT ' || names
         || ' FROM oracle.copied WHERE n = ANY ($1)) d' INTO kinds USING lost;
    SELECT coalesce(json_agg(shown), '[]') INTO labels FROM oracle.copied WHERE n = ANY (lost);
    RAISE EXCEPTION USING ERRCODE = 'OK000',
        MESSAGE = json_build_object('orphans', cardinality(lost), 'distinct', kinds,
                                    'labels', labels);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
    RETURN CASE WHEN copying THEN 'UNREADABLE' ELSE code END || ' ' || message;
END $$;
"""


@dataclass(frozen=True)
class Answer:
    """A SQLSTATE and a message, of a statement that is rolled back."""

    code: str
    message: str

    @classmethod
    def of(cls, text: str) -> Answer:
        code, _, message = text.partition(" ")
        return cls(ACCEPTED if code == "OK000" else code, message)

    @property
    def refused(self) -> bool:
        return self.code in REFUSED

    @property
    def possible(self) -> bool:
        """Whether the key can be there while the tables are empty."""
        return self.code in (ACCEPTED, ORPHANS, *UNCOUNTABLE)


@dataclass(frozen=True)
class Rows:
    """The child rows that the key would refuse one by one; ``labels`` are their primary keys."""

    orphans: int
    distinct: int
    labels: frozenset[str]


@dataclass(frozen=True)
class Expected:
    """``wanted``: the key as it is wanted; ``plain``: without its action; ``rows``: one by one,
    or how the scratch table was refused."""

    wanted: Answer
    plain: Answer
    rows: Rows | Answer


class Reference:
    """The superuser's session that asks."""

    def __init__(self, session: psycopg.Connection[TupleRow]) -> None:
        self._session = session
        session.execute("SET synchronous_commit = off")
        session.execute(DEFINITIONS.encode())
        session.execute(FUNCTIONS.encode())

    def server(self) -> Server:
        self._session.execute(
            "SELECT oracle.attempt('CREATE EXTENSION citext SCHEMA public'), oracle.attempt(%s)",
            [NOT_DETERMINISTIC],
        )
        row = self._session.execute(
            "SELECT to_regtype('public.citext') IS NOT NULL,"
            " EXISTS (SELECT FROM pg_collation WHERE collname = 'loose')"
        ).fetchone()
        assert row is not None
        return Server(self._session.info.server_version, row[0], row[1])

    def make(self, database: Database) -> None:
        self._session.execute(database.script().encode())

    def drop(self, database: Database) -> None:
        with self._session.transaction():
            self._session.execute("SET LOCAL client_min_messages = warning")
            self._session.execute(
                f"DROP SCHEMA IF EXISTS {quoted(database.schema)} CASCADE".encode()
            )

    def ask(self, database: Database) -> tuple[Expected, ...]:
        links, schema = database.links, database.schema
        wanted = self._said([link.again(schema, link.on_delete) for link in links])
        # a key that could not be declared leaves no word of how it matches
        links = tuple(
            link if answer.possible else replace(link, match="simple", declared="")
            for link, answer in zip(links, wanted, strict=True)
        )
        plain = self._said([link.again(schema, "no action") for link in links])
        return tuple(
            Expected(first, second, self._rows(database, link))
            for link, first, second in zip(links, wanted, plain, strict=True)
        )

    def _said(self, statements: Sequence[str]) -> list[Answer]:
        query = "SELECT oracle.said(s) FROM unnest(%s::text[]) WITH ORDINALITY u(s, n) ORDER BY n"
        return [Answer.of(text) for (text,) in self._session.execute(query, [list(statements)])]

    def _rows(self, database: Database, link: Link) -> Rows | Answer:
        table = database.owner_of(link.child)
        alone = table.kind == "table" and (not table.by or link.child != table.name)
        only = "ONLY " if alone else ""
        child = f"{only}{quoted(database.schema)}.{quoted(link.child)}"
        columns = ", ".join(f"{quoted(name)} AS c{n}" for n, name in enumerate(link.columns))
        key = table.primary_key if link.child != table.heir else ()
        label = (
            " || ', ' || ".join(f'{quoted(name)}::text COLLATE "C"' for name in key) or "NULL::text"
        )
        row = self._session.execute(
            "SELECT oracle.orphans(%s, %s, %s, %s)",
            [child, columns, link.target(database.schema), label],
        ).fetchone()
        assert row is not None
        answer = Answer.of(row[0])
        if answer.code != ACCEPTED:
            return answer
        found = json.loads(answer.message)
        labels = frozenset(label for label in found["labels"] if label is not None)
        return Rows(found["orphans"], found["distinct"], labels)
