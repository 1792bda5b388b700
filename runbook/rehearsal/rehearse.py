"""Rehearses a plan on a disposable copy: exactly its statements, while others write.

Twice, as in the environment itself: once with the orphan rows there, and, where steps waited for
their remediation, once more after the orphan rows were put aside.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime

from psycopg import sql

from runbook import __version__, operators
from runbook.audit import query
from runbook.disposable import Copy
from runbook.environment import Change
from runbook.errors import IncompleteError
from runbook.migration.execution import INTERRUPTED, Phase, apply
from runbook.migration.log import ApplyLog, StepOutcome
from runbook.migration.plan import Plan, PlannedKey, PlanStep
from runbook.migration.presuppositions import takes_no_not_valid
from runbook.rehearsal import load as loads
from runbook.rehearsal import operations
from runbook.rehearsal.kills import rehearse_kills
from runbook.rehearsal.load import Load, Timed, Usual
from runbook.rehearsal.outcome import Quarantined, Rehearsal
from runbook.rehearsal.quarantine import quarantine
from runbook.rehearsal.summary import (
    Seen,
    Times,
    attribute,
    copy_used,
    judged,
    load_used,
    longest,
    rehearsed,
)
from runbook.rehearsal.watch import Watch
from runbook.relationships import Relationship
from runbook.schema import Match, Schema
from runbook.server import Session


@dataclass(frozen=True)
class Request:
    """How it is rehearsed: ``before`` seconds of load alone, ``stall`` the limit in seconds."""

    plan_id: str
    change: Change
    writers: int = 4
    before: float = 2.0
    stall: float = 1.0
    kill: bool = True


@dataclass
class _Stage:
    """What all rounds of one rehearsal share; ``begun`` is when the first one began."""

    copy: Copy
    plan: Plan
    request: Request
    load: Load
    watch: Watch
    say: Callable[[str], None]
    times: dict[str, Times] = field(default_factory=dict)
    begun: float = 0.0

    def first_round(self) -> ApplyLog:
        """The load alone, to know what is usual, and then with the migration."""
        writers, count = self.request.writers, len(self.load.operations)
        with self.load.running():
            self.say(f"{writers} writers, {count} operations, without the migration")
            time.sleep(self.request.before)
            self.begun = time.monotonic()
            return self.round()

    def round(self) -> ApplyLog:
        """Apply the plan while the load goes on."""

        def connect() -> Session:
            session = self.copy.connect(name="rehearsal")
            self.watch.ours.append(session.info.backend_pid)
            return session

        log = apply(self.plan, connect, self.request.change, self._observe, self.say)
        self.watch.step = ""
        if log.failure == INTERRUPTED:  # which the apply makes of it, to keep its log
            raise KeyboardInterrupt
        return log

    def _observe(self, step: PlanStep, _statement: int, _phase: Phase) -> None:
        now = time.monotonic()
        if self.watch.step != step.id:
            key = self.plan.key_of(step)
            self.load.focus(frozenset((key.child_name, key.parent_name)))
            self.watch.step = step.id
            self.times[step.id] = Times(now, now)
        self.watch.look()
        self.times[step.id].ended = time.monotonic()


def relationship_of(key: PlannedKey) -> Relationship:
    """The relationship that a planned key is to enforce."""
    return Relationship(
        child=key.child_name,
        columns=key.columns,
        parent=key.parent_name,
        references=key.references,
        on_delete=key.on_delete,
        on_update=key.on_update,
        match=key.match,
    )


def rehearse(
    plan: Plan,
    copy: Copy,
    request: Request,
    say: Callable[[str], None],
    killing: Callable[[int, str], None],
) -> Rehearsal:
    """Rehearse ``plan`` on ``copy``.

    Raises :class:`IncompleteError` when the plan does not fit the copy, and what
    :func:`rehearse_kills` raises.
    """
    started, began = datetime.now(UTC), time.monotonic()
    with closing(copy.administer()) as admin, closing(copy.administer()) as watching:
        wanted = [relationship_of(key) for key in plan.keys]
        schema = copy.read()
        _require_like_server(plan, copy, schema)
        orphans = _orphans(admin, wanted, schema)
        chosen, left_out = operations.of(admin, schema, wanted, orphans)
        load = Load(chosen, copy.administer, request.writers)
        stage = _Stage(copy, plan, request, load, Watch(watching), say)
        with stage.watch.watching():
            logs = [stage.first_round()]
            aside: tuple[Quarantined, ...] = ()
            if any(s.outcome in (StepOutcome.WAITING, StepOutcome.ORPHANS) for s in logs[0].steps):
                say("puts the orphan rows of the copy aside, in place of their remediation")
                aside = quarantine(admin, wanted, orphans)
                load.go_on_with(operations.still_there(admin, chosen))
                with load.running():
                    logs.append(stage.round())
    usual = loads.usual([timed for timed in load.done if timed.ended < stage.begun])
    during = [timed for timed in load.done if timed.ended >= stage.begun]
    seen = Seen(tuple(logs), stage.times, load, stage.watch, usual, tuple(during), began)
    writes = attribute(during, stage.times)
    steps = tuple(rehearsed(step, seen, writes.get(step.id, ())) for step in plan.steps)
    kills = None
    if request.kill:
        say("kills the program at every statement boundary, and runs it again")
        kills = rehearse_kills(copy, plan, request.change, killing)
    slowest = longest(during, usual)
    between = longest(writes.get("", ()), usual)
    return judged(
        Rehearsal(
            plan_id=request.plan_id,
            plan_digest=plan.digest,
            environment=plan.environment,
            started=started,
            finished=datetime.now(UTC),
            tool_version=__version__,
            passed=False,
            longest_stall_seconds=_excess(usual, slowest),
            stall_limit_seconds=request.stall,
            steps=steps,
            copy_used=copy_used(copy),
            load=load_used(load, tuple(item.label for item in chosen), left_out, usual, during),
            quarantined=aside,
            kills=kills,
            looks=stage.watch.looks,
            unseen=stage.watch.failure,
            between_stall_seconds=_excess(usual, between),
            between_stall_operation=between.operation if between else "",
        ),
        logs[-1].failure,
    )


def _require_like_server(plan: Plan, copy: Copy, schema: Schema) -> None:
    """Raise :class:`IncompleteError` where the copy's server would need another plan.

    Of all statements, only those for a partitioned child depend on the server's version.
    """
    for key in plan.keys:
        table = schema.tables.get(key.child_name)
        if table and takes_no_not_valid(table, plan.server_version) != takes_no_not_valid(
            table, copy.version
        ):
            planned, here = plan.server_version // 10_000, copy.version // 10_000
            raise IncompleteError(
                f"the plan is for PostgreSQL {planned} and the copy is on PostgreSQL {here}, where"
                f" the key of the partitioned table {key.child} takes other steps",
                f"give a server of PostgreSQL {planned} with --into",
            )


def _orphans(
    session: Session, wanted: Sequence[Relationship], schema: Schema
) -> dict[str, sql.Composed]:
    compared = operators.read(session, wanted)
    return {
        item.id: query.orphans(item, schema, pairs, item.match or Match.SIMPLE)
        for item, pairs in zip(wanted, compared, strict=True)
        if pairs.pairs and not pairs.incomparable
    }


def _excess(usual: Usual | None, timed: Timed | None) -> float | None:
    return round(usual.excess(timed), 4) if usual and timed else None
