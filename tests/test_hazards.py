"""Every row of table 1A of the hazards, by name: the answer is right, or says that it is none.

One test for a row, short; the modules' own tests go further. The last three need a replica.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from psycopg import errors

from runbook import catalog, census, checks, connection, operators, replica
from runbook import relationships as declared
from runbook import session as sessions
from runbook.audit import engine, lookalikes, parallel
from runbook.audit.engine import Options
from runbook.audit.lookalikes import Kind
from runbook.audit.target import Target
from runbook.audit.target import targets as read_targets
from runbook.audit.work import Limits
from runbook.checks import Context, orphan_rows, partition_keys
from runbook.connection import Purpose
from runbook.errors import FileError
from runbook.findings import Audit, AuditState, CensusRow, KeyState, Status
from runbook.relationships import Relationship, Relationships
from runbook.schema import Action
from runbook.settings import read as read_settings
from tests.conftest import ROOT
from tests.places import OWNER, READER, Place, opened, scratch_database
from tests.standby import Replication, replication, wait
from tests.test_audit import audit, types, verdict_of_postgresql
from tests.test_catalog import PARTITIONED

PAIR = (
    "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int);"
    "CREATE INDEX ON c (p); INSERT INTO p VALUES (1), (2); INSERT INTO c VALUES (1, 1), (2, 2);"
)
KEY = "ALTER TABLE c ADD CONSTRAINT k FOREIGN KEY (p) REFERENCES p ON DELETE CASCADE;"
HIDDEN = 'query would be affected by row-level security policy for table "{}" (42501)'
POSTGRES_15 = Path("/usr/lib/postgresql/15/bin")


def item(place: Place, action: Action = Action.NO_ACTION) -> Relationship:
    return place.relationship("c", "p", "p", "id", on_delete=action)


def one(place: Place, relationship: Relationship | None = None, **timeouts: str) -> Audit:
    (found,) = audit(place, relationship or item(place), **timeouts)
    return found


def key_of(place: Place, relationship: Relationship | None = None) -> CensusRow:
    relationship = relationship or item(place)
    declaration = Relationships((relationship,))
    schema = place.read()
    census.resolve(declaration, schema, "relationships.toml")
    (found,) = census.take(declaration, schema, place.compare(relationship))
    return found


def asked(place: Place, query: str, role: str | None = None) -> object:
    """What a plain query says, without any of the precautions."""
    with place.connect(place.database, role) as session:
        session.execute(f"SET search_path TO {place.schema}".encode())
        row = session.execute(query.encode()).fetchone()
    return row[0] if row else None


def since_18(place: Place) -> None:
    if place.read().server_version < 180000:
        pytest.skip("PostgreSQL 18 has it first")


def targets(place: Place, session: sessions.Session, *items: Relationship) -> tuple[Target, ...]:
    schema = catalog.read(session, [place.schema])
    return read_targets(session, items, schema, operators.read(session, items))


NAIVE = "SELECT count(*) FROM c LEFT JOIN p ON p.id = c.p WHERE p.id IS NULL"


@pytest.mark.parametrize(("table", "shown"), [("p", 2), ("c", 0)])
def test_a01_row_security_is_never_a_false_orphan_nor_a_false_clean(
    place: Place, table: str, shown: int
) -> None:
    """RLS hides parents and makes orphans, or hides children and makes a clean table."""
    place.run(
        PAIR + f"INSERT INTO c VALUES (3, 9); ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;"
        f"CREATE POLICY few ON {table} USING (id < 2)"
    )
    assert asked(place, NAIVE, READER) == shown
    found = one(place)
    assert (found.state, found.orphans) == (AuditState.COULD_NOT_LOOK, None)
    assert found.reason == HIDDEN.format(table)


def test_a02_a_validation_under_forced_row_security_proves_nothing(place: Place) -> None:
    """VALIDATE by an owner with FORCE ROW LEVEL SECURITY marks a key valid over orphan rows."""
    place.run(
        PAIR + "INSERT INTO c VALUES (3, 9); ALTER TABLE c ENABLE ROW LEVEL SECURITY;"
        "ALTER TABLE c FORCE ROW LEVEL SECURITY; CREATE POLICY few ON c USING (id < 3);"
        "ALTER TABLE c ADD CONSTRAINT k FOREIGN KEY (p) REFERENCES p NOT VALID"
    )
    environment = place.environment()
    owner = sessions.connect(environment, Purpose.WRITE)
    try:
        with (
            pytest.raises(errors.InsufficientPrivilege) as caught,
            sessions.trying(owner, environment),
        ):
            owner.execute(f"ALTER TABLE {place.schema}.c VALIDATE CONSTRAINT k".encode())
    finally:
        owner.close()
    assert sessions.reason(caught.value) == HIDDEN.format("c")
    place.run("ALTER TABLE c VALIDATE CONSTRAINT k")
    assert (key_of(place).state, one(place).reason) == (KeyState.ENFORCED, HIDDEN.format("c"))
    place.run("ALTER TABLE c DISABLE ROW LEVEL SECURITY")
    assert (key_of(place).state, one(place).orphans) == (KeyState.ENFORCED, 1)


BEHIND = {
    "replica role": "SET session_replication_role = replica; DELETE FROM p WHERE id = 2",
    "disabled triggers": "ALTER TABLE p DISABLE TRIGGER ALL; DELETE FROM p WHERE id = 2",
    "swallowed cascade": (
        "CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER stay BEFORE DELETE ON c FOR EACH ROW EXECUTE FUNCTION stay();"
        "DELETE FROM p WHERE id = 2"
    ),
}


@pytest.mark.parametrize("cause", BEHIND)
def test_a03_a_valid_key_with_orphans_is_found(place: Place, cause: str) -> None:
    """A key is valid over orphan rows; every key is audited, and its triggers are looked at."""
    place.run(PAIR + KEY)
    place.run(BEHIND[cause], role=None)
    found = one(place)
    assert (found.state, found.orphans, found.samples) == (AuditState.ORPHANS, 1, ("2",))
    row = key_of(place, item(place, Action.CASCADE))
    assert row.key is not None
    assert row.key.validated
    disabled = cause == "disabled triggers"
    assert row.state is (KeyState.NOT_ENFORCED if disabled else KeyState.ENFORCED)
    assert row.reason == ("2 of its triggers are disabled" if disabled else "")


SELF = """
    CREATE TABLE t (id int PRIMARY KEY, up int CONSTRAINT own REFERENCES t) PARTITION BY RANGE (id);
    CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10);
    CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (id);
    CREATE TABLE t21 PARTITION OF t2 FOR VALUES FROM (10) TO (20);
