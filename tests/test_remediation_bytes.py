"""Whatever a row holds, undo brings back every byte of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from psycopg import sql

from runbook import catalog, operators, session
from runbook.connection import Purpose
from runbook.environment import Change
from runbook.relationships import Relationship
from runbook.remediation import quarantine, storage, surroundings, undo
from runbook.remediation.batches import Batches
from runbook.remediation.document import Remediation
from runbook.remediation.remedy import Remedy, Strategy
from runbook.session import Session
from tests.conftest import Connect
from tests.places import HOSTILE, Dsn, Place, opened, scratch_database
from tests.test_oracle import debian

__all__ = ["debian"]  # a fixture

EXAMPLES = int(os.environ.get("ORACLE_EXAMPLES") or 0)
CHANGE = Change(batch=3)
REASON = "a test"

TYPES = """
    CREATE TYPE mood AS ENUM ('happy', 'so so', 'it''s "odd"');
    CREATE TYPE pair AS (a int, b text);
    CREATE TYPE span AS RANGE (subtype = float8);
    CREATE DOMAIN short AS char(3) CHECK (value <> 'bad');
    CREATE DOMAIN moods AS mood[];
    CREATE TABLE customers (id int PRIMARY KEY);
    INSERT INTO customers VALUES (1), (2);
