"""Clusters of sites and the people who approve for them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from runbook.telecore.rows import Rows
from runbook.telecore.rows.configuration import MAPPING_STARTS
from runbook.telecore.rows.outer import CITIES, WORKSPACES, Workspace, user_in_role

CLUSTERS = 48
CLUSTER_ROLES = ("RTS_FOP", "REGION_TEAM")


def _mappings() -> Iterator[tuple[Workspace, int, datetime]]:
    for workspace in WORKSPACES:
        for version, start in enumerate(MAPPING_STARTS, 1):
            yield workspace, version, start


def cluster_rows() -> Rows:
    for workspace, version, start in _mappings():
        for number in range(CLUSTERS):
            region, province, island, code, city = CITIES[number % len(CITIES)]
            yield (
                f"clu_{workspace.number}_{version}_{number:02d}",
                workspace.id,
                f"cfg_{workspace.number}_mapping_{version}",
                f"scp_{workspace.number}_{version}_mw",
                island,
                region.split(" ")[0][:10],
                region,
                province,
                code,
                city,
                f"{island}-{code}-{number // len(CITIES) + 1:02d}",
                None if number % 7 == 3 else f"M{number + 1}",
                8 + number % 9,
                "CLUSTER",
                number + 2,
                True,
                start,
                start,
            )


def cluster_approver_rows() -> Rows:
    for workspace, version, start in _mappings():
        for number in range(CLUSTERS):
            for role in CLUSTER_ROLES:
                yield (
                    f"cap_{workspace.number}_{version}_{number:02d}_{role.lower()}",
                    workspace.id,
                    f"clu_{workspace.number}_{version}_{number:02d}",
                    f"cfg_{workspace.number}_mapping_{version}",
                    f"rol_{workspace.number}_{version}_{role.lower()}",
                    user_in_role(role, number),
                    None if number % 3 == 0 else user_in_role(role, number + 2),
                    None,
                    f"CLUSTER!{number + 2}",
                    True,
                    start.date(),
                    None,
                    start,
                    start,
                )
