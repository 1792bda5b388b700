"""The Python that the application-level validation guide quotes, run against the demo's schema."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from threading import Thread
from typing import Any
from uuid import UUID

import psycopg
import pytest

from runbook.references import StillReferencedError
from tests.conftest import ROOT, Connect
from tests.guide import EXAMPLES, load

ORPHANS = """
    SELECT count(*) FROM workflow_instances AS w WHERE w.approval_policy_id IS NOT NULL
    AND NOT EXISTS (SELECT FROM approval_policy_master AS p WHERE p.id = w.approval_policy_id)
"""
UNUSED = """
    SELECT id FROM approval_policy_master AS p WHERE NOT EXISTS
    (SELECT FROM workflow_instances AS w WHERE w.approval_policy_id = p.id) ORDER BY id LIMIT 1
"""


order, service, policies, race = map(load, ("order", "workflow_service", "policy_service", "race"))


@pytest.fixture
def owner(connect: Connect, scratch: str) -> Iterator[psycopg.Connection[Any]]:
    with connect(scratch, "telecore_owner") as connection:
        yield connection


@pytest.fixture
def other(connect: Connect, scratch: str) -> Iterator[psycopg.Connection[Any]]:
    with connect(scratch, "telecore_owner") as connection:
        yield connection


def one(connection: psycopg.Connection[Any], query: str, *values: object) -> Any:
    row = connection.execute(query.encode(), values or None).fetchone()
    assert row is not None
    return row[0]


def an_order(connection: psycopg.Connection[Any]) -> Any:
    """What the first workspace could ask for under its ACTIVE approval matrix."""
    row = connection.execute(
        "SELECT c.workspace_id, c.id, p.id, p.scope_id, s.id, p.atp_category, v.id"
        " FROM config_versions AS c"
        " JOIN approval_policy_master AS p ON p.config_version_id = c.id"
        " JOIN vendor_master AS v ON v.config_version_id = c.id"
        " JOIN sites AS s ON s.workspace_id = c.workspace_id"
        " WHERE c.id = 'cfg_1_matrix_4' ORDER BY p.id, s.id, v.id"
    ).fetchone()
    assert row is not None
    return service.NewWorkflow(*row)


def test_every_example_is_run_by_a_test() -> None:
    """Here, or beside what it is an example of."""
    tests = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("test_*.py")]
    unused = {
        path.stem
        for path in EXAMPLES.glob("*.py")
        if not any(f'"{path.stem}"' in text and "tests.guide" in text for text in tests)
    }
    assert unused == set()


def test_the_order_is_looked_up(owner: psycopg.Connection[Any]) -> None:
    wanted = an_order(owner)
    assert order.site_is_known(owner, wanted.site_id)
    assert not order.site_is_known(owner, "no site")
    good = {
        "workspace_id": str(wanted.workspace_id),
        "config_version_id": wanted.config_version_id,
        "site_id": wanted.site_id,
    }
    assert order.faults_of_order(owner, good) == []
    assert order.faults_of_order(owner, good | {"site_id": "no site"}) == [
        {
            "error": "invalid_reference",
            "field": "site_id",
            "value": "no site",
            "table": "sites",
            "reason": "no such row",
            "message": "site_id: expected a reference to sites, got 'no site': no such row",
        }
    ]
    assert len(order.faults_of_order(owner, {})) == 3


@pytest.mark.parametrize("with_vendor", [True, False])
def test_a_workflow_that_keeps_the_rules_is_created(
    owner: psycopg.Connection[Any], with_vendor: bool
) -> None:
    wanted = an_order(owner)
    wanted = wanted if with_vendor else replace(wanted, vendor_id=None)
    workflow = service.create_workflow_instance(owner, wanted)
    row = owner.execute(
        "SELECT workspace_id, config_version_id, approval_policy_id, scope_id, site_id,"
        " atp_category, vendor_id, status FROM workflow_instances WHERE id = %s",
        [workflow],
    ).fetchone()
    assert row is not None
    assert service.NewWorkflow(*row[:7]) == wanted
    assert row[7] == "IN_PROGRESS"


def test_every_reference_that_is_missing_is_named_and_nothing_is_written(
    owner: psycopg.Connection[Any],
) -> None:
    before = one(owner, "SELECT count(*) FROM workflow_instances")
    wanted = replace(an_order(owner), workspace_id=UUID(int=0), approval_policy_id="pol_none")
    with pytest.raises(service.RefusedError) as caught:
        service.create_workflow_instance(owner, wanted)
    assert str(caught.value) == (
        "workspace_id: expected a reference to public.workspaces, got"
        " UUID('00000000-0000-0000-0000-000000000000'): no such row; "
        "approval_policy_id: expected a reference to public.approval_policy_master, got"
        " 'pol_none': no such row"
    )
    assert [error.to_json()["field"] for error in caught.value.errors] == [
        "workspace_id",
        "approval_policy_id",
    ]
    assert one(owner, "SELECT count(*) FROM workflow_instances") == before


@pytest.mark.parametrize(
    ("field", "table"),
    [
        ("config_version_id", "config_versions"),
        ("approval_policy_id", "approval_policy_master"),
        ("scope_id", "atp_scope_master"),
        ("vendor_id", "vendor_master"),
    ],
)
def test_a_row_of_another_workspace_is_refused(
    owner: psycopg.Connection[Any], field: str, table: str
) -> None:
    wanted = an_order(owner)
    foreign = one(
        owner,
        f"SELECT id FROM {table} WHERE workspace_id <> %s"
        + (" AND status = 'ACTIVE'" if table == "config_versions" else "")
        + " ORDER BY id LIMIT 1",
        wanted.workspace_id,
    )
    with pytest.raises(service.RefusedError) as caught:
        service.create_workflow_instance(owner, replace(wanted, **{field: foreign}))
    assert str(caught.value) == (
        f"{field}: expected a reference to public.{table}, got {foreign!r}: of another workspace"
    )


def test_a_version_that_is_not_active_is_refused(owner: psycopg.Connection[Any]) -> None:
    wanted = replace(an_order(owner), config_version_id="cfg_1_matrix_5")
    with pytest.raises(service.RefusedError) as caught:
        service.create_workflow_instance(owner, wanted)
    assert str(caught.value) == (
        "config_version_id: expected a reference to public.config_versions, got"
        " 'cfg_1_matrix_5': DRAFT and not ACTIVE"
    )


def test_a_version_that_is_superseded_meanwhile_is_refused(
    owner: psycopg.Connection[Any], other: psycopg.Connection[Any]
) -> None:
    wanted = an_order(owner)
    caught: list[str] = []

    def create() -> None:
        try:
            service.create_workflow_instance(owner, wanted)
        except service.RefusedError as error:
            caught.append(str(error))

    with other.transaction():
        other.execute(
            "UPDATE config_versions SET status = 'SUPERSEDED' WHERE id = %s",
            [wanted.config_version_id],
        )
        thread = Thread(target=create)
        thread.start()
        # the insert has reached the row lock when the server says so; no clock is needed
        blocked = "SELECT cardinality(pg_blocking_pids(%s))"
        while thread.is_alive() and not one(other, blocked, owner.info.backend_pid):
            pass
    thread.join()
    message = (
        "config_version_id: expected a reference to public.config_versions, got"
        " 'cfg_1_matrix_4': SUPERSEDED and not ACTIVE"
    )
    assert caught == [message]


def test_without_a_lock_the_race_leaves_an_orphan_row(
    owner: psycopg.Connection[Any], other: psycopg.Connection[Any]
) -> None:
    policy = one(owner, UNUSED)
    assert one(owner, ORPHANS) == 0
    assert race.insert_while_deleting(owner, other, policy, lock=False) == "deleted"
    assert one(owner, ORPHANS) == 1


def test_with_a_lock_the_delete_has_to_wait(
    owner: psycopg.Connection[Any], other: psycopg.Connection[Any]
) -> None:
    policy = one(owner, UNUSED)
    assert race.insert_while_deleting(owner, other, policy, lock=True) == "had to wait"
    assert one(owner, ORPHANS) == 0


def test_a_delete_that_does_not_look_leaves_an_orphan_row_all_the_same(
    owner: psycopg.Connection[Any], other: psycopg.Connection[Any]
) -> None:
    policy = one(owner, UNUSED)
    race.insert_while_deleting(owner, other, policy, lock=True)
    other.execute("DELETE FROM approval_policy_master WHERE id = %s", [policy])
    assert one(owner, ORPHANS) == 1


def test_a_delete_that_locks_and_looks_is_refused_while_the_policy_is_used(
    owner: psycopg.Connection[Any], other: psycopg.Connection[Any]
) -> None:
    policy = one(owner, UNUSED)
    race.insert_while_deleting(owner, other, policy, lock=True)
    with pytest.raises(StillReferencedError) as caught:
        policies.delete_policy(other, policy)
    assert str(caught.value) == (
        "id: expected no reference from public.workflow_instances,"
        f" got {policy!r}: still referenced"
    )
    owner.execute("DELETE FROM workflow_instances WHERE id = 'wfi_race'")
    policies.delete_policy(other, policy)
    assert one(owner, "SELECT count(*) FROM approval_policy_master WHERE id = %s", policy) == 0


def test_a_foreign_key_prevents_it_for_every_program(
    owner: psycopg.Connection[Any], other: psycopg.Connection[Any]
) -> None:
    policy = one(owner, UNUSED)
    owner.execute(
        "ALTER TABLE workflow_instances ADD FOREIGN KEY (approval_policy_id)"
        " REFERENCES approval_policy_master (id) ON DELETE RESTRICT"
    )
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        race.insert_while_deleting(owner, other, policy, lock=False)
    assert one(owner, ORPHANS) == 0


def test_the_race_needs_a_policy_that_exists(
    owner: psycopg.Connection[Any], other: psycopg.Connection[Any]
) -> None:
    with pytest.raises(LookupError) as caught:
        race.insert_while_deleting(owner, other, "pol_none", lock=False)
    assert str(caught.value) == "pol_none"
