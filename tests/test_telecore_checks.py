"""Telecore's checks: each passes where its property holds, and sees it broken in the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from runbook import checks, session
from runbook import context as contexts
from runbook.connection import Purpose
from runbook.findings import CheckResult, Status
from runbook.settings import Settings
from runbook.settings import read as read_settings
from runbook.telecore.files import script
from tests.conftest import ROOT, Connect

PACKAGE = "runbook.telecore.checks"
CHECKS = checks.load([PACKAGE])
# What staging as deployed fails, for want of 56 keys, and how often.
WITHOUT_KEYS = {
    "cascade_leaves_no_orphans": 6,
    "crossing_refused": 6,
    "invariant_1_active_config_kept": 1,
    "workspace_delete_refused_or_clean": 9,
}

Owner = psycopg.Connection[Any]
Perform = Callable[..., CheckResult]


def performed(settings: Settings, names: list[str], environment: str) -> dict[str, CheckResult]:
    """The results of these checks in ``environment``, one snapshot, as a step has them."""
    entry = settings.environment(environment)
    reader = session.connect(entry, Purpose.READ)
    try:
        with session.reading(reader, entry):
            context = contexts.look(settings, entry, reader)
            return {name: checks.perform(CHECKS[name], context) for name in names}
    finally:
        reader.close()


def all_results(dsn: Callable[[str, str | None], str], database: str) -> dict[str, CheckResult]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNBOOK_READER_DSN", dsn(database, "telecore_reader"))
        patch.setenv("RUNBOOK_OWNER_DSN", dsn(database, "telecore_owner"))
        return performed(read_settings(ROOT), list(CHECKS), "staging")


@pytest.fixture(scope="module")
def deployed(
    dsn: Callable[[str, str | None], str], telecore_staging: str
) -> dict[str, CheckResult]:
    """Every check on staging as deployed, which only the transactions of the checks touch."""
    return all_results(dsn, telecore_staging)


@pytest.fixture(scope="module")
def keyed(
    dsn: Callable[[str, str | None], str], connect: Connect, telecore_staging: str
) -> Iterator[dict[str, CheckResult]]:
    """Every check on a copy of staging that has all 57 keys."""
    with connect("postgres", None) as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE telecore_keyed TEMPLATE {} OWNER telecore_owner").format(
                sql.Identifier(telecore_staging)
            )
        )
        try:
            with connect("telecore_keyed", "telecore_owner") as owner:
                owner.execute(script("option_a_keys.sql"))
            yield all_results(dsn, "telecore_keyed")
        finally:
            admin.execute("DROP DATABASE telecore_keyed WITH (FORCE)")


@pytest.fixture
def owner(connect: Connect, scratch: str) -> Iterator[Owner]:
    """Breaks things in the scratch database, as the owner of its tables."""
    with connect(scratch, "telecore_owner") as connection:
        yield connection


@pytest.fixture
def admin(connect: Connect, scratch: str) -> Iterator[Owner]:
    with connect(scratch, None) as connection:
        yield connection


@pytest.fixture
def keys(owner: Owner) -> Owner:
    """The owner, after all 57 keys were added to the scratch database."""
    owner.execute(script("option_a_keys.sql"))
    return owner


@pytest.fixture
def perform(settings: Settings) -> Perform:
    """``perform(name)``: the result of that check on the scratch database."""

    def run(name: str, environment: str = "staging", **limits: float) -> CheckResult:
        changed = settings.model_copy(update={"limits": {**settings.limits, **limits}})
        return performed(changed, [name], environment)[name]

    return run


def assert_passed(result: CheckResult, message: str) -> None:
    assert (result.status, result.message, result.failing) == (Status.PASSED, message, 0)


def assert_failed(result: CheckResult, message: str, failing: int) -> None:
    assert (result.status, result.message, result.failing) == (Status.FAILED, message, failing)
    assert result.evidence or failing == 1 or "expected at least" in message


def counts(connection: Owner) -> dict[str, int]:
    """The rows of every table of the project."""
    tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    found = {}
    for (table,) in tables.fetchall():
        statement = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier("public", table))
        found[table] = connection.execute(statement).fetchall()[0][0]
    return found


# --- the whole set ------------------------------------------------------------------------------


def test_every_check_has_a_test_of_its_pass_and_of_its_failure() -> None:
    names = list(globals())
    for check in CHECKS:
        assert any(name.startswith(f"test_{check}_passes") for name in names), check
        assert any(name.startswith(f"test_{check}_is_failed_when_") for name in names), check


def test_every_check_belongs_to_a_criterion_or_to_none() -> None:
    known = {criterion.id for criterion in read_settings(ROOT).criteria} | {""}
    assert {check.criterion for check in CHECKS.values()} <= known
    assert all(check.about and check.title for check in CHECKS.values())


def test_staging_as_deployed_fails_what_the_missing_keys_would_hold(
    deployed: dict[str, CheckResult],
) -> None:
    failed = {name: r.failing for name, r in deployed.items() if r.status is not Status.PASSED}
    assert failed == WITHOUT_KEYS


def test_all_keys_leave_only_the_rows_that_cross_workspaces_accepted(
    keyed: dict[str, CheckResult],
) -> None:
    failed = {name: r.failing for name, r in keyed.items() if r.status is not Status.PASSED}
    assert failed == {"crossing_refused": 6}


def test_the_testing_gate_accepts_exactly_what_staging_fails(
    deployed: dict[str, CheckResult],
) -> None:
    (gate,) = (gate.gate() for gate in read_settings(ROOT).gate if gate.name == "testing")
    accepted = {a.check: a.failing for a in gate.accepts if a.check in CHECKS}
    counted = {n: r.failing for n, r in deployed.items() if r.failing and r.criterion}
    assert accepted == counted


def test_the_checks_leave_nothing_behind(settings: Settings, owner: Owner) -> None:
    before = counts(owner)
    results = performed(settings, list(CHECKS), "staging")
    assert all(result.status.known for result in results.values())
    assert counts(owner) == before


def test_a_writing_check_is_not_looked_at_where_writing_is_not_allowed(
    settings: Settings, owner: Owner
) -> None:
    writing = [name for name, check in CHECKS.items() if check.writes]
    before = counts(owner)
    for result in performed(settings, writing, "production").values():
        assert result.status is Status.NOT_LOOKED
        assert result.message == "writing checks are not allowed in production"
    assert counts(owner) == before


def test_a_reader_who_may_not_see_all_rows_could_not_look(perform: Perform, owner: Owner) -> None:
    owner.execute("ALTER TABLE public.users ENABLE ROW LEVEL SECURITY")
    result = perform("active_users")
    assert result.status is Status.COULD_NOT_LOOK
    assert result.message == (
        'query would be affected by row-level security policy for table "users" (42501)'
    )


def test_an_owner_who_may_not_write_could_not_look(perform: Perform, admin: Owner) -> None:
    admin.execute("ALTER TABLE public.workspaces OWNER TO CURRENT_USER")
    result = perform("config_lifecycle")
    assert result.status is Status.COULD_NOT_LOOK
    assert result.message == "permission denied for table workspaces (42501)"


# --- preflight and clean-up ---------------------------------------------------------------------


def test_extension_passes(deployed: dict[str, CheckResult]) -> None:
    installed = deployed["extension"].facts["pgcrypto"]
    message = "gen_random_uuid() works, pgcrypto is not installed"
    assert_passed(deployed["extension"], "pgcrypto is installed" if installed else message)


def test_extension_is_failed_when_nothing_makes_uuids(perform: Perform, admin: Owner) -> None:
    admin.execute("DROP EXTENSION IF EXISTS pgcrypto")
    admin.execute("REVOKE EXECUTE ON FUNCTION pg_catalog.gen_random_uuid() FROM PUBLIC")
    assert_failed(perform("extension"), "neither pgcrypto nor gen_random_uuid() can be used", 1)


def test_columns_detected_passes(deployed: dict[str, CheckResult]) -> None:
    result = deployed["columns_detected"]
    assert_passed(result, "32 of 32 columns exist")
    assert (result.facts["workspaces_id"], result.facts["users_id"]) == ("uuid", "text")
    assert (result.facts["sites_id"], result.facts["masters_id"]) == ("text", "text")


def test_columns_detected_is_failed_when_a_column_has_another_name(
    perform: Perform, owner: Owner
) -> None:
    owner.execute("ALTER TABLE public.documents RENAME COLUMN id TO document_id")
    assert_failed(perform("columns_detected"), "31 of 32 columns exist, not: documents.id", 1)


def test_workspace_seeded_passes(deployed: dict[str, CheckResult]) -> None:
    assert_passed(
        deployed["workspace_seeded"], "the workspace 'XLSMART-AVIAT' exists and is active"
    )


def test_workspace_seeded_is_failed_when_it_has_another_code(
    perform: Perform, owner: Owner
) -> None:
    owner.execute("UPDATE public.workspaces SET code = 'XL' WHERE code = 'XLSMART-AVIAT'")
    assert_failed(perform("workspace_seeded"), "no workspace 'XLSMART-AVIAT'", 1)


def test_workspace_seeded_is_failed_when_it_is_not_active(perform: Perform, owner: Owner) -> None:
    owner.execute("UPDATE public.workspaces SET is_active = NULL")
    assert_failed(perform("workspace_seeded"), "the workspace 'XLSMART-AVIAT' is not active", 1)


def test_active_users_passes(deployed: dict[str, CheckResult]) -> None:
    assert_passed(deployed["active_users"], "270 active users, expected at least 2")


def test_active_users_is_failed_when_all_left(perform: Perform, owner: Owner) -> None:
    owner.execute("UPDATE public.users SET is_active = false")
    assert_failed(perform("active_users"), "0 active users, expected at least 2", 2)


def test_nothing_left_behind_passes(deployed: dict[str, CheckResult]) -> None:
    assert_passed(deployed["nothing_left_behind"], "no row of a check is left in 20 tables")


def test_nothing_left_behind_is_failed_when_a_check_committed(
    perform: Perform, owner: Owner
) -> None:
    owner.execute(
        "INSERT INTO public.users (id, email) VALUES ('check-users-1', '1'), ('check-2', '2')"
    )
    owner.execute("UPDATE public.workspaces SET code = 'check-1' WHERE code = 'PILOT-SULAWESI'")
    result = perform("nothing_left_behind")
    assert_failed(result, "3 rows of checks are left in 2 of 20 tables", 3)
    assert result.evidence[0].rows == (
        ("users", 2, "check-2, check-users-1"),
        ("workspaces", 1, "check-1"),
    )


# --- C1, C2 -------------------------------------------------------------------------------------

INDEX = "ux_config_versions_one_active_per_workspace"
NO_INDEX = (
    "no valid unique index on config_versions (workspace_id, source_type) where status is"
    " 'ACTIVE', of {} partial unique indexes"
)


def test_unique_active_config_passes(deployed: dict[str, CheckResult]) -> None:
    assert_passed(
        deployed["unique_active_config"], f"the index {INDEX!r} allows one ACTIVE config version"
    )


def test_unique_active_config_is_failed_when_the_index_is_gone(
    perform: Perform, owner: Owner
) -> None:
    owner.execute(f"DROP INDEX public.{INDEX}")
    assert_failed(perform("unique_active_config"), NO_INDEX.format(0), 1)


@pytest.mark.parametrize(
    "columns",
    [
        "(workspace_id, source_type, id) WHERE status = 'ACTIVE'",
        "(workspace_id, source_type) WHERE status = 'DRAFT'",
        "(workspace_id, source_type) WHERE status = 'ACTIVE' AND row_count > 0",
    ],
)
def test_unique_active_config_is_failed_when_the_index_is_another(
    perform: Perform, owner: Owner, columns: str
) -> None:
    owner.execute(f"DROP INDEX public.{INDEX}")
    owner.execute(f"CREATE UNIQUE INDEX {INDEX} ON public.config_versions {columns}")
    assert_failed(perform("unique_active_config"), NO_INDEX.format(1), 1)


def test_unique_active_config_is_failed_when_the_index_is_not_valid(
    perform: Perform, admin: Owner
) -> None:
    admin.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass(%s)",
        [f"public.{INDEX}"],
    )
    assert_failed(perform("unique_active_config"), NO_INDEX.format(1), 1)


def test_invariant_5_types_passes(deployed: dict[str, CheckResult]) -> None:
    assert_passed(deployed["invariant_5_types"], "59 of 59 columns have the type of the rules")


def test_invariant_5_types_is_failed_when_a_column_has_another_type(
    perform: Perform, owner: Owner
) -> None:
    owner.execute("ALTER TABLE public.workflow_stages ALTER decided_by TYPE varchar(50)")
    owner.execute("ALTER TABLE public.sites ALTER workspace_id TYPE text")
    assert_failed(
        perform("invariant_5_types"),
        "57 of 59 columns have the type of the rules, sites.workspace_id is text,"
        " workflow_stages.decided_by is character varying(50)",
        2,
    )


# --- C3 -----------------------------------------------------------------------------------------


def test_config_lifecycle_passes(deployed: dict[str, CheckResult]) -> None:
    assert_passed(deployed["config_lifecycle"], "6 of 6 steps of a config version's life hold")


def test_config_lifecycle_is_failed_when_superseded_is_no_status(
    perform: Perform, owner: Owner
) -> None:
    owner.execute("ALTER TABLE public.config_versions DROP CONSTRAINT ck_config_versions_status")
    owner.execute(
        "ALTER TABLE public.config_versions ADD CONSTRAINT ck_config_versions_status"
        " CHECK (status IN ('DRAFT', 'ACTIVE', 'ARCHIVED')) NOT VALID"
    )
    result = perform("config_lifecycle")
    # without it the second cannot become active, and the first is archived without a successor
    assert_failed(
        result,
        "3 of 6 steps of a config version's life hold, not: it supersedes the active one",
        3,
    )
    assert result.evidence[0].rows[3] == (
        "it supersedes the active one",
        "SUPERSEDED, DRAFT, yes",
        "ACTIVE, DRAFT, none, refused (23514)",
        "no",
    )


def test_config_lifecycle_is_failed_when_an_update_is_ignored(
    perform: Perform, owner: Owner
) -> None:
    ignore_updates(owner, "config_versions", "NEW.status = 'ARCHIVED'")
    assert_failed(
        perform("config_lifecycle"),
        "5 of 6 steps of a config version's life hold, not: the first is archived",
        1,
    )


def test_second_active_refused_passes(deployed: dict[str, CheckResult]) -> None:
    assert_passed(
        deployed["second_active_refused"],
        "a second ACTIVE config version is refused, and nothing more",
    )


def test_second_active_refused_is_failed_when_the_index_is_gone(
    perform: Perform, owner: Owner
) -> None:
    owner.execute(f"DROP INDEX public.{INDEX}")
    assert_failed(
        perform("second_active_refused"),
        "inserted as ACTIVE: accepted, expected refused (23505);"
        " a draft made ACTIVE: accepted, expected refused (23505)",
        2,
    )


def test_second_active_refused_is_failed_when_too_much_is_refused(
    perform: Perform, owner: Owner
) -> None:
    owner.execute("UPDATE public.config_versions SET status = 'ARCHIVED'")
    owner.execute(
        "CREATE UNIQUE INDEX too_much ON public.config_versions (workspace_id)"
        " WHERE status = 'ACTIVE'"
    )
    assert_failed(
        perform("second_active_refused"),
        "inserted as ACTIVE, of another source type: refused (23505), expected accepted",
        1,
    )


def test_version_chain_whole_passes(deployed: dict[str, CheckResult]) -> None:
    assert_passed(deployed["version_chain_whole"], "48 config versions form whole chains")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            "previous_version_id = 'cfg_1_matrix_0' WHERE id = 'cfg_1_matrix_1'",
            "cfg_1_matrix_1: the previous version is missing",
        ),
        (
            "previous_version_id = 'cfg_1_scopes_1' WHERE id = 'cfg_1_matrix_5'",
            "cfg_1_matrix_5: the previous version is of another workspace or source type",
        ),
        (
            "version_number = 9 WHERE id = 'cfg_1_matrix_4'",
            "cfg_1_matrix_5: the previous version has no lower number",
        ),
        (
            "superseded_by_id = 'cfg_1_matrix_0' WHERE id = 'cfg_1_matrix_3'",
            "cfg_1_matrix_3: the superseding version is missing",
        ),
        (
            "superseded_by_id = 'cfg_1_matrix_5' WHERE id = 'cfg_1_matrix_3'",
            "cfg_1_matrix_3: the superseding version names another previous one",
        ),
        (
            "superseded_by_id = NULL WHERE id = 'cfg_1_matrix_1'",
            "cfg_1_matrix_1: its successor was activated, but it names no superseding version",
        ),
        (
            "superseded_by_id = NULL WHERE id = 'cfg_1_matrix_3'",
            "cfg_1_matrix_3: it is SUPERSEDED, but by no version",
        ),
    ],
)
def test_version_chain_whole_is_failed_when_a_link_is_wrong(
    perform: Perform, owner: Owner, change: str, fault: str
) -> None:
    owner.execute(f"UPDATE public.config_versions SET {change}")
    assert_failed(
        perform("version_chain_whole"),
        f"1 fault in the chains of 48 config versions, the first: {fault}",
        1,
    )


def test_version_chain_whole_is_failed_when_it_runs_in_a_circle(
    perform: Perform, owner: Owner
) -> None:
    owner.execute("""
        UPDATE public.config_versions
           SET previous_version_id = 'cfg_1_scopes_2'
         WHERE id = 'cfg_1_scopes_1'
    """)
    owner.execute("""
        UPDATE public.config_versions
           SET superseded_by_id = 'cfg_1_scopes_1'
         WHERE id = 'cfg_1_scopes_2'
    """)
    assert_failed(
        perform("version_chain_whole"),
        "1 fault in the chains of 48 config versions, the first:"
        " cfg_1_scopes_1: the previous version has no lower number",
        1,
    )


def test_invariant_1_active_config_kept_passes(keyed: dict[str, CheckResult]) -> None:
    result = keyed["invariant_1_active_config_kept"]
    code = result.facts["sqlstate"]
    assert code in ("23503", "23001")  # RESTRICT has a code of its own from PostgreSQL 18 on
    assert_passed(
        result, f"the delete is refused by 'fk_workflow_instances_config_version_id' ({code})"
    )


@pytest.mark.parametrize("replacement", ["", "ON DELETE CASCADE"])
def test_invariant_1_active_config_kept_is_failed_when_the_key_does_not_hold(
    perform: Perform, keys: Owner, replacement: str
) -> None:
    name = "fk_workflow_instances_config_version_id"
    keys.execute(f"ALTER TABLE public.workflow_instances DROP CONSTRAINT {name}")
    if replacement:
        keys.execute(
            f"ALTER TABLE public.workflow_instances ADD CONSTRAINT {name} FOREIGN KEY"
            f" (config_version_id) REFERENCES public.config_versions (id) {replacement}"
        )
    assert_failed(
        perform("invariant_1_active_config_kept"),
        "an ACTIVE config version was deleted although a workflow uses it",
        1,
    )


def test_invariant_2_one_active_config_passes(deployed: dict[str, CheckResult]) -> None:
    assert_passed(
        deployed["invariant_2_one_active_config"],
        "11 workspaces and source types have one ACTIVE version",
    )


def test_invariant_2_one_active_config_is_failed_when_there_are_two(
    perform: Perform, owner: Owner
) -> None:
    owner.execute(f"DROP INDEX public.{INDEX}")
    owner.execute("UPDATE public.config_versions SET status = 'ACTIVE' WHERE id = 'cfg_1_matrix_5'")
    result = perform("invariant_2_one_active_config")
    assert_failed(result, "1 of 11 workspaces and source types have several ACTIVE versions", 1)
    assert result.evidence[0].rows[0][1:] == (
        "APPROVAL_MATRIX",
        2,
        "cfg_1_matrix_4, cfg_1_matrix_5",
    )


# --- C4 -----------------------------------------------------------------------------------------


def test_freeze_by_reference_passes(deployed: dict[str, CheckResult]) -> None:
    assert_passed(
        deployed["freeze_by_reference"],
        "3 of 3 changes of the configuration leave a running workflow alone",
    )


def test_freeze_by_reference_is_failed_when_an_activation_takes_workflows_along(
    perform: Perform, owner: Owner
) -> None:
    owner.execute("""
        CREATE FUNCTION public.take_along() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            UPDATE public.workflow_instances SET config_version_id = NEW.id
             WHERE config_version_id = NEW.previous_version_id;
            RETURN NULL;
        END $$
    """)
    owner.execute("""
        CREATE TRIGGER take_along AFTER UPDATE ON public.config_versions
        FOR EACH ROW WHEN (NEW.status = 'ACTIVE') EXECUTE FUNCTION public.take_along()
    """)
    result = perform("freeze_by_reference")
    assert_failed(
        result,
        "2 of 3 changes of the configuration leave a running workflow alone,"
        " not: it becomes active",
        1,
    )
    assert result.evidence[0].rows[2] == (
        "it becomes active",
        "yes, yes, yes",
        "no, yes, yes",
        "no",
    )


def test_invariant_3_frozen_workflows_passes(deployed: dict[str, CheckResult]) -> None:
    assert_passed(
        deployed["invariant_3_frozen_workflows"],
        "3558 workflows keep the config version they started with",
    )


POLICY_MOVED = """
    UPDATE public.workflow_instances SET approval_policy_id = 'pol_1_5_mw_any'
     WHERE id = 'wfi_000000'
