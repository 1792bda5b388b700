"""``runbook monitor``: its messages, its exit codes, its metrics, its alerts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from runbook import changes, cli
from runbook.changes import Kind
from runbook.findings import AuditState
from runbook.monitoring import metrics, rules
from runbook.monitoring.log import Status
from runbook.relationships import Alert
from runbook.watching import read
from tests import project
from tests.places import READER
from tests.test_monitor import PAIR, pair
from tests.test_monitor_alerts import VARIABLE, log, receiver, result
from tests.watched import Watched

pytestmark = pytest.mark.slow

SECONDS = 60
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool")


@dataclass(frozen=True)
class Finished:
    """How a command ended, and what it printed."""

    returncode: object
    stdout: str
    stderr: str


Command = Callable[..., Finished]


@pytest.fixture
def monitor(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """``monitor("status", …)`` runs the command on a pair of tables with three orphan rows."""
    watched.place.run(PAIR)
    watched.declare(pair(watched, alert=Alert.CRITICAL))

    def run(name: str, *arguments: str, **variables: str) -> Finished:
        with monkeypatch.context() as patch:
            patch.chdir(watched.folder)
            patch.setattr(sys, "argv", ["runbook", *words(watched, name), *arguments])
            for variable, value in variables.items():
                patch.setenv(variable, value)
            with pytest.raises(SystemExit) as ended:
                cli.main()
        printed = capsys.readouterr()
        return Finished(ended.value.code, printed.out, printed.err)

    return run


def words(watched: Watched, name: str) -> list[str]:
    return ["monitor", name, "scratch", "--schema", watched.schema]


def edit(watched: Watched, old: str, new: str) -> None:
    path = watched.folder / "runbook.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_from_missing_to_installed_to_removed(monitor: Command, watched: Watched) -> None:
    schema, database = watched.schema, watched.place.database
    label = pair(watched).label
    missing = monitor("status")
    assert (missing.returncode, missing.stdout) == (
        1,
        (
            f"missing: scratch, schema {schema} in {database}\n"
            f"  nothing is installed in schema '{schema}'\n"
        ),
    )
    installed = monitor("install")
    assert (installed.returncode, installed.stderr) == (0, "")
    first, *rest = installed.stdout.splitlines()
    assert first.startswith(f"schema {schema} in {database}: ")
    assert rest == [
        "1 relationship: 1 critical, 0 warning, 0 below",
        "schedule: none; give one with --schedule systemd, cron or kubernetes",
    ]
    ran = monitor("run")
    assert (ran.returncode, ran.stdout) == (
        1,
        f"  {label} (critical): 3 orphan rows, over 0, first\nrun 1: 1 orphans\n",
    )
    status = monitor("status", "--keep")
    assert status.returncode == 1
    assert status.stdout.splitlines()[0] == f"up to date: scratch, schema {schema} in {database}"
    assert status.stdout.splitlines()[-1].endswith(" ago, expected every 24 h")
    kept = changes.newest(watched.settings, "scratch", Kind.MONITOR)
    assert kept is not None
    assert changes.read(kept, Kind.MONITOR, Status).schema_name == schema
    again = monitor("upgrade")
    assert again.stdout.splitlines()[0] == f"schema {schema} in {database}: nothing to change"
    log = watched.folder / "log.csv"
    removed = monitor("uninstall", "--keep-log", str(log))
    assert (removed.returncode, removed.stdout) == (
        0,
        f"the monitoring in schema {schema}: removed\nthe log: {log}\n",
    )
    assert log.read_text(encoding="utf-8").startswith("run,relationship,severity,threshold,state,")
    assert len(log.read_text(encoding="utf-8").splitlines()) == 2
    assert read(watched.environment, schema) is None


def test_printing_executes_nothing_and_the_script_installs_it(
    monitor: Command, watched: Watched
) -> None:
    printed = monitor("install", "--print")
    assert (printed.returncode, printed.stderr) == (0, "")
    assert read(watched.environment, watched.schema) is None
    watched.place.run(printed.stdout)
    assert monitor("upgrade").stdout.splitlines()[0].endswith(": nothing to change")
    assert watched.audit()[pair(watched).id].orphans == 3


def test_an_environment_without_change_is_never_changed(monitor: Command, watched: Watched) -> None:
    edit(watched, "change = { }", "")
    for name in ("install", "upgrade", "uninstall", "run"):
        refused = monitor(name)
        assert (refused.returncode, refused.stderr) == (
            2,
            (
                "error: environment 'scratch' allows no changes\n"
                "hint: add change = { … } to [environments.scratch] in runbook.toml\n"
            ),
        )


def test_a_protected_environment_is_confirmed_by_its_name(
    monitor: Command, watched: Watched
) -> None:
    edit(watched, "change = { }", 'change = { }\nprotected = true\nconfirms = "the DBA on call"')
    for name in ("install", "upgrade", "uninstall"):
        refused = monitor(name)
        assert (refused.returncode, refused.stderr) == (
            2,
            (
                "error: environment 'scratch' is protected, and this changes it\n"
                "hint: with the consent of the DBA on call: add --confirm scratch\n"
            ),
        )
    wrong = monitor("install", "--confirm", "production")
    assert (wrong.returncode, wrong.stderr) == (
        2,
        (
            "error: --confirm 'production' is not the environment, expected 'scratch'\n"
            "hint: confirm the environment that you mean\n"
        ),
    )
    assert read(watched.environment, watched.schema) is None
    assert monitor("install", "--confirm", "scratch").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--every", "daily"),
            (
                "--every: not a duration: 'daily', expected text such as '30s', '5m' or '24h'\n"
                "hint: write it as --every 24h"
            ),
        ),
        (("--limit", "0s"), "--limit: expected more than nothing, got '0s'\nhint: give a time"),
        (
            ("--schedule", "pg_cron"),
            (
                "pg_cron is not in database {database!r}\n"
                "hint: say where it is with --cron-database, or choose another --schedule"
            ),
        ),
    ],
)
def test_wrong_usage(
    monitor: Command, watched: Watched, arguments: tuple[str, ...], message: str
) -> None:
    found = monitor("install", *arguments)
    expected = message.format(database=watched.place.database)
    assert (found.returncode, found.stderr) == (2, f"error: {expected}\n")


def test_a_schedule_is_written_out(monitor: Command, watched: Watched) -> None:
    done = monitor("install", "--schedule", "systemd", "--service", "eu", "--output", "units")
    assert (done.returncode, done.stderr) == (0, "")
    timer = watched.folder / "units" / "fk-runbook-monitor-scratch.timer"
    assert "OnCalendar=*-*-* 02:00:00" in timer.read_text(encoding="utf-8")
    service = timer.with_suffix(".service").read_text(encoding="utf-8")
    assert "Environment=PGSERVICE=eu" in service
    assert f"FROM {watched.schema}.run_data_integrity_audit()" in service
    assert done.stdout.splitlines()[-2:] == [
        "schedule: units/fk-runbook-monitor-scratch.service",
        "schedule: units/fk-runbook-monitor-scratch.timer",
    ]


# --- metrics ------------------------------------------------------------------------------------


def values(text: str) -> dict[tuple[str, str, str], float]:
    """Metric, relationship and state to the value."""
    return {
        (
            sample.name.removeprefix("fk_runbook_"),
            sample.labels.get("relationship", ""),
            sample.labels.get("fk_runbook_relationship_state", ""),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def check_metrics(text: str) -> None:
    if shutil.which("promtool"):
        found = subprocess.run(
            ["promtool", "check", "metrics"],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        assert (found.returncode, found.stdout + found.stderr) == (0, "")


@pytest.mark.usefixtures("monitor")
def test_a_scrape_reads_the_log_and_needs_no_right_on_the_tables(watched: Watched) -> None:
    item = pair(watched).id
    watched.install(readers=(READER,))
    watched.log()
    process = subprocess.Popen(
        [sys.executable, "-m", "runbook", *words(watched, "serve"), "--port", "0"],
        cwd=watched.folder,
        env=dict(os.environ) | {"PYTHONPATH": str(project.ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    watched.place.run("REVOKE pg_read_all_data FROM telecore_reader", role=None)
    try:
        assert process.stdout
        line = process.stdout.readline()
        address = line.removeprefix("metrics on ").removesuffix(" (Ctrl-C ends it)\n")
        assert address.startswith("http://127.0.0.1:")
        text = scrape(address)
        watched.run("ALTER SCHEMA {m} RENAME TO elsewhere")
        without = scrape(address)
        watched.run("ALTER SCHEMA elsewhere RENAME TO {m}")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
        process.wait()
        watched.place.run("GRANT pg_read_all_data TO telecore_reader", role=None)
    found = values(text)
    assert found["up", "", ""] == 1
    assert found["orphan_rows", item, ""] == 3
    assert found["orphan_threshold", item, ""] == 0
    assert found["relationship_state", item, "orphans"] == 1
    assert found["relationship_state", item, "could not look"] == 0
    assert found["last_success_timestamp_seconds", "", ""] > 1_700_000_000
    assert 0 <= found["heartbeat_age_seconds", "", ""] < SECONDS
    assert found["audit_seconds", "", ""] > 0
    check_metrics(text)
    assert values(without) == {("up", "", ""): 0}
    assert (process.returncode, out) == (0, "stopped\n")
    assert err == f"warning: nothing is installed in schema '{watched.schema}'\n"


def scrape(address: str) -> str:
    with urllib.request.urlopen(address, timeout=SECONDS) as answer:  # noqa: S310 - our own server
        text: str = answer.read().decode()
    return text


def test_a_port_that_is_taken_is_refused(monitor: Command) -> None:
    with receiver() as taken:
        port = taken.url.split(":")[2].split("/")[0]
        found = monitor("serve", "--port", port)
    assert (found.returncode, found.stderr) == (
        2,
        (
            f"error: cannot listen on '127.0.0.1', port {port}: Address already in use\n"
            "hint: choose another --port\n"
        ),
    )


def test_the_textfile_is_whole_and_says_when_the_log_cannot_be_read(
    monitor: Command, watched: Watched
) -> None:
    path = watched.folder / "fk_runbook.prom"
    missing = monitor("textfile", str(path))
    assert (missing.returncode, missing.stderr) == (
        3,
        f"warning: nothing is installed in schema '{watched.schema}'\n",
    )
    assert values(path.read_text(encoding="utf-8")) == {("up", "", ""): 0}
    watched.install()
    before = values(written(monitor, path))
    assert before["last_success_timestamp_seconds", "", ""] == 0
    assert ("orphan_rows", pair(watched).id, "") not in before
    watched.log()
    text = written(monitor, path)
    assert values(text)["orphan_rows", pair(watched).id, ""] == 3
    check_metrics(text)
    assert [item.name for item in watched.folder.glob("*fk_runbook*")] == ["fk_runbook.prom"]
    wrong = monitor("textfile", "metrics.txt")
    assert (wrong.returncode, wrong.stderr) == (
        2,
        (
            "error: 'metrics.txt': expected a name that ends in .prom, got '.txt'\n"
            "hint: node_exporter reads no other files\n"
        ),
    )


def written(monitor: Command, path: Path) -> str:
    found = monitor("textfile", str(path))
    assert (found.returncode, found.stderr) == (0, "")
    return path.read_text(encoding="utf-8")


def test_labels_hold_any_name_and_there_are_only_so_many() -> None:
    hostile = 'c"\\ \n{x="1"} 7'
    worst = result(hostile, state=AuditState.ORPHANS, orphans=7, over_threshold=True)
    unknown = result("zz", state=AuditState.COULD_NOT_LOOK, orphans=None, error="x")
    clean = [result(f"a{number}") for number in range(metrics.MOST_RELATIONSHIPS)]
    text = metrics.text('e"', log(*clean, unknown, worst)).decode()
    found = values(text)
    assert found["relationships_left_out", "", ""] == 2
    assert found["orphan_rows", f"public.{hostile}", ""] == 7
    assert found["relationship_state", "public.zz", "could not look"] == 1
    assert ("orphan_rows", "public.zz", "") not in found
    labelled = [key for key in found if key[0] == "relationship_state"]
    assert len(labelled) == len(metrics.STATES) * metrics.MOST_RELATIONSHIPS
    check_metrics(text)


# --- alerts -------------------------------------------------------------------------------------


def test_the_rules_are_printed() -> None:
    groups = yaml.safe_load(rules.text())["groups"]
    assert [rule["alert"] for rule in groups[0]["rules"]] == [rule.name for rule in rules.RULES]


@needs_promtool
def test_prometheus_takes_the_rules_and_they_fire(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(rules.text(), encoding="utf-8")
    labels = 'environment="e",relationship="{}",severity="{}"'
    bad, fine, few = (
        labels.format(*pair)
        for pair in (("bad", "critical"), ("fine", "critical"), ("few", "warning"))
    )
    unknown = labels.format("unknown", "below")
    unknown += ',fk_runbook_relationship_state="could not look"'
    series: dict[str, str] = {
        f"fk_runbook_orphan_rows{{{bad}}}": "3x999",
        f"fk_runbook_orphan_rows{{{fine}}}": "0x999",
        f"fk_runbook_orphan_rows{{{few}}}": "10x500 11x400",
        f"fk_runbook_orphan_threshold{{{bad}}}": "0x999",
        f"fk_runbook_orphan_threshold{{{fine}}}": "0x999",
        f"fk_runbook_orphan_threshold{{{few}}}": "10x999",
        f"fk_runbook_relationship_state{{{unknown}}}": "1x999",
        'fk_runbook_last_success_timestamp_seconds{environment="e"}': "1x999",
        'fk_runbook_installed_timestamp_seconds{environment="e"}': "1x999",
        'fk_runbook_last_success_timestamp_seconds{environment="never"}': "0x999",
        'fk_runbook_installed_timestamp_seconds{environment="never"}': "1x999",
        'fk_runbook_interval_seconds{environment="e"}': "3600x999",
        'fk_runbook_interval_seconds{environment="never"}': "3600x999",
        'fk_runbook_up{environment="e"}': "1x100 0x900",
    }
    fires = {
        "RunbookOrphansCritical": (1, ["bad"]),
        "RunbookOrphansWarning": (600, ["few"]),
        "RunbookCouldNotLook": (1, ["unknown"]),
        "RunbookHeartbeatStale": (130, ["e", "never"]),
        "RunbookLogUnreadable": (110, ["e"]),
    }
    quiet = {"RunbookOrphansWarning": 400, "RunbookHeartbeatStale": 110, "RunbookLogUnreadable": 90}
    checks: list[dict[str, Any]] = [
        {"expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) or vector(0)',
         "eval_time": f"{minute}m",
         "exp_samples": [{"labels": "{}", "value": len(who)}]}
        for name, (minute, who) in (
            *fires.items(), *((name, (minute, [])) for name, minute in quiet.items()))
    ]  # fmt: skip
    tests = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": s, "values": v} for s, v in series.items()],
                "promql_expr_test": checks,
            }
        ],
    }
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(tests), encoding="utf-8")
    for arguments in (("check", "rules", "rules.yml"), ("test", "rules", "tests.yml")):
        found = subprocess.run(
            ["promtool", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        assert found.returncode == 0, found.stdout + found.stderr


def test_an_alert_is_sent_once_and_again_when_it_is_overdue(
    monitor: Command, watched: Watched
) -> None:
    watched.install()
    watched.log()
    option = ("--webhook-variable", VARIABLE)
    with receiver((200, {}), (500, {}), (200, {}), (200, {})) as to:
        secret = {VARIABLE: to.url}
        first = monitor("alert", *option, **secret)
        assert (first.returncode, first.stdout, first.stderr) == (
            1,
            "1 critical, 0 warnings: sent\n",
            "",
        )
        again = monitor("alert", *option, **secret)
        assert (again.returncode, again.stdout) == (1, "1 critical, 0 warnings: nothing sent\n")
        assert len(to.bodies) == 1
        label = pair(watched).label
        overdue = monitor("alert", *option, "--escalate", f"{label}=1ms", **secret)
        assert overdue.returncode == 1
        assert len(to.bodies) == 3  # the second attempt after HTTP 500
        watched.place.run("DELETE FROM c WHERE p IN (7, 8)")
        watched.log()
        ended = monitor("alert", *option, **secret)
        assert (ended.returncode, ended.stdout) == (0, "0 critical, 0 warnings: sent\n")
    heads = [body["text"].splitlines()[0] for body in to.bodies]
    assert heads[0] == "scratch: 1 new, 0 overdue, 0 ended"
    assert heads[1:3] == ["scratch: 0 new, 1 overdue, 0 ended"] * 2
    assert heads[3] == "scratch: 0 new, 0 overdue, 1 ended"
    everything = "".join(
        path.read_text(encoding="utf-8") for path in watched.folder.rglob("*") if path.is_file()
    )
    assert to.url not in everything
    assert "a-secret-path" not in everything


def test_an_alert_that_was_not_delivered_is_told_anew(monitor: Command, watched: Watched) -> None:
    option = ("--webhook-variable", VARIABLE)
    with receiver((400, {}), (200, {})) as to:
        secret = {VARIABLE: to.url}
        failed = monitor("alert", *option, **secret)
        assert (failed.returncode, failed.stdout) == (3, "")
        assert failed.stderr == (
            f"warning: nothing is installed in schema '{watched.schema}'\n"
            "error: the webhook in 'ALERT_WEBHOOK' refused the alert: HTTP 400\n"
            "hint: check its address, and that it takes Slack's JSON\n"
        )
        assert monitor("alert", *option, **secret).returncode == 1
    assert (
        to.bodies[0]
        == to.bodies[1]
        == {
            "text": "scratch: 1 new, 0 overdue, 0 ended\n[critical] the monitoring's log cannot be"
            f" read: nothing is installed in schema '{watched.schema}'"
        }
    )


def test_alert_prints_without_an_address_and_refuses_what_it_cannot_use(
    monitor: Command, watched: Watched
) -> None:
    option = ("--webhook-variable", VARIABLE)
    watched.install()
    watched.log()
    printed = monitor("alert", *option, "--print")
    assert (printed.returncode, printed.stdout.splitlines()[0]) == (
        1,
        "scratch: 1 new, 0 overdue, 0 ended",
    )
    assert not list(watched.folder.rglob("alerts.json"))
    unset = monitor("alert", *option)
    assert (unset.returncode, unset.stderr) == (
        2,
        (
            "error: the environment variable 'ALERT_WEBHOOK' is not set\n"
            "hint: export ALERT_WEBHOOK with the webhook's address, from where you keep secrets\n"
        ),
    )
    wrong = monitor("alert", *option, "--print", "--escalate", "1h")
    assert (wrong.returncode, wrong.stderr) == (
        2,
        (
            "error: --escalate: expected RELATIONSHIP=TIME, got '1h'\n"
            "hint: write it as --escalate orders.customer_id=1h\n"
        ),
    )
    memory = watched.folder / "changes" / "scratch" / "monitor" / "alerts.json"
    memory.parent.mkdir(parents=True)
    memory.write_text(json.dumps({"told": 1}), encoding="utf-8")
    torn = monitor("alert", *option, "--print")
    assert torn.returncode == 3
    assert torn.stderr.startswith(f"error: {memory}: cannot be read: 1 validation error for Memory")
    assert torn.stderr.endswith("\nhint: remove it: then everything is told anew\n")
