"""When the audit runs: cron's five fields, read, checked and told to systemd."""

from __future__ import annotations

import re
from dataclasses import dataclass

from runbook.errors import UsageError

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_PART = re.compile(r"(?:\*|(\d+)(?:-(\d+))?)(?:/(\d+))?")
_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True)
class Moments:
    """The five fields as they are written; :func:`parse` has looked at them."""

    minute: str
    hour: str
    day: str
    month: str
    weekday: str

    def __str__(self) -> str:
        return f"{self.minute} {self.hour} {self.day} {self.month} {self.weekday}"

    @property
    def systemd(self) -> str:
        """The same for ``OnCalendar=``: ``*-*-* 02:00:00``."""
        days = ",".join(_DAYS[number] for number in sorted(_numbers(self.weekday, 0, 6)))
        week = "" if self.weekday == "*" else f"{days} "
        month, day = _systemd(self.month, 1), _systemd(self.day, 1)
        return f"{week}*-{month}-{day} {_systemd(self.hour, 0)}:{_systemd(self.minute, 0)}:00"


def parse(text: str) -> Moments:
    """Read ``minute hour day month weekday``; raises :class:`UsageError` for anything else."""
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise UsageError(
            f"not a schedule: {text!r}, expected five fields", "write it as '0 2 * * *'"
        )
    for written, (name, least, most) in zip(fields, _FIELDS, strict=True):
        for part in written.split(","):
            _check(part, name, least, most)
    moments = Moments(*fields)
    if moments.day != "*" and moments.weekday != "*":
        raise UsageError(
            f"the schedule {text!r} has a day and a weekday",
            "give one of them: cron takes both as either, systemd as both",
        )
    return moments


def _check(part: str, name: str, least: int, most: int) -> None:
    found = _PART.fullmatch(part)
    numbers = [int(number) for number in found.groups()[:2] if number] if found else []
    step = found[3] if found else None
    if (
        found is None
        or not all(least <= number <= most for number in numbers)
        or numbers != sorted(numbers)
        or (step is not None and (not 1 <= int(step) <= most or len(numbers) == 1))
    ):
        raise UsageError(
            f"not a {name}: {part!r}, expected numbers from {least} to {most}",
            "write it as 5, 1-5, */15 or a list of them",
        )


def _numbers(field: str, least: int, most: int) -> set[int]:
    """The numbers that a field names; 7 is Sunday, as 0 is."""
    found = set()
    for part in field.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(part)
        first = int(match[1]) if match[1] else least
        last = int(match[2] or match[1] or most)
        found |= {number % 7 for number in range(first, last + 1, int(match[3] or 1))}
    return found


def _systemd(field: str, least: int) -> str:
    """Two digits where it is a number, ``..`` for a range, and a start where there is a step."""
    parts = []
    for part in field.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(part)
        text = match[1].zfill(2) if match[1] else "*"
        if match[2]:
            text += f"..{match[2].zfill(2)}"
        if match[3]:
            text = (str(least).zfill(2) if text == "*" else text) + f"/{match[3]}"
        parts.append(text)
    return ",".join(parts)