"""
STARTED_BEFORE = """
    UPDATE public.workflow_instances SET started_at = '2025-01-01' WHERE id = 'wfi_000000'
"""
DRAFT_USED = """
    INSERT INTO public.workflow_instances
        (workspace_id, config_version_id, approval_policy_id, site_id, scope_id, atp_category)
    SELECT workspace_id, config_version_id, id, 'ste_00000', scope_id, 'BOTH'
      FROM public.approval_policy_master WHERE id = 'pol_1_5_mw_any'
"""
STAGE_MOVED = """
    UPDATE public.workflow_stages SET config_version_id = 'cfg_1_matrix_5'
     WHERE id = 'wfs_000000_1'
"""
SUBMISSION_MOVED = """
    UPDATE public.atp_submissions SET config_version_id = 'cfg_1_matrix_5'
     WHERE id = 'sub_000000'
"""


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (POLICY_MOVED, "workflow_instances, its policy is of another config version"),
        (STARTED_BEFORE, "workflow_instances, its config version became active after it started"),
        (DRAFT_USED, "workflow_instances, its config version is a draft"),
        (STAGE_MOVED, "workflow_stages, its workflow is of another config version"),
        (SUBMISSION_MOVED, "atp_submissions, its workflow is of another config version"),
    ],
)
def test_invariant_3_frozen_workflows_is_failed_when_a_row_moved(
    perform: Perform, owner: Owner, change: str, fault: str
) -> None:
    assert owner.execute(change).rowcount == 1
    assert_failed(
        perform("invariant_3_frozen_workflows"),
        f"rows that do not keep the config version of their workflow: 1, the first: 1 of {fault}",
        1,
    )


# --- C5 -----------------------------------------------------------------------------------------


def test_workspace_delete_refused_or_clean_passes(keyed: dict[str, CheckResult]) -> None:
    assert_passed(
        keyed["workspace_delete_refused_or_clean"],
        "10 relationships leave no orphan row of a deleted workspace",
    )


def test_workspace_delete_refused_or_clean_passes_where_it_cascades(
    perform: Perform, keys: Owner
) -> None:
    recreate(keys, "vendor_master", "workspace_id", "workspaces", "ON DELETE CASCADE")
    assert_passed(
        perform("workspace_delete_refused_or_clean"),
        "10 relationships leave no orphan row of a deleted workspace",
    )


def test_workspace_delete_refused_or_clean_is_failed_when_a_key_is_missing(
    perform: Perform, keys: Owner
) -> None:
    keys.execute("ALTER TABLE public.vendor_master DROP CONSTRAINT fk_vendor_master_workspace_id")
    result = perform("workspace_delete_refused_or_clean")
    assert_failed(result, "1 of 10 relationships leave orphan rows of a deleted workspace", 1)
    assert ("vendor_master.workspace_id", "orphan row") in result.evidence[0].rows


def test_cascade_leaves_no_orphans_passes(keyed: dict[str, CheckResult]) -> None:
    assert_passed(
        keyed["cascade_leaves_no_orphans"], "6 relationships leave no part without its whole"
    )


def test_cascade_leaves_no_orphans_passes_where_the_delete_is_refused(
    perform: Perform, keys: Owner
) -> None:
    recreate(keys, "punchlist_items", "punchlist_id", "punchlists", "ON DELETE RESTRICT")
    result = perform("cascade_leaves_no_orphans")
    assert_passed(result, "6 relationships leave no part without its whole")
    answers = {str(row[0]): str(row[2]) for row in result.evidence[0].rows}
    assert answers["punchlist_items.punchlist_id"].startswith("refused (23")


def test_cascade_leaves_no_orphans_is_failed_when_a_key_is_missing(
    perform: Perform, keys: Owner
) -> None:
    keys.execute(
        "ALTER TABLE public.punchlist_items DROP CONSTRAINT fk_punchlist_items_punchlist_id"
    )
    assert_failed(
        perform("cascade_leaves_no_orphans"),
        "1 of 6 relationships leave parts without their whole",
        1,
    )


@pytest.mark.usefixtures("keys")
def test_cascade_leaves_no_orphans_is_failed_when_the_triggers_are_disabled(
    perform: Perform, admin: Owner
) -> None:
    admin.execute("ALTER TABLE public.punchlists DISABLE TRIGGER ALL")
    assert_failed(
        perform("cascade_leaves_no_orphans"),
        "1 of 6 relationships leave parts without their whole",
        1,
    )


def test_invariant_4_workspace_isolation_passes(deployed: dict[str, CheckResult]) -> None:
    assert_passed(
        deployed["invariant_4_workspace_isolation"],
        "no row refers to a row of another workspace, 35 relationships looked at",
    )


@pytest.mark.parametrize(
    ("table", "assignment", "row"),
    [
        ("workflow_instances", "scope_id = 'scp_2_1_mw'", "wfi_000000"),
        ("workflow_instances", "vendor_id = 'ven_2_1_aviat'", "wfi_000000"),
        ("atp_submissions", "workflow_instance_id = 'wfi_000006'", "sub_000000"),
        ("config_versions", "previous_version_id = 'cfg_2_matrix_1'", "cfg_1_matrix_2"),
        # tables that belong to a workspace by the row that they are a part of
        ("workflow_stages", "approval_role_id = 'rol_2_1_bo'", "wfs_000000_1"),
        ("workflow_stages", "policy_stage_id = 'pst_2_1_mw_any_1'", "wfs_000000_1"),
        ("approval_policy_stages", "approval_role_id = 'rol_2_1_bo'", "pst_1_1_mw_any_1"),
        ("punchlists", "workflow_stage_id = 'wfs_000006_1'", "pch_000001"),
    ],
)
def test_invariant_4_workspace_isolation_is_failed_when_a_row_crosses(
    perform: Perform, owner: Owner, table: str, assignment: str, row: str
) -> None:
    owner.execute(f"UPDATE public.{table} SET {assignment} WHERE id = '{row}'")
    result = perform("invariant_4_workspace_isolation")
    assert_failed(
        result, "rows that refer to a row of another workspace: 1, in 1 of 35 relationships", 1
    )
    column = assignment.split(maxsplit=1)[0]
    assert result.evidence[0].rows == ((f"{table}.{column}", 1, row),)


def test_crossing_refused_passes_where_the_database_has_a_rule(
    perform: Perform, owner: Owner
) -> None:
    owner.execute("""
        CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE 'of another workspace' USING ERRCODE = 'foreign_key_violation';
        END $$
    """)
    for table in ("workflow_instances", "approver_overrides"):
        owner.execute(
            f"CREATE TRIGGER refuse BEFORE UPDATE ON public.{table}"
            " FOR EACH ROW EXECUTE FUNCTION public.refuse()"
        )
    assert_passed(perform("crossing_refused"), "6 references to another workspace are refused")


def test_crossing_refused_is_failed_when_keys_alone_hold(keyed: dict[str, CheckResult]) -> None:
    assert_failed(
        keyed["crossing_refused"], "6 of 6 references to another workspace are accepted", 6
    )


# --- C6 -----------------------------------------------------------------------------------------


def test_workflow_end_to_end_passes(deployed: dict[str, CheckResult]) -> None:
    assert_passed(deployed["workflow_end_to_end"], "12 of 12 steps of a workflow hold")


def test_workflow_end_to_end_is_failed_when_no_workflow_can_be_completed(
    perform: Perform, owner: Owner
) -> None:
    owner.execute(
        "ALTER TABLE public.workflow_instances DROP CONSTRAINT ck_workflow_instances_status,"
        " ADD CHECK (status <> 'COMPLETED') NOT VALID"
    )
    # the approval of the submission sees a workflow that is not completed
    assert_failed(
        perform("workflow_end_to_end"),
        "10 of 12 steps of a workflow hold, not: the workflow is completed",
        2,
    )


def test_workflow_end_to_end_is_failed_when_approvals_are_ignored(
    perform: Perform, owner: Owner
) -> None:
    ignore_updates(owner, "workflow_stages", "NEW.status = 'APPROVED'")
    # nothing is approved, so nothing is logged, and all that follows looks wrong
    assert_failed(
        perform("workflow_end_to_end"),
        "5 of 12 steps of a workflow hold, not: stage 1 is approved",
        7,
    )


# --- I2, I3, N1 ---------------------------------------------------------------------------------


def test_checks_refuse_bad_values_passes(deployed: dict[str, CheckResult]) -> None:
    result = deployed["checks_refuse_bad_values"]
    assert_passed(result, "36 of 36 bad values are refused")
    assert result.facts["constraints"] == 21


GONE = "punchlists DROP CONSTRAINT ck_punchlists_status"
WEAKER = """
    approval_policy_stages DROP CONSTRAINT ck_approval_policy_stages_sla,
    ADD CONSTRAINT ck_approval_policy_stages_sla CHECK (sla_hours > 0)
