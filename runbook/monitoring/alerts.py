"""What is worth an alert, and when it is told: on a change, and again when nobody has reacted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from runbook.findings import AuditState, counted
from runbook.monitoring.log import Log, Result, stale_reason
from runbook.relationships import Alert

LOG = "log"
HEARTBEAT = "heartbeat"
MOST_LINES = 20  # of one message


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True)


class Notice(_Document):
    """Something wrong: a relationship's id, :data:`LOG` or :data:`HEARTBEAT` is its ``key``.

    ``orphans`` is None unless rows were counted.
    """

    key: str
    severity: Alert
    text: str
    orphans: int | None = None


class Told(_Document):
    """A notice as it was told last, and when; ``first`` is when it was told for the first time."""

    notice: Notice
    first: datetime
    last: datetime


class Memory(_Document):
    """What was told of an environment and has not ended."""

    told: tuple[Told, ...] = ()

    @property
    def by_key(self) -> dict[str, Told]:
        return {item.notice.key: item for item in self.told}


@dataclass(frozen=True)
class Escalation:
    """How long a notice may stay before it is told again.

    ``own`` has the time of a single relationship, by its id or its label.
    """

    critical: timedelta = timedelta(hours=4)
    warning: timedelta = timedelta(days=1)
    own: Mapping[str, timedelta] = field(default_factory=dict)

    def limit(self, notice: Notice, label: str = "") -> timedelta:
        for name in (notice.key, label):
            if name in self.own:
                return self.own[name]
        return self.critical if notice.severity is Alert.CRITICAL else self.warning


@dataclass(frozen=True)
class Message:
    """What there is to tell; empty where nothing has changed and nothing is overdue."""

    new: tuple[Notice, ...] = ()
    overdue: tuple[Told, ...] = ()
    ended: tuple[Notice, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.new or self.overdue or self.ended)


def unreadable(why: str) -> tuple[Notice, ...]:
    """The notice of a log that cannot be read, or that is not there."""
    text = f"the monitoring's log cannot be read: {why}"
    return (Notice(key=LOG, severity=Alert.CRITICAL, text=text),)


def notices(found: Log) -> tuple[Notice, ...]:
    """All that is wrong by the log, the worst first."""
    wrong = []
    if found.stale:
        wrong.append(Notice(key=HEARTBEAT, severity=Alert.CRITICAL, text=stale_reason(found)))
    wrong += [notice for result in found.results if (notice := _of(result))]
    return tuple(sorted(wrong, key=lambda notice: notice.severity.rank))


def _of(result: Result) -> Notice | None:
    since = f", since {result.since:%Y-%m-%d %H:%M %Z}" if result.since else ""
    if result.state is AuditState.COULD_NOT_LOOK:
        text = f"{result.label}: could not look: {result.error}{since}"
        return Notice(key=result.relationship, severity=Alert.WARNING, text=text)
    if not result.over_threshold or result.orphans is None:
        return None
    rows = counted(result.orphans, "orphan row")
    text = f"{result.label}: {rows}, over {result.threshold}{since}"
    return Notice(
        key=result.relationship, severity=result.severity, text=text, orphans=result.orphans
    )


def decide(
    current: Sequence[Notice],
    memory: Memory,
    now: datetime,
    escalation: Escalation,
    labels: Mapping[str, str],
) -> tuple[Message, Memory]:
    """What to tell now, and what is to be remembered once it was told.

    While the log cannot be read nothing else is known to have ended. ``labels`` are the
    relationships' by their ids.
    """
    before = memory.by_key
    unknown = any(notice.key == LOG for notice in current)
    new, overdue, kept = [], [], []
    for notice in current:
        told = before.get(notice.key)
        if told is None or _worse(notice, told.notice):
            new.append(notice)
            kept.append(Told(notice=notice, first=told.first if told else now, last=now))
        elif now - told.last >= escalation.limit(notice, labels.get(notice.key, "")):
            again = Told(notice=notice, first=told.first, last=now)
            overdue.append(again)
            kept.append(again)
        else:
            # the number that was told stays, so that slow growth is told too
            kept.append(told)
    keys = {notice.key for notice in current}
    gone = [told for key, told in before.items() if key not in keys]
    if unknown:
        kept += gone
    ended = () if unknown else tuple(told.notice for told in gone)
    return Message(tuple(new), tuple(overdue), ended), Memory(told=tuple(kept))


def _worse(now: Notice, before: Notice) -> bool:
    """Another severity, another kind of trouble, or more rows than were told."""
    if (now.severity, now.orphans is None) != (before.severity, before.orphans is None):
        return True
    return now.orphans is not None and now.orphans > (before.orphans or 0)


def slack(environment: str, message: Message) -> dict[str, str]:
    """The message as Slack's webhooks take it; also Mattermost's and Rocket.Chat's."""
    lines = [f"[{notice.severity}] {notice.text}" for notice in message.new]
    lines += [
        f"[{told.notice.severity}, nobody has reacted since {told.first:%Y-%m-%d %H:%M %Z}]"
        f" {told.notice.text}"
        for told in message.overdue
    ]
    lines += [f"[ended] {notice.text}" for notice in message.ended]
    shown = lines[:MOST_LINES]
    if len(lines) > len(shown):
        shown.append(f"and {len(lines) - len(shown)} more: runbook monitor status {environment}")
    head = (
        f"{environment}: {len(message.new)} new, {len(message.overdue)} overdue,"
        f" {len(message.ended)} ended"
    )
    return {"text": "\n".join(escape(line) for line in (head, *shown))}


def escape(text: str) -> str:
    """One line in which nothing is a link or a mention to Slack.

    https://docs.slack.dev/messaging/formatting-message-text#escaping
    """
    line = "".join(c if c.isprintable() else " " for c in text)
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
