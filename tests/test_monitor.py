"""The monitoring in the database: it finds what the audit finds; a failure is never clean."""

from __future__ import annotations

import csv
import io
import threading
import time
from datetime import timedelta

import psycopg
import pytest
from psycopg import errors, sql

from runbook import auditing, catalog, connection, operators, watching
from runbook.audit import engine
from runbook.environment import Change
from runbook.errors import IncompleteError, UsageError
from runbook.findings import AuditState
from runbook.monitoring import installation
from runbook.monitoring.log import Standing, Status
from runbook.relationships import Alert, Relationship
from runbook.schema import Match
from runbook.settings import read as read_settings
from runbook.telecore import demo
from tests.conftest import PASSWORDS, ROOT
from tests.places import HOSTILE, OWNER, READER
from tests.watched import Server, Watched

PAIR = """
    CREATE TABLE p (id int PRIMARY KEY);
    CREATE TABLE c (id int PRIMARY KEY, p int);
    INSERT INTO p VALUES (1), (2);
    INSERT INTO c VALUES (1, 1), (2, 2), (3, NULL), (4, 7), (5, 8), (6, 8)
"""


def pair(watched: Watched, **values: object) -> Relationship:
    return watched.place.relationship("c", "p", "p", "id", **values)


def counted_by_the_engine(watched: Watched, *items: Relationship) -> dict[str, int | None]:
    with watched.place.reading() as session:
        schema = catalog.read(session, [watched.place.schema])
        comparisons = operators.read(session, items)
        found = engine.count(session, items, schema, comparisons)
    return {audit.relationship.id: audit.orphans for audit in found}


def assert_agrees(watched: Watched, *items: Relationship) -> dict[str, int | None]:
    """Install, run, and hold every number against the audit engine's."""
    watched.declare(*items)
    watched.install()
    found = {name: result.orphans for name, result in watched.audit().items()}
    assert found == counted_by_the_engine(watched, *items)
    return found


def test_a_run_is_logged_with_its_heartbeat(watched: Watched) -> None:
    watched.place.run(PAIR + "; CREATE TABLE d (id int PRIMARY KEY, p int)")
    bad = pair(watched, alert=Alert.CRITICAL)
    good = watched.place.relationship("d", "p", "p", "id", alert=Alert.WARNING)
    watched.declare(good, bad)
    watched.install()
    assert (
        watched.run("SELECT state, error FROM {m}.comprehensive_report ORDER BY place")
        == [("not looked", "no audit has run yet")] * 2
    )
    log = watched.log()
    assert [
        (r.relationship, r.state, r.orphans, r.threshold, r.over_threshold) for r in log.results
    ] == [
        (bad.id, AuditState.ORPHANS, 3, 0, True),
        (good.id, AuditState.CLEAN, 0, 10, False),
    ]
    assert log.run == 1
    assert log.last_success is not None
    assert log.last_success <= log.now
    assert not log.stale
    assert watched.run(
        "SELECT severity, state, relationships, over_threshold, orphans, run, stale"
        " FROM {m}.dashboard"
    ) == [("critical", "orphans", 1, 1, 3, 1, False), ("warning", "clean", 1, 0, 0, 1, False)]
    assert watched.run(
        "SELECT run, clean, orphans, not_looked, could_not_look FROM {m}.heartbeat"
    ) == [(1, 1, 1, 0, 0)]


def test_a_failure_takes_no_success_back_and_nothing_counted_is_none(watched: Watched) -> None:
    watched.place.run(PAIR + "; CREATE TABLE d (p jsonb)")
    impossible = watched.place.relationship("d", "p", "p", "id")
    watched.declare(impossible)
    watched.install()
    nothing = watched.log()
    assert [result.state for result in nothing.results] == [AuditState.NOT_LOOKED]
    assert (nothing.run, nothing.last_success) == (1, None)
    watched.declare(impossible, pair(watched))
    watched.upgrade()
    success = watched.log().last_success
    assert success is not None
    watched.place.run("ALTER TABLE c RENAME TO elsewhere")
    failed = watched.log()
    assert AuditState.COULD_NOT_LOOK in {result.state for result in failed.results}
    assert (failed.run, failed.last_success) == (3, success)


