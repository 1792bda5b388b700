"""What a notebook of the runbook calls: open a step, run its checks, finish it.

::

    step = open_step("preflight", environment, run_folder)
    show(step.check("server"))
    step.finish()

Run by hand (``run_folder`` is empty) a step shows the same results and records nothing.
"""

from __future__ import annotations

import importlib
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Self

import psycopg

from runbook import (
    census,
    checks,
    connection,
    context,
    impact,
    judgement,
    measures,
    migration,
    record,
    replica,
    session,
)
from runbook.audit import engine, lookalikes, parallel
from runbook.audit.lookalikes import Lookalike
from runbook.audit.work import Limits
from runbook.connection import Purpose
from runbook.environment import Environment
from runbook.errors import UsageError
from runbook.findings import Audit, CensusRow, CheckResult, Evidence, Status, Value
from runbook.impact import Impact
from runbook.migration import KeyStatements
from runbook.selftest import SelfTest
from runbook.session import Session
from runbook.settings import FILE_NAME, Settings
from runbook.settings import read as read_settings
from runbook.verdict import Verdict

BY_HAND = (
    "a step run by hand has no results of other steps to look at; run them all with runbook run"
)
KEY_COST = "the foreign keys cost an insert no more than was accepted"


class Step:
    """An open step: its session, what it has found so far, and where it writes the result.

    Use :func:`open_step`. The reader's transaction stays open until :meth:`finish`, so that a
    step sees one snapshot.
    """

    def __init__(self, name: str, settings: Settings, environment: Environment, run: str) -> None:
        self.name = name
        self.settings = settings
        self.environment = environment
        self.run_folder = Path(run) if run else None
        self._resources = ExitStack()
        self._checks = checks.of_project(settings)
        self._results: dict[str, CheckResult] = {}
        self._facts: dict[str, Value] = {}
        self._census: tuple[CensusRow, ...] = ()
        self._undeclared: int | None = None
        self._lookalikes: tuple[Lookalike, ...] = ()
        self._reader = session.connect(environment, Purpose.READ)
        self._resources.callback(self._reader.close)
        try:
            self.server = _server(self._reader, environment)
            self._resources.enter_context(session.reading(self._reader, environment))
            replica.refuse(environment, self._reader)
            self.context = context.look(settings, environment, self._reader)
        except BaseException:
            self._resources.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._resources.close()

    def check(self, name: str) -> CheckResult:
        """Run the check of that id and keep its result."""
        if name not in self._checks:
            raise UsageError(
                f"no check {name!r}", f"choose one of: {', '.join(sorted(self._checks))}"
            )
        return self.keep(checks.perform(self._checks[name], self.context))

    def keep(self, result: CheckResult) -> CheckResult:
        """Record the result of a check that the notebook obtained elsewhere."""
        self._results[result.check] = result
        return result

    def fact(self, **values: Value) -> None:
        """Record values that pages quote as ``<environment>.<step>.<name>``."""
        self._facts |= {f"{self.name}.{name}": value for name, value in values.items()}

    def take_census(self) -> tuple[CensusRow, ...]:
        """The census of all relationships; recorded with the run."""
        self._census = self.context.census
        self._undeclared = len(census.undeclared(self.context.relationships, self.context.schema))
        self._facts |= measures.of_census(self.settings, self._census)
        return self._census

    def audit(self) -> tuple[Audit, ...]:
        """Count the orphan rows of every relationship; the most alarming come first.

        Foreign keys that no relationship mentions are audited with them.
        """
        whole = context.with_undeclared(self.context)
        load = self.environment.load
        limits = Limits(load.jobs, load.budget, load.max_load)
        audits = parallel.in_snapshot(self._reader, whole, engine.Options(), limits)
        ordered = sorted(audits, key=lambda audit: audit.relationship.alert.rank)
        self.context = replace(self.context, audits=tuple(ordered))
        self._facts |= measures.of_audits(
            self.settings, self.context.audits, self.context.relationships
        )
        return self.context.audits

    def look_alikes(self) -> tuple[Lookalike, ...]:
        """Count what only looks like orphan rows; it is recorded apart from them."""
        seen = self.context
        self._lookalikes = lookalikes.measure(
            self._reader, seen.relationships.items, seen.schema, seen.comparisons
        )
        return self._lookalikes

    def missing_keys(self) -> tuple[KeyStatements, ...]:
        """The SQL of the keys that are missing here, the most urgent first."""
        return migration.missing(self.context.census)

    def options(self) -> Evidence:
        """What the two options come to in this environment."""
        return migration.options(self.context.census)

    def measure_impact(self) -> Impact | CheckResult:
        """What the keys of the busiest table cost an insert, where writing is allowed.

        The rows go into scratch tables of a transaction that is rolled back.
        """
        refusal = connection.no_writing(self.environment)
        if refusal:
            self._facts |= dict.fromkeys(measures.IMPACT)
            return self.keep(
                CheckResult(
                    check="key_cost",
                    title=KEY_COST,
                    criterion="",
                    status=Status.NOT_LOOKED,
                    message=refusal,
                )
            )
        owner = session.connect(self.environment, Purpose.WRITE)
        try:
            session.same_database(self._reader, owner)
            with session.trying(owner, self.environment):
                found = impact.measure(owner, impact.busiest(self.context.core_relationships()))
        finally:
            owner.close()
        self._facts |= measures.of_impact(found)
        self._keep_cost(found)
        return found

    def _keep_cost(self, found: Impact) -> None:
        accepted = self.settings.limit("key_cost_accepted_ms")
        self.keep(
            CheckResult(
                check="key_cost",
                title=KEY_COST,
                criterion="",
                status=Status.PASSED if found.cost_ms <= accepted else Status.FAILED,
                message=f"{found.cost_ms:.2f} ms an insert, accepted up to {accepted:g} ms",
                failing=int(found.cost_ms > accepted),
            )
        )

    def judge(self) -> tuple[Verdict, ...] | str:
        """The verdict of each gate over the finished steps; by hand, why there is none."""
        if self.run_folder is None:
            return BY_HAND
        results = judgement.results_of(self.settings, self.run_folder)
        found = judgement.all_checks(self.settings, results)
        return judgement.verdicts(self.settings, self.environment, results, found)

    def self_test(self) -> SelfTest | str:
        """What was planted in a demo database against what this run found of it."""
        if self.run_folder is None:
            return BY_HAND
        if not self.settings.project.self_test:
            return "this project has no self-test"
        results = judgement.results_of(self.settings, self.run_folder)
        found = {check.check: check for result in results for check in result.checks}
        compare = importlib.import_module(self.settings.project.self_test).compare
        audits = next((result.audits for result in results if result.audits), ())
        self._facts |= measures.of_self_test(None)
        try:
            with self._reader.transaction():  # a savepoint: the snapshot outlives a failure
                test: SelfTest = compare(self._reader, audits, self.context.census, found)
        except psycopg.Error as error:
            return f"could not look at what was planted: {session.reason(error)}"
        self._facts |= measures.of_self_test(test)
        return test

    def finish(self) -> str:
        """Close the session and write the step's result file; says where it went."""
        self._resources.close()
        if self.run_folder is None:
            return "run by hand: shown here, recorded nowhere, and it counts towards no verdict"
        path = record.write_step(
            self.run_folder,
            record.StepResult(
                step=self.name,
                checks=tuple(self._results.values()),
                census=self._census,
                undeclared=self._undeclared,
                audits=self.context.audits,
                lookalikes=self._lookalikes,
                facts=self._facts,
                server=self.server,
                fingerprint=self.context.schema.fingerprint,
                structure_fingerprint=self.context.schema.structure_fingerprint,
            ),
        )
        return f"recorded in {path.relative_to(self.run_folder)}"


def open_step(name: str, environment: str, run_folder: str = "") -> Step:
    """Open the step ``name`` against ``environment`` of the project that this folder is in."""
    settings = read_settings()
    if name not in {entry.name for entry in settings.step}:
        known = ", ".join(entry.name for entry in settings.step)
        raise UsageError(f"no step {name!r} in {FILE_NAME}", f"choose one of: {known}")
    return Step(name, settings, settings.environment(environment), run_folder)


def _server(reader: Session, environment: Environment) -> record.Server:
    facts = session.server_facts(reader)
    return record.Server(
        version=facts.version,
        version_number=facts.version_number,
        system_identifier=facts.system_identifier,
        database=facts.database,
        role=facts.role,
        source=connection.source(environment),
    )
