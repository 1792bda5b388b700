"""What a hand-written page may call, between double braces, once it opts in with
``render_macros: true``.

Values from a database are returned as inert HTML (:mod:`runbook.markup`) and never pass through
a template again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from mkdocs.utils import get_relative_url

from runbook import charts, checks, markup, migration, report
from runbook import facts as all_facts
from runbook.errors import IncompleteError
from runbook.facts import Fact, Facts
from runbook.findings import Value
from runbook.judgement import now
from runbook.markup import Html
from runbook.relationships import Alert
from runbook.settings import Settings
from runbook.settings import read as read_settings
from runbook.site import ledger_page, pages, recommendation, reference


class Registry(Protocol):
    """The part of mkdocs-macros' environment that is used here."""

    project_dir: str
    page: Any

    def macro(self, function: Any, name: str = "") -> Any: ...


def url_of(document: str) -> str:
    """The URL, from the site's root, of a document in docs/; an anchor is kept."""
    path, hash_, anchor = document.partition("#")
    if path.endswith((".md", ".ipynb")):
        path = path.rpartition(".")[0]
        path = path.removesuffix("index") if path.endswith("index") else path + "/"
    return f"{path}{hash_}{anchor}"


class Macros:
    """The macros of one build; each public method is one."""

    def __init__(self, registry: Registry, settings: Settings, facts: Facts) -> None:
        self._registry = registry
        self._settings = settings
        self._facts = facts

    def _link(self, document: str) -> str:
        return str(get_relative_url(url_of(document), self._registry.page.url))

    def fact(self, name: str) -> str:
        """The value of a fact, with its source and age, linked to what proves it."""
        return self._shown(self._facts[name], markup.text(self._facts[name].value))

    def state(self, name: str) -> str:
        """A fact that is a state, as a badge."""
        value = self._facts[name].value
        return self._shown(
            self._facts[name], markup.state("unknown" if value is None else str(value))
        )

    def _shown(self, fact: Fact, content: str) -> str:
        title = fact.source
        extra = ""
        if fact.measured is not None:
            title += f", {fact.measured:%Y-%m-%d}"
        if fact.fresh_until is not None:
            extra = f' data-fresh-until="{markup.stamp(fact.fresh_until)}"'
        stale = " rb-stale" if fact.stale(now()) else ""
        title = f"{markup.text(fact.name)}: {markup.text(title)}"
        about = f'data-about="{title}" aria-description="{title}"'
        attributes = f'class="rb-fact{stale}" {about}{extra}'
        if fact.proof:
            return f'<a href="{self._link(fact.proof)}" {attributes}>{content}</a>'
        return f'<span tabindex="0" {attributes}>{content}</span>'

    def tick(self, name: str, equals: Value) -> str:
        """A box that a fact ticks, and the fact beside it."""
        fact = self._facts[name]
        done = fact.value == equals
        word = "done" if done else "open"
        return (
            f'<span class="rb-tick rb-tick-{word}">{"☑" if done else "☐"}'
            f'<span class="rb-hidden"> {word}</span></span> '
            f"<small>{markup.text(name)} = {self.fact(name)}</small>"
        )

    def panel(self) -> str:
        """A card for each environment with its verdicts."""
        return pages.panel(self._settings, self._facts, self._registry.page.url)

    def ledger(self) -> str:
        """Relationships × environments."""
        rows = ledger_page.all_rows(self._settings, self._facts)
        links = {
            row.relationship.id: str(get_relative_url(url, self._registry.page.url))
            for row, url in rows
        }
        return ledger_page.table(self._settings, [row for row, _ in rows], links)

    def missing_keys(self, environment: str) -> str:
        """The keys that are missing in an environment: table and SQL."""
        run = self._run(environment)
        keys = migration.missing(run.census)
        rows = [
            (
                key.relationship.label,
                key.relationship.target,
                key.relationship.on_delete.value,
                key.relationship.priority.value,
                key.relationship.why,
            )
            for key in keys
        ]
        columns = ("relationship", "refers to", "on delete", "priority", "why")
        table = markup.table(columns, rows, f"Keys that are missing in {environment}")
        return f"{table}\n\n{report.statements_list(keys)}"

    def options(self, environment: str) -> str:
        """What the two options come to in an environment, in numbers."""
        return recommendation.options(self._run(environment))

    def recommendation(self, environment: str) -> str:
        """Which option the numbers of an environment recommend, and which numbers those are."""
        return recommendation.recommend(self._settings, self._facts, self._run(environment))

    def audits(self, environment: str, alerting: bool = False) -> str:
        """The audits of an environment; ``alerting``: only those over the lowest alert."""
        run = self._run(environment)
        chosen = [a for a in run.audits if not alerting or a.relationship.alert is not Alert.BELOW]
        return report.audit_table(chosen)

    def evidence(self, environment: str, check: str) -> str:
        """The evidence tables of a check."""
        found = next((c for c in self._run(environment).checks if c.check == check), None)
        if found is None:
            raise IncompleteError(f"no check {check!r} in {environment!r}", "correct the page")
        return report.show(found).content

    def criteria(self) -> str:
        """Criteria × environments, under the gate that decides in each."""
        names = [name for name in self._settings.environments if name in self._facts.runs]
        rows: list[tuple[Value | Html, ...]] = []
        for criterion in self._settings.criteria:
            cells = [Html(markup.state(self._criterion(name, criterion.id))) for name in names]
            rows.append((criterion.id, criterion.title, criterion.tier.value, *cells))
        heads = [f"{name} (gate {self._settings.environments[name].gate})" for name in names]
        return markup.table(("criterion", "", "weight", *heads), rows, "Criteria")

    def _criterion(self, environment: str, criterion: str) -> str:
        run = self._facts.runs[environment]
        verdict = run.verdict(run.gate)
        for result in verdict.criteria if verdict else ():
            if result.criterion.id == criterion:
                return result.state.value
        return "unknown"

    def check_list(self) -> str:
        """Every check: its criterion, what it proves, whether it writes."""
        found = sorted(
            checks.of_project(self._settings).values(), key=lambda c: (c.criterion or "~", c.id)
        )
        rows = [
            (
                check.criterion,
                check.id,
                check.title,
                "in a rolled-back transaction" if check.writes else "no",
            )
            for check in found
        ]
        return markup.table(("criterion", "check", "proves that", "writes"), rows, "Checks")

    def gates(self) -> str:
        """Every gate with the failures that it accepts, and the action that each depends on."""
        rows = [
            (
                gate.name,
                entry.check,
                entry.failing if entry.failing is not None else "any",
                entry.action,
                entry.reason,
            )
            for gate in self._settings.gate
            for entry in gate.accept
        ]
        rows += [
            (gate.name, check, "any", "", "this gate does not have that condition")
            for gate in self._settings.gate
            for check in gate.ignore
        ]
        return markup.table(
            ("gate", "check", "failures", "while action is open", "why"), rows, "Accepted failures"
        )

    def impact_chart(self, environment: str) -> str:
        """The measured insert times, with and without keys."""
        names = {
            "without keys": "without_ms",
            "with keys": "with_ms",
            "cost of the keys": "cost_ms",
        }
        facts = {
            label: self._facts[f"{environment}.impact.insert.{name}"].value
            for label, name in names.items()
        }
        if any(not isinstance(value, int | float) for value in facts.values()):
            return f"<p>{markup.state('unknown')} not measured in {markup.text(environment)}</p>"
        values = [charts.Bar(label, float(value or 0)) for label, value in facts.items()]
        return charts.bars(f"Median one-row insert in {environment}", "ms", values)

    def reference(self, name: str) -> str:
        """A generated reference: ``cli``, ``settings``, ``relationships``, ``tables``."""
        return reference.render(name, self._settings, self._facts)

    def _run(self, environment: str) -> Any:
        if environment not in self._facts.runs:
            raise IncompleteError(
                f"no run of {environment!r}", f"run it: runbook run {environment}"
            )
        return self._facts.runs[environment]


def define_env(registry: Registry) -> None:
    """Called by mkdocs-macros at the start of a build."""
    settings = read_settings(Path(registry.project_dir))
    macros = Macros(registry, settings, all_facts.collect(settings))
    for name in dir(macros):
        if not name.startswith("_"):
            registry.macro(getattr(macros, name), name)