def test_trend_and_since_come_from_the_log(watched: Watched) -> None:
    watched.place.run(PAIR)
    watched.declare(pair(watched, alert=Alert.WARNING))
    watched.install(warning_above=3)
    trends = []
    for change in ("", "INSERT INTO c VALUES (7, 9)", "", "DELETE FROM c WHERE p IN (8, 9)"):
        watched.place.run(change or "SELECT 1")
        (result,) = watched.log().results
        trends.append((result.orphans, result.trend, result.over_threshold))
    assert trends == [
        (3, "first", False),
        (4, "rising", True),
        (4, "steady", True),
        (1, "falling", False),
    ]
    assert watched.run("SELECT min(at) FROM {m}.audit_log") == [(result.since,)]
    watched.place.run("DELETE FROM c WHERE p = 7")
    (clean,) = watched.log().results
    assert (clean.state, clean.since) == (AuditState.CLEAN, clean.at)


def test_it_agrees_on_a_composite_key_with_match_full(watched: Watched) -> None:
    watched.place.run(
        "CREATE TABLE p (a int, b int, PRIMARY KEY (a, b)); INSERT INTO p VALUES (1, 1);"
        "CREATE TABLE c (x int, y int);"
        "INSERT INTO c VALUES (1, 1), (1, NULL), (NULL, 1), (NULL, NULL), (2, 2)"
    )
    full = watched.place.relationship("c", "x y", "p", "a b", match=Match.FULL)
    assert assert_agrees(watched, full) == {full.id: 3}


def test_it_agrees_on_partitions_inheritance_and_types(watched: Watched) -> None:
    watched.place.run(
        "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id);"
        "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);"
        "INSERT INTO p VALUES (1), (2);"
        "CREATE TABLE c (id int, p bigint) PARTITION BY LIST (id);"
        "CREATE TABLE c1 PARTITION OF c FOR VALUES IN (1);"
        "CREATE TABLE c2 PARTITION OF c FOR VALUES IN (2);"
        "INSERT INTO c VALUES (1, 1), (1, 5), (2, 6), (2, 2);"
        "CREATE TABLE q (id char(4) PRIMARY KEY); INSERT INTO q VALUES ('a');"
        "CREATE TABLE e (q varchar(9)); CREATE TABLE f () INHERITS (e);"
        "INSERT INTO e VALUES ('a'), ('b'); INSERT INTO f VALUES ('z');"
    )
    one = watched.place.relationship("c", "p", "p", "id")
    other = watched.place.relationship("e", "q", "q", "id")
    found = assert_agrees(watched, one, other)
    assert found[one.id] == 2
    assert found[other.id] == 1  # what f holds is not e's


def test_it_agrees_on_hostile_names(watched: Watched) -> None:
    items = []
    for number, name in enumerate(HOSTILE):
        watched.place.run(
            sql.SQL(
                "CREATE TABLE {0} ({1} int PRIMARY KEY, {2} int);"
                " INSERT INTO {0} VALUES (1, {3}), (2, 9)"
            )
            .format(
                sql.Identifier(name),
                sql.Identifier("i" + name[:40]),
                sql.Identifier(name),
                sql.Literal(1 if number % 2 else 8),
            )
            .as_string(None)
        )
        items.append(
            Relationship(
                watched.place.name(name), (name,), watched.place.name(name), ("i" + name[:40],)
            )
        )
    found = assert_agrees(watched, *items)
    assert sorted(set(found.values()), key=str) == [1, 2]
    assert len(found) == len(HOSTILE)
    names = {row[0] for row in watched.run("SELECT label FROM {m}.comprehensive_report")}
    assert names == {item.label for item in items}


