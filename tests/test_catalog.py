"""What a real server declares, read as it is."""

from __future__ import annotations

import pytest
from psycopg import errors, sql

from runbook import catalog, connection
from runbook.schema import Action, ForeignKey, Match, TableName
from tests.conftest import Connect
from tests.places import HOSTILE, OWNER, Dsn, Place


@pytest.fixture
def since_18(place: Place) -> None:
    if place.read().server_version < 180000:
        pytest.skip("PostgreSQL 18 has it first")


# --- foreign keys -------------------------------------------------------------------------------

PAIR = "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int);"


def test_a_key_is_read_whole(place: Place) -> None:
    place.run(PAIR + "ALTER TABLE c ADD CONSTRAINT k FOREIGN KEY (p) REFERENCES p")
    assert place.key() == ForeignKey(
        name="k",
        child=place.name("c"),
        columns=("p",),
        parent=place.name("p"),
        references=("id",),
        on_delete=Action.NO_ACTION,
        on_update=Action.NO_ACTION,
        match=Match.SIMPLE,
        deferrable=False,
        validated=True,
        enforced=True,
        temporal=False,
        disabled_triggers=0,
    )


@pytest.mark.parametrize("action", Action)
def test_actions(place: Place, action: Action) -> None:
    place.run(
        PAIR + f"ALTER TABLE c ADD FOREIGN KEY (p) REFERENCES p ON DELETE {action.sql}"
        f" ON UPDATE {action.sql}"
    )
    assert (place.key().on_delete, place.key().on_update) == (action, action)


def test_composite_keys_keep_the_order_of_the_key(place: Place) -> None:
    """Neither the order of the table's columns nor that of the parent's index."""
    place.run(
        "CREATE TABLE p (c int, b int, a int, UNIQUE (a, b, c));"
        "CREATE TABLE c (z int, y int, x int,"
        " CONSTRAINT k FOREIGN KEY (x, z, y) REFERENCES p (b, a, c))"
    )
    key = place.key()
    assert (key.columns, key.references) == (("x", "z", "y"), ("b", "a", "c"))


def test_not_valid(place: Place) -> None:
    place.run(PAIR + "ALTER TABLE c ADD FOREIGN KEY (p) REFERENCES p NOT VALID")
    assert place.key().validated is False
    place.run("ALTER TABLE c VALIDATE CONSTRAINT c_p_fkey")
    assert place.key().validated is True


@pytest.mark.usefixtures("since_18")
def test_not_enforced(place: Place) -> None:
    place.run(PAIR + "ALTER TABLE c ADD FOREIGN KEY (p) REFERENCES p NOT ENFORCED")
    assert (place.key().enforced, place.key().validated) == (False, False)


@pytest.mark.usefixtures("since_18")
def test_temporal(place: Place) -> None:
    place.run(
        "CREATE TABLE p (id int4range, at daterange, PRIMARY KEY (id, at WITHOUT OVERLAPS));"
        "CREATE TABLE c (p int4range, at daterange,"
        " FOREIGN KEY (p, PERIOD at) REFERENCES p (id, PERIOD at))"
    )
    assert (place.key().temporal, place.key().columns) == (True, ("p", "at"))


def test_match_full_and_deferrable(place: Place) -> None:
    place.run(PAIR + "ALTER TABLE c ADD FOREIGN KEY (p) REFERENCES p MATCH FULL DEFERRABLE")
    assert (place.key().match, place.key().deferrable) == (Match.FULL, True)


@pytest.mark.parametrize(
    ("statement", "disabled"),
    [
        ("ALTER TABLE c DISABLE TRIGGER ALL", 2),
        ("ALTER TABLE p DISABLE TRIGGER ALL", 2),
        ("ALTER TABLE c DISABLE TRIGGER ALL; ALTER TABLE c ENABLE TRIGGER ALL", 0),
        ("ALTER TABLE c DISABLE TRIGGER USER", 0),
    ],
)
def test_disabled_triggers(place: Place, statement: str, disabled: int) -> None:
    place.run(PAIR + "ALTER TABLE c ADD FOREIGN KEY (p) REFERENCES p;")
    place.run(statement, role=None)
    assert place.key().disabled_triggers == disabled


def test_triggers_that_fire_on_replicas_alone_are_disabled(place: Place) -> None:
    place.run(PAIR + "ALTER TABLE c ADD FOREIGN KEY (p) REFERENCES p;")
    place.run(
        "DO $$ DECLARE t text; BEGIN"
        "  FOR t IN SELECT tgname FROM pg_trigger WHERE tgrelid = 'c'::regclass LOOP"
        "   EXECUTE format('ALTER TABLE c ENABLE REPLICA TRIGGER %I', t);"
        "  END LOOP; END $$",
        role=None,
    )
    assert place.key().disabled_triggers == 2


PARTITIONED = """
    CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id);
    CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
    CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20);
    CREATE TABLE c (id int, p int REFERENCES p) PARTITION BY RANGE (id);
    CREATE TABLE c1 PARTITION OF c FOR VALUES FROM (0) TO (10);
    CREATE TABLE c2 PARTITION OF c FOR VALUES FROM (10) TO (20);
"""


