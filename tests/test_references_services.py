"""The guide's services at the worst moment: two real sessions, one waiting for the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from runbook.references import InvalidReferenceError, StillReferencedError
from tests.conftest import Connect
from tests.guide import load

workflows, submissions, policies, race, imports = map(
    load,
    ("workflow_service", "submission_service", "policy_service", "race", "import_records"),
)
ACTIVE = "cfg_1_matrix_4"
ORPHANS = """
    SELECT count(*) FROM workflow_instances AS w WHERE NOT EXISTS
    (SELECT FROM approval_policy_master AS p WHERE p.id = w.approval_policy_id)
"""
DOCUMENTS = """
    SELECT count(*) FROM atp_submission_documents AS d
      JOIN atp_submissions AS s ON s.id = d.submission_id WHERE s.workflow_instance_id = %s
"""
COMPLETE = "UPDATE workflow_instances SET status = 'COMPLETED' WHERE id = %s"


FREE_A_POLICY = """
    DELETE FROM workflow_instances WHERE approval_policy_id =
    (SELECT min(id) FROM approval_policy_master WHERE config_version_id = %s)
"""


@pytest.fixture
def owner(connect: Connect, scratch: str) -> Iterator[psycopg.Connection[Any]]:
    """The owner's session; no workflow uses the first policy of the ACTIVE version."""
    with connect(scratch, "telecore_owner") as connection:
        connection.execute(FREE_A_POLICY, [ACTIVE])
        yield connection


@pytest.fixture
def other(connect: Connect, scratch: str) -> Iterator[psycopg.Connection[Any]]:
    with connect(scratch, "telecore_owner") as connection:
        yield connection


def one(connection: psycopg.Connection[Any], query: str, *values: object) -> Any:
    ((found,),) = connection.execute(query.encode(), values or None).fetchall()
    return found


def an_order(connection: psycopg.Connection[Any]) -> Any:
    row = connection.execute(
        "SELECT c.workspace_id, c.id, p.id, p.scope_id, s.id, p.atp_category"
        " FROM config_versions AS c"
        " JOIN approval_policy_master AS p ON p.config_version_id = c.id"
        " JOIN sites AS s ON s.workspace_id = c.workspace_id"
        " WHERE c.id = %s AND NOT EXISTS"
        " (SELECT FROM workflow_instances AS w WHERE w.approval_policy_id = p.id)"
        " ORDER BY p.id, s.id",
        [ACTIVE],
    ).fetchone()
    assert row is not None
    return workflows.NewWorkflow(*row)


def running(connection: psycopg.Connection[Any]) -> str:
    """A new workflow that is in progress, and has no submission yet."""
    connection.execute("DELETE FROM atp_submissions")
    made: str = workflows.create_workflow_instance(connection, an_order(connection))
    return made


def documents(connection: psycopg.Connection[Any], number: int = 2) -> list[Any]:
    found = connection.execute("SELECT id FROM documents ORDER BY id LIMIT %s", [number])
    return [submissions.Document(row[0], "SUPPORTING") for row in found.fetchall()]


def while_open(
    holder: psycopg.Connection[Any],
    waiter: psycopg.Connection[Any],
    change: Callable[[], object],
    work: Callable[[], object],
) -> Future[object]:
    """Start ``work`` while ``change`` is not committed, and commit once the server says it waits.

    ``work`` has to wait: one that ends before has not locked what ``change`` holds.
    """
    with ThreadPoolExecutor(1) as threads, holder.transaction():
        change()
        future = threads.submit(work)
        blocked = "SELECT cardinality(pg_blocking_pids(%s))"
        while not one(holder, blocked, waiter.info.backend_pid):
            assert not future.done(), future.result()
    return future


def test_a_policy_deleted_while_the_workflow_starts_is_no_such_row(
    owner: psycopg.Connection[Any], other: psycopg.Connection[Any]
) -> None:
    wanted = an_order(owner)
    future = while_open(
        other,
        owner,
        lambda: other.execute(policies.DELETE, [wanted.approval_policy_id]),
        lambda: workflows.create_workflow_instance(owner, wanted),
    )
    error = future.exception()
    assert isinstance(error, workflows.RefusedError)
    assert [(each.field, each.reason) for each in error.errors] == [
        ("approval_policy_id", "no such row")
    ]
    assert one(owner, ORPHANS) == 0


def test_a_policy_cannot_be_deleted_by_the_service_while_its_workflow_starts(
    owner: psycopg.Connection[Any], other: psycopg.Connection[Any]
) -> None:
    wanted = an_order(owner)
    future = while_open(
        owner,
        other,
        lambda: workflows.create_workflow_instance(owner, wanted),
        lambda: policies.delete_policy(other, wanted.approval_policy_id),
    )
    assert isinstance(future.exception(), StillReferencedError)
    assert one(owner, ORPHANS) == 0