def test_a_table_that_may_not_be_read_is_could_not_look(watched: Watched) -> None:
    watched.place.run(PAIR + "; CREATE TABLE d (id int PRIMARY KEY, p int)")
    bad, good = pair(watched), watched.place.relationship("d", "p", "p", "id")
    watched.declare(bad, good)
    watched.install()
    watched.place.run("ALTER TABLE c OWNER TO postgres", role=None)
    try:
        log = watched.log()
    finally:
        watched.place.run("ALTER TABLE c OWNER TO telecore_owner", role=None)
    found = {r.relationship: (r.state, r.orphans, r.error) for r in log.results}
    assert found == {
        bad.id: (AuditState.COULD_NOT_LOOK, None, "permission denied for table c (42501)"),
        good.id: (AuditState.CLEAN, 0, None),
    }
    assert log.last_success is None
    assert log.finished_at is not None


def test_rows_that_a_policy_hides_are_could_not_look(watched: Watched) -> None:
    watched.place.run(
        PAIR + "; ALTER TABLE c ENABLE ROW LEVEL SECURITY; ALTER TABLE c FORCE ROW LEVEL SECURITY;"
        " CREATE POLICY x ON c USING (p = 1)"
    )
    item = pair(watched)
    watched.declare(item)
    watched.install()
    result = watched.audit()[item.id]
    assert (result.state, result.error) == (
        AuditState.COULD_NOT_LOOK,
        'query would be affected by row-level security policy for table "c" (42501)',
    )


def test_a_dropped_table_and_a_lock_are_could_not_look_and_the_rest_is_counted(
    watched: Watched,
) -> None:
    watched.place.run(
        PAIR + "; CREATE TABLE d (id int, p int); CREATE TABLE e (id int, p int);"
        " INSERT INTO e VALUES (1, 9)"
    )
    items = [watched.place.relationship(name, "p", "p", "id") for name in "cde"]
    watched.declare(*items)
    watched.install(lock_limit=timedelta(milliseconds=50))
    watched.place.run("DROP TABLE d")
    with watched.place.connect(watched.place.database, OWNER) as holder, holder.transaction():
        holder.execute(sql.SQL("LOCK TABLE {}.c").format(sql.Identifier(watched.place.schema)))
        found = watched.audit()
    locked, dropped, fine = (found[item.id] for item in items)
    assert locked.error == "canceling statement due to lock timeout (55P03)"
    assert locked.seconds is not None
    assert locked.seconds < 1.5, "the function's own 2 s, and not the limit of the settings"
    assert dropped.error == f'relation "{watched.place.schema}.d" does not exist (42P01)'
    assert (fine.state, fine.orphans) == (AuditState.ORPHANS, 1)


def test_a_relationship_has_its_own_time_limit(watched: Watched) -> None:
    watched.place.run(
        PAIR
        + "; CREATE TABLE big (p int); INSERT INTO big SELECT 1 FROM generate_series(1, 200000)"
    )
    slow, fast = watched.place.relationship("big", "p", "p", "id"), pair(watched)
    watched.declare(slow, fast)
    watched.install(relationship_limit=timedelta(milliseconds=5))
    found = watched.audit()
    assert (found[slow.id].state, found[slow.id].error) == (
        AuditState.COULD_NOT_LOOK,
        "the time limit of a relationship is over (RB001)",
    )
    assert found[fast.id].orphans == 3
    watched.upgrade(relationship_limit=timedelta(minutes=1))
    assert watched.audit()[slow.id].orphans == 0


