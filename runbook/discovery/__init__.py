"""Which relationships should hold: proposed from names, types, data and use, with evidence."""

from __future__ import annotations

from collections.abc import Sequence

from runbook.discovery import engine
from runbook.discovery.proposal import Found, Proposal
from runbook.schema import Schema


def propose(schema: Schema, *, extra: Sequence[Proposal] = ()) -> Found:
    """Propose relationships from declarations alone; the keys of ``schema`` are known.

    ``extra`` are proposals of another source, such as schema.prisma: of two for the same columns
    theirs is kept.
    """
    return engine.propose(schema, extra=extra)