"""
FORGET = "DELETE FROM pg_constraint WHERE conrelid = '{}'::regclass AND confrelid = '{}'::regclass"


def context(place: Place, session: sessions.Session, *audits: Audit) -> Context:
    settings = read_settings(ROOT)
    project = settings.project.model_copy(update={"schemas": (place.schema,)})
    return Context(
        settings=settings.model_copy(update={"project": project}),
        environment=place.environment(),
        relationships=Relationships(()),
        session=session,
        schema=catalog.read(session, [place.schema]),
        comparisons=(),
        census=(),
        audits=audits,
    )


def partition_check(place: Place) -> checks.Outcome:
    with place.reading() as session:
        return partition_keys.run(context(place, session))


def test_a04_partitions_without_their_part_of_a_key_are_found(place: Place) -> None:
    """Older PostgreSQL forgot clones: at ATTACH, DETACH, and in keys of a table to itself."""
    place.run(PARTITIONED + SELF)
    found = partition_check(place)
    assert (found.status, found.message) == (
        Status.PASSED,
        "2 foreign keys of partitioned tables looked at",
    )
    place.run("ALTER TABLE c DETACH PARTITION c1")  # it keeps a key of its own, with its clones
    assert partition_check(place).message == "3 foreign keys of partitioned tables looked at"
    with place.connect(place.database, OWNER) as owner, owner.transaction():
        owner.execute(f"LOCK TABLE {place.schema}.p IN ACCESS EXCLUSIVE MODE".encode())
        with place.reading(lock="50ms") as session:
            assert partition_keys.read(session, [place.schema]) == (3, ())
    for child, parent in (("t", "t1"), ("t21", "t"), ("c1", "p2"), ("c2", "p")):
        place.run(FORGET.format(child, parent), role=None)
    found = partition_check(place)
    assert (found.status, found.failing, found.facts) == (
        Status.FAILED,
        4,
        {"keys": 3, "missing": 4},
    )
    assert found.message == (
        "4 partitions without their part of 3 foreign keys, 3 of partitioned tables looked at:"
        " drop those keys and add them anew"
    )
    assert [row[2:] for row in found.evidence[0].rows] == [
        (f"{place.schema}.c2", "child"),
        (f"{place.schema}.p2", "parent"),
        (f"{place.schema}.t21", "child"),
        (f"{place.schema}.t1", "parent"),
    ]


@pytest.mark.parametrize(("match", "orphans"), [("SIMPLE", 1), ("FULL", 3)])
def test_a05_composite_keys_treat_nulls_as_postgresql_does(
    place: Place, match: str, orphans: int
) -> None:
    """A naive join counts every NULL of a composite key."""
    place.run(
        "CREATE TABLE p (a int, b int, PRIMARY KEY (a, b)); CREATE TABLE c (x int, y int);"
        "INSERT INTO p VALUES (1, 1);"
        "INSERT INTO c VALUES (1, 1), (9, 9), (1, NULL), (NULL, 1), (NULL, NULL);"
        f"ALTER TABLE c ADD FOREIGN KEY (x, y) REFERENCES p MATCH {match} NOT VALID"
    )
    naive = "SELECT count(*) FROM c LEFT JOIN p ON (a, b) = (x, y) WHERE a IS NULL"
    assert asked(place, naive) == 4
    assert one(place, place.relationship("c", "x y", "p", "a b")).orphans == orphans


def test_a06_columns_are_paired_in_the_order_of_the_key(place: Place) -> None:
    """Published queries pair them in the order of the tables, and report a false orphan."""
    place.run(
        "CREATE TABLE p (x int, y int, PRIMARY KEY (x, y));"
        "CREATE TABLE c (b int, a int, CONSTRAINT k FOREIGN KEY (a, b) REFERENCES p (x, y));"
        "INSERT INTO p VALUES (1, 2); INSERT INTO c (a, b) VALUES (1, 2)"
    )
    unordered = asked(
        place,
        "SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute, pg_constraint"
        " WHERE attrelid = conrelid AND attnum = ANY (conkey) AND conrelid = 'c'::regclass"
        " AND contype = 'f'",
    )
    assert unordered == "b, a"
    assert (
        asked(
            place,
            f"SELECT count(*) FROM c WHERE NOT EXISTS (SELECT FROM p WHERE (x, y) = ({unordered}))",
        )
        == 1
    )
    key = place.key()
    assert (key.columns, key.references) == (("a", "b"), ("x", "y"))
    ends = (" ".join(key.columns), "p", " ".join(key.references))
    assert one(place, place.relationship("c", *ends)).state is AuditState.CLEAN


def test_a07_a_null_in_the_parent_hides_nothing(place: Place) -> None:
    """NOT IN with a NULL among the parents finds no orphan at all."""
    place.run(
        "CREATE TABLE p (id int UNIQUE); CREATE TABLE c (id int PRIMARY KEY, p int);"
        "INSERT INTO p VALUES (1), (NULL); INSERT INTO c VALUES (1, 1), (2, 9)"
    )
    assert asked(place, "SELECT count(*) FROM c WHERE p NOT IN (SELECT id FROM p)") == 0
    assert one(place).orphans == 1


def test_a08_rows_of_heirs_are_neither_parents_nor_children(place: Place) -> None:
    """A plain join reads the heirs of an inherited table, a key does not."""
    place.run(
        PAIR + "CREATE TABLE heir () INHERITS (p); INSERT INTO heir VALUES (9);"
        "CREATE TABLE child_heir () INHERITS (c); INSERT INTO child_heir VALUES (8, 77);"
        "INSERT INTO c VALUES (3, 9)"
    )
    assert asked(place, NAIVE) == 1  # of the child's heir; not the row that is an orphan
    found = one(place)
    assert (found.orphans, found.samples) == (1, ("3",))
    assert verdict_of_postgresql(place, item(place), False) == "orphans"
    assert place.table("p").has_inheritance_children


def test_a09_collations_that_differ_are_compared_as_the_key_does(place: Place) -> None:
    """A join of two collations fails, a key takes the parent's."""
    place.run(
        'CREATE TABLE p (id text COLLATE "C" PRIMARY KEY); CREATE TABLE c (p text COLLATE "POSIX");'
        "INSERT INTO p VALUES ('a'); INSERT INTO c VALUES ('a'), ('b')"
    )
    with pytest.raises(errors.IndeterminateCollation):
        asked(place, NAIVE)
    assert one(place).orphans == 1