"""

# a column each: its type, and literals beside those that are drawn
COLUMNS = {
    "bytea": ("\\x", "\\x00", "\\x00ff5c27", "\\x" + "ab" * 5000),
    "float8": (
        "NaN", "Infinity", "-Infinity", "-0", "5e-324", "1.7976931348623157e308",
        "0.1", "0.30000000000000004",
    ),
    "float4": ("NaN", "-0", "1e-45", "3.4028235e38", "0.1"),
    "numeric": (
        "NaN", "Infinity", "0.00", "1.0", "1.00", "-0.000", "1e-20", "9" * 200, "0." + "1" * 300,
    ),
    "numeric(6,2)": ("NaN", "1.00", "9999.99", "-0.01"),
    "timestamptz": (
        "infinity", "-infinity", "4713-01-01 00:00+00 BC", "2026-03-29 02:30:00.000001+01",
    ),
    "date": ("infinity", "4713-01-01 BC", "5874897-12-31"),
    "interval": ("1 mon -1 day 00:00:00.000001", "-178000000 years", "24:00", "1 day"),
    "timetz": ("24:00:00+15:59", "00:00:00-15:59"),
    "int[]": ("{}", "{NULL}", "[-1:1]={1,2,3}", "{{1,2},{3,NULL}}"),
    "text[]": ("{}", '{NULL,"NULL","",",","\\"","\\\\\\\\"}'),
    "jsonb": ('{"b": 1, "a": [1.0, 1.00, null]}', '"\\\\u00e4"', "null", "1e5"),
    "json": (' {"b" :1,  "a":1, "a":2}\n', "null", "[1.0,1.00]"),
    "short": ("a", "ab ", ""),
    "moods": ("{happy}", '{"it\'s \\"odd\\"",NULL}'),
    "mood": ("happy", "it's \"odd\""),
    "pair": ("(,)", '(1,"")', '(,"a,""b)")', '("-1","\\\\\\\\")'),
    "pair[]": ("{}", '{"(1,x)",NULL}'),
    "span": ("empty", "(,)", "[NaN,NaN]", "[-0,0.1)"),
    "int4range": ("empty", "[1,3)", "(,)"),
    "nummultirange": ("{}", "{[1.0,2.00),(3,)}"),
    "char(5)": ("a", "ab  ", ""),
    '"char"': ("", "a", "\\\\377"),
    "name": ("x" * 63, ""),
    "inet": ("10.0.0.1/24", "::1"),
    "varbit": ("", "101"),
    "bit(3)": ("101", "000"),
    "uuid": ("00000000-0000-0000-0000-00000000000a",),
    "point": ("(NaN,-0)", "(1e-300,2)"),
    "polygon": ("((0,0),(1,0.1),(NaN,1))",),
    "money": ("-92233720368547758.08", "0.01"),
    "tsvector": ("'a':1A,2 'it''s':3", ""),
    "xid8": ("18446744073709551615",),
    "pg_lsn": ("FFFFFFFF/FFFFFFFF",),
    "regclass": ("pg_class", "4000000000"),
    'text COLLATE "C"': (*HOSTILE, "", "\\N", "\\\\.", "x" * 9000),
}  # fmt: skip
NAMES = ("runbook_row", "50%", 'dou"ble', "%s", "line\nbreak", "SELECT", "fk", "pk", "candidate")


def named() -> dict[str, str]:
    """A hostile name for the first columns, plain ones for the others; and their types."""
    names = [*NAMES, *(f"c{n}" for n in range(len(COLUMNS)))]
    return dict(zip(names, COLUMNS, strict=False))


def _drawn(kind: str) -> st.SearchStrategy[str | None]:
    known = st.sampled_from(COLUMNS[kind])
    more: dict[str, st.SearchStrategy[str]] = {
        "bytea": st.binary(max_size=40).map(lambda value: f"\\x{value.hex()}"),
        "float8": st.floats().map(repr),
        "float4": st.floats(width=32).map(repr),
        "numeric": st.decimals(allow_nan=False, allow_infinity=False).map(str),
        'text COLLATE "C"': st.text(
            st.characters(exclude_characters="\0", exclude_categories=["Cs"])
        ),
    }
    values = st.one_of(known, more[kind]) if kind in more else known
    return st.one_of(st.none(), values)


ROWS = st.lists(st.tuples(*(_drawn(kind) for kind in named().values())), min_size=1, max_size=8)


class Bench:
    """One table of every type in a place, and the owner's session that remedies work with."""

    def __init__(self, place: Place, version: int) -> None:
        self.place = place
        columns = sql.SQL(", ").join(
            sql.SQL("{} {}").format(
                sql.Identifier(name),
                sql.SQL(kind),
            )
            for name, kind in named().items()
        )
        virtual = ", twice_virtual int GENERATED ALWAYS AS (customer_id * 2) VIRTUAL"
        table = sql.SQL(
            "CREATE TABLE hostile (gone int, id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
            " customer_id int, {}, twice int GENERATED ALWAYS AS (customer_id * 2) STORED {});"
            "ALTER TABLE hostile DROP COLUMN gone"
        ).format(columns, sql.SQL(virtual if version >= 180000 else ""))
        place.run("DROP SCHEMA IF EXISTS runbook_quarantine CASCADE;" + TYPES)
        place.run(table.as_string(None))
        self.owner: Session = session.connect(place.environment(), Purpose.WRITE)
        self.path = sql.Identifier(place.schema)
        self.owner.execute(sql.SQL("SET search_path TO {}, public").format(self.path))
        self.item = place.relationship("hostile", "customer_id", "customers", "id")

    def remedy(self, strategy: Strategy) -> Remedy:
        item: Relationship = self.item
        with quarantine.changing(self.owner, CHANGE, CHANGE.scan):
            schema = catalog.read(self.owner, [self.place.schema])
            (comparisons,) = operators.read(self.owner, (item,))
            key = surroundings.primary_key(self.owner, item.child)
        to = ("2",) if strategy is Strategy.REASSIGN else ()
        return Remedy(item, schema, comparisons, strategy, key=key, to=to)

    def fill(self, rows: list[tuple[str | None, ...]]) -> None:
        """Each row refers to nobody, but for the first, which has its parent."""
        into = sql.SQL("INSERT INTO hostile (customer_id, {}) VALUES (%s, {})").format(
            sql.SQL(", ").join(sql.Identifier(name.replace("%", "%%")) for name in named()),
            sql.SQL(", ").join(sql.Placeholder() for _ in named()),
        )
        self.owner.execute("TRUNCATE hostile")
        for number, row in enumerate(rows):
            self.owner.execute(into, (number + 1 if number == 0 else 100 + number, *row))

    def dump(self) -> bytes:
        """The table as PostgreSQL sends its bytes."""
        with (
            self.owner.cursor() as cursor,
            cursor.copy(
                "COPY (SELECT * FROM hostile ORDER BY id) TO STDOUT (FORMAT binary)"
            ) as copy,
        ):
            return b"".join(bytes(block) for block in copy)

    def mended(self, remedy: Remedy) -> Remediation:
        with quarantine.changing(self.owner, CHANGE, CHANGE.scan):
            wanted = quarantine.next_id(self.owner, session_time(self.owner))
            document = Remediation(
                id=wanted,
                environment="scratch",
                database=self.place.database,
                relationship=remedy.relationship.id,
                strategy=remedy.strategy,
                subject=str(remedy.subject.name),
                kept_in=str(quarantine.table_for(remedy, wanted)),
                to=remedy.to,
                reason=REASON,
                role="telecore_owner",
                login="telecore_owner",
                started=session_time(self.owner),
            )
            storage.begin(self.owner, remedy, document)
        return Batches(self.owner, remedy, CHANGE, document, lambda _said: None).apply()


