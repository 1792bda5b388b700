"""The schedule: systemd, cron and Kubernetes read the files, and pg_cron runs the audit."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from psycopg import sql

from runbook import watching
from runbook.embedded import EmbeddedServer
from runbook.errors import IncompleteError, UsageError
from runbook.monitoring import calendar, schedules
from runbook.monitoring.schedules import Job, Way
from runbook.telecore import demo
from runbook.watching import Request
from tests.conftest import PASSWORDS
from tests.places import OWNER, opened, scratch_database
from tests.watched import POSTGRES_15, TOML, Server, Watched, of

JOB = Job("Production EU/1", "runbook_monitor", "production", calendar.parse("30 2 * * 1-5"))
CALL = "SELECT * FROM runbook_monitor.run_data_integrity_audit()"
PG_CRON = POSTGRES_15.parent / "lib" / "pg_cron.so"
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd-analyze"
)


def analyzed(*arguments: str) -> str:
    found = subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert found.returncode == 0, found.stderr
    return found.stdout + found.stderr


@pytest.mark.parametrize(
    ("cron", "systemd"),
    [
        ("0 2 * * *", "*-*-* 02:00:00"),
        ("*/15 * * * *", "*-*-* *:00/15:00"),
        ("5,35 8-18 1 */3 *", "*-01/3-01 08..18:05,35:00"),
        ("30 2 * * 1-5", "Mon,Tue,Wed,Thu,Fri *-*-* 02:30:00"),
        ("0 0 * * 5-7", "Sun,Fri,Sat *-*-* 00:00:00"),
        ("0 4 1-7/2 * *", "*-*-01..07/2 04:00:00"),
    ],
)
def test_crons_fields_are_told_to_systemd(cron: str, systemd: str) -> None:
    moments = calendar.parse(cron)
    assert (str(moments), moments.systemd) == (cron, systemd)


@needs_systemd
@pytest.mark.parametrize("cron", ["0 2 * * *", "*/15 * * * *", "5,35 8-18 1 */3 *", "0 0 * * 5-7"])
def test_systemd_reads_them(cron: str) -> None:
    assert "Next elapse" in analyzed("calendar", calendar.parse(cron).systemd)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("@daily", "not a schedule: '@daily', expected five fields"),
        ("60 2 * * *", "not a minute: '60', expected numbers from 0 to 59"),
        ("0 24 * * *", "not a hour: '24', expected numbers from 0 to 23"),
        ("0 2 0 * *", "not a day: '0', expected numbers from 1 to 31"),
        ("0 2 * JAN *", "not a month: 'JAN', expected numbers from 1 to 12"),
        ("0 2 * * 8", "not a weekday: '8', expected numbers from 0 to 7"),
        ("9-5 2 * * *", "not a minute: '9-5', expected numbers from 0 to 59"),
        ("*/0 2 * * *", "not a minute: '*/0', expected numbers from 0 to 59"),
        ("5/5 2 * * *", "not a minute: '5/5', expected numbers from 0 to 59"),
        ("0,,5 2 * * *", "not a minute: '', expected numbers from 0 to 59"),
        ("0 2 1 * 1", "the schedule '0 2 1 * 1' has a day and a weekday"),
    ],
)
def test_any_other_schedule_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        calendar.parse(text)
    assert caught.value.message == message


@pytest.mark.parametrize("name", ["Monitor", "a b", "", "x" * 64, "a;b", 'a"b', "pg_own", "%h"])
def test_a_schema_has_a_plain_name(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        schedules.schema_name(name)
    assert caught.value.message == (
        f"not a name for the monitoring's schema: {name!r}, expected lower-case letters, digits"
        " and underscores"
    )


def test_a_service_has_a_plain_name() -> None:
    assert schedules.service_name("eu-1.production") == "eu-1.production"
    with pytest.raises(UsageError) as caught:
        schedules.service_name("a b")
    assert caught.value.message == (
        "not a libpq service: 'a b', expected letters, digits, '_', '.' and '-'"
    )


def test_no_file_holds_a_secret_or_an_address() -> None:
    for way in Way:
        for text in schedules.files(way, JOB).values():
            assert not re.search(r"password\s*[=:]|://|host=", text, re.IGNORECASE)


@needs_systemd
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    units = schedules.files(Way.SYSTEMD, JOB)
    assert set(units) == {
        "fk-runbook-monitor-production-eu-1.service",
        "fk-runbook-monitor-production-eu-1.timer",
    }
    for name, text in units.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    paths = [str(tmp_path / name) for name in units]
    assert analyzed("verify", "--man=no", "--recursive-errors=no", *paths) == ""
    start = next(line for line in units[next(iter(units))].splitlines() if "ExecStart" in line)
    assert shlex.split(start.partition("=")[2]) == [
        "psql",
        "--no-psqlrc",
        "--set=ON_ERROR_STOP=1",
        f"--command={CALL}",
    ]


def test_the_crontab_has_one_line_that_a_shell_reads() -> None:
    ((name, text),) = schedules.files(Way.CRON, JOB).items()
    assert name == "fk-runbook-monitor-production-eu-1.crontab"
    lines = [line for line in text.splitlines() if not re.match(r"#|[A-Z]+=", line)]
    (line,) = lines
    *moments, command = line.split(maxsplit=5)
    assert moments == ["30", "2", "*", "*", "1-5"]
    assert "%" not in command  # to cron it would end the line
    assert shlex.split(command)[-1] == f"--command={CALL}"
    assert "PGSERVICE=production" in text.splitlines()


def test_the_manifest_is_a_cronjob() -> None:
    ((name, text),) = schedules.files(Way.KUBERNETES, JOB).items()
    assert name == "fk-runbook-monitor-production-eu-1.yaml"
    manifest = yaml.safe_load(text)
    assert (manifest["apiVersion"], manifest["kind"]) == ("batch/v1", "CronJob")
    spec = manifest["spec"]
    assert (spec["schedule"], spec["concurrencyPolicy"]) == ("30 2 * * 1-5", "Forbid")
    (container,) = spec["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["command"][-1] == f"--command={CALL}"
    assert container["envFrom"] == [{"secretRef": {"name": manifest["metadata"]["name"]}}]


def test_a_cronjobs_name_is_one_that_kubernetes_takes() -> None:
    name = Job("Ä very long environment" * 5, "m", "s", calendar.parse("0 2 * * *")).name
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name)
    assert len(name) <= 52


# --- pg_cron ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def with_pg_cron() -> Iterator[Server]:
    if not PG_CRON.is_file():
        pytest.skip("pg_cron is not here: apt install postgresql-15-cron")
    settings = {
        "shared_preload_libraries": "pg_cron",
        "cron.use_background_workers": "on",
        "max_worker_processes": "20",
    }
    with tempfile.TemporaryDirectory(prefix="fkr-cron-") as folder:
        Path(folder).chmod(0o755)
        with EmbeddedServer(Path(folder) / "server", POSTGRES_15, settings) as server:
            found = of(server)
            with found.connect("postgres", None) as admin:
                admin.execute("CREATE EXTENSION pg_cron")
            yield found


@pytest.fixture
def scheduled(
    with_pg_cron: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Watched]:
    with scratch_database(with_pg_cron.connect) as database:
        yield project(with_pg_cron, database, tmp_path, monkeypatch)


def project(
    server: Server, database: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Watched:
    place = opened(server.connect, server.dsn, database, monkeypatch)
    text = TOML.format(schema=f'"{place.schema}"')
    (folder / "runbook.toml").write_text(text, encoding="utf-8")
    found = Watched(place, folder, f"monitor_{place.schema}")
    place.run("CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (p int)")
    place.run("INSERT INTO c VALUES (5)")
    found.declare(place.relationship("c", "p", "p", "id"))
    return found


def apply(watched: Watched, at: str, *, new: bool = True, **given: object) -> watching.Done:
    values = {"schedule": "pg_cron", "cron_database": "postgres"} | given
    request = Request(watched.schema, new, values, at)
    return watching.apply(watched.settings, watched.environment, request)


def jobs(server: Server) -> list[tuple[str, ...]]:
    with server.connect("postgres", None) as admin:
        return admin.execute(
            "SELECT jobname, schedule, command, database, username FROM cron.job ORDER BY jobname"
        ).fetchall()


def let(server: Server, *, schedule: bool) -> None:
    """Give the owner pg_cron's rights, or take them back."""
    verb, word = ("GRANT", "TO") if schedule else ("REVOKE", "FROM")
    with server.connect("postgres", None) as admin:
        for right in ("USAGE ON SCHEMA cron", "EXECUTE ON FUNCTION cron.schedule_in_database"):
            admin.execute(sql.SQL(f"{verb} {right} {word} telecore_owner"))


