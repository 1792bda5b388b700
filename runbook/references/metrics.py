"""Counts checks and failures for Prometheus, and says when too many of them fail."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock

ALERT_RATE = 0.05
CHECKED = "reference_checks_total"
FAILED = "reference_check_failures_total"
MINUTE = 60
HEADS = {
    CHECKED: "References that were checked, by the parent's table.",
    FAILED: "References that were refused, by the parent's table and the reason.",
}


@dataclass(frozen=True)
class FailureRate:
    """Checks and failures of the last minutes; ``rate`` is None where nothing was checked."""

    checked: int
    failed: int

    @property
    def rate(self) -> float | None:
        return self.failed / self.checked if self.checked else None


class Metrics:
    """Counters of one process by table and reason, and the rate of the last ``minutes``.

    The labels are tables that the application names and the reasons of this package: neither
    comes from a request. Safe to share between threads.
    """

    def __init__(self, *, minutes: int = 15, clock: Callable[[], float] = time.monotonic) -> None:
        if minutes < 1:
            raise ValueError(f"expected at least one minute, got {minutes!r}")
        self._checked: Counter[str] = Counter()
        self._failed: Counter[tuple[str, str]] = Counter()
        self._recent: deque[tuple[int, int, int]] = deque()  # minute, checked, failed
        self._minutes, self._clock, self._lock = minutes, clock, Lock()

    def count(self, checked: Mapping[str, int], failed: Mapping[tuple[str, str], int]) -> None:
        """Add checks by table, and failures by table and reason."""
        with self._lock:
            self._checked.update(checked)
            self._failed.update(failed)
            minute = int(self._clock() // MINUTE)
            sums = (sum(checked.values()), sum(failed.values()))
            if self._recent and self._recent[-1][0] == minute:
                _, before, bad = self._recent.pop()
                sums = (sums[0] + before, sums[1] + bad)
            self._recent.append((minute, *sums))
            self._drop(minute)

    def recent(self) -> FailureRate:
        """What was checked and refused in the last minutes."""
        with self._lock:
            self._drop(int(self._clock() // MINUTE))
            checked = sum(each[1] for each in self._recent)
            return FailureRate(checked, sum(each[2] for each in self._recent))

    def alert(self, rate: float = ALERT_RATE, *, least: int = 20) -> str | None:
        """The alert's text where more than ``rate`` failed of at least ``least`` checks."""
        found = self.recent()
        if found.rate is None or found.checked < least or found.rate <= rate:
            return None
        return (
            f"{found.failed:,} of {found.checked:,} references failed in {self._minutes} minutes:"
            f" {found.rate:.1%}, the limit is {rate:.1%}"
        )

    def exposition(self) -> str:
        """All counters in Prometheus' text format, version 0.0.4."""
        with self._lock:
            checked = sorted(self._checked.items())
            failed = sorted(self._failed.items())
        lines = _head(CHECKED)
        lines += [f"{CHECKED}{{table={_label(table)}}} {n}" for table, n in checked]
        lines += _head(FAILED)
        lines += [
            f"{FAILED}{{table={_label(table)},reason={_label(reason)}}} {n}"
            for (table, reason), n in failed
        ]
        return "\n".join(lines) + "\n"

    def _drop(self, minute: int) -> None:
        while self._recent and self._recent[0][0] <= minute - self._minutes:
            self._recent.popleft()


def alert_rule(rate: float = ALERT_RATE, minutes: int = 15) -> str:
    """A rules file for Prometheus with the same alert over all processes."""
    failed = f"sum(rate({FAILED}[{minutes}m]))"
    checked = f"sum(rate({CHECKED}[{minutes}m]))"
    return (
        "groups:\n"
        "  - name: references\n"
        "    rules:\n"
        "      - alert: ReferencesFail\n"
        f"        expr: {failed} / {checked} > {rate:g}\n"
        "        for: 5m\n"
        "        annotations:\n"
        f"          summary: more than {rate:.0%} of the references that are checked fail\n"
    )


def _head(name: str) -> list[str]:
    return [f"# HELP {name} {HEADS[name]}", f"# TYPE {name} counter"]


def _label(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