def test_partitions_do_not_repeat_a_key(place: Place) -> None:
    place.run(PARTITIONED)
    found = place.read()
    assert [(key.child.table, key.parent.table) for key in found.foreign_keys] == [("c", "p")]
    assert {name.table: table.kind for name, table in found.tables.items()} == {
        "p": "p", "p1": "r", "p2": "r", "c": "p", "c1": "r", "c2": "r",
    }  # fmt: skip
    assert not any(table.has_inheritance_children for table in found.tables.values())


@pytest.mark.parametrize("partition", ["c2", "p2"])
def test_disabled_triggers_of_a_partition_are_the_keys(place: Place, partition: str) -> None:
    place.run(PARTITIONED)
    assert place.key().disabled_triggers == 0
    place.run(f"ALTER TABLE {partition} DISABLE TRIGGER ALL", role=None)
    assert place.key().disabled_triggers > 0


def test_the_same_name_on_two_tables_is_two_keys(place: Place) -> None:
    place.run(
        "CREATE TABLE p (id int PRIMARY KEY);"
        "CREATE TABLE a (p int, CONSTRAINT k FOREIGN KEY (p) REFERENCES p);"
        "CREATE TABLE b (p int, CONSTRAINT k FOREIGN KEY (p) REFERENCES p)"
    )
    assert [(key.name, key.child.table) for key in place.read().foreign_keys] == [
        ("k", "a"),
        ("k", "b"),
    ]


