"""Approval policies and their stages: who signs what, in which order.

``pol_1_3_mw_aviat`` is the policy for MW by AVIAT in version 3 of the approval matrix of
workspace 1; its stages are ``pst_1_3_mw_aviat_1`` and so on.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from runbook.telecore.rows import Rows
from runbook.telecore.rows.cases import SCOPE_CATEGORY, SCOPES, STEPS, VENDORS
from runbook.telecore.rows.clusters import CLUSTER_ROLES
from runbook.telecore.rows.configuration import GROUP_OF_ROLE, SCOPE_NAMES, matrices, matrix_id
from runbook.telecore.rows.outer import Workspace


def policy_key(workspace: int, version: int, scope: str, vendor: str | None) -> str:
    """What the ids of a policy (``pol_…``) and of its stages (``pst_…_1``) have in common."""
    return f"{workspace}_{version}_{scope.lower()}_{(vendor or 'any').lower()}"


def _policies() -> Iterator[tuple[Workspace, int, datetime, str, str | None]]:
    for workspace, version, start in matrices():
        for scope in SCOPES:
            for vendor in (None, *VENDORS[:2]):
                yield workspace, version, start, scope, vendor


def policy_rows() -> Rows:
    """For each scope a policy for any vendor and, below it, one for each of two vendors."""
    for workspace, version, start, scope, vendor in _policies():
        place = f"{workspace.number}_{version}"
        yield (
            f"pol_{policy_key(workspace.number, version, scope, vendor)}",
            workspace.id,
            matrix_id(workspace.number, version),
            f"scp_{place}_{scope.lower()}",
            f"ven_{place}_{vendor.lower()}" if vendor else None,
            SCOPE_CATEGORY[scope],
            10 if vendor else 100,
            f"pol_{policy_key(workspace.number, version, scope, None)}" if vendor else None,
            f"{version}.0",
            f"{SCOPE_NAMES[scope]}, {vendor.capitalize() if vendor else 'any vendor'}",
            None,
            True,
            start.date(),
            None,
            start,
            start,
        )


def policy_stage_rows() -> Rows:
    for workspace, version, start, scope, vendor in _policies():
        key = policy_key(workspace.number, version, scope, vendor)
        for order, (stage, role, group) in enumerate(STEPS[SCOPE_CATEGORY[scope]], 1):
            yield (
                f"pst_{key}_{order}",
                f"pol_{key}",
                matrix_id(workspace.number, version),
                stage,
                f"{GROUP_OF_ROLE[role].capitalize()} by {role}",
                GROUP_OF_ROLE[role],
                f"rol_{workspace.number}_{version}_{role.lower()}",
                True,
                group is not None,
                group,
                48,
                2,
                "CLUSTER" if role in CLUSTER_ROLES else "ROLE",
                None,
                True,
                True,
                True,
                order,
                True,
                start,
                start,
            )
