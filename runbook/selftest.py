"""What a project's self-test says: did the run find exactly the defects that were planted?

A project names a module in ``project.self_test`` that has ``compare(session, audits, census,
results) -> SelfTest``; :mod:`runbook.telecore.planted` is the demo's.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SelfTest:
    """Planted against found; ``missed`` and ``invented`` are sentences, one for each difference.

    ``available`` is False where the database has no record of what was planted: nothing was
    compared, which is no success.
    """

    planted: int
    found: int
    missed: tuple[str, ...]
    invented: tuple[str, ...]
    available: bool

    @property
    def exact(self) -> bool:
        """Whether a comparison took place and found no difference."""
        return self.available and not self.missed and not self.invented
