"""The demo's self-test: exact where all that was planted was found, and not a defect beside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from psycopg import sql

from runbook import checks, session
from runbook import context as contexts
from runbook.audit import engine
from runbook.connection import Purpose
from runbook.findings import Audit, AuditState, CensusRow, CheckResult, KeyState, Status
from runbook.selftest import SelfTest
from runbook.session import Session
from runbook.settings import read as read_settings
from runbook.telecore import defects, planted
from tests.conftest import ROOT, Connect

CONFIG = "public.workflow_instances(config_version_id)"
STAGES = "public.workflow_stages(workflow_instance_id)"
VENDOR = "public.workflow_instances(vendor_id)"
CHECK = "invariant_4_workspace_isolation"


@dataclass(frozen=True)
class Run:
    """What a run hands to the self-test."""

    session: Session
    audits: tuple[Audit, ...]
    census: tuple[CensusRow, ...]
    results: dict[str, CheckResult]

    def compare(self) -> SelfTest:
        return planted.compare(self.session, self.audits, self.census, self.results)

    def with_audit(self, source: str, **changes: Any) -> Run:
        return replace(
            self,
            audits=tuple(
                replace(audit, **changes) if audit.relationship.source == source else audit
                for audit in self.audits
            ),
        )

    def with_state(self, source: str, state: KeyState) -> Run:
        return replace(
            self,
            census=tuple(
                replace(row, state=state) if row.relationship.source == source else row
                for row in self.census
            ),
        )


@pytest.fixture(scope="module")
def database(connect: Connect, telecore_staging: str) -> Iterator[str]:
    """A copy of staging with what is planted in production, at a fifth of its rows."""
    name = "telecore_planted"
    with connect("postgres", None) as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER telecore_owner").format(
                sql.Identifier(name), sql.Identifier(telecore_staging)
            )
        )
        try:
            with connect(name, "telecore_owner") as owner:
                owner.execute("TRUNCATE demo.planted")
                defects.plant_production(owner)
            yield name
        finally:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def run(database: str, dsn: Callable[[str, str | None], str]) -> Iterator[Run]:
    """Everything that a run finds there, in one snapshot."""
    settings = read_settings(ROOT)
    entry = settings.environment("staging")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNBOOK_READER_DSN", dsn(database, "telecore_reader"))
        reader = session.connect(entry, Purpose.READ)
    try:
        with session.reading(reader, entry):
            context = contexts.look(settings, entry, reader)
            audits = engine.count(
                reader, context.relationships.items, context.schema, context.comparisons
            )
            check = checks.load([settings.project.checks])[CHECK]
            results = {CHECK: checks.perform(check, context)}
            yield Run(reader, audits, context.census, results)
    finally:
        reader.close()


@pytest.fixture
def recorded(connect: Connect, database: str, run: Run) -> Iterator[Callable[[str, str], Run]]:
    """``recorded(kind, relationship)``: the run, with one more defect in the record."""
    with connect(database, "telecore_owner") as owner, owner.transaction(force_rollback=True):

        def add(kind: str, relationship: str) -> Run:
            owner.execute(
                "INSERT INTO demo.planted (kind, relationship, child_key) VALUES (%s, %s, '1')",
                [kind, relationship],
            )
            return replace(run, session=owner)

        yield add


def differences(run: Run) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The sentences about what was missed, and about what was invented."""
    found = run.compare()
    assert found.available
    assert not found.exact
    return found.missed, found.invented


def test_all_that_was_planted_is_found_and_nothing_else(run: Run) -> None:
    recorded = run.session.execute("""
        SELECT count(*) FROM demo.planted WHERE kind <> 'null_reference'
    """).fetchall()[0][0]
    found = run.compare()
    assert (found.planted, found.found) == (recorded, recorded)
    assert (found.missed, found.invented, found.exact) == ((), (), True)


def test_a_database_without_a_record_is_not_compared(
    connect: Connect, scratch: str, run: Run
) -> None:
    with connect(scratch, "telecore_owner") as owner:
        owner.execute("DROP SCHEMA demo CASCADE")
        found = replace(run, session=owner).compare()
    assert found == SelfTest(0, 0, (), (), available=False)
    assert not found.exact


def test_too_few_orphan_rows_are_missed(run: Run) -> None:
    assert differences(run.with_audit(STAGES, orphans=4)) == (
        (f"{STAGES}: found 4 of 7 planted orphan rows",),
        (),
    )