"""
RENAMED = "vendor_master RENAME CONSTRAINT ck_vendor_master_dates TO another"
SAID_GONE = (
    "34 of 36 bad values are refused; ck_punchlists_status: status = 'check' accepted;"
    " ck_punchlists_status: status = 'open' accepted"
)
SAID_WEAKER = (
    "35 of 36 bad values are refused;"
    " ck_approval_policy_stages_sla: sla_hours = 1, sla_days = 0 accepted"
)
SAID_RENAMED = (
    "35 of 36 bad values are refused; ck_vendor_master_dates: effective_date = DATE '2025-01-02',"
    " expiry_date = DATE '2025-01-01' refused by another (23514); another: not covered"
)


@pytest.mark.parametrize(
    ("change", "message", "failing"),
    [(GONE, SAID_GONE, 2), (WEAKER, SAID_WEAKER, 1), (RENAMED, SAID_RENAMED, 2)],
)
def test_checks_refuse_bad_values_is_failed_when_a_constraint_changed(
    perform: Perform, owner: Owner, change: str, message: str, failing: int
) -> None:
    owner.execute(f"ALTER TABLE public.{change}")
    assert_failed(perform("checks_refuse_bad_values"), message, failing)


def test_checks_refuse_bad_values_is_failed_when_a_constraint_is_not_covered(
    perform: Perform, owner: Owner
) -> None:
    owner.execute("ALTER TABLE public.cluster_master ADD CONSTRAINT new CHECK (site_count >= 0)")
    assert_failed(
        perform("checks_refuse_bad_values"),
        "36 of 36 bad values are refused; new: not covered",
        1,
    )


def test_audit_trail_complete_passes(deployed: dict[str, CheckResult]) -> None:
    assert_passed(deployed["audit_trail_complete"], "14940 decided stages have a complete trail")


ACTION_DELETED = """
    DELETE FROM public.workflow_stage_actions
     WHERE id = (SELECT min(id) FROM public.workflow_stage_actions WHERE action_type = 'APPROVE')
