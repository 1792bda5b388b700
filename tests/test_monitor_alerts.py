"""Alerts: what is told and when, how it reaches a webhook, and what never leaves."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from runbook.errors import IncompleteError, UsageError
from runbook.findings import AuditState
from runbook.monitoring import alerts, webhook
from runbook.monitoring.alerts import Escalation, Memory, Notice
from runbook.monitoring.log import Log, Result
from runbook.relationships import Alert

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CRITICAL, WARNING = Alert.CRITICAL, Alert.WARNING


def result(label: str = "orders.customer_id", **values: object) -> Result:
    given = {
        "relationship": f"public.{label}",
        "label": label,
        "severity": CRITICAL,
        "state": AuditState.CLEAN,
        "orphans": 0,
        "error": None,
        "threshold": 0,
        "over_threshold": False,
        "since": NOW,
        "trend": "steady",
        "seconds": 0.1,
        "run": 1,
        "at": NOW,
    }
    return Result.model_validate(given | values)


def log(*results: Result, age: timedelta = timedelta(hours=1)) -> Log:
    return Log(
        version=1,
        digest="x",
        installed_at=NOW - timedelta(days=9),
        run_every=timedelta(days=1),
        run=1,
        started_at=NOW - age,
        finished_at=NOW - age,
        last_success=NOW - age,
        now=NOW,
        results=results,
    )


ORPHANS = result(state=AuditState.ORPHANS, orphans=3, over_threshold=True)


def test_what_is_wrong_by_the_log() -> None:
    found = alerts.notices(
        log(
            result("a.clean"),
            result("b.below", severity=Alert.BELOW, state=AuditState.ORPHANS, orphans=99),
            result(
                "c.unknown", state=AuditState.COULD_NOT_LOOK, orphans=None, error="denied (42501)"
            ),
            ORPHANS,
            age=timedelta(days=3),
        )
    )
    assert [(notice.severity, notice.text) for notice in found] == [
        (CRITICAL, "the last audit that could look at everything is 3 d old, over 2 d"),
        (CRITICAL, "orders.customer_id: 3 orphan rows, over 0, since 2026-03-01 12:00 UTC"),
        (WARNING, "c.unknown: could not look: denied (42501), since 2026-03-01 12:00 UTC"),
    ]


def test_a_heartbeat_is_stale_after_twice_the_time_and_not_before() -> None:
    assert alerts.notices(log(age=timedelta(days=2))) == ()
    (notice,) = alerts.notices(log(age=timedelta(days=2, seconds=1)))
    assert notice.key == alerts.HEARTBEAT


@dataclass
class Teller:
    """Tells at moments that the test chooses, as the command would."""

    memory: Memory = field(default_factory=Memory)
    escalation: Escalation = field(default_factory=Escalation)

    def __call__(self, hours: float, *current: Notice) -> tuple[list[str], list[str], list[str]]:
        message, self.memory = alerts.decide(
            current, self.memory, NOW + timedelta(hours=hours), self.escalation, {}
        )
        return (
            [notice.text for notice in message.new],
            [told.notice.text for told in message.overdue],
            [notice.text for notice in message.ended],
        )


def notice(key: str, orphans: int | None = 1, severity: Alert = CRITICAL) -> Notice:
    return Notice(key=key, severity=severity, text=f"{key} {orphans}", orphans=orphans)


def test_it_tells_what_changes_and_nothing_twice() -> None:
    tell = Teller()
    assert tell(0) == ([], [], [])
    assert tell(0, notice("a")) == (["a 1"], [], [])
    assert tell(1, notice("a")) == ([], [], [])
    assert tell(1, notice("a", 2), notice("b")) == (["a 2", "b 1"], [], [])
    assert tell(1, notice("a", 1), notice("b")) == ([], [], [])
    assert tell(1, notice("a", 2), notice("b")) == ([], [], [])  # no more than was told
    assert tell(1, notice("a", None, WARNING), notice("b")) == (["a None"], [], [])
    assert tell(2, notice("b")) == ([], [], ["a None"])
    assert tell(2) == ([], [], ["b 1"])
    assert tell(3) == ([], [], [])


def test_it_tells_again_when_nobody_has_reacted() -> None:
    tell = Teller(escalation=Escalation(own={"own": timedelta(hours=1)}))
    every = (notice("a"), notice("w", severity=WARNING), notice("own"))
    tell(0, *every)
    assert tell(1, *every) == ([], ["own 1"], [])
    assert tell(3.9, *every) == ([], ["own 1"], [])
    assert tell(4, *every) == ([], ["a 1"], [])
    assert tell(24, *every) == ([], ["a 1", "w 1", "own 1"], [])


def test_a_log_that_cannot_be_read_ends_nothing() -> None:
    tell = Teller()
    tell(0, notice("a"))
    (unreadable,) = alerts.unreadable("cannot connect")
    assert tell(1, unreadable) == (
        ["the monitoring's log cannot be read: cannot connect"],
        [],
        [],
    )
    assert tell(2, notice("a")) == ([], [], ["the monitoring's log cannot be read: cannot connect"])
    assert tell(3) == ([], [], ["a 1"])


def test_a_message_holds_no_link_no_mention_and_no_second_line() -> None:
    hostile = Notice(
        key="k", severity=CRITICAL, text="<!channel> & <https://x|y>\n[ended]\u202e all", orphans=1
    )
    message, _ = alerts.decide((hostile,), Memory(), NOW, Escalation(), {})
    assert alerts.slack("production", message) == {
        "text": "production: 1 new, 0 overdue, 0 ended\n"
        "[critical] &lt;!channel&gt; &amp; &lt;https://x|y&gt; [ended]  all"
    }


def test_a_message_stays_short() -> None:
    many = tuple(notice(f"k{number}") for number in range(30))
    message, _ = alerts.decide(many, Memory(), NOW, Escalation(), {})
    lines = alerts.slack("production", message)["text"].split("\n")
    assert len(lines) == 22
    assert lines[-1] == "and 10 more: runbook monitor status production"


# --- the webhook --------------------------------------------------------------------------------

VARIABLE = "ALERT_WEBHOOK"
PATH = "/services/a-secret-path"


@dataclass
class Receiver:
    """A webhook that gives these answers, one after the other; what it got is in ``bodies``."""

    answers: list[tuple[int, dict[str, str]]]
    url: str = ""
    bodies: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def receiver(*answers: tuple[int, dict[str, str]]) -> Iterator[Receiver]:
    found = Receiver(list(answers))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == PATH
            assert self.headers["Content-Type"] == "application/json"
            found.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            code, headers = found.answers.pop(0)
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            """What urllib makes of a redirected POST."""
            found.bodies.append({})
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Not on the tests' standard error."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}{PATH}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def send(to: Receiver) -> tuple[int, list[float]]:
    pauses: list[float] = []
    attempts = webhook.send(to.url, VARIABLE, {"text": "ä <b>"}, pauses.append)
    return attempts, pauses


def test_it_is_delivered() -> None:
    with receiver((200, {})) as to:
        assert send(to) == (1, [])
    assert to.bodies == [{"text": "ä <b>"}]


def test_a_busy_webhook_is_tried_again_when_it_says() -> None:
    with receiver((429, {"Retry-After": "7"}), (503, {}), (200, {})) as to:
        attempts, pauses = send(to)
    assert attempts == 3
    assert pauses[0] == 7
    assert 2 <= pauses[1] <= 4
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    with receiver((503, {"Retry-After": moment}), (200, {})) as to:
        (pause,) = send(to)[1]
    assert 50 < pause <= 60


def refused(*answers: tuple[int, dict[str, str]]) -> tuple[str, str, int]:
    with receiver(*answers) as to, pytest.raises(IncompleteError) as caught:
        send(to)
    text = str(caught.value)
    assert "secret" not in text
    assert "127.0.0.1" not in text
    return caught.value.message, caught.value.hint, len(to.bodies)


def test_what_is_not_delivered_is_said_without_the_address() -> None:
    assert refused(*[(500, {})] * 5) == (
        "the webhook in 'ALERT_WEBHOOK' took nothing in 5 attempts, the last: HTTP 500",
        "it is told again with the next runbook monitor alert",
        5,
    )
    assert refused((404, {})) == (
        "the webhook in 'ALERT_WEBHOOK' refused the alert: HTTP 404",
        "check its address, and that it takes Slack's JSON",
        1,
    )
    assert refused((429, {"Retry-After": "3600"})) == (
        "the webhook in 'ALERT_WEBHOOK' asks to be left alone for 3,600 s: HTTP 429",
        "it is told again with the next runbook monitor alert",
        1,
    )


@pytest.mark.parametrize("code", [302, 307])
def test_a_redirect_is_not_followed(code: int) -> None:
    with receiver((200, {})) as elsewhere:
        found = refused((code, {"Location": elsewhere.url}))
    assert found[0] == f"the webhook in 'ALERT_WEBHOOK' refused the alert: HTTP {code}"
    assert elsewhere.bodies == []


def test_a_server_that_is_not_there_or_does_not_answer_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with receiver() as to:
        pass
    with pytest.raises(IncompleteError) as caught:
        send(to)
    assert caught.value.message == (
        "the webhook in 'ALERT_WEBHOOK' took nothing in 5 attempts, the last:"
        " ConnectionRefusedError"
    )
    monkeypatch.setattr(webhook, "SECONDS", 0.05)
    with silent() as to, pytest.raises(IncompleteError) as caught:
        send(to)
    assert caught.value.message == (
        "the webhook in 'ALERT_WEBHOOK' took nothing in 5 attempts, the last: TimeoutError"
    )


@contextmanager
def silent() -> Iterator[Receiver]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield Receiver([], f"http://127.0.0.1:{listening.getsockname()[1]}{PATH}")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "the environment variable 'ALERT_WEBHOOK' is not set"),
        *(
            (value, "the environment variable 'ALERT_WEBHOOK' holds no https address")
            for value in (
                "hooks.example.org/secret",
                "http://hooks.example.org/secret",
                "file:///secret",
                "https:///secret",
                "https://example.org/secret\n",
                "https://exa mple.org/secret",
                "https://[secret",
                "https://example.org/secret\u00e9",
                "https://ex\u00e4mple.org/secret",
                "https://example.org:99999/secret",
                "https://example.org:x/secret",
            )
        ),
    ],
)
def test_only_an_https_address_is_taken(value: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        webhook.address(VARIABLE, {VARIABLE: value})
    assert caught.value.message == message
    assert "secret/" not in str(caught.value)
    assert "example" not in str(caught.value)


@pytest.mark.parametrize("value", ["https://hooks.example.org/x", "http://127.0.0.1:1/x"])
def test_an_address_is_taken(value: str) -> None:
    assert webhook.address(VARIABLE, {VARIABLE: value}) == value