@pytest.mark.parametrize(
    ("child", "parent", "children", "parents"),
    [("text", "char(5)", "'ab '", "'ab'"), ("numeric", "real", "0.1", "0.1")],
)
def test_a10_values_are_compared_by_the_keys_own_operator(
    place: Place, child: str, parent: str, children: str, parents: str
) -> None:
    """A plain ``=`` takes another operator than the key, and reports a false orphan."""
    place.run(types(child, parent, children, parents))
    assert asked(place, NAIVE) == 1
    assert one(place).state is AuditState.CLEAN
    place.run("ALTER TABLE c ADD FOREIGN KEY (p) REFERENCES p")


UNEQUAL = (
    ("numeric", "int"), ("oid", "int"), ("real", "int"), ("real", "numeric"), ("name", "char(5)"),
    ("e1", "e2"), ("int[]", "int"),
)  # fmt: skip


def test_a11_types_without_an_operator_for_a_key_are_impossible(place: Place) -> None:
    """A join runs on types that no key accepts."""
    place.run("CREATE TYPE e1 AS ENUM ('a'); CREATE TYPE e2 AS ENUM ('a')")
    for number, (child, parent) in enumerate(UNEQUAL):
        place.run(
            f"CREATE TABLE p{number} (id {parent} PRIMARY KEY);"
            f"CREATE TABLE c{number} (p {child}); CREATE INDEX ON c{number} (p)"
        )
        relationship = place.relationship(f"c{number}", "p", f"p{number}", "id")
        found = key_of(place, relationship)
        assert (found.state, found.reason.partition(" between ")[0]) == (
            KeyState.IMPOSSIBLE,
            "no equality operator",
        )
        assert one(place, relationship).state is AuditState.NOT_LOOKED
        with pytest.raises(errors.DatatypeMismatch):
            place.run(f"ALTER TABLE c{number} ADD FOREIGN KEY (p) REFERENCES p{number}")