def test_no_orphan_row_where_some_were_planted_is_missed(run: Run) -> None:
    changed = run.with_audit(CONFIG, orphans=0, state=AuditState.CLEAN, samples=())
    assert differences(changed) == ((f"{CONFIG}: found 0 of 3 planted orphan rows",), ())


def test_too_many_orphan_rows_are_invented(run: Run) -> None:
    assert differences(run.with_audit(CONFIG, orphans=5)) == (
        (),
        (f"{CONFIG}: 2 more orphan rows than the 3 planted",),
    )


def test_the_right_number_of_wrong_rows_is_both(run: Run) -> None:
    assert differences(run.with_audit(CONFIG, samples=("wfi_000003", "wfi_1", "wfi_2"))) == (
        (f"{CONFIG}: found 1 of 3 planted orphan rows",),
        (
            f"{CONFIG}: 'wfi_1' is among the orphan rows, not planted",
            f"{CONFIG}: 'wfi_2' is among the orphan rows, not planted",
        ),
    )


def test_a_reference_to_nothing_that_is_counted_is_invented(run: Run) -> None:
    changed = run.with_audit(VENDOR, orphans=1, state=AuditState.ORPHANS, samples=("wfi_000020",))
    assert differences(changed) == ((), (f"{VENDOR}: 'wfi_000020' refers to nothing, no orphan",))


@pytest.mark.parametrize("state", [AuditState.NOT_LOOKED, AuditState.COULD_NOT_LOOK])
def test_what_was_not_looked_at_is_missed(run: Run, state: AuditState) -> None:
    changed = run.with_audit(VENDOR, orphans=None, state=state, samples=())
    assert differences(changed) == ((f"{VENDOR}: {state}, orphan rows are planted: 0",), ())


def test_a_relationship_without_an_audit_is_missed(run: Run) -> None:
    missed, invented = differences(replace(run, audits=()))
    assert len(missed) == len(run.census)
    assert f"{STAGES}: not looked, orphan rows are planted: 7" in missed
    assert invented == ()


def test_a_key_in_another_state_is_missed(run: Run) -> None:
    assert differences(run.with_state(CONFIG, KeyState.NOT_VALID)) == (
        (f"{CONFIG}: the key is not valid, planted as missing",),
        (),
    )


def test_a_key_that_was_not_tampered_with_is_invented(
    connect: Connect, database: str, run: Run
) -> None:
    with connect(database, "telecore_owner") as owner, owner.transaction(force_rollback=True):
        owner.execute(
            "DELETE FROM demo.planted WHERE kind = 'key_missing' AND relationship = %s", [CONFIG]
        )
        assert differences(replace(run, session=owner)) == (
            (),
            (f"{CONFIG}: the key is missing, not planted",),
        )


def test_a_row_that_crosses_and_was_not_planted_is_invented(
    connect: Connect, database: str, run: Run
) -> None:
    with connect(database, "telecore_owner") as owner, owner.transaction(force_rollback=True):
        owner.execute("DELETE FROM demo.planted WHERE kind = 'cross_workspace'")
        assert differences(replace(run, session=owner)) == (
            (),
            (f"{CONFIG}: 'wfi_900003' is among the rows that cross, not planted",),
        )


def test_a_row_that_crosses_and_was_not_found_is_missed(run: Run) -> None:
    passed = replace(run.results[CHECK], status=Status.PASSED, failing=0, evidence=())
    assert differences(replace(run, results={CHECK: passed})) == (
        (f"{CONFIG}: found 0 of 1 planted rows that cross",),
        (),
    )


@pytest.mark.parametrize(
    ("status", "said"), [(None, "not looked"), (Status.COULD_NOT_LOOK, "could not look")]
)
def test_isolation_that_was_not_looked_at_is_missed(
    run: Run, status: Status | None, said: str
) -> None:
    results = {CHECK: replace(run.results[CHECK], status=status)} if status else {}
    assert differences(replace(run, results=results)) == (
        (f"{CHECK}: {said}, rows that cross are planted: 1",),
        (),
    )


@pytest.mark.parametrize(
    ("kind", "relationship", "why"),
    [
        ("orphan", "public.users(boss)", "planted 'orphan', but the relationship is not declared"),
        ("typo", CONFIG, "planted 'typo', a kind that is not compared"),
    ],
)
def test_what_nobody_could_find_is_missed(
    recorded: Callable[[str, str], Run], kind: str, relationship: str, why: str
) -> None:
    assert differences(recorded(kind, relationship)) == ((f"{relationship}: {why}",), ())
