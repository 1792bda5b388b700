"""The cost of the keys as HTML: the judgement, a plot, and the measured times as tables."""

from __future__ import annotations

from runbook import charts, markup
from runbook.charts import Bar
from runbook.findings import counted
from runbook.impact.outcome import JUDGED, ImpactFound, Judgement

TONES = {Judgement.WITHIN: "passed", Judgement.NOT_JUDGED: "unknown"}


def html(found: ImpactFound) -> str:
    """All of it, as HTML without styles or scripts of its own."""
    return "\n".join(
        (_judgement(found), _plot(found), _series(found), _triggers(found), _missing(found))
    )


def _judgement(found: ImpactFound) -> str:
    cost = found.highest_cost_ms
    said = [
        f"{counted(len(found.keys), 'key')} of {found.table}, {found.rows:,} rows:",
        f"at most {cost:+.3f} ms a write" if cost is not None else "nothing was measured",
    ]
    if found.estimate_ms:
        said.append(f"(estimated {found.estimate_ms[0]:+g} to {found.estimate_ms[1]:+g} ms)")
    if found.accepted_ms is not None:
        said[-1] += f"; accepted are {found.accepted_ms:g} ms"
    if found.rollback_ms is not None:
        said[-1] += f", rolled back above {found.rollback_ms:g} ms"
    state = markup.state(TONES.get(found.judgement, "failed"))
    return (
        f"<p>{state} {markup.text(found.judgement)}. {markup.text(' '.join(said))}.</p>"
        f"<p>Measured {markup.moment(found.finished)} on {markup.text(found.copy_used.where)}."
        " The figures are medians. A commit does not wait for the disk: that wait is the same with"
        f" and without the keys, and would hide their cost. Cold: {markup.text(found.cold)}.</p>"
    )


def _plot(found: ImpactFound) -> str:
    bars = []
    for operation in JUDGED:
        for writers in sorted({item.writers for item in found.series}):
            for keys, word in ((False, "without"), (True, "with")):
                series = found.of(operation, writers, "warm", keys=keys)
                if series:
                    label = f"{operation}, {counted(writers, 'writer')}, {word}"
                    bars.append(Bar(label, series.p50_ms))
    return charts.bars("A write with and without the keys, median", "ms", bars)


def _series(found: ImpactFound) -> str:
    rows = [
        (
            item.operation,
            item.writers,
            item.temperature,
            "with" if item.keys else "without",
            item.count,
            item.p50_ms,
            item.p95_ms,
            item.p99_ms,
            item.per_second,
        )
        for item in found.series
    ]
    columns = (
        "operation", "writers", "", "keys", "measured", "p50 ms", "p95 ms", "p99 ms", "a second",
    )  # fmt: skip
    return markup.table(columns, rows, "All that was measured")


def _triggers(found: ImpactFound) -> str:
    rows = [
        (item.operation, item.count, item.triggers_ms, item.statement_ms) for item in found.triggers
    ]
    columns = ("operation", "measured", "triggers of the keys ms", "statement ms")
    return markup.table(columns, rows, "The triggers' part, by EXPLAIN ANALYZE, medians")


def _missing(found: ImpactFound) -> str:
    item = found.missing_index
    if item.reason:
        return (
            "<p>The cost of a missing index on the child was not measured:"
            f" {markup.text(item.reason)}.</p>"
        )
    rows = [("with", item.with_index_ms), ("without", item.without_index_ms)]
    caption = (
        f"The delete of a parent, {item.relationship}, {item.child_rows or 0:,} child rows, median"
    )
    return markup.table(("index on the child", "ms"), rows, caption)