def test_after_a_cancelled_count_no_other_is_begun(watched: Watched) -> None:
    watched.place.run(PAIR + "; CREATE TABLE b (p int)")
    slow, later = watched.place.relationship("b", "p", "p", "id"), pair(watched)
    watched.declare(slow, later)
    watched.install(lock_limit=timedelta(minutes=1))
    with (
        watched.place.connect(watched.place.database, OWNER) as session,
        watched.place.connect(watched.place.database, OWNER) as holder,
        holder.transaction(),
    ):
        holder.execute(sql.SQL("LOCK TABLE {}.b").format(sql.Identifier(watched.place.schema)))
        session.execute("SET statement_timeout = '2s'")
        session.execute(
            sql.SQL("SELECT * FROM {}.run_data_integrity_audit()").format(
                sql.Identifier(watched.schema)
            )
        )
    assert watched.run("SELECT relationship, state, error FROM {m}.audit_log ORDER BY at") == [
        (slow.id, "could not look", "canceling statement due to statement timeout (57014)"),
        (later.id, "could not look", "not begun: an earlier count was cancelled (57014)"),
    ]


def test_what_cannot_be_compared_is_not_looked(watched: Watched) -> None:
    watched.place.run(PAIR + "; CREATE TABLE d (p jsonb)")
    impossible, fine = watched.place.relationship("d", "p", "p", "id"), pair(watched)
    watched.declare(impossible, fine)
    watched.install()
    log = watched.log()
    found = {r.relationship: (r.state, r.error) for r in log.results}
    assert found[impossible.id] == (
        AuditState.NOT_LOOKED,
        "PostgreSQL could not compare the two sides: the key is impossible",
    )
    assert log.last_success is not None


def test_a_second_call_says_already_running(watched: Watched) -> None:
    watched.place.run(PAIR)
    watched.declare(pair(watched))
    watched.install()
    call = sql.SQL("SELECT * FROM {}.run_data_integrity_audit()").format(
        sql.Identifier(watched.schema)
    )
    with watched.place.connect(watched.place.database, OWNER) as first, first.transaction():
        assert first.execute(call).fetchone() == ("done", 1, 0, 1, 0, 0)
        with watched.place.connect(watched.place.database, OWNER) as second:
            row = second.execute(call).fetchone()
            assert row == ("already running", None, None, None, None, None)
        with pytest.raises(IncompleteError) as caught:
            watched.log()
        assert caught.value.message == f"schema {watched.schema!r}: an audit is running already"
        with pytest.raises(IncompleteError) as caught:
            watched.upgrade()
        assert caught.value.message == (
            f"schema {watched.schema!r}: an audit or another installation is going on"
        )
    assert watched.run("SELECT count(*) FROM {m}.audit_log") == [(1,)]


def test_a_killed_session_logs_nothing_and_the_next_call_runs(watched: Watched) -> None:
    watched.place.run(PAIR)
    watched.declare(pair(watched))
    watched.install(lock_limit=timedelta(minutes=1))
    call = sql.SQL("SELECT * FROM {}.run_data_integrity_audit()").format(
        sql.Identifier(watched.schema)
    )
    ended: list[Exception] = []

    def audit() -> None:
        try:
            own.execute(call)
        except psycopg.Error as error:
            ended.append(error)

    own = watched.place.connect(watched.place.database, OWNER)
    with watched.place.connect(watched.place.database, OWNER) as holder, holder.transaction():
        holder.execute(sql.SQL("LOCK TABLE {}.c").format(sql.Identifier(watched.place.schema)))
        thread = threading.Thread(target=audit)
        thread.start()
        waits = f"SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = {own.info.backend_pid}"
        end = time.monotonic() + 30
        while watched.run(waits) != [(1,)]:
            assert time.monotonic() < end, "the audit waits for no lock"
            time.sleep(0.02)
        watched.run(f"SELECT pg_terminate_backend({own.info.backend_pid})", role=None)
        thread.join()
    assert [type(error) for error in ended] == [errors.AdminShutdown]
    assert watched.run("SELECT count(*) FROM {m}.audit_log") == [(0,)]
    assert watched.run("SELECT count(*) FROM {m}.heartbeat") == [(0,)]
    assert watched.log().run == 1


