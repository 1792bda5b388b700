"""Config versions and the master data that each of them imported.

The ids tell where a row belongs: ``pol_1_3_mw_aviat`` is the policy for MW by AVIAT in version
3 of the approval matrix of workspace 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from hashlib import sha256
from typing import NamedTuple

from runbook.telecore.rows import Row, Rows
from runbook.telecore.rows.cases import MATRIX_ENDS, SCOPE_CATEGORY, SCOPES, VENDORS
from runbook.telecore.rows.outer import (
    ROLE_CODES,
    WORKSPACES,
    Workspace,
    user_in_role,
)

_MATRIX_STARTS = (datetime(2025, 6, 1), *MATRIX_ENDS, datetime(2025, 12, 15))
MAPPING_STARTS = (
    datetime(2025, 6, 1),
    datetime(2025, 8, 4),
    datetime(2025, 10, 20),
    datetime(2025, 12, 8),
)
_SCOPE_STARTS = (datetime(2025, 6, 1), datetime(2025, 9, 1), datetime(2025, 12, 1))


class _Import(NamedTuple):
    """One kind of sheet: the days its versions came into force; the last one is a draft."""

    name: str
    source_type: str
    starts: tuple[datetime, ...]
    archived: int


_IMPORTS = (
    _Import("matrix", "APPROVAL_MATRIX", _MATRIX_STARTS, 2),
    _Import("mapping", "CLUSTER_MAPPING", MAPPING_STARTS, 1),
    _Import("scopes", "SCOPE_CONFIG", _SCOPE_STARTS, 0),
)
GROUP_OF_ROLE = dict(
    zip(
        ROLE_CODES,
        ("REVIEW", "REVIEW", "VALIDATION", "VALIDATION", "SIGN", "SIGN", "FINAL"),
        strict=True,
    )
)
SCOPE_NAMES = dict(
    zip(
        SCOPES,
        (
            "Microwave link",
            "Microwave capacity upgrade",
            "VLAN tagging",
            "Radio access",
            "Mains power",
            "Transmission",
            "Antenna",
        ),
        strict=True,
    )
)


def matrix_id(workspace: int, version: int) -> str:
    return f"cfg_{workspace}_matrix_{version}"


def config_version_rows() -> Rows:
    for workspace in WORKSPACES:
        for sheet in _IMPORTS:
            for version in range(1, len(sheet.starts) + 1):
                yield _config_version(workspace, sheet, version)


def _status(workspace: Workspace, sheet: _Import, version: int) -> str:
    """The oldest are archived, the last is a draft, the one before it is in force."""
    if version == len(sheet.starts):
        return "DRAFT"
    if version == len(sheet.starts) - 1:
        # The pilot took its cluster mapping out of use, so there is not always an ACTIVE one.
        return "ARCHIVED" if (workspace.number, sheet.name) == (4, "mapping") else "ACTIVE"
    return "ARCHIVED" if version <= sheet.archived else "SUPERSEDED"


def _config_version(workspace: Workspace, sheet: _Import, version: int) -> Row:
    name, source_type, starts, _ = sheet
    status = _status(workspace, sheet, version)
    start = starts[version - 1]
    draft = status == "DRAFT"
    followed = version < len(starts) - 1
    prefix = f"cfg_{workspace.number}_{name}"
    imported = start - timedelta(days=2)
    validation = "WARNINGS" if version == 2 else "VALID"
    if draft:
        validation = "INVALID" if workspace.number == 3 else "PENDING"
    return (
        f"{prefix}_{version}",
        workspace.id,
        f"{workspace.code.lower()}_{name}_v{version}.xlsx",
        source_type,
        sha256(f"{prefix}_{version}".encode()).hexdigest(),
        version,
        status,
        {"matrix": 152, "mapping": 144, "scopes": len(SCOPES)}[name],
        validation,
        "row 14: role without a hierarchy" if validation == "INVALID" else None,
        "2 rows without an effective date" if validation == "WARNINGS" else None,
        user_in_role("PMO", workspace.number),
        imported,
        None if draft else start,
        starts[version] + timedelta(days=7) if status == "ARCHIVED" else None,
        start.date(),
        starts[version].date() - timedelta(days=1) if followed else None,
        f"{prefix}_{version - 1}" if version > 1 else None,
        f"{prefix}_{version + 1}" if followed else None,
        None if version > 1 else "first import",
        False,
        imported,
        start,
    )


def matrices() -> Iterator[tuple[Workspace, int, datetime]]:
    """Each approval matrix: its workspace, version and first day."""
    for workspace in WORKSPACES:
        for version, start in enumerate(_MATRIX_STARTS, 1):
            yield workspace, version, start


def scope_rows() -> Rows:
    """Each scope as the approval matrices and, apart from them, the scope lists have it."""
    for workspace, version, start in matrices():
        config = matrix_id(workspace.number, version)
        for index, code in enumerate(SCOPES):
            key = f"scp_{workspace.number}_{version}_{code.lower()}"
            yield _scope(key, workspace, config, index, start)
    for workspace in WORKSPACES:
        for version, start in enumerate(_SCOPE_STARTS, 1):
            config = f"cfg_{workspace.number}_scopes_{version}"
            for index, code in enumerate(SCOPES):
                key = f"scl_{workspace.number}_{version}_{code.lower()}"
                yield _scope(key, workspace, config, index, start)


def _scope(key: str, workspace: Workspace, config: str, index: int, start: datetime) -> Row:
    code = SCOPES[index]
    author = user_in_role("PMO", workspace.number)
    return (
        key,
        workspace.id,
        config,
        code,
        SCOPE_NAMES[code],
        "POWER" if code == "PLN" else "RADIO" if code in {"RAN", "ANT"} else "TRANSPORT",
        f"C{index + 1:02d}",
        SCOPE_CATEGORY[code],
        f"TPL_{code}",
        index < 4,
        "BO",
        None,
        True,
        start.date(),
        None,
        None if index % 2 else f"acceptance of {SCOPE_NAMES[code].lower()}",
        start,
        start,
        author,
        None if index % 3 else author,
    )


def vendor_rows() -> Rows:
    for workspace, version, start in matrices():
        for index, code in enumerate(VENDORS):
            yield (
                f"ven_{workspace.number}_{version}_{code.lower()}",
                workspace.id,
                matrix_id(workspace.number, version),
                code,
                f"{code.capitalize()} Networks",
                "EQUIPMENT" if index < 3 else "CONSTRUCTION",
                None if index == 5 else f"{code.capitalize()} service desk",
                f"desk@{code.lower()}.example",
                None,
                index != 5,
                start.date(),
                None,
                start,
                start,
            )


def role_rows() -> Rows:
    for workspace, version, start in matrices():
        for order, code in enumerate(ROLE_CODES, 1):
            shared = code == "PMO" and workspace.number > 2  # one office for both
            yield (
                f"rol_{workspace.number}_{version}_{code.lower()}",
                None if shared else workspace.id,
                matrix_id(workspace.number, version),
                code,
                code.replace("_", " ").title() if "_" in code else code,
                None,
                order,
                GROUP_OF_ROLE[code],
                code == "PMO",
                code in {"SME", "NOC_HEAD", "RTS_FOP"},
                True,
                start,
                None,
                start,
                start,
            )