PARENTS = {
    "CREATE VIEW p AS SELECT 1 AS id": "{p} is not a table that can hold or be the target of a key",
    "CREATE MATERIALIZED VIEW p AS SELECT 1 AS id": (
        "{p} is not a table that can hold or be the target of a key"
    ),
    "CREATE TABLE p (id int); CREATE UNIQUE INDEX i ON p (id) WHERE id > 0": (
        "the unique index 'i' on {p}(id) is partial"
    ),
    "CREATE TABLE p (id int); CREATE UNIQUE INDEX i ON p (abs(id))": "no unique key on {p}(id)",
    "CREATE TABLE p (id int CONSTRAINT i UNIQUE DEFERRABLE)": (
        "the unique index 'i' on {p}(id) is deferrable"
    ),
    "CREATE UNLOGGED TABLE p (id int PRIMARY KEY)": "{p} is unlogged, and {c} is not",
    "CREATE TABLE p (id int); CREATE UNIQUE INDEX i ON p (id)": "",
    "CREATE UNLOGGED TABLE p (id int PRIMARY KEY); DROP TABLE c; CREATE UNLOGGED TABLE c (p int)": (
        ""
    ),
}


@pytest.mark.parametrize("parent", PARENTS)
def test_a12_ineligible_parents_are_named_and_eligible_ones_are_not(
    place: Place, parent: str
) -> None:
    """Views, partial, expression and deferrable indexes; a plain unique index will do."""
    place.run("CREATE TABLE c (p int);" + parent)
    found = key_of(place)
    assert found.reason == (
        PARENTS[parent].format(p=place.name("p"), c=place.name("c")) or "no foreign key"
    )
    if PARENTS[parent]:
        assert found.state is KeyState.IMPOSSIBLE
        with pytest.raises(
            (
                errors.WrongObjectType,
                errors.InvalidForeignKey,
                errors.ObjectNotInPrerequisiteState,
                errors.InvalidTableDefinition,
            )
        ):
            place.run("ALTER TABLE c ADD FOREIGN KEY (p) REFERENCES p (id)")
        return
    place.run("ALTER TABLE c ADD FOREIGN KEY (p) REFERENCES p (id)")
    assert key_of(place).state is KeyState.ENFORCED


def test_a12_unique_columns_in_another_order_will_do(place: Place) -> None:
    """unique (a, b) can be referenced as (b, a)."""
    place.run("CREATE TABLE p (a int, b int, UNIQUE (a, b)); CREATE TABLE c (x int, y int)")
    assert key_of(place, place.relationship("c", "x y", "p", "b a")).state is KeyState.MISSING
    place.run("ALTER TABLE c ADD FOREIGN KEY (x, y) REFERENCES p (b, a)")