def session_time(owner: Session) -> Any:
    row = owner.execute("SELECT now()").fetchone()
    assert row is not None
    return row[0]


def round_trips(bench: Bench, number: int, strategies: tuple[Strategy, ...]) -> None:
    remedies = {strategy: bench.remedy(strategy) for strategy in strategies}

    @examples(
        max_examples=number,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(ROWS, st.sampled_from(strategies))
    def comes_back(rows: list[tuple[str | None, ...]], strategy: Strategy) -> None:
        round_trip(bench, rows, remedies[strategy])

    comes_back()


def round_trip(bench: Bench, rows: list[tuple[str | None, ...]], remedy: Remedy) -> None:
    bench.fill(rows)
    before = bench.dump()
    done = bench.mended(remedy)
    assert done.rows == len(rows) - 1
    assert (bench.dump() != before) == (len(rows) > 1)
    undone = undo.undo(bench.owner, remedy, CHANGE, done, REASON)
    assert undone.undone is not None
    assert bench.dump() == before


EVERY = (Strategy.QUARANTINE, Strategy.SET_NULL, Strategy.REASSIGN)


@pytest.fixture
def bench(place: Place) -> Iterator[Bench]:
    with place.connect(place.database, None) as admin:
        version = admin.info.server_version
    made = Bench(place, version)
    yield made
    made.owner.close()


@pytest.mark.parametrize("strategy", EVERY)
def test_every_literal_comes_back(bench: Bench, strategy: Strategy) -> None:
    longest = max(map(len, COLUMNS.values()))
    literals = [
        tuple(values[n] if n < len(values) else None for values in COLUMNS.values())
        for n in range(longest)
    ]
    round_trip(bench, [literals[0], *literals], bench.remedy(strategy))


def test_random_rows_come_back(bench: Bench) -> None:
    round_trips(bench, EXAMPLES or 10, EVERY)


@pytest.mark.slow
@pytest.mark.postgres15
@pytest.mark.timeout(600)
def test_random_rows_come_back_on_postgresql_15(
    debian: tuple[Connect, Callable[[str, str | None], str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, dsn = debian
    given_dsn: Dsn = dsn
    with scratch_database(connect) as name:
        bench = Bench(opened(connect, given_dsn, name, monkeypatch), 150000)
        try:
            round_trips(bench, EXAMPLES or 100, EVERY)
        finally:
            bench.owner.close()


def test_the_dump_sees_a_scale_and_a_sign(bench: Bench) -> None:
    """The comparison itself: it tells values apart that are equal to SQL."""
    row = [None] * len(COLUMNS)
    at = list(COLUMNS).index("numeric")
    dumps = []
    for value in ("1.0", "1.00"):
        bench.owner.execute("ALTER SEQUENCE hostile_id_seq RESTART")
        bench.fill([tuple(value if n == at else None for n in range(len(row)))])
        dumps.append(bench.dump())
    assert dumps[0] != dumps[1]
