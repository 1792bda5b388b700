"""Counting orphan rows agrees with PostgreSQL: with what ``ADD … FOREIGN KEY`` says of the rows."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from psycopg import errors, sql

from runbook import catalog, connection, operators
from runbook.audit import engine
from runbook.findings import Audit, AuditState
from runbook.relationships import Relationship
from tests.places import HOSTILE, OWNER, Dsn, Place

IMPOSSIBLE = "PostgreSQL could not compare the two sides: the key is impossible"


def audit(place: Place, *items: Relationship, **timeouts: str) -> tuple[Audit, ...]:
    with place.reading(**timeouts) as session:
        schema = catalog.read(session, [place.schema])
        return engine.count(session, items, schema, operators.read(session, items))


def verdict_of_postgresql(place: Place, item: Relationship, full: bool) -> str:
    """What a validated key says, rolled back: ``clean``, ``orphans`` or ``impossible``."""
    names = sql.SQL(", ")
    statement = sql.SQL(
        "ALTER TABLE {} ADD CONSTRAINT oracle FOREIGN KEY ({}) REFERENCES {} ({}) MATCH {}"
    ).format(
        sql.Identifier(item.child.schema, item.child.table),
        names.join(map(sql.Identifier, item.columns)),
        sql.Identifier(item.parent.schema, item.parent.table),
        names.join(map(sql.Identifier, item.references)),
        sql.SQL("FULL" if full else "SIMPLE"),
    )
    with place.connect(place.database, None) as admin:
        try:
            with admin.transaction(force_rollback=True):
                admin.execute(statement)
        except errors.ForeignKeyViolation:
            return "orphans"
        except (errors.DatatypeMismatch, errors.InvalidForeignKey, errors.CollationMismatch):
            return "impossible"
        return "clean"


@dataclass(frozen=True)
class Case:
    """A child ``c`` and a parent ``p``, and how many rows of the child are orphans.

    ``orphans`` None: PostgreSQL refuses the key whatever the rows are.
    """

    script: str
    orphans: int | None
    distinct: int | None = None
    columns: str = "p"
    references: str = "id"
    full: bool = False


def types(child: str, parent: str, children: str, parents: str) -> str:
    """One row in the parent and one in the child, of these types."""
    return (
        f"CREATE TABLE p (id {parent} PRIMARY KEY); CREATE TABLE c (id serial PRIMARY KEY,"
        f" p {child}); INSERT INTO p VALUES ({parents}); INSERT INTO c (p) VALUES ({children});"
    )


PAIRS = (
    "CREATE TABLE p (a int, b int, UNIQUE (a, b));"
    "CREATE TABLE c (id serial PRIMARY KEY, x int, y int);"
    "INSERT INTO p VALUES (1, 2), (3, 4), (NULL, 5);"
    "INSERT INTO c (x, y) VALUES (1, 2), (1, 4), (1, 4), (NULL, 2), (9, NULL), (NULL, NULL),"
    " (NULL, 5);"
)
FULL = "ALTER TABLE c ADD FOREIGN KEY (x, y) REFERENCES p (a, b) MATCH FULL NOT VALID;"
PARTS = """
    CREATE TABLE {0} (id int, {1}) PARTITION BY RANGE (id);
    CREATE TABLE {0}1 PARTITION OF {0} FOR VALUES FROM (0) TO (10);
    CREATE TABLE {0}2 PARTITION OF {0} DEFAULT;