"""
DECIDED_BY_NOBODY = """
    UPDATE public.workflow_stages SET decided_by = NULL
     WHERE id = (SELECT min(id) FROM public.workflow_stages WHERE status = 'REJECTED')
"""
ENDLESS = """
    UPDATE public.workflow_instances SET completed_at = NULL
     WHERE id = (SELECT min(id) FROM public.workflow_instances WHERE status = 'COMPLETED')
"""
WITHOUT_STAGE = """
    INSERT INTO public.workflow_instances
        (workspace_id, config_version_id, approval_policy_id, site_id, scope_id, atp_category,
         status, completed_at)
    SELECT workspace_id, config_version_id, id, 'ste_00000', scope_id, 'BOTH', 'COMPLETED', now()
      FROM public.approval_policy_master WHERE id = 'pol_1_4_mw_any'
"""
UNDECIDED = """
    UPDATE public.workflow_stages SET status = 'PENDING'
     WHERE id = (SELECT min(s.id) FROM public.workflow_stages s
                   JOIN public.workflow_instances w ON w.id = s.workflow_instance_id
                  WHERE w.status = 'COMPLETED')
"""
NULLABLE = "ALTER TABLE public.workflow_stage_actions ALTER action_at DROP NOT NULL"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (ACTION_DELETED, "workflow_stages, decided, but its log has no such action"),
        (DECIDED_BY_NOBODY, "workflow_stages, decided, but not by whom or not when"),
        (ENDLESS, "workflow_instances, COMPLETED without its moment"),
        (WITHOUT_STAGE, "workflow_instances, COMPLETED without a stage"),
        (UNDECIDED, "workflow_stages, PENDING in a workflow that is COMPLETED"),
        (NULLABLE, "workflow_stage_actions, action_at may be NULL"),
    ],
)
def test_audit_trail_complete_is_failed_when_a_trace_is_gone(
    perform: Perform, owner: Owner, change: str, said: str
) -> None:
    owner.execute(change)
    assert_failed(
        perform("audit_trail_complete"), f"1 gap in the audit trail, the first: 1 of {said}", 1
    )


def test_query_times_passes(deployed: dict[str, CheckResult]) -> None:
    result = deployed["query_times"]
    assert_passed(result, "3 of 3 queries are within their limits")
    assert list(result.facts) == ["pending_tasks_ms", "sla_ms", "config_lookup_ms"]


def test_query_times_is_failed_when_a_query_takes_longer_than_its_limit(perform: Perform) -> None:
    assert_failed(
        perform("query_times", pending_tasks_ms=0, sla_ms=10_000, config_lookup_ms=0),
        "1 of 3 queries are within their limits, not: pending tasks of the busiest approver,"
        " the policies in force in XLSMART-AVIAT",
        2,
    )


def ignore_updates(owner: Owner, table: str, condition: str) -> None:
    """A trigger that drops such updates without a word."""
    owner.execute(
        "CREATE FUNCTION public.ignored() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN RETURN NULL; END'"
    )
    owner.execute(
        f"CREATE TRIGGER ignored BEFORE UPDATE ON public.{table} FOR EACH ROW"
        f" WHEN ({condition}) EXECUTE FUNCTION public.ignored()"
    )


def recreate(owner: Owner, table: str, column: str, parent: str, action: str) -> None:
    """The key with another action."""
    name = f"fk_{table}_{column}"
    owner.execute(
        f"ALTER TABLE public.{table} DROP CONSTRAINT {name}, ADD CONSTRAINT {name}"
        f" FOREIGN KEY ({column}) REFERENCES public.{parent} (id) {action}"
    )
