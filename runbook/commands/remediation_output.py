"""How a remediation is shown on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape

from runbook.remediation.document import Remediation
from runbook.remediation.remedy import Remedy, Strategy
from runbook.remediation.survey import Survey
from runbook.terminal import out


def _line(text: str) -> None:
    out.print(escape(text), soft_wrap=True)


def say_found(remedy: Remedy, found: Survey, statements: str, batch: int) -> None:
    """The counts and the SQL of a dry run."""
    _line(f"{remedy.relationship.id}: {remedy.strategy}")
    _line(f"  {found.orphans:,} orphan rows refer to {found.distinct:,} missing parents")
    if remedy.minimum_age is not None:
        young = found.orphans - found.old_enough
        _line(f"  {young:,} of them are younger than asked for, or say no time: left alone")
    if found.restorable is not None:
        _line(f"  {found.restorable:,} parents are in {remedy.source_name}")
    key = remedy.enforcing
    _line(f"  key: {f'{key.name} refuses new orphan rows' if key else 'none, by --without-key'}")
    for source, rows in found.dependents:
        _line(f"  {rows:,} rows of {source} refer to these rows")
    for name in found.triggers:
        _line(f"  trigger {name} of {remedy.subject.name} fires on {remedy.strategy.event}")
    for name in found.rules:
        _line(f"  rule {name} of {remedy.subject.name} rewrites {remedy.strategy.event}")
    if remedy.strategy is Strategy.FLAG:
        _line("  the rows stay orphan rows")
    _line(f"each batch of at most {batch:,} rows, in a transaction of its own:")
    _line(statements)


def say_done(done: Remediation) -> None:
    what = {
        Strategy.RESTORE: "parents made",
        Strategy.FLAG: "rows noted",
        Strategy.SET_NULL: "rows changed",
        Strategy.REASSIGN: "rows changed",
    }.get(done.strategy, "rows taken away")
    _line(f"remediation {done.id}: {done.rows:,} {what} in {done.batches:,} batches")
    _line(f"  kept in {done.kept_in}")
    _line(f"  {done.left:,} orphan rows are left" if done.left else "  no orphan row is left")


def say_list(documents: Sequence[Remediation]) -> None:
    """A line for each remediation, the newest first."""
    if not documents:
        _line("no remediation is on record")
    for item in documents:
        _line(
            f"{item.id}  {item.state}  {item.strategy}  {item.rows:,} rows  {item.relationship}"
            f"  by {item.login}: {item.reason}"
        )
