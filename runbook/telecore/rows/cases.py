"""What happens to each site: the cases from which the rows of the run-time tables follow.

A case is one acceptance of one scope at one site: a workflow, its stages, the submission and
its documents, and perhaps a punch list and an override.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count

SCOPES = ("MW", "MW_UPGRADE", "VLAN_TAGGING", "RAN", "PLN", "TX", "ANT")
SCOPE_CATEGORY = {
    "MW": "BOTH",
    "MW_UPGRADE": "BOTH",
    "VLAN_TAGGING": "SOFTWARE",
    "RAN": "BOTH",
    "PLN": "HARDWARE",
    "TX": "HARDWARE",
    "ANT": "HARDWARE",
}
VENDORS = ("AVIAT", "SELARAS", "LINTAS", "MITRA", "SURYA", "TOWERINDO")
CASES_PER_SITE = 3
DOCUMENT_TYPES = ("TEST_REPORT", "SITE_PHOTOS", "AS_BUILT_DRAWING", "LINK_BUDGET", "CHECKLIST")

# What a category's workflows pass through: (stage number, role, parallel group or None).
Step = tuple[int, str, str | None]
STEPS: dict[str, tuple[Step, ...]] = {
    "HARDWARE": (
        (1, "BO", None),
        (2, "SME", "A"),
        (2, "RTS_FOP", "A"),
        (3, "REGION_TEAM", None),
        (4, "RTH_HEAD", None),
        (5, "PMO", None),
    ),
    "SOFTWARE": (
        (1, "BO", None),
        (2, "NOC_HEAD", None),
        (3, "RTH_HEAD", None),
        (4, "PMO", None),
    ),
    "BOTH": (
        (1, "BO", None),
        (2, "SME", "A"),
        (2, "NOC_HEAD", "A"),
        (3, "RTH_HEAD", None),
        (4, "PMO", None),
    ),
}

# The approval matrix in force: versions 1 to 3 until the day named, then version 4.
MATRIX_ENDS = (datetime(2025, 7, 21), datetime(2025, 9, 15), datetime(2025, 11, 24))

_OUTCOMES = ("COMPLETED",) * 13 + ("REJECTED",) * 2 + ("CANCELLED",) + ("IN_PROGRESS",) * 4
_FIRST_DAY = datetime(2025, 6, 2, 8, 0)
_RECENT_DAY = datetime(2025, 11, 17, 8, 0)


@dataclass(frozen=True)
class Case:
    """One acceptance; ``decided`` stage rows are done, and of those perhaps one rejected.

    ``vendor`` is None where no vendor is named, ``policy_vendor`` where the policy for any
    vendor applies. ``punchlist`` is the number of its items, 0 for no punch list.
    """

    number: int
    site: int
    scope: str
    vendor: str | None
    policy_vendor: str | None
    status: str
    decided: int
    started_at: datetime
    documents: int
    punchlist: int

    @property
    def category(self) -> str:
        return SCOPE_CATEGORY[self.scope]

    @property
    def steps(self) -> tuple[Step, ...]:
        return STEPS[self.category]

    @property
    def rejected_at(self) -> int | None:
        """The index of the stage row that was rejected, or None."""
        return self.decided - 1 if self.status == "REJECTED" else None

    @property
    def matrix(self) -> int:
        """The version of the approval matrix in force when it started, which it keeps."""
        return 1 + sum(self.started_at >= end for end in MATRIX_ENDS)

    @property
    def draft(self) -> bool:
        """Whether the site has one more submission, which was not sent in yet."""
        return self.number % (4 * CASES_PER_SITE) == 0

    @property
    def override(self) -> bool:
        return self.number % 12 == 5

    def decided_at(self, index: int) -> datetime:
        """When the stage row ``index`` was decided, or would be."""
        return self.started_at + timedelta(days=2 * index + 1, hours=(self.number + index) % 7)

    @property
    def finished_at(self) -> datetime | None:
        if self.status == "IN_PROGRESS":
            return None
        return self.decided_at(max(self.decided - 1, 0)) + timedelta(hours=1)


def case(number: int) -> Case:
    """The case with this number, counted from 0."""
    site = number // CASES_PER_SITE
    scope = SCOPES[(site + 2 * (number % CASES_PER_SITE)) % len(SCOPES)]
    which = (site * 5 + number) % len(VENDORS)
    vendor = None if number % 9 == 4 else VENDORS[which]
    status = _OUTCOMES[(number * 7 + number // 60) % len(_OUTCOMES)]
    rows = len(STEPS[SCOPE_CATEGORY[scope]])
    turn = number // 20
    decided = {
        "COMPLETED": rows,
        "REJECTED": 2 + turn % (rows - 2),
        "CANCELLED": turn % 3,
        "IN_PROGRESS": turn % rows,
    }[status]
    recent = status == "IN_PROGRESS"
    started = (
        _RECENT_DAY + timedelta(days=number * 11 % 24)
        if recent
        else _FIRST_DAY + timedelta(days=number * 37 % 184)
    ) + timedelta(minutes=number * 17 % 540)
    return Case(
        number=number,
        site=site,
        scope=scope,
        vendor=vendor,
        policy_vendor=vendor if which < 2 else None,
        status=status,
        decided=decided,
        started_at=started,
        documents=3 + number % 3,
        punchlist=_punchlist(number, status, decided),
    )


def _punchlist(number: int, status: str, decided: int) -> int:
    """The items of the case's punch list: every rejection has one, some others too."""
    if status == "REJECTED" or (status != "CANCELLED" and decided and number % 4 == 1):
        return 2 + number % 3
    return 0


def rows_of(one: Case) -> int:
    """How many rows the case adds to all tables together."""
    actions = 2 * one.decided + len(one.steps) - one.decided  # see workflows.action_rows
    return (
        1  # the workflow
        + len(one.steps)
        + actions
        + 1  # the submission
        + 2 * one.documents  # and their entries in the submission
        + (1 + one.punchlist if one.punchlist else 0)
        + one.override
        + one.draft
        + (one.number % CASES_PER_SITE == 0)  # the site
    )


def cases(rows: int) -> tuple[list[Case], int]:
    """The first cases, as many as fit into ``rows`` rows, and the rows that are left over."""
    chosen = []
    for number in count():
        one = case(number)
        size = rows_of(one)
        if size > rows:
            break
        rows -= size
        chosen.append(one)
    return chosen, rows
