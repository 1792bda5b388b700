"""Looks at an environment without notebooks: census, orphan rows, and what only looks like them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from runbook import context as contexts
from runbook import record, replica, session
from runbook.audit import lookalikes, outcome, parallel
from runbook.audit.engine import Options
from runbook.audit.lookalikes import Lookalike
from runbook.audit.outcome import Outcome
from runbook.audit.tally import Tally
from runbook.audit.work import Limits, Work
from runbook.checks import Context
from runbook.environment import Environment
from runbook.errors import IncompleteError, UsageError
from runbook.findings import Audit
from runbook.interruption import terminable
from runbook.redaction import without_secrets
from runbook.relationships import Relationships
from runbook.settings import Settings

LEFT_OUT = "left out with --no-lookalikes"


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line."""

    only: tuple[str, ...] = ()
    options: Options = field(default_factory=Options)
    limits: Limits = field(default_factory=Limits)
    resume: bool = False
    lookalikes: bool = True


Say = Callable[[int, str], None]
"""Called with how many relationships there are, and what was just found."""
Waits = Callable[[str], None]
"""Called with what the audit waits for."""


def _silent(_why: str) -> None:
    """For those who do not want to hear it."""


def look(
    settings: Settings, environment: Environment, request: Request, say: Say, waits: Waits = _silent
) -> Outcome:
    """Take the census and count; an interruption ends in an outcome that says so."""
    before = outcome.read(kept_at(settings, environment)) if request.resume else None
    found: Outcome | None = None
    reader = session.connect(environment)
    try:
        with session.reading(reader, environment):
            context = contexts.with_undeclared(contexts.look(settings, environment, reader))
            if not len(context.relationships):
                raise UsageError(
                    f"{settings.project.relationships} declares no relationship, and the database"
                    " has no foreign key",
                    "declare what should hold: an audit of nothing would look clean",
                )
            context = _narrowed(context, request.only)
            found = _counted(context, request, before, say, waits)
    except psycopg.Error as error:
        if found is None:
            raise IncompleteError(
                f"environment {environment.name!r}: {session.reason(error)}", "run the audit again"
            ) from None
        # the snapshot's session died at the end: each audit says for itself what came of it
    finally:
        reader.close()
    return without_secrets(found)


def kept_at(settings: Settings, environment: Environment) -> Path:
    """Where the last audit of an environment is kept, for ``--resume``."""
    return settings.runs / environment.name / outcome.FILE_NAME


def keep(settings: Settings, environment: Environment, found: Outcome) -> None:
    path = kept_at(settings, environment)
    path.parent.mkdir(parents=True, exist_ok=True)
    record.write_atomically(path, found.model_dump_json(indent=1) + "\n")


def _counted(
    context: Context, request: Request, before: Outcome | None, say: Say, waits: Waits
) -> Outcome:
    started = datetime.now(UTC)
    fingerprint = context.schema.fingerprint
    kept = outcome.finished_before(before, fingerprint) if before else {}
    server = session.server_facts(context.session)
    position = replica.read(context.session).replay_lsn
    work = _prepared(context, request, kept, say, waits)
    interrupted = False
    apart: tuple[Lookalike, ...] = ()
    with terminable():
        try:
            parallel.run(work)
            apart = _lookalikes(context, request, work)
        except KeyboardInterrupt:
            interrupted = True
            work.stop()
            apart = _lookalikes(context, request, work)
    ordered = sorted(context.relationships, key=lambda item: (item.alert.rank, item.id))
    return Outcome(
        environment=context.environment.name,
        database=server.database,
        server_version=server.version,
        fingerprint=fingerprint,
        structure_fingerprint=context.schema.structure_fingerprint,
        position=position,
        started=started,
        finished=datetime.now(UTC),
        interrupted=interrupted,
        resumed=len(kept),
        census=context.census,
        audits=tuple(work.done[item.id] for item in ordered),
        lookalikes=apart,
    )


def _prepared(
    context: Context, request: Request, before: dict[str, Audit], say: Say, waits: Waits
) -> Work:
    """The queue of what is left to do."""

    def done(audit: Audit) -> None:
        say(len(context.relationships), tally.after(audit))

    work = parallel.prepare(context.session, context, request.options, request.limits, done)
    work.waits = waits
    work.done.update(before)
    left = [target for target in work.queue if target.relationship.id not in before]
    tally = Tally(left)
    work.queue = parallel.order(left, request.limits)
    return work


def _lookalikes(context: Context, request: Request, work: Work) -> tuple[Lookalike, ...]:
    """What looks like orphan rows and is none, in the same snapshot."""

    def ended() -> str:
        if not request.lookalikes:
            return LEFT_OUT
        if work.stopped.is_set():
            return parallel.INTERRUPTED
        left = work.left()
        return parallel.SPENT if left is not None and left <= 0 else ""

    if not ended():
        work.waits("counts what only looks like orphan rows")
    found = lookalikes.measure(
        context.session, context.relationships.items, context.schema, context.comparisons, ended
    )
    if not request.only:
        return found
    return tuple(item for item in found if any(part in item.label for part in request.only))


def _narrowed(context: Context, only: tuple[str, ...]) -> Context:
    """The context of the relationships that ``only`` names; all of them without one."""
    if not only:
        return context
    chosen = [
        number
        for number, item in enumerate(context.relationships)
        if any(part in item.id or part in item.label for part in only)
    ]
    if not chosen:
        raise UsageError(
            f"no relationship whose name holds {' or '.join(map(repr, only))}",
            "names look like orders.customer_id; runbook audit without --only lists them",
        )
    items = tuple(context.relationships.items[number] for number in chosen)
    return replace(
        context,
        relationships=Relationships(items, context.relationships.exceptions),
        comparisons=tuple(context.comparisons[number] for number in chosen),
        census=tuple(context.census[number] for number in chosen),
    )