def test_a_workflow_completed_meanwhile_takes_no_submission(
    owner: psycopg.Connection[Any], other: psycopg.Connection[Any]
) -> None:
    workflow, files = running(owner), documents(owner)
    future = while_open(
        other,
        owner,
        lambda: other.execute(COMPLETE, [workflow]),
        lambda: submissions.create_atp_submission(owner, workflow, files),
    )
    error = future.exception()
    assert isinstance(error, submissions.RefusedError)
    assert str(error) == (
        "workflow_instance_id: expected a reference to public.workflow_instances,"
        f" got {workflow!r}: COMPLETED and not IN_PROGRESS"
    )
    assert one(owner, "SELECT count(*) FROM atp_submissions") == 0


def test_a_workflow_waits_with_its_completion_for_the_submission(
    owner: psycopg.Connection[Any], other: psycopg.Connection[Any]
) -> None:
    workflow, files = running(owner), documents(owner)
    future = while_open(
        owner,
        other,
        lambda: submissions.create_atp_submission(owner, workflow, files),
        lambda: other.execute(COMPLETE, [workflow]),
    )
    assert future.exception() is None
    assert one(owner, DOCUMENTS, workflow) == 2


def test_a_document_that_fails_takes_the_submission_with_it(
    owner: psycopg.Connection[Any],
) -> None:
    workflow, files = running(owner), documents(owner)
    bad = [files[0], replace(files[1], document_type="x" * 31)]  # longer than the column
    with pytest.raises(psycopg.errors.StringDataRightTruncation):
        submissions.create_atp_submission(owner, workflow, bad)
    assert one(owner, "SELECT count(*) FROM atp_submissions") == 0


def test_eight_sessions_at_once_hand_in_one_submission(
    owner: psycopg.Connection[Any], connect: Connect, scratch: str
) -> None:
    workflow, files = running(owner), documents(owner)

    def hand_in(_n: int) -> str:
        with connect(scratch, "telecore_owner") as connection:
            try:
                submissions.create_atp_submission(connection, workflow, files)
            except psycopg.errors.UniqueViolation:
                return "refused"
            return "made"

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(hand_in, range(8))) == ["made", *["refused"] * 7]
    assert one(owner, "SELECT count(*) FROM atp_submissions") == 1


def test_with_the_key_in_place_the_database_says_the_same_error(
    owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Option A: the check is switched off, and the foreign key refuses."""
    owner.execute(
        "ALTER TABLE workflow_instances ADD CONSTRAINT of_site FOREIGN KEY (site_id)"
        " REFERENCES sites (id) NOT VALID"
    )
    wanted = replace(an_order(owner), site_id="none")
    with pytest.raises(workflows.RefusedError) as checked:
        workflows.create_workflow_instance(owner, wanted)
    monkeypatch.setattr(workflows, "broken_rules", lambda *_: [])
    monkeypatch.setattr(
        workflows,
        "validate_references",
        lambda *_, **__: workflows_valid,
    )
    with pytest.raises(InvalidReferenceError) as refused:
        workflows.create_workflow_instance(owner, wanted)
    assert [refused.value.to_json()] == [error.to_json() for error in checked.value.errors]


class _Valid:
    errors: tuple[InvalidReferenceError, ...] = ()


workflows_valid = _Valid()


def test_serializable_transactions_that_both_look_leave_no_orphan_row(
    owner: psycopg.Connection[Any], other: psycopg.Connection[Any]
) -> None:
    policy = an_order(owner).approval_policy_id
    outcome = race.insert_while_deleting_serializable(owner, other, policy)
    assert outcome == "the insert was refused"
    assert one(owner, ORPHANS) == 0
    assert one(owner, "SELECT count(*) FROM approval_policy_master WHERE id = %s", policy) == 0
    with pytest.raises(LookupError):
        race.insert_while_deleting_serializable(owner, other, policy)


def test_a_file_is_imported_whole_or_not_at_all(owner: psycopg.Connection[Any]) -> None:
    owner.execute("DELETE FROM atp_submissions")
    wanted = an_order(owner)
    values = [wanted.workspace_id, wanted.config_version_id, wanted.scope_id, wanted.site_id, ""]
    head = ",".join([*imports.PARENTS, "atp_category"])
    lines = [",".join(map(str, [*values, category])) for category in ("HARDWARE", "SOFTWARE")]
    bad = lines[1].replace(wanted.site_id, "none")
    found = imports.import_submissions(owner, [head, lines[0], bad])
    assert [(each.index, each.error.field) for each in found.errors] == [(1, "site_id")]
    assert one(owner, "SELECT count(*) FROM atp_submissions") == 0
    assert imports.import_submissions(owner, [head, *lines]).valid
    assert one(owner, "SELECT count(*) FROM atp_submissions") == 2