def test_locks_end_with_each_count_and_settings_with_the_call(watched: Watched) -> None:
    watched.place.run(PAIR)
    watched.declare(pair(watched))
    watched.install()
    with watched.place.connect(watched.place.database, OWNER) as session, session.transaction():
        before = session.execute("SHOW lock_timeout").fetchone()
        session.execute(
            sql.SQL("SELECT * FROM {}.run_data_integrity_audit()").format(
                sql.Identifier(watched.schema)
            )
        )
        held = session.execute(
            "SELECT relation::regclass::text FROM pg_locks l JOIN pg_class c ON c.oid = l.relation"
            " WHERE l.pid = pg_backend_pid() AND c.relnamespace = %s::regnamespace",
            [watched.place.schema],
        ).fetchall()
        assert held == []
        assert session.execute("SHOW lock_timeout").fetchone() == before


def test_old_results_are_forgotten(watched: Watched) -> None:
    watched.place.run(PAIR)
    watched.declare(pair(watched))
    watched.install(retention=timedelta(days=30))
    watched.log()
    watched.run("UPDATE {m}.audit_log SET at = at - interval '31 days'")
    watched.log()
    assert watched.run("SELECT run FROM {m}.audit_log") == [(2,)]


@pytest.mark.parametrize(
    ("state", "orphans", "error"),
    [("clean", None, None), ("clean", 1, None), ("could not look", 0, "x"), ("orphans", 0, None),
     ("could not look", None, ""), ("could not look", None, None), ("unheard of", 0, None)],
)  # fmt: skip
def test_the_log_takes_no_result_that_contradicts_itself(
    watched: Watched, state: str, orphans: int | None, error: str | None
) -> None:
    watched.place.run(PAIR)
    watched.declare(pair(watched))
    watched.install()
    insert = sql.SQL(
        "INSERT INTO {}.audit_log VALUES (1, 'r', 'below', NULL, %s, %s, %s, 0, now())"
    ).format(sql.Identifier(watched.schema))
    with (
        watched.place.connect(watched.place.database, OWNER) as session,
        pytest.raises(errors.CheckViolation),
    ):
        session.execute(insert, (state, orphans, error))


# --- installation -------------------------------------------------------------------------------


def rows_of_the_catalog(watched: Watched) -> list[tuple[object, ...]]:
    """The version of every row that describes the schema: any DDL would make a new one."""
    return watched.run(
        "SELECT 'c', oid::text, xmin::text FROM pg_class WHERE relnamespace = {m_}::regnamespace"
        " UNION ALL SELECT 'p', oid::text, xmin::text FROM pg_proc WHERE pronamespace ="
        " {m_}::regnamespace UNION ALL SELECT 'n', oid::text, xmin::text FROM pg_namespace"
        " WHERE oid = {m_}::regnamespace ORDER BY 1, 2".replace("{m_}", f"'{watched.schema}'")
    )


def test_a_second_upgrade_changes_nothing(watched: Watched) -> None:
    watched.place.run(PAIR)
    item = pair(watched)
    watched.declare(item)
    assert watched.install(readers=(READER,)).steps
    watched.log()
    before = rows_of_the_catalog(watched)
    again = watched.upgrade()
    assert again.steps == ()
    assert rows_of_the_catalog(watched) == before
    watched.place.run("CREATE TABLE d (p int)")
    watched.declare(item, watched.place.relationship("d", "p", "p", "id"))
    changed = watched.upgrade(critical_above=2)
    assert changed.steps
    assert [step.what for step in changed.steps if step.ddl] == []
    assert rows_of_the_catalog(watched) == before
    assert watched.upgrade().steps == ()
    assert watched.run("SELECT run FROM {m}.audit_log") == [(1,)]
    assert len(watched.audit()) == 2


