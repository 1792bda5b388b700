"""What an application decides once: its parents, what it remembers, and where it counts."""

from __future__ import annotations

from pathlib import Path

from runbook.references import Cache, Metrics, Setup, read_relationships


# --8<-- [start:setup]
def setup(relationships: Path) -> Setup:
    """Only the parents of relationships.toml may be asked for; two of them are remembered."""
    return Setup(
        declared=read_relationships(relationships),
        # nobody deletes rows of these two
        cache=Cache(["public.workspaces", "public.atp_scope_master"], most=10_000, seconds=60),
        metrics=Metrics(minutes=15),
    )
    # --8<-- [end:setup]