def test_a13_generated_children_are_impossible_where_they_are(place: Place) -> None:
    """Virtual columns never, stored ones not with an action that would set them."""
    parent = "CREATE TABLE p (id int PRIMARY KEY);"
    place.run(parent + "CREATE TABLE c (id int, p int GENERATED ALWAYS AS (id) STORED)")
    found = key_of(place, item(place, Action.SET_NULL))
    assert (found.state, found.reason) == (
        KeyState.IMPOSSIBLE,
        "column 'p' is generated: on delete set null cannot set it",
    )
    with pytest.raises(errors.SyntaxError):
        place.run("ALTER TABLE c ADD FOREIGN KEY (p) REFERENCES p ON DELETE SET NULL")
    assert key_of(place, item(place, Action.CASCADE)).state is KeyState.MISSING
    place.run("ALTER TABLE c ADD FOREIGN KEY (p) REFERENCES p ON DELETE CASCADE")
    since_18(place)
    place.run("DROP TABLE c; CREATE TABLE c (id int, p int GENERATED ALWAYS AS (id) VIRTUAL)")
    found = key_of(place)
    assert (found.state, found.reason) == (
        KeyState.IMPOSSIBLE,
        "column 'p' is a virtual generated column",
    )


def test_a13_more_columns_than_a_key_can_have_are_refused() -> None:
    """PostgreSQL takes 32."""
    names = [f"c{number}" for number in range(33)]
    text = f'[[relationship]]\nchild = "c"\ncolumns = {names}\nparent = "p"\nreferences = {names}\n'
    with pytest.raises(FileError) as caught:
        declared.parse(text, Path("relationships.toml"))
    assert caught.value.message.startswith("relationships.toml:3: relationship[0].columns: ")


def test_a14_partitions_neither_repeat_a_key_nor_make_it_invalid(place: Place) -> None:
    """Each clone is a constraint, and PostgreSQL 15 never marks some of them valid."""
    place.run(PARTITIONED.replace("int REFERENCES p", "int"))
    place.run("INSERT INTO p VALUES (1), (11); INSERT INTO c VALUES (1, 1), (11, 12)")
    assert one(place).orphans == 1
    place.run("DELETE FROM c WHERE p = 12; ALTER TABLE c ADD FOREIGN KEY (p) REFERENCES p")
    constraints = (
        "SELECT count(*) FROM pg_constraint WHERE contype = 'f'"
        " AND conrelid IN ('c'::regclass, 'c1'::regclass, 'c2'::regclass)"
    )
    assert asked(place, constraints) == 5
    assert (place.key().validated, one(place).state) == (True, AuditState.CLEAN)


def test_a15_a_key_that_is_not_enforced_is_no_key(place: Place) -> None:
    """NOT ENFORCED (PostgreSQL 18) looks like a key, and lets orphan rows in."""
    since_18(place)
    place.run(
        PAIR + "ALTER TABLE c ADD FOREIGN KEY (p) REFERENCES p NOT ENFORCED;"
        "INSERT INTO c VALUES (3, 9)"
    )
    assert (key_of(place).state, one(place).orphans) == (KeyState.NOT_ENFORCED, 1)


def test_a16_a_temporal_key_is_not_looked_at(place: Place) -> None:
    """PERIOD (PostgreSQL 18) compares by containment: equality would report false orphans."""
    since_18(place)
    place.run(
        "CREATE TABLE p (id int4range, at daterange, PRIMARY KEY (id, at WITHOUT OVERLAPS));"
        "CREATE TABLE c (p int4range, at daterange,"
        " FOREIGN KEY (p, PERIOD at) REFERENCES p (id, PERIOD at));"
        "INSERT INTO p VALUES ('[1,2)', '[2026-01-01,2026-02-01)');"
        "INSERT INTO c VALUES ('[1,2)', '[2026-01-05,2026-01-06)')"
    )
    found = one(place, place.relationship("c", "p at", "p", "id at"))
    assert (found.state, found.orphans, found.reason) == (
        AuditState.NOT_LOOKED,
        None,
        "a key with PERIOD compares ranges, which is not counted yet",
    )


def test_a17_a_polymorphic_pair_is_no_relationship(place: Place) -> None:
    """``owner_id`` with ``owner_type`` refers to many tables: no parent is missing a row."""
    place.run(
        "CREATE TABLE owners (id int PRIMARY KEY);"
        "CREATE TABLE notes (owner_id int, owner_type text);"
        "INSERT INTO notes VALUES (1, 'Team'), (2, 'Person')"
    )
    (pair,) = lookalikes.detect((), place.read())
    assert (pair.kind, pair.label) == (
        Kind.POLYMORPHIC,
        f"{place.schema}.notes.(owner_id, owner_type)",
    )
    relationship = place.relationship("notes", "owner_id", "owners", "id")
    (pair,) = lookalikes.detect((relationship,), place.read())
    assert (pair.kind, pair.relationship) == (Kind.POLYMORPHIC, relationship)