def test_an_upgrade_mends_what_was_changed_by_hand(watched: Watched) -> None:
    watched.place.run(PAIR)
    watched.declare(pair(watched))
    watched.install(readers=(READER,))
    watched.run(
        "CREATE OR REPLACE FUNCTION {m}.out_of_time() RETURNS boolean LANGUAGE sql"
        " AS 'SELECT false'"
    )
    watched.run("DROP VIEW {m}.dashboard")
    status = watching.look(watched.settings, watched.environment, watched.schema)
    assert (status.standing, status.reasons) == (
        Standing.OUTDATED,
        (
            "the function out_of_time is not this version's",
            "the view comprehensive_report is not this version's",
            "the view dashboard is not this version's",
        ),
    )
    mended = watched.upgrade()
    assert {step.what for step in mended.steps} >= {
        "make the function out_of_time",
        "make the view dashboard",
        f"let {READER} read dashboard",
    }
    assert watched.upgrade().steps == ()
    status = watching.look(watched.settings, watched.environment, watched.schema)
    assert status.standing is Standing.UP_TO_DATE


def test_nobody_else_may_use_it_but_the_reader(watched: Watched) -> None:
    watched.place.run(
        PAIR + "; ALTER DEFAULT PRIVILEGES FOR ROLE telecore_owner GRANT ALL ON TABLES TO PUBLIC;"
        "ALTER DEFAULT PRIVILEGES FOR ROLE telecore_owner GRANT ALL ON TABLES TO pg_monitor",
        role=None,
    )
    watched.declare(pair(watched))
    try:
        done = watched.install(readers=("pg_read_all_stats",))
    finally:
        watched.place.run(
            "ALTER DEFAULT PRIVILEGES FOR ROLE telecore_owner REVOKE ALL ON TABLES FROM PUBLIC;"
            "ALTER DEFAULT PRIVILEGES FOR ROLE telecore_owner REVOKE ALL ON TABLES FROM pg_monitor",
            role=None,
        )
    assert done.strays == ("pg_monitor",)
    granted = watched.run(
        "SELECT DISTINCT coalesce(r.rolname, 'PUBLIC'), g.privilege_type FROM ("
        " SELECT relacl AS acl, relowner AS owner FROM pg_class"
        " WHERE relnamespace = 'X'::regnamespace"
        " UNION ALL SELECT coalesce(proacl, acldefault('f', proowner)), proowner FROM pg_proc"
        " WHERE pronamespace = 'X'::regnamespace"
        " UNION ALL SELECT nspacl, nspowner FROM pg_namespace WHERE oid = 'X'::regnamespace) o,"
        " aclexplode(o.acl) g LEFT JOIN pg_roles r ON r.oid = g.grantee"
        " WHERE g.grantee <> o.owner ORDER BY 1, 2".replace("X", watched.schema)
    )
    assert granted == [("pg_read_all_stats", "SELECT"), ("pg_read_all_stats", "USAGE")]


def test_the_functions_are_closed(watched: Watched) -> None:
    watched.place.run(PAIR)
    watched.declare(pair(watched))
    watched.install()
    assert watched.run(
        "SELECT proname, prosecdef, proconfig FROM pg_proc"
        f" WHERE pronamespace = '{watched.schema}'::regnamespace ORDER BY proname"
    ) == [
        ("out_of_time", False, ["search_path=pg_catalog, pg_temp"]),
        (
            "run_data_integrity_audit",
            False,
            [
                f"search_path=pg_catalog, {watched.schema}, pg_temp",
                "row_security=off",
                "lock_timeout=2s",
                "jit=off",
            ],
        ),
    ]


