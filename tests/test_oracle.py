"""The runbook and PostgreSQL say the same of random schemas, relationship by relationship.

``make oracle`` runs a thousand on each server; ``ORACLE_EXAMPLES`` and ``ORACLE_SEED`` run others.
A failing example is shrunk and printed as SQL.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, note, seed
from hypothesis import settings as examples
from psycopg import conninfo

from runbook import catalog, census, connection, operators
from runbook import session as sessions
from runbook.audit import engine
from runbook.audit.strategy import Strategy
from runbook.embedded import EmbeddedServer
from runbook.environment import Connection, Environment
from runbook.findings import Audit, AuditState, CensusRow, KeyState
from runbook.relationships import Relationship, Relationships
from runbook.schema import Action, TableName
from tests.conftest import PASSWORDS, Connect
from tests.oracle.reference import (
    ACCEPTED,
    DELIBERATE,
    NO_ROW_WORKS,
    ORPHANS,
    REFUSED,
    UNCOUNTABLE,
    UNREADABLE,
    Answer,
    Expected,
    Reference,
    Rows,
)
from tests.oracle.schemas import Database, Link, databases
from tests.places import READER, scratch_database

POSTGRES_15 = Path("/usr/lib/postgresql/15/bin")
EXAMPLES = int(os.environ.get("ORACLE_EXAMPLES") or 0)
SEED = os.environ.get("ORACLE_SEED")

EXACT = (None, *(way for way in Strategy if way is not Strategy.SAMPLE))  # None: as it chooses

UNCOUNTABLE_TYPES = {
    (mine, theirs) for mine in ("int8", 'oracle."d_big"') for theirs in ("oid", "regclass")
}

pytestmark = [pytest.mark.oracle, pytest.mark.timeout(3600)]


class Runbook:
    """The reader's session, and what the runbook says through it."""

    def __init__(self) -> None:
        way = Connection(variable="RUNBOOK_TEST_NOT_SET")
        self._environment = Environment(name="oracle", reader=way, gate="g")
        self._session = sessions.connect(self._environment)

    def close(self) -> None:
        self._session.close()

    def look(self, database: Database) -> tuple[tuple[CensusRow, ...], list[tuple[Audit, ...]]]:
        """The census, and the audits by each strategy."""
        items = [relationship(database.schema, link) for link in database.links]
        with sessions.reading(self._session, self._environment) as session:
            schema = catalog.read(session, [database.schema])
            comparisons = operators.read(session, items)
            rows = census.take(Relationships(tuple(items)), schema, comparisons)
            audits = [
                engine.count(session, items, schema, comparisons, strategy=strategy)
                for strategy in EXACT
            ]
        return rows, audits


def relationship(schema: str, link: Link) -> Relationship:
    return Relationship(
        TableName(schema, link.child),
        link.columns,
        TableName(schema, link.parent),
        link.references,
        Action(link.on_delete),
    )


# --- what the answers of PostgreSQL mean for the runbook ------------------------------------------


def key_state(link: Link, expected: Expected) -> KeyState:
    if link.declared and expected.wanted.possible:
        return {
            "valid": KeyState.ENFORCED,
            "not valid": KeyState.NOT_VALID,
            "not enforced": KeyState.NOT_ENFORCED,
        }[link.declared]
    return KeyState.IMPOSSIBLE if expected.wanted.refused else KeyState.MISSING


def audit_states(database: Database, link: Link, expected: Expected) -> set[AuditState]:
    """By the rows; a view can be counted, though it cannot hold a key."""
    child, parent = database.owner_of(link.child), database.owner_of(link.parent)
    rows = expected.rows
    if isinstance(rows, Answer) and rows.refused:
        return {AuditState.NOT_LOOKED}
    hidden = (child.policy and link.child == child.name) or (
        parent.policy and link.parent == parent.name
    )
    unreadable = isinstance(rows, Answer) and rows.code == UNREADABLE
    if hidden or unreadable:
        return {AuditState.COULD_NOT_LOOK}
    stopped = {AuditState.COULD_NOT_LOOK} if uncountable(database, link) else set()
    if isinstance(rows, Answer) and rows.code in NO_ROW_WORKS:
        known = {ACCEPTED: {AuditState.CLEAN}, ORPHANS: {AuditState.ORPHANS}}
        return known.get(expected.plain.code, {AuditState.CLEAN, AuditState.ORPHANS}) | stopped
    if isinstance(rows, Answer):
        return {AuditState.COULD_NOT_LOOK, AuditState.ORPHANS}
    return {AuditState.ORPHANS if rows.orphans else AuditState.CLEAN} | stopped


def uncountable(database: Database, link: Link) -> bool:
    """Whether a bigint may stop the statement: it need not be an oid."""
    pairs = zip(link.columns, link.references, strict=True)
    child, parent = database.owner_of(link.child), database.owner_of(link.parent)
    types = {
        (child.column(mine).type.name, parent.column(theirs).type.name) for mine, theirs in pairs
    }
    return bool(types & UNCOUNTABLE_TYPES)


def oracle_faults(expected: Expected) -> Iterator[str]:
    """PostgreSQL has to agree with itself first: the key with its rows one by one."""
    plain, rows = expected.plain, expected.rows
    known = {ACCEPTED, ORPHANS, UNREADABLE}.union(REFUSED, UNCOUNTABLE, DELIBERATE, NO_ROW_WORKS)
    for answer in (expected.wanted, plain, rows):
        if isinstance(answer, Answer) and answer.code not in known:
            yield f"an answer that no rule covers: {answer}"
    if isinstance(rows, Answer) and rows.code in (*UNCOUNTABLE, *NO_ROW_WORKS):
        return
    if plain.code in (ACCEPTED, ORPHANS):
        orphans = isinstance(rows, Rows) and rows.orphans > 0
        if isinstance(rows, Answer) or (plain.code == ORPHANS) != orphans:
            yield f"the key says {plain}, its rows {rows}"