def test_schemas_are_read_apart_or_together(place: Place) -> None:
    other = Place(place.connect, place.database)
    place.run("CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE only_here (id int)")
    other.run(
        f"CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (p int REFERENCES {place.schema}.p)"
    )
    assert set(place.read().tables) == {place.name("p"), place.name("only_here")}
    assert place.read().foreign_keys == ()
    assert other.key().parent == place.name("p")
    with place.reading() as session:
        whole = catalog.read(session)
        nothing = catalog.read(session, [])
    assert set(whole.tables) >= {place.name("p"), other.name("p"), other.name("c")}
    assert not {name.schema for name in whole.tables} & {"pg_catalog", "information_schema"}
    assert (nothing.tables, nothing.foreign_keys) == ({}, ())


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names(place: Place, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    place.run(
        f"CREATE TABLE {quoted} ({quoted} int, CONSTRAINT i PRIMARY KEY ({quoted}),"
        f" CONSTRAINT {quoted} CHECK ({quoted} > 0));"
        f"CREATE TABLE c (x int, CONSTRAINT {quoted} FOREIGN KEY (x)"
        f" REFERENCES {quoted} ({quoted}))"
    )
    key, table = place.key(), place.table(name)
    assert (key.name, key.parent, key.references) == (name, place.name(name), (name,))
    assert (table.columns[0].name, table.checks[0].name) == (name, name)
    assert table.primary_key is not None
    assert table.primary_key.columns == (name,)


def test_a_hostile_schema(connect: Connect, place: Place) -> None:
    hostile = Place(connect, place.database, f"{place.schema} \"'%s{{}}\n$$\\")
    hostile.run(PAIR + "ALTER TABLE c ADD FOREIGN KEY (p) REFERENCES p")
    assert hostile.key().child == TableName(hostile.schema, "c")


def test_a_reader_of_all_data_sees_keys_of_tables_it_has_no_grant_for(place: Place) -> None:
    """information_schema shows this role none."""
    place.run(PAIR + "ALTER TABLE c ADD FOREIGN KEY (p) REFERENCES p")
    with place.reading() as session:
        shown = session.execute(
            "SELECT count(*) FROM information_schema.referential_constraints"
            " WHERE constraint_schema = %s",
            (place.schema,),
        ).fetchone()
    assert shown == (0,)
    assert place.key().name == "c_p_fkey"


# --- tables, columns, indexes, checks -----------------------------------------------------------


def test_columns(place: Place) -> None:
    place.run(
        'CREATE TABLE t (b varchar(10) NOT NULL, a int, gone int, c text COLLATE "C",'
        " d numeric(8,2), e int GENERATED ALWAYS AS (a + 1) STORED); ALTER TABLE t DROP COLUMN gone"
    )
    found = [
        (c.name, c.type, c.not_null, c.collation, c.generated) for c in place.table("t").columns
    ]
    assert found == [
        ("b", "character varying(10)", True, None, ""),
        ("a", "integer", False, None, ""),
        ("c", "text", False, "C", ""),
        ("d", "numeric(8,2)", False, None, ""),
        ("e", "integer", False, None, "s"),
    ]


@pytest.mark.usefixtures("since_18")
def test_virtual_columns(place: Place) -> None:
    place.run("CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a + 1) VIRTUAL)")
    assert place.table("t").columns[1].generated == "v"


def test_kinds_of_tables(place: Place) -> None:
    place.run(
        "CREATE TABLE t (id int); CREATE VIEW v AS SELECT * FROM t;"
        "CREATE MATERIALIZED VIEW m AS SELECT * FROM t; CREATE SEQUENCE s; CREATE TYPE y AS (a int)"
    )
    found = place.read().tables
    assert {name.table: table.kind for name, table in found.items()} == {
        "t": "r",
        "v": "v",
        "m": "m",
    }
    assert {table.owner for table in found.values()} == {OWNER}


def test_inheritance_is_marked(place: Place) -> None:
    place.run("CREATE TABLE t (id int); CREATE TABLE u (x int) INHERITS (t)")
    found = place.read().tables
    assert found[place.name("t")].has_inheritance_children is True
    assert found[place.name("u")].has_inheritance_children is False


@pytest.mark.parametrize(
    ("ddl", "columns", "can", "traits"),
    [
        ("ALTER TABLE t ADD CONSTRAINT i PRIMARY KEY (a)", ("a",), True, "unique primary owned"),
        ("ALTER TABLE t ADD CONSTRAINT i UNIQUE (b, a)", ("b", "a"), True, "unique owned"),
        ("CREATE UNIQUE INDEX i ON t (b, a)", ("b", "a"), True, "unique"),
        ("CREATE UNIQUE INDEX i ON t (a) INCLUDE (b)", ("a",), True, "unique"),
        (
            "ALTER TABLE t ADD CONSTRAINT i UNIQUE (a) DEFERRABLE",
            ("a",),
            False,
            "unique deferred owned",
        ),
        ("CREATE UNIQUE INDEX i ON t (a) WHERE b > 0", ("a",), False, "unique partial"),
        ("CREATE UNIQUE INDEX i ON t (lower(c), a)", ("", "a"), False, "unique expressions"),
        ("CREATE INDEX i ON t (a)", ("a",), False, ""),
        ("CREATE INDEX i ON t USING hash (a)", ("a",), False, ""),
    ],
)
def test_indexes(place: Place, ddl: str, columns: tuple[str, ...], can: bool, traits: str) -> None:
    place.run(f"CREATE TABLE t (a int NOT NULL, b int, c text); {ddl}")
    (index,) = place.table("t").indexes
    assert (index.name, index.columns, index.can_be_referenced) == ("i", columns, can)
    found = {
        "unique": index.unique,
        "primary": index.primary,
        "deferred": not index.immediate,
        "partial": index.partial,
        "expressions": index.expressions,
        "owned": index.of_constraint,
    }
    assert {name for name, is_so in found.items() if is_so} == set(traits.split())
    assert index.valid
    assert f" ON {place.schema}.t USING {index.method} (" in index.definition


def test_an_invalid_index_cannot_be_referenced(place: Place) -> None:
    place.run("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (1)")
    statement = sql.SQL("CREATE UNIQUE INDEX CONCURRENTLY i ON {} (a)")
    with place.connect(place.database, OWNER) as owner, pytest.raises(errors.UniqueViolation):
        owner.execute(statement.format(sql.Identifier(place.schema, "t")))
    (index,) = place.table("t").indexes
    assert (index.valid, index.can_be_referenced) == (False, False)


def test_checks(place: Place) -> None:
    place.run(
        "CREATE TABLE t (a int CONSTRAINT b CHECK (a > 0));"
        "ALTER TABLE t ADD CONSTRAINT a CHECK (a < 9) NOT VALID"
    )
    assert [(c.name, c.definition, c.validated) for c in place.table("t").checks] == [
        ("a", "CHECK ((a < 9)) NOT VALID", False),
        ("b", "CHECK ((a > 0))", True),
    ]


def test_row_security_is_marked_for_whom_it_holds(place: Place) -> None:
    place.run(
        "CREATE TABLE t (a int); CREATE TABLE u (a int);ALTER TABLE t ENABLE ROW LEVEL SECURITY"
    )
    assert (place.table("t").row_security, place.table("u").row_security) == (True, False)


def test_an_empty_schema(place: Place) -> None:
    found = place.read()
    assert (found.tables, found.foreign_keys) == ({}, ())
    assert found.extensions == ("plpgsql",)


def test_the_fingerprint_is_the_same_for_both_roles_and_any_rows(
    place: Place, dsn: Dsn, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.run(PAIR + "ALTER TABLE c ADD FOREIGN KEY (p) REFERENCES p")
    before = place.read()
    place.run("INSERT INTO p SELECT generate_series(1, 100); ANALYZE p")
    assert place.read().tables[place.name("p")].estimated_rows == 100
    assert place.read().fingerprint == before.fingerprint
    monkeypatch.setenv(connection.OVERRIDE_READER, dsn(place.database, OWNER))
    assert place.read().fingerprint == before.fingerprint
    place.run("ALTER TABLE c DROP CONSTRAINT c_p_fkey")
    assert place.read().fingerprint != before.fingerprint
    assert place.read().structure_fingerprint == before.structure_fingerprint