@pytest.mark.postgres15
def test_without_the_right_it_is_installed_and_says_how_to_schedule(
    scheduled: Watched, with_pg_cron: Server
) -> None:
    with pytest.raises(IncompleteError) as caught:
        apply(scheduled, "0 2 * * *", schedule=None)  # the database is named, which is enough
    assert caught.value.message == (
        "installed, but not scheduled in database 'postgres':"
        " permission denied for schema cron (42501)"
    )
    assert caught.value.hint == (
        "there an administrator runs: GRANT USAGE ON SCHEMA cron TO telecore_owner; GRANT EXECUTE"
        " ON FUNCTION cron.schedule_in_database TO telecore_owner; then: runbook monitor upgrade"
        " scratch --at '0 2 * * *'"
    )
    let(with_pg_cron, schedule=True)
    try:
        apply(scheduled, "0 2 * * *", new=False)
        assert len(jobs(with_pg_cron)) == 2
    finally:
        watching.remove(scheduled.environment, scheduled.schema, None)
        let(with_pg_cron, schedule=False)
    assert jobs(with_pg_cron) == []


@pytest.mark.postgres15
def test_without_its_database_pg_cron_is_not_found(scheduled: Watched) -> None:
    with pytest.raises(UsageError) as caught:
        apply(scheduled, "0 2 * * *", cron_database=None)
    assert (caught.value.message, caught.value.hint) == (
        f"pg_cron is not in database {scheduled.place.database!r}",
        "say where it is with --cron-database, or choose another --schedule",
    )


