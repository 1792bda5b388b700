"""A copy has the keys of its source in the same state: broken ones, and those that do not fire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runbook import connection, disposable
from runbook.disposable import Copy, dump
from runbook.errors import IncompleteError
from runbook.impact import measuring
from runbook.rehearsal.kills import catalog_of
from tests import copies, migrations, watched
from tests.copies import copied
from tests.places import OWNER, READER, Place, scratch_database

pytestmark = pytest.mark.slow
server = watched.server

TABLES = """
    CREATE TABLE p (id int PRIMARY KEY);
    CREATE TABLE c (id int PRIMARY KEY, p_id int REFERENCES p);
    CREATE INDEX ON c (p_id);
    INSERT INTO p SELECT generate_series(1, 50);
    INSERT INTO c SELECT n, 1 + n % 50 FROM generate_series(10, 300) n;
"""
OFF = "ALTER TABLE c DISABLE TRIGGER ALL;"
ORPHAN = "INSERT INTO c VALUES (2, 99);"
# names with an oid in them, and what the two servers differ in, are left out
TRIGGERS = """
    SELECT k.conname::text, t.tgrelid::regclass::text, t.tgfoid::regproc::text,
           t.tgenabled::text, k.convalidated
      FROM pg_trigger t JOIN pg_constraint k ON k.oid = t.tgconstraint
     WHERE t.tgisinternal AND k.connamespace = %s::regnamespace ORDER BY 1, 2, 3, 4
"""


@pytest.fixture(scope="module")
def own(server: watched.Server) -> Iterator[str]:
    with scratch_database(server.connect) as name:
        yield name


@pytest.fixture
def source(server: watched.Server, own: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A place on each server, alone in its database."""
    monkeypatch.setenv(connection.OVERRIDE_READER, server.dsn(own, READER))
    monkeypatch.setenv(connection.OVERRIDE_OWNER, server.dsn(own, OWNER))
    place = Place(server.connect, own)
    yield place
    place.run(f"DROP SCHEMA {place.schema} CASCADE", None)


@pytest.fixture
def place(place: Place) -> Iterator[Place]:
    """One that leaves nothing for the next test's copy."""
    yield place
    place.run(f"DROP SCHEMA {place.schema} CASCADE", None)


def triggers(session: Any, place: Place) -> list[tuple[Any, ...]]:
    return list(session.execute(TRIGGERS, (place.schema,)).fetchall())


def states(copy: Copy, place: Place) -> list[list[tuple[Any, ...]]]:
    """Of the source, of the copy, and of the copy without rows."""
    with place.connect(place.database, None) as session:
        found = [triggers(session, place)]
    for name in (copy.database, copy.empty):
        with copy.administer(name) as session:
            found.append(triggers(session, place))
    return found


@pytest.mark.parametrize("sample", [None, 1000])
@pytest.mark.parametrize("rows", ["", ORPHAN])
def test_disabled_triggers_and_broken_keys_are_copied_as_they_are(
    source: Place, server: watched.Server, rows: str, sample: int | None
) -> None:
    source.run(TABLES)
    source.run(
        f"COMMENT ON CONSTRAINT c_p_id_fkey ON c IS 'kept'; {OFF} {rows}"
        "ALTER TABLE p ADD COLUMN up int; ALTER TABLE p ADD FOREIGN KEY (up) REFERENCES p",
        None,
    )
    with copied(source, server.dsn("postgres", None), sample=sample) as copy:
        original, whole, empty = states(copy, source)
        assert whole == empty == original
        assert [row[3:] for row in whole if row[1].endswith(".c")] == [("D", True)] * 2
        assert copy.read(schemas=(source.schema,)).fingerprint == source.read().fingerprint
        with copy.administer() as session:
            kept = session.execute(
                "SELECT obj_description(oid) FROM pg_constraint WHERE conname = 'c_p_id_fkey'"
            ).fetchone()
            orphans = session.execute(
                f"SELECT count(*) FROM {source.schema}.c WHERE p_id = 99"
            ).fetchone()
    assert kept == ("kept",)
    assert orphans == (1 if rows else 0,)