def test_it_is_installed_once_and_only_in_a_schema_of_its_own(watched: Watched) -> None:
    watched.place.run(PAIR)
    watched.declare(pair(watched))
    with pytest.raises(UsageError) as caught:
        watched.upgrade()
    assert caught.value.message == (f"the monitoring is not installed in schema {watched.schema!r}")
    watched.install()
    with pytest.raises(UsageError) as caught:
        watched.install()
    assert (caught.value.message, caught.value.hint) == (
        f"the monitoring is installed already in schema {watched.schema!r}",
        "bring it up to date: runbook monitor upgrade scratch",
    )
    request = watching.Request(watched.place.schema, new=True)
    with pytest.raises(UsageError) as caught:
        watching.apply(watched.settings, watched.environment, request)
    assert (caught.value.message, caught.value.hint) == (
        f"schema {watched.place.schema!r} exists and is not the monitoring's",
        "give the monitoring a schema of its own with --schema",
    )


def test_a_schema_that_an_administrator_made_is_taken_and_left(watched: Watched) -> None:
    watched.place.run(PAIR)
    watched.declare(pair(watched))
    watched.run("CREATE SCHEMA {m} AUTHORIZATION telecore_owner", role=None)
    there = (
        "SELECT obj_description(n.oid), (SELECT count(*) FROM pg_class WHERE relnamespace = n.oid)"
        f" FROM pg_namespace n WHERE n.nspname = '{watched.schema}'"
    )
    before = watched.run(there)
    for _ in range(2):
        watched.install()
        assert watched.audit()
        assert watched.upgrade().steps == ()
        watching.remove(watched.environment, watched.schema, None)
        assert watched.run(there) == before == [(None, 0)]


def test_what_another_role_made_is_not_used(watched: Watched) -> None:
    """Its views and its function would run with the owner's rights."""
    watched.place.run(PAIR)
    watched.declare(pair(watched))
    watched.run("CREATE SCHEMA {m} AUTHORIZATION telecore_reader", role=None)
    watched.run(
        """
        GRANT USAGE ON SCHEMA {m} TO public;
        COMMENT ON SCHEMA {m} IS 'fk-runbook';
        CREATE FUNCTION {m}.caught() RETURNS integer LANGUAGE plpgsql AS
          'BEGIN RAISE EXCEPTION ''caught %'', current_user; END';
        CREATE VIEW {m}.settings AS SELECT {m}.caught() AS version;
        CREATE VIEW {m}.heartbeat AS SELECT 1 AS run;
        CREATE VIEW {m}.comprehensive_report AS SELECT 1 AS place;
        GRANT SELECT ON {m}.settings, {m}.heartbeat, {m}.comprehensive_report TO public;
        """,
        role=READER,
    )
    try:
        for attempt in (
            watched.audit,
            watched.install,
            watched.upgrade,
            lambda: watching.remove(watched.environment, watched.schema, None),
        ):
            with pytest.raises(UsageError) as caught:
                attempt()
            assert (caught.value.message, caught.value.hint) == (
                (
                    f"schema {watched.schema!r} belongs to the role telecore_reader, of which this"
                    " one is no member"
                ),
                "connect as the role that installed it",
            )
    finally:
        watched.run("DROP SCHEMA {m} CASCADE", role=None)


def test_uninstalling_removes_all_and_hands_over_the_log(watched: Watched) -> None:
    watched.place.run(PAIR)
    watched.declare(pair(watched))
    watched.install()
    watched.log()
    watched.run("CREATE VIEW public.built_on_it AS SELECT run FROM {m}.audit_log", role=None)
    with pytest.raises(IncompleteError) as caught:
        watching.remove(watched.environment, watched.schema, None)
    assert caught.value.message == (
        "environment 'scratch': cannot drop table"
        f" {watched.schema}.audit_log because other objects depend on it (2BP01)"
    )
    assert watched.run("SELECT count(*) FROM {m}.audit_log") == [(1,)]
    watched.run("DROP VIEW public.built_on_it", role=None)
    log = io.BytesIO()
    watching.remove(
        watched.environment,
        watched.schema,
        lambda own: installation.export(own, watched.schema, log.write),
    )
    ((run, relationship, *_, orphans, error, _, _),) = list(
        csv.reader(log.getvalue().decode().splitlines())
    )[1:]
    assert (run, relationship, orphans, error) == ("1", pair(watched).id, "3", "")
    found = watched.run(f"SELECT count(*) FROM pg_namespace WHERE nspname = '{watched.schema}'")
    assert found == [(0,)]
    with pytest.raises(UsageError) as gone:
        watching.remove(watched.environment, watched.schema, None)
    assert (gone.value.message, gone.value.hint) == (
        f"the monitoring is not installed in schema {watched.schema!r}",
        "look for it with --schema: runbook monitor status scratch",
    )