def faults(
    database: Database, link: Link, expected: Expected, row: CensusRow, audit: Audit
) -> Iterator[str]:
    yield from oracle_faults(expected)
    state = key_state(link, expected)
    if row.state is not state:
        yield f"census: expected {state.value}, got {row.state.value}: {row.reason}"
    looked = audit_states(database, link, expected)
    if audit.state not in looked:
        yield f"audit: expected {sorted(looked)}, got {audit.state.value}: {audit.reason}"
        return
    if audit.state in (AuditState.NOT_LOOKED, AuditState.COULD_NOT_LOOK):
        if audit.orphans is not None or audit.exact:
            yield f"audit: expected no number, got {audit.orphans}"
        return
    if not isinstance(expected.rows, Rows):
        return
    wanted = (expected.rows.orphans, expected.rows.distinct, True)
    if (audit.orphans, audit.distinct, audit.exact) != wanted:
        yield f"audit: expected {wanted}, got {(audit.orphans, audit.distinct, audit.exact)}"
    labels, samples = expected.rows.labels, set(audit.samples)
    if not samples <= labels or len(samples) != min(len(labels), engine.SAMPLES):
        yield f"audit: expected {engine.SAMPLES} of {sorted(labels)}, got {audit.samples}"


# --- the examples ---------------------------------------------------------------------------------


def check(reference: Reference, runbook: Runbook, database: Database, seen: Counter[str]) -> None:
    note(database.script())
    found = disagreements(reference, runbook, database, seen)
    assert not found, "\n".join(dict.fromkeys(found))


def disagreements(
    reference: Reference, runbook: Runbook, database: Database, seen: Counter[str]
) -> list[str]:
    try:
        reference.make(database)
        answers = reference.ask(database)
        rows, audits = runbook.look(database)
    finally:
        reference.drop(database)
    found = []
    for place, (link, expected) in enumerate(zip(database.links, answers, strict=True)):
        for audit in (audits_of[place] for audits_of in audits):
            wrong = list(faults(database, link, expected, rows[place], audit))
            found += [f"{link}\n  {expected}\n  {audit.strategy}: {fault}" for fault in wrong]
            seen[audit.state] += 1
            seen[audit.strategy or "no strategy"] += 1
        seen[rows[place].state] += 1
        seen[f"postgresql: {expected.wanted.code}"] += 1
    seen["schemas"] += 1
    seen["relationships"] += len(database.links)
    return found


def run(connect: Connect, dsn: Callable[[str, str | None], str], number: int) -> Counter[str]:
    """Check ``number`` examples on this server; what they came to, in numbers."""
    seen: Counter[str] = Counter()
    with (
        scratch_database(connect) as name,
        connect(name, None) as admin,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv(connection.OVERRIDE_READER, dsn(name, READER))
        reference = Reference(admin)
        runbook = Runbook()
        try:

            @examples(
                max_examples=number,
                deadline=None,
                database=None,
                derandomize=SEED is None,
                print_blob=False,
                suppress_health_check=list(HealthCheck),
                phases=(Phase.generate, Phase.shrink),
            )
            @given(databases(reference.server()))
            def agrees(database: Database) -> None:
                check(reference, runbook, database, seen)

            (seed(int(SEED))(agrees) if SEED else agrees)()
        finally:
            runbook.close()
    for name, times in sorted(seen.items()):
        print(f"{times:>8,} {name}")
    return seen


def reached(seen: Counter[str]) -> None:
    """The examples have to have met every outcome, or they prove nothing."""
    everything = {*KeyState, *AuditState, *Strategy, f"postgresql: {ORPHANS}"}
    nowhere = {KeyState.EXCEPTED, KeyState.MISMATCHED, AuditState.ESTIMATED, Strategy.SAMPLE}
    if seen["schemas"] < 60:  # a person's own number
        return
    assert everything - nowhere - set(seen) - {KeyState.NOT_ENFORCED} == set()


@pytest.fixture(scope="module")
def debian() -> Iterator[tuple[Connect, Callable[[str, str | None], str]]]:
    """Debian's PostgreSQL 15, as the fixtures ``connect`` and ``dsn``."""
    if not POSTGRES_15.is_dir():
        pytest.skip("Debian's PostgreSQL 15 is not here: apt install postgresql-15")
    with tempfile.TemporaryDirectory(prefix="fkr-oracle-") as folder:
        Path(folder).chmod(0o755)
        with EmbeddedServer(Path(folder) / "server", POSTGRES_15) as server:

            def dsn(database: str, role: str | None = None) -> str:
                if role is None:
                    return conninfo.make_conninfo(server.conninfo(), dbname=database)
                return conninfo.make_conninfo(
                    server.conninfo(), dbname=database, user=role, password=PASSWORDS[role]
                )

            def connect(database: str, role: str | None = None) -> psycopg.Connection[Any]:
                return psycopg.connect(dsn(database, role), autocommit=True)

            yield connect, dsn


def test_the_runbook_agrees_with_postgresql(
    connect: Connect, dsn: Callable[[str, str | None], str]
) -> None:
    reached(run(connect, dsn, EXAMPLES or 60))


@pytest.mark.postgres15
def test_the_runbook_agrees_with_postgresql_15(
    debian: tuple[Connect, Callable[[str, str | None], str]],
) -> None:
    reached(run(*debian, EXAMPLES or 200))