def test_a18_live_children_of_soft_deleted_parents_are_no_orphans(place: Place) -> None:
    """The key is satisfied, the business rule is not: counted apart, under its own name."""
    place.run(
        PAIR + KEY + "ALTER TABLE p ADD deleted_at timestamptz;"
        "UPDATE p SET deleted_at = now() WHERE id = 2"
    )
    with place.reading() as session:
        schema = catalog.read(session, [place.schema])
        comparisons = operators.read(session, [item(place)])
        (found,) = lookalikes.measure(session, [item(place)], schema, comparisons)
    assert (found.kind.value, found.rows) == ("live children of soft-deleted parents", 1)
    assert one(place).state is AuditState.CLEAN


def test_a19_a_failed_probe_is_never_clean(place: Place) -> None:
    """Timeouts and refusals are neither zero orphans nor a passed check."""
    place.run(PAIR)
    relationship = replace(item(place), group="core")
    with place.connect(place.database, OWNER) as writer, place.reading(lock="50ms") as session:
        found = context(place, session)
        comparisons = operators.read(session, [relationship])
        with writer.transaction():
            writer.execute(f"LOCK TABLE {place.schema}.c IN ACCESS EXCLUSIVE MODE".encode())
            audits = engine.count(session, [relationship], found.schema, comparisons)
        outcome = orphan_rows.run(replace(found, audits=audits))
    (locked,) = audits
    assert (locked.state, locked.orphans) == (AuditState.COULD_NOT_LOOK, None)
    assert locked.reason == "canceling statement due to lock timeout (55P03)"
    assert (outcome.status, outcome.message) == (
        Status.COULD_NOT_LOOK,
        f"0 of 1 relationships looked at, not looked at: {relationship.label}",
    )


def test_a20_all_counts_are_of_one_snapshot(place: Place) -> None:
    """A parent and its rows go between two counts: both still agree, in the same picture."""
    place.run(PAIR + "CREATE TABLE d (id int PRIMARY KEY, p int); INSERT INTO d VALUES (1, 2)")
    items = (item(place), place.relationship("d", "p", "p", "id"))
    with place.reading() as session:
        first, second = targets(place, session, *items)
        found = [engine.one(session, first, Options())]
        place.run("DELETE FROM c WHERE p = 2; DELETE FROM p WHERE id = 2")
        found.append(engine.one(session, second, Options()))
    assert [a.state for a in found] == [AuditState.CLEAN] * 2
    assert [a.orphans for a in audit(place, *items)] == [0, 1]


# --- replicas -----------------------------------------------------------------------------------

LIMIT = timedelta(seconds=30)


@pytest.fixture(
    scope="module",
    params=[
        None,
        pytest.param(
            POSTGRES_15,
            marks=[
                pytest.mark.postgres15,
                pytest.mark.skipif(not POSTGRES_15.exists(), reason="needs Debian's PostgreSQL 15"),
            ],
        ),
    ],
    ids=["embedded", "15"],
)
def servers(request: pytest.FixtureRequest) -> Iterator[Replication]:
    with replication(request.param) as pair:
        yield pair


@pytest.fixture(scope="module")
def replicated(servers: Replication) -> Iterator[str]:
    with scratch_database(servers.primary.connect) as name:
        yield name


