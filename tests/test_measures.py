"""The values that steps record for pages to quote."""

from __future__ import annotations

from runbook import measures
from runbook.findings import Audit, AuditState, CensusRow, KeyState
from runbook.relationships import Relationship, Relationships
from runbook.schema import TableName
from runbook.selftest import SelfTest
from runbook.settings import read as read_settings
from tests import project

NOTES, USERS, TEAMS = (TableName("public", name) for name in ("notes", "users", "teams"))
TO_USERS = Relationship(NOTES, ("owner_id",), USERS, ("id",))
TO_TEAMS = Relationship(NOTES, ("owner_id",), TEAMS, ("id",))
OTHER = Relationship(NOTES, ("author_id",), USERS, ("id",), group="core")
SETTINGS = read_settings(project.ROOT)


def test_a_column_with_two_parents_has_facts_of_each() -> None:
    rows = (
        CensusRow(TO_USERS, KeyState.MISSING, None, "no foreign key"),
        CensusRow(TO_TEAMS, KeyState.IMPOSSIBLE, None, "no unique key"),
        CensusRow(OTHER, KeyState.ENFORCED, None),
    )
    facts = measures.of_census(SETTINGS, rows)
    assert {name: value for name, value in facts.items() if name.startswith("relationship.")} == {
        "relationship.notes.owner_id to users.id.key": "missing",
        "relationship.notes.owner_id to teams.id.key": "impossible",
        "relationship.notes.author_id.key": "enforced",
    }


def test_keys_that_nobody_declared_count_apart() -> None:
    audits = (
        Audit(OTHER, AuditState.ORPHANS, orphans=3, exact=True),
        Audit(TO_USERS, AuditState.ORPHANS, orphans=4, exact=True),
    )
    facts = measures.of_audits(SETTINGS, audits, Relationships((OTHER,)))
    assert (facts["orphans.rows"], facts["audits.total"]) == (3, 1)
    assert (facts["core.orphans.rows"], facts["core.audits.total"]) == (3, 1)
    assert (facts["undeclared.orphans.rows"], facts["undeclared.audits.total"]) == (4, 1)


def test_what_was_not_looked_at_has_no_sum() -> None:
    audits = (Audit(OTHER, AuditState.CLEAN, orphans=0), Audit(TO_USERS, AuditState.NOT_LOOKED))
    facts = measures.of_audits(SETTINGS, audits, Relationships((OTHER, TO_USERS)))
    assert (facts["orphans.rows"], facts["audits.looked"], facts["audits.total"]) == (None, 1, 2)


def test_a_self_test_that_could_not_be_taken_is_no_success() -> None:
    unknown = {
        "self_test.available": False,
        "self_test.planted": None,
        "self_test.found": None,
        "self_test.missed": None,
        "self_test.invented": None,
    }
    assert measures.of_self_test(None) == unknown
    assert measures.of_self_test(SelfTest(0, 0, (), (), available=False)) == unknown
    assert measures.of_self_test(SelfTest(3, 2, ("one",), (), available=True)) == {
        "self_test.available": True,
        "self_test.planted": 3,
        "self_test.found": 2,
        "self_test.missed": 1,
        "self_test.invented": 0,
    }