def test_status_goes_from_missing_to_stale(watched: Watched) -> None:
    watched.place.run(PAIR)
    watched.declare(pair(watched, alert=Alert.WARNING))

    def look() -> Status:
        return watching.look(watched.settings, watched.environment, watched.schema)

    missing = look()
    assert (missing.standing, missing.reasons, missing.exit_code) == (
        Standing.MISSING,
        (f"nothing is installed in schema {watched.schema!r}",),
        1,
    )
    watched.install(run_every=timedelta(hours=1), readers=(READER,))
    assert (look().standing, look().exit_code) == (Standing.UP_TO_DATE, 0)
    watched.log()
    watched.run("UPDATE {m}.heartbeat SET last_success = now() - interval '3 hours'")
    stale = look()
    assert (stale.standing, stale.reasons, stale.exit_code) == (
        Standing.STALE,
        ("the last audit that could look at everything is 3 h old, over 2 h",),
        1,
    )
    assert watched.run("SELECT DISTINCT stale FROM {m}.dashboard") == [(True,)]
    watched.run("UPDATE {m}.heartbeat SET last_success = NULL")
    watched.run("UPDATE {m}.settings SET installed_at = now() - interval '5 hours'")
    assert look().reasons == ("no audit could look at everything in the 5 h since installation",)


def test_a_reader_who_is_not_let_in_is_told_how(watched: Watched) -> None:
    watched.place.run(PAIR)
    watched.declare(pair(watched))
    watched.install()
    watched.place.run("REVOKE pg_read_all_data FROM telecore_reader", role=None)
    try:
        with pytest.raises(IncompleteError) as caught:
            watching.read(watched.environment, watched.schema)
        watched.upgrade(readers=(READER,))
        assert watching.read(watched.environment, watched.schema) is not None
    finally:
        watched.place.run("GRANT pg_read_all_data TO telecore_reader", role=None)
    assert (caught.value.message, caught.value.hint) == (
        (
            f"environment 'scratch': the log in schema {watched.schema!r} cannot be read:"
            f" permission denied for schema {watched.schema} (42501)"
        ),
        "let the reader in: runbook monitor upgrade scratch --reader telecore_reader",
    )


# --- the demo -----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_finds_in_the_demos_production_what_the_audit_finds(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo.prepare(server.connect, PASSWORDS, ("production",))
    database = "telecore_production"
    monkeypatch.setenv(connection.OVERRIDE_READER, server.dsn(database, READER))
    monkeypatch.setenv(connection.OVERRIDE_OWNER, server.dsn(database, OWNER))
    settings = read_settings(ROOT)
    production = settings.environment("production")
    environment = production.model_copy(update={"change": production.change or Change()})
    counted = auditing.look(settings, environment, auditing.Request(lookalikes=False), _quiet)
    request = watching.Request("runbook_monitor", new=True)
    watching.apply(settings, environment, request)
    try:
        log = watching.audit(environment, "runbook_monitor")
    finally:
        watching.remove(environment, "runbook_monitor", None)
    found = {result.relationship: (result.state, result.orphans) for result in log.results}
    assert found == {a.relationship.id: (a.state, a.orphans) for a in counted.audits}
    assert len(found) >= 57
    assert sum(1 for _, orphans in found.values() if orphans) == 20


def _quiet(_number: int, _said: str) -> None:
    """The audit's progress is of no interest here."""