@pytest.fixture
def far(servers: Replication, replicated: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A place that is filled on the primary and read on the replica."""
    place = opened(servers.primary.connect, servers.primary.dsn, replicated, monkeypatch)
    monkeypatch.setenv(connection.OVERRIDE_READER, servers.replica.dsn(replicated, READER))
    place.run("GRANT pg_read_all_stats TO telecore_reader", role=None)
    place.run(PAIR)
    servers.catch_up()
    yield place
    servers.join()


def state(place: Place) -> replica.Replica:
    session = sessions.connect(place.environment())
    try:
        return replica.read(session)
    finally:
        session.close()


def vacuum_away(servers: Replication, far: Place, reader: sessions.Session) -> None:
    """Remove a row of ``c`` on the primary, which ends the reader's transaction on the replica."""
    far.run("DELETE FROM c WHERE id = 2")
    far.run("VACUUM c")
    ended = f"SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = {reader.info.backend_pid}"
    wait(lambda: servers.replica.ask(ended))


@pytest.mark.slow
def test_a21_a_conflict_with_recovery_is_never_clean(servers: Replication, far: Place) -> None:
    """A replica ends the session whose rows the primary has vacuumed away."""
    with far.reading() as session:
        (target,) = targets(far, session, item(far))
        found = [engine.one(session, target, Options())]
        vacuum_away(servers, far, session)
        found += [engine.one(session, target, Options()) for _ in range(2)]
    assert [a.state for a in found] == [
        AuditState.CLEAN,
        AuditState.COULD_NOT_LOOK,
        AuditState.COULD_NOT_LOOK,
    ]
    assert [a.reason for a in found[1:]] == [
        "terminating connection due to conflict with recovery (40001)",
        "the connection is lost (connection lost)",
    ]
    assert one(far).state is AuditState.CLEAN  # a new session, and a new snapshot


def looked(place: Place, session: sessions.Session, *items: Relationship) -> Context:
    return replace(
        context(place, session),
        relationships=Relationships(items),
        comparisons=operators.read(session, items),
    )


@pytest.mark.slow
def test_a21_a_lost_snapshot_is_never_clean(servers: Replication, far: Place) -> None:
    """The session that keeps the snapshot for all workers is the one that a conflict ends."""
    far.run("CREATE TABLE d (id int PRIMARY KEY, p int)")
    servers.catch_up()
    items = (item(far), far.relationship("d", "p", "p", "id"))
    seen: list[Audit] = []

    def progress(audit: Audit) -> None:
        if not seen:
            vacuum_away(servers, far, exporter)
        seen.append(audit)

    with suppress(errors.SerializationFailure), far.reading() as exporter:
        found = parallel.in_snapshot(
            exporter, looked(far, exporter, *items), Options(), Limits(jobs=1), progress
        )
    assert [a.state for a in seen] == [AuditState.CLEAN, AuditState.COULD_NOT_LOOK]
    why = "terminating connection due to conflict with recovery (40001)"
    assert {(a.state, a.reason) for a in found} == {
        (AuditState.COULD_NOT_LOOK, f"the standby cannot be asked again: {why}")
    }


@pytest.mark.slow
def test_a21_a_conflict_is_tried_again(servers: Replication, far: Place) -> None:
    """A lock that the replica replays ends a worker: it connects anew and counts."""
    waiting = "SELECT min(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    lock = f"LOCK TABLE {far.schema}.{{}} IN ACCESS EXCLUSIVE MODE"
    with (
        far.reading() as exporter,
        servers.primary.connect(far.database) as admin,
        ThreadPoolExecutor(1) as pool,
    ):
        looked_at = looked(far, exporter, item(far))
        with admin.transaction():
            admin.execute(lock.format("p").encode())
            far.run("CREATE TABLE later ()")  # its commit takes the lock with it to the disk
            servers.catch_up()
            audits = pool.submit(parallel.in_snapshot, exporter, looked_at, Options())
            wait(lambda: servers.replica.ask(waiting))
            worker = servers.replica.ask(waiting)
            with far.connect(far.database, None) as other, other.transaction():
                other.execute(lock.format("c").encode())
            gone = f"SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = {worker}"
            wait(lambda: servers.replica.ask(gone))
        (found,) = audits.result(timeout=30)
    assert (found.state, found.reason) == (AuditState.CLEAN, "")


@pytest.mark.slow
def test_a22_a_stale_replica_is_not_trusted(servers: Replication, far: Place) -> None:
    """Cut off, it has replayed all that it received, and is clean as of then."""
    fresh = state(far)
    assert (fresh.in_recovery, fresh.streaming, fresh.reason) == (True, True, "")
    assert fresh.trustworthy(LIMIT)
    servers.cut_off()
    far.run("DELETE FROM p WHERE id = 2")
    assert one(far).state is AuditState.CLEAN
    naive = "SELECT pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()"
    assert servers.replica.ask(naive) is True
    stale = state(far)
    assert (stale.streaming, stale.trustworthy(LIMIT)) == (False, False)
    assert stale.doubt(LIMIT) == "no WAL receiver runs: the replica is cut off from its primary"
    assert stale.replay_lsn == fresh.replay_lsn
    with far.reading() as session:
        (found,) = parallel.in_snapshot(session, looked(far, session, item(far)), Options())
    assert (found.state, found.reason) == (AuditState.COULD_NOT_LOOK, stale.reason)
    servers.join()
    assert state(far).trustworthy(LIMIT)
    assert one(far).state is AuditState.ORPHANS


@pytest.mark.slow
def test_a22_a_role_that_may_not_see_the_receiver_trusts_nothing(
    servers: Replication, far: Place
) -> None:
    """pg_read_all_data alone does not show whether the replica streams."""
    far.run("REVOKE pg_read_all_stats FROM telecore_reader", role=None)
    servers.catch_up()
    assert state(far).doubt(LIMIT) == (
        "the role may not see the state of the WAL receiver, grant it pg_read_all_stats"
    )


@pytest.mark.slow
def test_a23_a_paused_replay_hangs_no_audit(servers: Replication, far: Place) -> None:
    """Paused while the primary held a lock, a replica would keep the audit waiting for ever."""
    with far.reading(lock="100ms") as session:
        schema = catalog.read(session, [far.schema])
        comparisons = operators.read(session, [item(far)])
    with servers.primary.connect(far.database) as admin, admin.transaction():
        admin.execute(f"LOCK TABLE {far.schema}.c IN ACCESS EXCLUSIVE MODE".encode())
        far.run("CREATE TABLE later ()")  # its commit takes the lock with it to the disk
        servers.catch_up()
        servers.replica.ask("SELECT pg_wal_replay_pause()")
        wait(lambda: servers.replica.ask("SELECT pg_get_wal_replay_pause_state()") == "paused")
    for limits, reason in (
        ({"lock": "100ms"}, "canceling statement due to lock timeout (55P03)"),
        ({"statement": "100ms"}, "canceling statement due to statement timeout (57014)"),
    ):
        with far.reading(**limits) as session:
            (found,) = engine.count(session, [item(far)], schema, comparisons)
        assert (found.state, found.orphans, found.reason) == (
            AuditState.COULD_NOT_LOOK,
            None,
            reason,
        )
        assert found.seconds < 5
    paused = state(far)
    assert (paused.trustworthy(LIMIT), paused.reason) == (False, "the replay of WAL is paused")


# --- what a replica's numbers mean --------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "doubt"),
    [
        ((False, False, None, False, None, "0/1"), ""),
        ((True, True, "streaming", False, 4.0, "0/1"), ""),
        ((True, True, "streaming", False, -1.0, "0/1"), ""),
        (
            (True, True, "streaming", False, 31.4, "0/1"),
            "the replica is 31 s behind, expected at most 30 s",
        ),
        ((True, True, "streaming", False, None, "0/1"), replica.CUT_OFF),
        ((True, True, "streaming", True, 1.0, "0/1"), replica.PAUSED),
        ((True, True, "waiting", False, 1.0, "0/1"),
         "the WAL receiver is waiting, expected streaming"),
        ((True, True, None, False, 1.0, "0/1"), replica.HIDDEN),
        ((True, False, None, False, 1.0, None), replica.CUT_OFF),
    ],
)  # fmt: skip
def test_a22_when_a_replica_is_trusted(row: tuple[object, ...], doubt: str) -> None:
    """Streaming, not paused, and not further behind than allowed."""
    found = replica.from_row(row)
    assert (found.doubt(LIMIT), found.trustworthy(LIMIT)) == (doubt, not doubt)
    assert found.lag_seconds is None or found.lag_seconds >= 0


