"""Looks at an environment before anybody relies on it: what works, what will be skipped, and why.

It only looks. Where something is missing, the remedy is a statement or a command.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import psycopg

from runbook import checks, connection, context, lock, privileges, replica, session
from runbook.connection import Purpose
from runbook.environment import Environment
from runbook.errors import RunbookError
from runbook.findings import counted
from runbook.privileges import TablePrivileges
from runbook.schema import TableName
from runbook.session import ServerFacts, Session
from runbook.settings import Settings

SESSIONS_OF_A_RUN = 6  # three steps, each perhaps with workers, and the one that holds the lock
SHOWN = 5


class State(StrEnum):
    """How it is with one point; ``limited``: a part of the results will be missing or weaker."""

    WORKS = "works"
    LIMITED = "limited"
    SKIPPED = "skipped"
    FAILS = "does not work"


@dataclass(frozen=True)
class Point:
    """One thing that was looked at; ``remedy`` is what to run or to change, where there is one."""

    about: str
    state: State
    said: str
    remedy: str = ""


def examine(settings: Settings, environment: Environment) -> tuple[Point, ...]:
    """Everything that a run needs of this machine and of the database."""
    return (*_tools(), *_reader(settings, environment), *_owner(settings, environment))


def _tools() -> Iterator[Point]:
    missing = [n for n in ("papermill", "ipykernel") if importlib.util.find_spec(n) is None]
    if missing:
        said = f"{' and '.join(missing)} not installed: runbook audit works, runbook run does not"
        yield Point("notebooks", State.LIMITED, said, "pip install 'fk-runbook[notebooks]'")
    else:
        yield Point("notebooks", State.WORKS, "papermill and its kernel are installed")


def _reader(settings: Settings, environment: Environment) -> Iterator[Point]:
    try:
        reader = session.connect(environment)
    except RunbookError as error:
        yield Point("reader", State.FAILS, error.message, error.hint)
        yield Point("everything else", State.SKIPPED, "without a reader nothing can be looked at")
        return
    try:
        with session.reading(reader, environment):
            facts = session.server_facts(reader)
            yield Point(
                "reader",
                State.WORKS,
                f"{facts.role} in {facts.database}, PostgreSQL {facts.version}, from"
                f" {connection.source(environment)}",
            )
            yield _way(reader, facts)
            yield _replica(reader, environment, facts)
            yield from _standing(environment, reader, facts)
            yield _lock(reader)
            yield from _relationships(settings, environment, reader, facts)
    except psycopg.Error as error:
        said = f"the session broke: {session.reason(error)}"
        yield Point("reader", State.FAILS, said, "look at the server's log")
    finally:
        reader.close()


def _way(reader: Session, facts: ServerFacts) -> Point:
    """Encrypted or not, with a pooler or without."""
    local = reader.info.host.startswith("/") or reader.info.hostaddr in ("127.0.0.1", "::1")
    pool = ", through a pooler in session mode" if facts.pooled else ""
    if reader.pgconn.ssl_in_use:
        return Point("way", State.WORKS, f"encrypted{pool}")
    if local:
        return Point("way", State.WORKS, f"on this machine{pool}")
    return Point(
        "way",
        State.LIMITED,
        f"not encrypted: what is read can be read on the network{pool}",
        'tls = { mode = "verify-full", root = "ca.pem" } in the environment\'s reader',
    )


def _replica(reader: Session, environment: Environment, facts: ServerFacts) -> Point:
    found = replica.read(reader)
    if not found.in_recovery:
        return Point("server", State.WORKS, "a primary")
    doubt = found.doubt(environment.replica_lag)
    if doubt:
        said = f"a standby, and {doubt}: nothing counts as looked at"
        return Point("server", State.FAILS, said, _mending(doubt, facts.role))
    return Point("server", State.WORKS, f"a standby, {found.lag_seconds or 0:.0f} s behind")


def _mending(doubt: str, role: str) -> str:
    """What takes the doubt about a standby away."""
    if doubt == replica.HIDDEN:
        return f"on the primary: GRANT pg_read_all_stats TO {role};"
    if doubt == replica.PAUSED:
        return "on the standby: SELECT pg_wal_replay_resume();"
    if doubt == replica.CUT_OFF or doubt.startswith("the WAL receiver"):
        return "look at the standby's log and its primary_conninfo"
    return "let it catch up, or raise replica_lag"


def _standing(environment: Environment, reader: Session, facts: ServerFacts) -> Iterator[Point]:
    found = privileges.standing(reader)
    if facts.superuser:
        said = "a superuser, allowed by superuser = true: nothing keeps it from writing"
        yield Point("role", State.LIMITED, said, f"runbook grants {environment.name}")
    if not found.knows_server:
        yield Point(
            "identity",
            State.LIMITED,
            "the system identifier may not be read: two servers with databases of one name look"
            " alike",
            f"GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system() TO {facts.role};",
        )
    if not found.sees_others:
        yield Point(
            "load",
            State.LIMITED,
            "what others do on the server cannot be seen: no --max-load, no trust in a standby",
            f"GRANT pg_read_all_stats TO {facts.role};",
        )
    if found.free_sessions < SESSIONS_OF_A_RUN:
        room = counted(max(found.free_sessions, 0), "session")
        said = f"room for {room} more, a run takes up to {SESSIONS_OF_A_RUN}"
        yield Point("sessions", State.LIMITED, said, "raise max_connections, or wait")


def _lock(reader: Session) -> Point:
    holder = lock.holder(reader)
    if holder:
        return Point("run", State.LIMITED, f"one is going on: {holder}", "wait until it has ended")
    return Point("run", State.WORKS, "no other is going on")


def _relationships(
    settings: Settings, environment: Environment, reader: Session, facts: ServerFacts
) -> Iterator[Point]:
    try:
        found = context.with_undeclared(context.look(settings, environment, reader))
    except RunbookError as error:
        yield Point("relationships", State.FAILS, error.message, error.hint)
        return
    if not len(found.relationships):
        file = settings.project.relationships
        said = f"{file} declares none, and the database has no foreign key: nothing to look at yet"
        yield Point("relationships", State.LIMITED, said, f"runbook discover {environment.name}")
        return
    said = f"{len(found.relationships)} found in the database"
    yield Point("relationships", State.WORKS, said)
    named = {name for item in found.relationships for name in (item.child, item.parent)}
    tables = privileges.of_tables(reader, named)
    unread = [table for table in tables if not table.reads]
    if unread:
        yield Point(
            "tables",
            State.FAILS,
            f"{len(tables) - len(unread)} of {len(tables)} can be read, not: {_names(unread)}",
            f"runbook grants {environment.name} --role {facts.role}",
        )
    else:
        yield Point("tables", State.WORKS, f"{len(tables)} of {len(tables)} can be read")
    hidden = [table for table in tables if table.hidden]
    if hidden:
        yield Point(
            "row security",
            State.FAILS,
            f"hides rows from {facts.role}, so these are `could not look`: {_names(hidden)}",
            f"ALTER ROLE {facts.role} BYPASSRLS;",
        )
    else:
        yield Point("row security", State.WORKS, "hides nothing")
    yield _cannot_write([table for table in tables if table.writes], facts)


def _cannot_write(written: Sequence[TablePrivileges], facts: ServerFacts) -> Point:
    if not written:
        return Point("reads only", State.WORKS, f"{facts.role} may write to none of the tables")
    return Point(
        "reads only",
        State.LIMITED,
        f"{facts.role} may write to {counted(len(written), 'table')}; the runbook does not, but"
        " nothing would keep it from that",
        "let the reader be a role without grants to write",
    )


def _owner(settings: Settings, environment: Environment) -> Iterator[Point]:
    writing = sorted(name for name, check in checks.of_project(settings).items() if check.writes)
    refusal = connection.no_writing(environment)
    if refusal:
        skipped = f"{refusal}; skipped: {', '.join(writing) or 'nothing'}"
        yield Point("writing checks", State.SKIPPED, skipped)
        return
    try:
        owner = session.connect(environment, Purpose.WRITE)
    except RunbookError as error:
        yield Point("owner", State.FAILS, error.message, error.hint)
        return
    try:
        said = f"{session.server_facts(owner).role}, in transactions that are rolled back"
        reader = session.connect(environment)
        try:
            session.same_database(reader, owner)
        finally:
            reader.close()
    except RunbookError as error:
        yield Point("owner", State.FAILS, error.message, error.hint)
        return
    finally:
        owner.close()
    if environment.protected:
        said += f"; protected: a run takes --confirm {environment.name}, and {environment.confirms}"
    yield Point("owner", State.WORKS, said)


def _names(tables: Sequence[TablePrivileges]) -> str:
    names: list[TableName] = [table.table for table in tables[:SHOWN]]
    more = f" and {len(tables) - SHOWN} more" if len(tables) > SHOWN else ""
    return ", ".join(name.label for name in names) + more
