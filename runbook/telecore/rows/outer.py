"""Workspaces, users, sites and documents: what exists before the master tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from runbook.telecore.rows import Rows
from runbook.telecore.rows.cases import DOCUMENT_TYPES, Case


@dataclass(frozen=True)
class Workspace:
    """A customer's tenant: ``number`` counts from 1 and is part of its rows' ids."""

    number: int
    id: str
    code: str
    name: str
    customer: str
    vendor: str


WORKSPACES = (
    Workspace(
        1,
        "5d1f0c52-7a3e-4b8e-9c64-1f2a3b4c5d01",
        "XLSMART-AVIAT",
        "XLSmart microwave rollout",
        "grp_xlsmart",
        "own_aviat",
    ),
    Workspace(
        2,
        "5d1f0c52-7a3e-4b8e-9c64-1f2a3b4c5d02",
        "NUSANTARA-RAN",
        "Nusantara radio access rollout",
        "grp_nusantara",
        "own_selaras",
    ),
    Workspace(
        3,
        "5d1f0c52-7a3e-4b8e-9c64-1f2a3b4c5d03",
        "BORNEO-TRANSPORT",
        "Borneo transport upgrade",
        "grp_borneo",
        "own_lintas",
    ),
    Workspace(
        4,
        "5d1f0c52-7a3e-4b8e-9c64-1f2a3b4c5d04",
        "PILOT-SULAWESI",
        "Sulawesi pilot",
        "grp_sulawesi",
        "own_aviat",
    ),
)

# The workspace of site i is _WORKSPACE_OF_SITE[i % 10]: most of the work is in the first.
_WORKSPACE_OF_SITE = (1, 1, 2, 1, 1, 3, 1, 2, 1, 4)

USERS = 300
ROLE_CODES = ("BO", "SME", "NOC_HEAD", "RTS_FOP", "REGION_TEAM", "RTH_HEAD", "PMO")
_USER_ROLES = (*ROLE_CODES, "ADMIN", "VENDOR", "VENDOR")
_FIRST_NAMES = ("Adi", "Bayu", "Citra", "Dewi", "Eka", "Fajar", "Gita", "Hadi", "Indah", "Joko")
_LAST_NAMES = ("Santoso", "Wijaya", "Lestari", "Pratama", "Siregar", "Hutapea", "Nugroho")

# (region, province, island code, city code, city)
CITIES = (
    ("JABODETABEK", "DKI Jakarta", "JAVA", "JKT", "Jakarta"),
    ("JABODETABEK", "Banten", "JAVA", "TGR", "Tangerang"),
    ("WEST JAVA", "Jawa Barat", "JAVA", "BDG", "Bandung"),
    ("CENTRAL JAVA", "Jawa Tengah", "JAVA", "SMG", "Semarang"),
    ("EAST JAVA", "Jawa Timur", "JAVA", "SBY", "Surabaya"),
    ("NORTH SUMATRA", "Sumatera Utara", "SUM", "MDN", "Medan"),
    ("SOUTH SUMATRA", "Sumatera Selatan", "SUM", "PLG", "Palembang"),
    ("BALI NUSRA", "Bali", "BALI", "DPS", "Denpasar"),
    ("KALIMANTAN", "Kalimantan Timur", "KAL", "BPN", "Balikpapan"),
    ("KALIMANTAN", "Kalimantan Selatan", "KAL", "BJM", "Banjarmasin"),
    ("SULAWESI", "Sulawesi Selatan", "SUL", "MKS", "Makassar"),
    ("SULAWESI", "Sulawesi Utara", "SUL", "MDO", "Manado"),
)

_FOUNDED = datetime(2025, 5, 5, 8, 0)


def user_id(number: int) -> str:
    """The id of a user; numbers wrap around, so that any number names one who exists."""
    return f"usr_{number % USERS:04d}"


def user_in_role(role: str, number: int) -> str:
    """The id of an active user who holds ``role``; raises ValueError for an unknown role."""
    tens = number % (USERS // 10)
    tens -= tens % 8 == 7  # those are the ones who left, see users()
    return user_id(tens * 10 + ROLE_CODES.index(role))


def submitter(number: int) -> str:
    """The user who entered the case with this number."""
    return user_id(number * 13)


def workspace_of(site: int) -> Workspace:
    """The workspace that builds this site."""
    return WORKSPACES[_WORKSPACE_OF_SITE[site % len(_WORKSPACE_OF_SITE)] - 1]


def site_key(number: int) -> str:
    return f"ste_{number:05d}"


def workspace_rows() -> Rows:
    for workspace in WORKSPACES:
        created = _FOUNDED + timedelta(days=workspace.number)
        yield (
            workspace.id,
            workspace.code,
            workspace.name,
            workspace.customer,
            workspace.vendor,
            True,
            created,
            created,
        )


def user_rows() -> Rows:
    for number in range(USERS):
        first = _FIRST_NAMES[number % 10]
        last = _LAST_NAMES[number // 10 % 7]
        created = _FOUNDED + timedelta(hours=number)
        yield (
            user_id(number),
            f"{first.lower()}.{last.lower()}.{number:03d}@telecore.example",
            None if number % 97 == 96 else f"{first} {last}",
            _USER_ROLES[number % 10],
            number // 10 % 8 != 7,
            created,
            created + timedelta(days=number % 60),
        )


def site_rows(count: int) -> Rows:
    for number in range(count):
        region, _, _, code, city = CITIES[number % len(CITIES)]
        workspace = workspace_of(number)
        created = _FOUNDED + timedelta(days=10, minutes=7 * number % 20_000)
        yield (
            site_key(number),
            f"{code}-{number:05d}",
            f"{city} {number // len(CITIES) + 1:03d}",
            region,
            city,
            None if number % 50 == 27 else workspace.id,  # surveyed, not handed over yet
            created,
            created,
        )


def document_rows(cases: Sequence[Case]) -> Rows:
    for case in cases:
        for index in range(case.documents):
            kind = DOCUMENT_TYPES[index]
            uploaded = case.started_at - timedelta(hours=5 - index)
            yield (
                f"doc_{case.number:06d}_{index}",
                f"{kind.replace('_', ' ').capitalize()} of case {case.number}",
                f"{kind.lower()}_{case.number:06d}.pdf",
                "application/pdf",
                40_000 + case.number * 7919 % 900_000,
                submitter(case.number),
                uploaded,
                uploaded,
            )