def test_the_default_is_a_private_server_whatever_the_source(source: Place) -> None:
    source.run(TABLES)
    source.run(OFF + ORPHAN, None)
    with disposable.copied(source.environment(), disposable.Wanted()) as copy:
        original, whole, empty = states(copy, source)
        assert whole == empty == original


def test_every_state_of_hostile_names_is_copied(place: Place, admin_dsn: str) -> None:
    place.run("""
        CREATE TABLE "P%s" ("I""d" int, PRIMARY KEY ("I""d"));
        CREATE TABLE "c'
d" (id int PRIMARY KEY, x int CONSTRAINT "k'
; %" REFERENCES "P%s" ("I""d"), y int UNIQUE DEFERRABLE);
        CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER own BEFORE INSERT ON "P%s" EXECUTE FUNCTION nothing();
        ALTER TABLE "P%s" DISABLE TRIGGER own;
    """)
    place.run(
        """
        DO $$ DECLARE t record; BEGIN
          FOR t IN SELECT tgname, row_number() OVER (ORDER BY tgfoid) n, tgrelid::regclass AS r
                     FROM pg_trigger WHERE tgisinternal AND tgrelid IN (
                       '"P%s"'::regclass, (SELECT oid FROM pg_class WHERE relname LIKE 'c''%d'))
          LOOP
            EXECUTE format('ALTER TABLE %s %s TRIGGER %I', t.r,
              (ARRAY['ENABLE ALWAYS', 'ENABLE REPLICA', 'DISABLE'])[1 + t.n % 3], t.tgname);
          END LOOP; END $$;
        SET session_replication_role = replica; INSERT INTO "c'
d" VALUES (1, 1, 1)""",
        None,
    )
    with copied(place, admin_dsn) as copy:
        original, whole, empty = states(copy, place)
    assert {row[3] for row in original} == {"A", "R", "D"}
    assert whole == empty == original


def test_keys_of_partitions_are_copied_as_they_are(place: Place, admin_dsn: str) -> None:
    place.run("""
        CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id);
        CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (100) TO (200);
        CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100);
        CREATE TABLE c (id int, p_id int REFERENCES p) PARTITION BY RANGE (id);
        CREATE TABLE c2 PARTITION OF c FOR VALUES FROM (100) TO (200);
        CREATE TABLE c1 PARTITION OF c FOR VALUES FROM (0) TO (100);
    """)
    place.run(
        "ALTER TABLE c1 DISABLE TRIGGER ALL; ALTER TABLE p2 DISABLE TRIGGER ALL;"
        "INSERT INTO c VALUES (1, 5)",
        None,
    )
    with place.connect(place.database, None) as session:
        version = session.info.server_version
    if version < 180000:
        with pytest.raises(IncompleteError) as caught, copied(place, admin_dsn):
            pass
        assert caught.value.message == (
            f"the copy cannot be made: rows break the key 'c_p_id_fkey' on {place.schema}.c, which"
            " is valid all the same, and before PostgreSQL 18 that of a partitioned table cannot"
            " be copied"
        )
        assert caught.value.hint == (
            "give a server of PostgreSQL 18 with --into, or leave --into out"
        )
        return
    with copied(place, admin_dsn) as copy:
        original, whole, empty = states(copy, place)
        assert copy.read(schemas=(place.schema,)).fingerprint == place.read().fingerprint
    assert {row[3] for row in original} == {"O", "D"}
    assert whole == empty == original


