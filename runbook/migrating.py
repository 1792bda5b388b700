"""What a migration takes from its environment: the plan made there, and who may apply it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from runbook import changes, session
from runbook import context as contexts
from runbook.audit import parallel
from runbook.audit.engine import Options
from runbook.audit.work import Limits
from runbook.changes import Kind
from runbook.checks import Context
from runbook.environment import Environment
from runbook.errors import IncompleteError, UsageError
from runbook.findings import Audit, AuditState
from runbook.migration import planning, surroundings
from runbook.migration.plan import Plan
from runbook.rehearsal.outcome import Rehearsal
from runbook.server import ServerFacts
from runbook.settings import Settings


@dataclass(frozen=True)
class Planned:
    """A plan, and the relationships whose orphan rows could not be counted, with why."""

    plan: Plan
    unknown: tuple[tuple[str, str], ...]


def look(
    settings: Settings,
    environment: Environment,
    only: tuple[str, ...],
    count: bool,
    say: Callable[[str], None],
) -> Planned:
    """Read the catalog, count the orphan rows where ``count``, and plan; nothing is written."""
    reader = session.connect(environment)
    try:
        with session.reading(reader, environment):
            context = contexts.look(settings, environment, reader)
            around = surroundings.read(reader, sorted({n.schema for n in context.schema.tables}))
            server = session.server_facts(reader)
            rows = [row for row in context.census if _meant(row.relationship.id, only)]
            if only and not rows:
                raise UsageError(
                    f"no relationship whose name holds {' or '.join(map(repr, only))}",
                    "names look like public.orders(customer_id) -> public.customers(id)",
                )
            audits = _audits(context, say) if count else ()
    except psycopg.Error as error:
        raise IncompleteError(
            f"environment {environment.name!r}: {session.reason(error)}", "make the plan again"
        ) from None
    finally:
        reader.close()
    compared = zip(context.relationships, context.comparisons, strict=True)
    ground = planning.Ground(
        context.schema,
        around,
        {item.id: comparison for item, comparison in compared},
        {audit.relationship.id: audit for audit in audits},
    )
    plan = planning.plan(rows, ground, environment.name, server, datetime.now(UTC))
    named = set(plan.relationships)
    unknown = tuple(
        (audit.relationship.label, audit.reason)
        for audit in audits
        if audit.relationship.id in named
        and audit.state not in (AuditState.CLEAN, AuditState.ORPHANS)
    )
    return Planned(plan, unknown)


def _meant(relationship: str, only: tuple[str, ...]) -> bool:
    return not only or any(part in relationship for part in only)


def _audits(context: Context, say: Callable[[str], None]) -> tuple[Audit, ...]:
    load = context.environment.load
    return parallel.in_snapshot(
        context.session,
        context,
        Options(),
        Limits(load.jobs, load.budget, load.max_load),
        lambda audit: say(f"counted {audit.relationship.label}"),
    )


def plan_folder(settings: Settings, environment: str, plan_id: str = "") -> Path:
    """The folder of the plan with this id, or of the newest; raises :class:`UsageError`."""
    known = list(changes.every(settings, environment, Kind.PLAN))
    if not known:
        raise UsageError(
            f"environment {environment!r} has no plan", f"runbook migrate plan {environment}"
        )
    if not plan_id:
        return known[0]
    for folder in known:
        if folder.name == plan_id:
            return folder
    raise UsageError(
        f"environment {environment!r} has no plan {plan_id!r}, the newest is {known[0].name!r}",
        "name the folder of a plan, or leave --plan out",
    )


def rehearsal_of(settings: Settings, name: str, plan_id: str, plan: Plan, limit: timedelta) -> str:
    """The id of the rehearsal of the plan in the environment ``name`` that allows to apply it.

    Raises :class:`UsageError` when it was not rehearsed within ``limit``, or not with success.
    """
    hint = f"runbook migrate rehearse {name}, or --no-rehearsal with a reason"
    for folder in changes.every(settings, name, Kind.REHEARSAL):
        found = changes.read(folder, Kind.REHEARSAL, Rehearsal)
        if found.plan_digest != plan.digest:
            continue
        if not found.passed:
            raise UsageError(f"the rehearsal {folder.name!r} of plan {plan_id!r} failed", hint)
        age = datetime.now(UTC) - found.finished
        if age > limit:
            raise UsageError(
                f"the rehearsal {folder.name!r} of plan {plan_id!r} is {_hours(age)} old,"
                f" expected at most {_hours(limit)}",
                hint,
            )
        return folder.name
    raise UsageError(f"environment {name!r}: plan {plan_id!r} was not rehearsed", hint)


def _hours(value: timedelta) -> str:
    return f"{value.total_seconds() / 3600:,.0f} h"


def same_database(plan: Plan, server: ServerFacts) -> None:
    """Raise :class:`IncompleteError` when the owner is in another database than the plan's."""
    known = plan.system_identifier and server.system_identifier
    elsewhere = known and plan.system_identifier != server.system_identifier
    if plan.database != server.database or elsewhere:
        there = " of another server" if elsewhere else ""
        raise IncompleteError(
            f"the plan is of database {plan.database!r},"
            f" and the owner is connected to {server.database!r}{there}",
            "let the owner's connection lead to the database that the plan is of",
        )
