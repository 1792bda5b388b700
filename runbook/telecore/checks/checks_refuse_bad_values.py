"""Every CHECK constraint of the tables refuses a bad value, with 23514 and under its own name.

A constraint of the catalog for which ``BAD_VALUES`` has no value counts as a failure: what is not
tried is not known to work.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import LiteralString

from psycopg import sql

from runbook.checks import Context, Outcome, failed, passed
from runbook.findings import Evidence
from runbook.session import Session
from runbook.telecore.checks._sample import Sample
from runbook.telecore.checks._trial import refusal

TITLE = "the CHECK constraints refuse bad values"
CRITERION = "I2"
WRITES = True

CHECK_VIOLATION = "23514"
UPDATE: LiteralString = "UPDATE {table} SET {bad} WHERE id = %(id)s"

# Table and constraint, and assignments of which each has to be refused by it.
BAD_VALUES: Mapping[tuple[str, str], tuple[LiteralString, ...]] = {
    ("config_versions", "ck_config_versions_status"): ("status = 'check'", "status = 'active'"),
    ("config_versions", "ck_config_versions_source_type"): (
        "source_type = 'check'",
        "source_type = 'scope_config'",
    ),
    ("config_versions", "ck_config_versions_validation_status"): (
        "validation_status = 'check'",
        "validation_status = 'valid'",
    ),
    ("config_versions", "ck_config_versions_version_number"): (
        "version_number = 0",
        "version_number = -1",
    ),
    ("config_versions", "ck_config_versions_dates"): (
        "effective_date = DATE '2025-01-02', expire_date = DATE '2025-01-01'",
    ),
    ("atp_scope_master", "ck_atp_scope_master_atp_type"): (
        "atp_type = 'check'",
        "atp_type = 'hardware'",
    ),
    ("atp_scope_master", "ck_atp_scope_master_dates"): (
        "effective_date = DATE '2025-01-02', expiry_date = DATE '2025-01-01'",
    ),
    ("vendor_master", "ck_vendor_master_dates"): (
        "effective_date = DATE '2025-01-02', expiry_date = DATE '2025-01-01'",
    ),
    ("approval_role_master", "ck_approval_role_master_stage_group"): (
        "stage_group = 'check'",
        "stage_group = 'final'",
    ),
    ("approval_policy_master", "ck_approval_policy_master_atp_category"): (
        "atp_category = 'check'",
        "atp_category = 'both'",
    ),
    ("approval_policy_master", "ck_approval_policy_master_dates"): (
        "effective_date = DATE '2025-01-02', expiry_date = DATE '2025-01-01'",
    ),
    ("approval_policy_stages", "ck_approval_policy_stages_stage_number"): (
        "stage_number = 0",
        "stage_number = -1",
    ),
    ("approval_policy_stages", "ck_approval_policy_stages_sla"): (
        "sla_hours = 0, sla_days = 1",
        "sla_hours = 1, sla_days = 0",
    ),
    ("cluster_approver_master", "ck_cluster_approver_master_dates"): (
        "effective_from = DATE '2025-01-02', effective_to = DATE '2025-01-01'",
    ),
    ("workflow_instances", "ck_workflow_instances_status"): (
        "status = 'check'",
        "status = 'completed'",
    ),
    ("workflow_instances", "ck_workflow_instances_atp_category"): (
        "atp_category = 'check'",
        "atp_category = 'both'",
    ),
    ("workflow_instances", "ck_workflow_instances_dates"): (
        "started_at = TIMESTAMP '2025-01-02', completed_at = TIMESTAMP '2025-01-01'",
    ),
    ("workflow_stages", "ck_workflow_stages_status"): ("status = 'check'", "status = 'approved'"),
    ("atp_submissions", "ck_atp_submissions_status"): ("status = 'check'", "status = 'approved'"),
    ("punchlists", "ck_punchlists_status"): ("status = 'check'", "status = 'open'"),
    ("punchlist_items", "ck_punchlist_items_status"): ("status = 'check'", "status = 'open'"),
}


def run(context: Context) -> Outcome:
    with context.trying() as owner:
        sample = Sample(owner).add(*(table for table, _ in BAD_VALUES))
        rows = [
            (table, name, bad, _answer(owner, sample, table, name, bad))
            for (table, name), several in BAD_VALUES.items()
            for bad in several
        ]
    refused = sum(row[-1] == "refused" for row in rows)
    missed = _not_covered(context)
    wrong = [row for row in rows if row[-1] != "refused"]
    wrong += [(table, name, "", "not covered") for table, name in missed]
    facts = {
        "constraints": len({(row[0], row[1]) for row in rows if row[-1] == "refused"}),
        "refused": refused,
        "tried": len(rows),
        "not_covered": len(missed),
    }
    columns = ("table", "constraint", "bad value", "answer")
    message = f"{refused} of {len(rows)} bad values are refused"
    if not wrong:
        return passed(message, facts, Evidence.of(columns, rows, "Bad values"))
    said = "; ".join(f"{name}: {f'{bad} {answer}'.strip()}" for _, name, bad, answer in wrong)
    evidence = Evidence.of(columns, wrong, "Bad values that were not refused")
    return failed(f"{message}; {said}", len(wrong), facts, evidence)


def _answer(owner: Session, sample: Sample, table: str, name: str, bad: LiteralString) -> str:
    statement = sql.SQL(UPDATE).format(table=sql.Identifier("public", table), bad=sql.SQL(bad))
    found = refusal(owner, statement, {"id": sample[table]})
    if found is None:
        return "accepted"
    if (found.sqlstate, found.constraint) == (CHECK_VIOLATION, name):
        return "refused"
    return f"refused by {found.constraint} ({found.sqlstate})"


def _not_covered(context: Context) -> list[tuple[str, str]]:
    """The CHECK constraints of the catalog that no bad value is known for."""
    tables = sorted({item.child for item in context.core_relationships()})
    return [
        (name.table, check.name)
        for name in tables
        for check in context.schema.tables[name].checks
        if (name.table, check.name) not in BAD_VALUES
    ]