def test_what_only_a_superuser_can_copy_is_said(place: Place, dsn: Any) -> None:
    place.run(TABLES)
    place.run(OFF, None)
    with place.connect("postgres", None) as admin:
        admin.execute(f"ALTER ROLE {OWNER} CREATEDB")
        try:
            with pytest.raises(IncompleteError) as off, copied(place, dsn("postgres", OWNER)):
                pass
            place.run(ORPHAN, None)
            with pytest.raises(IncompleteError) as broken, copied(place, dsn("postgres", OWNER)):
                pass
        finally:
            admin.execute(f"ALTER ROLE {OWNER} NOCREATEDB")
    s = place.schema
    assert off.value.message == (
        "the copy cannot be made: only a superuser can change the trigger"
        f" \"RI_FKey_check_ins\" on {s}.c of 'c_p_id_fkey' on {s}.c, and it does not fire as usual"
        " in the database"
    )
    assert broken.value.message == (
        f"the copy cannot be made: rows break the key 'c_p_id_fkey' on {s}.c, which is valid all"
        " the same: only a superuser can make a copy of that"
    )
    for caught in (off, broken):
        assert caught.value.hint == ("give --into the address of a superuser, or leave --into out")


@pytest.mark.parametrize("rows", ["", ORPHAN])
def test_plan_rehearsal_and_impact_of_a_key_that_does_not_fire(
    source: Place, server: watched.Server, rows: str
) -> None:
    source.run(TABLES)
    source.run(OFF + rows, None)
    item = source.relationship("c", "p_id", "p", "id")
    plan = migrations.make_plan(source, item)
    waits = ["remediate"] if rows else []
    kinds = ["add", *waits, "validate", "drop", "prove"]
    assert [step.kind.value for step in plan.steps] == kinds
    with copied(source, server.dsn("postgres", None)) as copy:
        found = copies.rehearsed(copy, plan, kill=True)
        with copy.administer() as session:
            assert not any("not valid" in line for line in catalog_of(session))
    assert found.reasons == ()
    assert found.passed
    assert {step.outcome.value for step in found.steps} == {"done"}
    assert [item.rows for item in found.quarantined] == ([1] if rows else [])
    assert found.kills
    with copied(source, server.dsn("postgres", None)) as copy:
        request = measuring.Request("scratch", seconds=0.2)
        cost = measuring.measure(copy, (item,), request, lambda _: None)
    assert cost.quarantined == len(found.quarantined)
    assert cost.triggers[0].triggers_ms > 0  # the key that is measured fires
    assert json.loads(cost.model_dump_json())["keys"] == [f"{source.schema}.c.p_id"]


def test_rows_are_in_no_file(place: Place, admin_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place.run("CREATE TABLE t (x text); INSERT INTO t VALUES ('canary-7261')")
    kept: list[bytes] = []
    restore = dump.restore

    def looked(use: Any, path: Path, *others: Any) -> None:
        kept.append(path.read_bytes())
        assert path.parent.stat().st_mode & 0o777 == 0o700
        restore(use, path, *others)

    monkeypatch.setattr(dump, "restore", looked)
    with copied(place, admin_dsn):
        pass
    assert len(kept) == 4  # before and after the keys, of the copy and of the empty one
    assert not any(b"canary" in content for content in kept)


def test_what_would_fire_or_fail_meanwhile_does_not(place: Place, admin_dsn: str) -> None:
    place.run(TABLES)
    place.run(
        "CREATE MATERIALIZED VIEW m AS SELECT 1 / count(*) AS x FROM p;"  # fails without rows
        f"{OFF} CREATE FUNCTION never() RETURNS event_trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'never'; END $$;"
        "CREATE EVENT TRIGGER never ON ddl_command_start WHEN TAG IN ('ALTER TABLE')"
        " EXECUTE FUNCTION never(); COMMENT ON EVENT TRIGGER never IS 'kept'",
        None,
    )
    with copied(place, admin_dsn) as copy:
        original, whole, empty = states(copy, place)
        with copy.administer() as session:
            kept = session.execute(
                "SELECT obj_description(oid) FROM pg_event_trigger WHERE evtname = 'never'"
            ).fetchone()
    assert whole == empty == original
    assert kept == ("kept",)