def test_a22_a_primary_is_trusted(place: Place) -> None:
    """It has no receiver, and its position is its own."""
    found = state(place)
    assert (found.in_recovery, found.streaming, found.lag_seconds) == (False, False, 0.0)
    assert found.trustworthy(timedelta(0))
    assert "/" in found.replay_lsn


# --- the page -----------------------------------------------------------------------------------


def test_the_page_of_known_limits_names_every_row_and_every_test() -> None:
    page = (ROOT / "docs" / "known-limits.md").read_text(encoding="utf-8")
    tests = {name for name in globals() if re.match(r"test_a\d\d_", name)}
    assert set(re.findall(r"`(test_a\d\d_\w+)`", page)) == tests
    rows = [f"A{number}" for number in range(1, 24)]
    assert re.findall(r"^\| `(A\d+)`", page, re.MULTILINE) == rows
    assert {f"A{int(name[6:8])}" for name in tests} == set(rows)
    changes = [f"B{number}" for number in range(1, 20)]
    assert re.findall(r"^\| `(B\d+)`", page, re.MULTILINE) == changes
    assert re.findall(r"^\| `B\d+`.*\| \|$", page, re.MULTILINE) == [], "a row without a test"
    everywhere = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.glob("tests/*.py"))
    for name in re.findall(r"`(test_\w+)`", page):
        assert f"def {name}(" in everywhere, name
