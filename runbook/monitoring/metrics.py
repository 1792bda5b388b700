"""The log as Prometheus metrics. A scrape reads the log and counts no orphan rows.

Times are timestamps, as Prometheus advises: an age in a file that nobody writes any more would
stay young.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, StateSetMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from runbook.findings import AuditState
from runbook.monitoring.log import Log, Result

PREFIX = "fk_runbook"
MOST_RELATIONSHIPS = 2_000  # with labels; the rest is counted and left out
STATES = tuple(
    state.value
    for state in (
        AuditState.CLEAN,
        AuditState.ORPHANS,
        AuditState.COULD_NOT_LOOK,
        AuditState.NOT_LOOKED,
    )
)

Read = Callable[[], Log | None]
"""Reads the log; None where nothing is installed or the database cannot be reached."""


class LogCollector(Collector):
    """Reads the log at every scrape of ``environment``."""

    def __init__(self, environment: str, read: Read) -> None:
        self._environment = environment
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """``up`` is 0, and all else is absent, where there is no log to read."""
        found = self._read()
        yield self._gauge("up", "Whether the log could be read.", float(found is not None))
        if found is None:
            return
        yield from self._heartbeat(found)
        shown = sorted(found.results, key=_urgency)[:MOST_RELATIONSHIPS]
        left = len(found.results) - len(shown)
        yield self._gauge("relationships_left_out", "Relationships without metrics.", left)
        yield from self._relationships(shown)

    def _heartbeat(self, found: Log) -> Iterator[Metric]:
        yield self._gauge(
            "interval_seconds", "How often the audit should run.", found.run_every.total_seconds()
        )
        yield self._gauge(
            "installed_timestamp_seconds", "Installation.", found.installed_at.timestamp()
        )
        success = found.last_success.timestamp() if found.last_success else 0.0
        yield self._gauge(
            "last_success_timestamp_seconds",
            "End of the newest audit that could look at everything; 0: there was none.",
            success,
        )
        if found.finished_at and found.started_at:
            ended = found.finished_at.timestamp()
            yield self._gauge("last_run_timestamp_seconds", "End of the newest audit.", ended)
            yield self._gauge(
                "heartbeat_age_seconds",
                "Since the end of the newest audit, when this was read.",
                (found.now - found.finished_at).total_seconds(),
            )
            took = (found.finished_at - found.started_at).total_seconds()
            yield self._gauge("audit_seconds", "How long the newest audit took.", took)

    def _relationships(self, shown: Sequence[Result]) -> Iterator[Metric]:
        labels = ("environment", "relationship", "severity")
        orphans = GaugeMetricFamily(
            f"{PREFIX}_orphan_rows",
            "Orphan rows; absent where they were not counted.",
            None,
            labels,
        )
        edges = GaugeMetricFamily(
            f"{PREFIX}_orphan_threshold", "The rows that are not an alert yet.", None, labels
        )
        states = StateSetMetricFamily(
            f"{PREFIX}_relationship_state", "What the newest audit came to.", None, labels
        )
        for result in shown:
            values = (self._environment, result.relationship, result.severity.value)
            if result.orphans is not None:
                orphans.add_metric(values, result.orphans)
            if result.threshold is not None:
                edges.add_metric(values, result.threshold)
            states.add_metric(values, {name: name == result.state.value for name in STATES})
        yield from (orphans, edges, states)

    def _gauge(self, name: str, text: str, value: float) -> Metric:
        family = GaugeMetricFamily(f"{PREFIX}_{name}", text, None, ("environment",))
        family.add_metric((self._environment,), value)
        return family


def _urgency(result: Result) -> tuple[bool, bool, int, str]:
    """What matters comes first, so that only what matters less is left out."""
    uncounted = result.state is AuditState.COULD_NOT_LOOK
    return (not result.over_threshold, not uncounted, result.severity.rank, result.relationship)


def registry(environment: str, read: Read) -> CollectorRegistry:
    found = CollectorRegistry()
    found.register(LogCollector(environment, read))
    return found


def text(environment: str, found: Log | None) -> bytes:
    """The metrics in Prometheus's text format, for node_exporter's textfile collector."""
    return generate_latest(registry(environment, lambda: found))