"""

CASES: dict[str, Case] = {
    "clean": Case(types("int", "int", "1", "1"), 0, 0),
    "orphan": Case(types("int", "int", "2", "1"), 1, 1),
    "null": Case(types("int", "int", "NULL", "1"), 0, 0),
    "both tables are empty": Case(
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int, p int)", 0, 0
    ),
    "empty parent": Case(
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int, p int);"
        "INSERT INTO c VALUES (1, 7), (2, 7), (3, 8), (4, NULL)",
        3,
        2,
    ),
    "NULL in the parent": Case(  # NOT IN would find nothing
        "CREATE TABLE p (id int UNIQUE); CREATE TABLE c (id int, p int);"
        "INSERT INTO p VALUES (1), (NULL); INSERT INTO c VALUES (1, 1), (2, 2), (3, NULL)",
        1,
        1,
    ),
    "match simple": Case(PAIRS, 2, 1, "x y", "a b"),
    "match full": Case(PAIRS + FULL, 5, 4, "x y", "a b", full=True),
    "match full in another order": Case(PAIRS + FULL, 5, 4, "y x", "b a", full=True),
    "composite order": Case(
        "CREATE TABLE p (y int, x int, UNIQUE (x, y)); CREATE TABLE c (b int, a int);"
        "INSERT INTO p (x, y) VALUES (1, 2); INSERT INTO c (a, b) VALUES (1, 2)",
        0,
        0,
        "a b",
        "x y",
    ),
    "composite order crossed": Case(
        "CREATE TABLE p (y int, x int, UNIQUE (x, y)); CREATE TABLE c (b int, a int);"
        "INSERT INTO p (x, y) VALUES (1, 2); INSERT INTO c (a, b) VALUES (1, 2)",
        1,
        1,
        "b a",
        "x y",
    ),
    "mixed types of a composite key": Case(
        "CREATE TABLE p (a char(5), b bigint, PRIMARY KEY (a, b));"
        "CREATE TABLE c (x text, y smallint);"
        "INSERT INTO p VALUES ('ab', 1); INSERT INTO c VALUES ('ab ', 1), ('ab', 2), ('abc', 1)",
        2,
        2,
        "x y",
        "a b",
    ),
    "int to bigint": Case(types("int", "bigint", "1", "1"), 0),
    "int to bigint, orphan": Case(types("int", "bigint", "2", "1"), 1),
    "bigint to smallint": Case(types("bigint", "smallint", "70000", "1"), 1),
    "int to numeric": Case(types("int", "numeric", "1", "1.0"), 0),
    "numeric to int": Case(types("numeric", "int", "1", "1"), None),
    "numeric scale": Case(types("numeric(9,3)", "numeric(9,1)", "0.100", "0.1"), 0),
    "numeric to real": Case(types("numeric", "real", "0.1", "0.1"), 0),
    "real to double": Case(types("real", "double precision", "0.1", "0.1"), 1),
    "real to double, exact": Case(types("real", "double precision", "0.5", "0.5"), 0),
    "real to numeric": Case(types("real", "numeric", "0.5", "0.5"), None),
    "varchar to text": Case(types("varchar(9)", "text", "'a'", "'a'"), 0),
    "text to varchar": Case(types("text", "varchar(9)", "'a '", "'a'"), 1),
    "text to char(5)": Case(types("text", "char(5)", "'ab '", "'ab'"), 0),
    "text to char(5), orphan": Case(types("text", "char(5)", "'abx'", "'ab'"), 1),
    "text to char(5), same first letter": Case(types("text", "char(5)", "'abx'", "'abx'"), 0),
    "char(5) to text": Case(types("char(5)", "text", "'ab'", "'ab'"), 0),
    "char(5) to text, trailing space": Case(types("char(5)", "text", "'ab'", "'ab '"), 1),
    "char(3) to char(5)": Case(types("char(3)", "char(5)", "'ab'", "'ab'"), 0),
    "varbit to bit": Case(types("varbit", "bit(4)", "B'1010'", "B'1010'"), 0),
    "varbit to bit, orphan": Case(types("varbit", "bit(4)", "B'1011'", "B'1010'"), 1),
    "name to text": Case(types("name", "text", "'ab'", "'ab'"), 0),
    "text to name": Case(types("text", "name", "'ab'", "'ab'"), 0),
    "integer to name": Case(types("int", "name", "1", "'1'"), None),
    "quoted char": Case(types('"char"', '"char"', "'a'", "'a'"), 0),
    "date to timestamp": Case(types("date", "timestamp", "'2026-01-01'", "'2026-01-01 00:00'"), 0),
    "timestamp to date": Case(types("timestamp", "date", "'2026-01-01 01:00'", "'2026-01-01'"), 1),
    "timestamp to timestamptz": Case(
        types("timestamp", "timestamptz", "'2026-01-01'", "'2026-01-02'"), 1
    ),
    "uuid": Case(
        types("uuid", "uuid", "'00000000-0000-0000-0000-000000000001'", "gen_random_uuid()"), 1
    ),
    "text to uuid": Case(types("text", "uuid", "'x'", "gen_random_uuid()"), None),
    "enum": Case("CREATE TYPE e AS ENUM ('a', 'b');" + types("e", "e", "'b'", "'a'"), 1),
    "another enum": Case(
        "CREATE TYPE e AS ENUM ('a'); CREATE TYPE f AS ENUM ('a');" + types("e", "f", "'a'", "'a'"),
        None,
    ),
    "array": Case(types("int[]", "int[]", "'{1,NULL}'", "'{1,2}'"), 1),
    "array of another type": Case(types("int[]", "bigint[]", "'{1}'", "'{1}'"), None),
    "range": Case(types("int4range", "int4range", "'[1,3]'", "'[1,4)'"), 0),
    "bytea": Case(types("bytea", "bytea", "'\\x00'", "'\\x01'"), 1),
    "inet": Case(types("cidr", "inet", "'10.0.0.0/8'", "'10.0.0.0/8'"), 0),
    "domain in the child": Case("CREATE DOMAIN d AS int;" + types("d", "bigint", "2", "1"), 1),
    "domain in the parent": Case("CREATE DOMAIN d AS int;" + types("int", "d", "1", "1"), 0),
    "domain over a domain": Case(
        "CREATE DOMAIN d AS text; CREATE DOMAIN f AS d;" + types("f", "char(3)", "'a '", "'a'"),
        0,
    ),
    "domain over an enum": Case(
        "CREATE TYPE e AS ENUM ('a'); CREATE DOMAIN d AS e;" + types("d", "e", "'a'", "'a'"), None
    ),
    "domain over an enum on both sides": Case(
        "CREATE TYPE e AS ENUM ('a'); CREATE DOMAIN d AS e;" + types("d", "d", "'a'", "'a'"), None
    ),
    "domain over an array": Case(
        "CREATE DOMAIN d AS int[];" + types("d", "int[]", "'{2}'", "'{1}'"), 1
    ),
    "domain over a range": Case(
        "CREATE DOMAIN d AS int4range;" + types("int4range", "d", "'[1,2)'", "'[1,2)'"), 0
    ),
    "collations differ": Case(
        'CREATE TABLE p (id text COLLATE "C" PRIMARY KEY); CREATE TABLE c (p text COLLATE "POSIX");'
        "INSERT INTO p VALUES ('a'); INSERT INTO c VALUES ('a'), ('b')",
        1,
        1,
    ),
    "collation in the child alone": Case(
        'CREATE TABLE p (id text PRIMARY KEY); CREATE TABLE c (p text COLLATE "C");'
        "INSERT INTO p VALUES ('a'); INSERT INTO c VALUES ('a'), ('A')",
        1,
        1,
    ),
    "a hostile collation": Case(
        'CREATE COLLATION "my ""%s""" (LOCALE = \'C\');'
        'CREATE TABLE p (id text COLLATE "my ""%s""" PRIMARY KEY); CREATE TABLE c (p text);'
        "INSERT INTO p VALUES ('a'); INSERT INTO c VALUES ('a'), ('b')",
        1,
        1,
    ),
    "inheritance: rows of the parent's heirs are no parents": Case(
        types("int", "int", "2", "1")
        + "CREATE TABLE heir () INHERITS (p); INSERT INTO heir VALUES (2)",
        1,
        1,
    ),
    "inheritance: rows of the child's heirs are no children": Case(
        types("int", "int", "1", "1")
        + "CREATE TABLE heir () INHERITS (c); INSERT INTO heir VALUES (9, 2)",
        0,
        0,
    ),
    "partitioned child": Case(
        "CREATE TABLE p (id int PRIMARY KEY);"
        + PARTS.format("c", "p int")
        + "INSERT INTO p VALUES (1); INSERT INTO c VALUES (1, 1), (2, 2), (30, 3), (31, 3)",
        3,
        2,
    ),
    "partitioned parent": Case(
        PARTS.format("p", "PRIMARY KEY (id)") + "CREATE TABLE c (p int);"
        "INSERT INTO p VALUES (1), (30); INSERT INTO c VALUES (1), (30), (31)",
        1,
        1,
    ),
    "self reference": Case(
        "CREATE TABLE c (id int PRIMARY KEY, p int);"
        "CREATE VIEW p AS SELECT 1; DROP VIEW p;"
        "INSERT INTO c VALUES (1, 1), (2, 1), (3, NULL), (4, 5)",
        1,
        1,
    ),
    "two keys of the same parent, one by an index alone": Case(
        "CREATE TABLE p (id int PRIMARY KEY, code text); CREATE UNIQUE INDEX ON p (code);"
        "CREATE TABLE c (p varchar(3)); INSERT INTO p VALUES (1, 'a'), (2, NULL);"
        "INSERT INTO c VALUES ('a'), ('b')",
        1,
        1,
        references="code",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_counting_agrees_with_postgresql(place: Place, name: str) -> None:
    case = CASES[name]
    place.run(case.script)
    parent = "c" if name == "self reference" else "p"
    item = place.relationship("c", case.columns, parent, case.references)
    (found,) = audit(place, item)
    if case.orphans is None:
        assert verdict_of_postgresql(place, item, case.full) == "impossible"
        assert found == Audit(item, AuditState.NOT_LOOKED, reason=IMPOSSIBLE)
        return
    assert verdict_of_postgresql(place, item, case.full) == found.state.value
    assert (found.orphans, found.exact, found.strategy, found.reason) == (
        case.orphans,
        True,
        "anti-join",
        "",
    )
    assert found.distinct == (case.orphans if case.distinct is None else case.distinct)
    assert found.state is (AuditState.ORPHANS if case.orphans else AuditState.CLEAN)


def test_citext(place: Place) -> None:
    try:
        place.run("CREATE EXTENSION IF NOT EXISTS citext SCHEMA public", role=None)
    except (errors.FeatureNotSupported, errors.UndefinedFile):
        pytest.skip("this server has no citext")
    place.run(types("citext", "citext", "'AB'", "'ab'"))
    (found,) = audit(place, place.relationship("c", "p", "p", "id"))
    assert found.state is AuditState.CLEAN
    place.run("ALTER TABLE c ALTER p TYPE text")
    item = place.relationship("c", "p", "p", "id")
    (found,) = audit(place, item)
    assert verdict_of_postgresql(place, item, False) == "impossible"
    assert (found.state, found.reason) == (AuditState.NOT_LOOKED, IMPOSSIBLE)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_counted(place: Place, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    place.run(
        f'CREATE TABLE {quoted} ({quoted} text COLLATE "C" PRIMARY KEY);'
        f'CREATE TABLE child (id serial PRIMARY KEY, {quoted} text COLLATE "POSIX");'
        f"INSERT INTO {quoted} VALUES ('a'); INSERT INTO child ({quoted}) VALUES ('a'), ('b')"
    )
    item = Relationship(place.name("child"), (name,), place.name(name), (name,))
    (found,) = audit(place, item)
    assert (found.state, found.orphans, found.samples) == (AuditState.ORPHANS, 1, ("2",))


# --- valid keys are no proof --------------------------------------------------------------------


def test_orphans_behind_a_valid_key_are_reported(place: Place) -> None:
    place.run(types("int", "int", "1", "1") + "ALTER TABLE c ADD FOREIGN KEY (p) REFERENCES p")
    place.run("SET session_replication_role = replica; DELETE FROM p", role=None)
    (key,) = place.read().foreign_keys
    assert (key.validated, key.disabled_triggers) == (True, 0)
    (found,) = audit(place, place.relationship("c", "p", "p", "id"))
    assert (found.state, found.orphans) == (AuditState.ORPHANS, 1)


def test_a_key_with_period_is_not_reported_clean(place: Place) -> None:
    if place.read().server_version < 180000:
        pytest.skip("PostgreSQL 18 has it first")
    place.run(
        "CREATE TABLE p (id int4range, at daterange, PRIMARY KEY (id, at WITHOUT OVERLAPS));"
        "CREATE TABLE c (p int4range, at daterange,"
        " FOREIGN KEY (p, PERIOD at) REFERENCES p (id, PERIOD at));"
        "INSERT INTO p VALUES ('[1,2)', '[2026-01-01,2026-02-01)');"
        "INSERT INTO c VALUES ('[1,2)', '[2026-01-05,2026-01-06)')"
    )
    (found,) = audit(place, place.relationship("c", "p at", "p", "id at"))
    assert (found.state, found.reason, found.orphans) == (
        AuditState.NOT_LOOKED,
        "a key with PERIOD compares ranges, which is not counted yet",
        None,
    )


# --- samples ------------------------------------------------------------------------------------


def test_samples_are_keys_and_at_most_five(place: Place) -> None:
    place.run(
        "CREATE TABLE p (id int PRIMARY KEY);"
        "CREATE TABLE c (secret text DEFAULT 'secret', p int, b int, a text, PRIMARY KEY (a, b));"
        "INSERT INTO c (a, b, p) SELECT 'k' || n % 2, n, 100 FROM generate_series(1, 7) n"
    )
    (found,) = audit(place, place.relationship("c", "p", "p", "id"))
    assert (found.orphans, found.distinct) == (7, 1)
    assert found.samples == ("k0, 2", "k0, 4", "k0, 6", "k1, 1", "k1, 3")


def test_without_a_primary_key_there_are_no_samples(place: Place) -> None:
    place.run("CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (p int);"
              "INSERT INTO c VALUES (1)")  # fmt: skip
    (found,) = audit(place, place.relationship("c", "p", "p", "id"))
    assert (found.orphans, found.samples) == (1, ())


def test_a_clean_relationship_has_no_samples(place: Place) -> None:
    place.run(types("int", "int", "1", "1"))
    (found,) = audit(place, place.relationship("c", "p", "p", "id"))
    assert found.samples == ()


# --- what could not be looked at is never clean -------------------------------------------------

CLEAN = types("int", "int", "1", "1")


@pytest.mark.parametrize("table", ["c", "p"])
def test_row_security_is_reported_and_never_clean(place: Place, table: str) -> None:
    place.run(
        types("int", "int", "2", "1") + f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;"
        f"CREATE POLICY mine ON {table} USING (id < 0)"
    )
    (found,) = audit(place, place.relationship("c", "p", "p", "id"))
    assert (found.state, found.orphans, found.distinct) == (AuditState.COULD_NOT_LOOK, None, None)
    assert found.reason == (
        f'query would be affected by row-level security policy for table "{table}" (42501)'
    )
    assert found.exact is False


def test_forced_row_security_is_reported_to_the_owner_too(
    place: Place, dsn: Dsn, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.run(
        types("int", "int", "2", "1") + "ALTER TABLE c ENABLE ROW LEVEL SECURITY;"
        "ALTER TABLE c FORCE ROW LEVEL SECURITY"
    )
    monkeypatch.setenv(connection.OVERRIDE_READER, dsn(place.database, OWNER))
    (found,) = audit(place, place.relationship("c", "p", "p", "id"))
    assert found.state is AuditState.COULD_NOT_LOOK


def test_a_table_that_may_not_be_read_is_reported(
    place: Place, dsn: Dsn, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.run(CLEAN)
    place.run("ALTER TABLE p OWNER TO CURRENT_USER", role=None)
    monkeypatch.setenv(connection.OVERRIDE_READER, dsn(place.database, OWNER))
    (found,) = audit(place, place.relationship("c", "p", "p", "id"))
    assert (found.state, found.orphans) == (AuditState.COULD_NOT_LOOK, None)
    assert found.reason == "permission denied for table p (42501)"


@pytest.mark.parametrize(
    ("timeouts", "reason"),
    [
        (
            {"statement": "150ms"},
            "canceling statement due to statement timeout (57014)",
        ),
        (
            {"lock": "50ms"},
            "canceling statement due to lock timeout (55P03)",
        ),
    ],
)
def test_a_timeout_is_reported_and_ends_only_its_own_count(
    place: Place, timeouts: dict[str, str], reason: str
) -> None:
    place.run(CLEAN + "CREATE TABLE free (p int); INSERT INTO free VALUES (7)")
    items = (place.relationship("c", "p", "p", "id"), place.relationship("free", "p", "p", "id"))
    with place.connect(place.database, OWNER) as writer, place.reading(**timeouts) as session:
        schema = catalog.read(session, [place.schema])
        comparisons = operators.read(session, items)
        with writer.transaction():
            writer.execute(
                sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(
                    sql.Identifier(place.schema, "c")
                )
            )
            locked, free = engine.count(session, items, schema, comparisons)
    assert (locked.state, locked.reason) == (AuditState.COULD_NOT_LOOK, reason)
    assert (locked.orphans, locked.exact, locked.seconds > 0) == (None, False, True)
    assert (free.state, free.orphans) == (AuditState.ORPHANS, 1)


def test_a_lost_connection_is_reported(place: Place) -> None:
    place.run(CLEAN)
    item = place.relationship("c", "p", "p", "id")
    with place.reading() as session:
        schema = catalog.read(session, [place.schema])
        comparisons = operators.read(session, [item])
        with place.connect(place.database, None) as admin:
            admin.execute("SELECT pg_terminate_backend(%s)", (session.info.backend_pid,))
        first, second = engine.count(session, [item, item], schema, comparisons * 2)
        assert (first.state, second.state) == (AuditState.COULD_NOT_LOOK,) * 2
        for audit in (first, second):
            assert audit.reason == "terminating connection due to administrator command (57P01)"


def test_all_counts_are_of_one_snapshot(place: Place) -> None:
    place.run(CLEAN)
    item = place.relationship("c", "p", "p", "id")
    with place.reading() as session:
        schema = catalog.read(session, [place.schema])
        comparisons = operators.read(session, [item])
        place.run("DELETE FROM p")
        (found,) = engine.count(session, [item], schema, comparisons)
    assert found.state is AuditState.CLEAN
    assert audit(place, item)[0].state is AuditState.ORPHANS


def test_nothing_to_count(place: Place) -> None:
    assert audit(place) == ()