@pytest.mark.postgres15
def test_pg_cron_in_the_same_database_is_found_and_used(
    with_pg_cron: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has asked for it, and nothing but USAGE on its schema is needed."""
    demo.prepare(with_pg_cron.connect, PASSWORDS, ())
    with with_pg_cron.connect("postgres", None) as admin:
        admin.execute("GRANT CREATE ON DATABASE postgres TO telecore_owner")
        admin.execute("GRANT USAGE ON SCHEMA cron TO telecore_owner")
        try:
            watched = project(with_pg_cron, "postgres", tmp_path, monkeypatch)
            request = Request(watched.schema, True, {}, "0 2 * * *")
            done = watching.apply(watched.settings, watched.environment, request)
            assert (done.options.schedule, done.options.cron_database) == ("pg_cron", "postgres")
            name = f"fk-runbook monitor postgres.{watched.schema}"
            assert [job[0] for job in jobs(with_pg_cron)] == [name, f"{name} history"]
            elsewhere = Request(watched.schema, False, {"schedule": "systemd"})
            done = watching.apply(watched.settings, watched.environment, elsewhere)
            assert done.jobs == (name, f"{name} history")
            assert jobs(with_pg_cron) == []
            again = Request(watched.schema, False, {"schedule": "pg_cron"}, "0 5 * * *")
            watching.apply(watched.settings, watched.environment, again)
            assert [job[1] for job in jobs(with_pg_cron)] == ["0 5 * * *", "15 3 * * *"]
            assert watching.remove(watched.environment, watched.schema, None) == done.jobs
            assert jobs(with_pg_cron) == []
        finally:
            admin.execute("DROP OWNED BY telecore_owner CASCADE")


@pytest.mark.slow
@pytest.mark.postgres15
@pytest.mark.timeout(200)
def test_pg_cron_runs_the_audit(scheduled: Watched, with_pg_cron: Server) -> None:
    """Scheduled twice it is scheduled once; it runs, and removal takes it back."""
    let(with_pg_cron, schedule=True)
    database, schema = scheduled.place.database, scheduled.schema
    name = f"fk-runbook monitor {database}.{schema}"
    try:
        assert apply(scheduled, "* * * * *").jobs == (name, f"{name} history")
        assert apply(scheduled, "* * * * *", new=False).jobs == ()
        assert apply(scheduled, "*/1 * * * *", new=False).jobs == (name,)
        shorter = apply(scheduled, "", new=False, retention=timedelta(days=60))
        assert shorter.jobs == (f"{name} history",)
        assert apply(scheduled, "", new=False, retention=timedelta(days=90)).jobs == shorter.jobs
        audit, history = jobs(with_pg_cron)
        call = f'SELECT * FROM "{schema}".run_data_integrity_audit()'
        assert audit == (name, "*/1 * * * *", call, database, OWNER)
        assert (history[0], history[3], history[4]) == (f"{name} history", "postgres", OWNER)
        end = time.monotonic() + 150
        while not (found := scheduled.run("SELECT run, orphans FROM {m}.audit_log")):
            assert time.monotonic() < end, "pg_cron ran nothing"
            time.sleep(1)
        assert found[0] == (1, 1)
        assert_history_is_forgotten(with_pg_cron, history[2], name)
    finally:
        removed = watching.remove(scheduled.environment, schema, None)
        let(with_pg_cron, schedule=False)
    assert removed == (name, f"{name} history")
    assert jobs(with_pg_cron) == []


def assert_history_is_forgotten(server: Server, command: str, name: str) -> None:
    """The second job's statement, by hand: old details of both go, those of others stay."""
    with server.connect("postgres", None) as admin:
        found = admin.execute("SELECT jobid FROM cron.job WHERE jobname = %s", [name])
        ((job,),) = found.fetchall()
        for jobid, age in ((job, 91), (job, 89), (999, 91)):
            admin.execute(
                "INSERT INTO cron.job_run_details (jobid, runid, username, end_time)"
                " VALUES (%s, nextval('cron.runid_seq'), 'telecore_owner', now() - %s::interval)",
                (jobid, f"{age} days"),
            )
        with server.connect("postgres", OWNER) as owner:
            owner.execute(command.encode())
        left = admin.execute(
            "SELECT jobid FROM cron.job_run_details"
            " WHERE end_time < now() - interval '80 days' ORDER BY jobid"
        ).fetchall()
    assert left == [(job,), (999,)]
