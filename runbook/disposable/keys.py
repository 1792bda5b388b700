"""Brings keys and the state of their triggers into a copy as they are in the source.

pg_dump cannot: it writes no state of the triggers that PostgreSQL makes for a key (or, for those
of a partition, under a name that the copy does not have), and it adds each key anew, which checks
all rows. Where rows break a key of the source (they came while its triggers were off), the key is
as valid in the copy as it is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg import sql

from runbook.disposable.server import CopyServer
from runbook.errors import IncompleteError
from runbook.server import Session
from runbook.session import fetch, reason

SUPERUSER = "give --into the address of a superuser, or leave --into out"

# as pg_dump chooses them: not those of extensions, nor of other sessions' temporary tables
KEYS: LiteralString = """
    SELECT n.nspname::text, c.relname::text, k.conname::text, c.relkind = 'p',
           pg_get_constraintdef(k.oid)
      FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
      JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE k.contype = 'f' AND k.conparentid = 0 AND n.nspname !~ '^pg_'
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                          AND d.objid = c.oid AND d.deptype = 'e')
     ORDER BY n.nspname, c.relname, k.conname
"""
# Made-up names do not count, as they hold an oid: a trigger is known by the constraint that was
# declared, the two tables of its clone for a partition, the trigger's table and its function.
TRIGGERS: LiteralString = """
    WITH RECURSIVE clones AS (
        SELECT k.oid, k.conrelid, k.conname FROM pg_constraint k
         WHERE k.conparentid = 0 AND k.conrelid <> 0
         UNION ALL
        SELECT k.oid, c.conrelid, c.conname FROM pg_constraint k JOIN clones c
            ON k.conparentid = c.oid)
    SELECT d.conrelid::regclass::text, d.conname::text, k.conrelid::regclass::text,
           k.confrelid::regclass::text, t.tgrelid::regclass::text, t.tgfoid::regproc::text,
           t.tgname::text, t.tgenabled::text, t.oid::bigint
      FROM pg_trigger t JOIN pg_constraint k ON k.oid = t.tgconstraint
      JOIN clones d ON d.oid = k.oid JOIN pg_class c ON c.oid = t.tgrelid
     WHERE t.tgisinternal AND c.relnamespace::regnamespace::text !~ '^pg_'
     ORDER BY t.oid
"""
VALID: LiteralString = """
    WITH RECURSIVE clones AS (
        SELECT k.oid FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
          JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE k.contype = 'f' AND n.nspname = %s AND c.relname = %s AND k.conname = %s
         UNION ALL
        SELECT k.oid FROM pg_constraint k JOIN clones c ON k.conparentid = c.oid)
    UPDATE pg_constraint SET convalidated = true WHERE oid IN (SELECT oid FROM clones)
"""
STATES: dict[str, LiteralString] = {
    "D": "DISABLE TRIGGER",
    "R": "ENABLE REPLICA TRIGGER",
    "A": "ENABLE ALWAYS TRIGGER",
}


@dataclass(frozen=True)
class _Key:
    schema: str
    table: str
    name: str
    partitioned: bool
    definition: str

    @property
    def add(self) -> sql.Composed:
        return sql.SQL("ALTER TABLE {} {} ADD CONSTRAINT {} ").format(
            sql.SQL("" if self.partitioned else "ONLY"),
            sql.Identifier(self.schema, self.table),
            sql.Identifier(self.name),
        ) + sql.Composed([sql.SQL(self.definition)])  # by pg_get_constraintdef, which quotes


Trigger = tuple[str, ...]
"""What a trigger is known by in two databases."""


@dataclass(frozen=True)
class Keys:
    """The keys of a source, and the triggers that it made for its constraints.

    ``triggers`` are those that do not fire as PostgreSQL makes them, with their ``tgenabled``;
    ``made`` the oids of all.
    """

    keys: tuple[_Key, ...]
    triggers: dict[Trigger, str]
    made: frozenset[int]

    @classmethod
    def of(cls, source: Session) -> Keys:
        """``source`` is in a transaction whose search path is pg_catalog."""
        triggers = fetch(source, TRIGGERS)
        return cls(
            tuple(_Key(*row) for row in fetch(source, KEYS)),
            {row[:6]: row[7] for row in triggers if row[7] in STATES},
            frozenset(row[8] for row in triggers),
        )

    def add(self, server: CopyServer, database: str) -> None:
        """Add the keys to a copy that has none; raises :class:`IncompleteError`."""
        with closing(server.connect(database)) as session:
            session.execute("SET search_path = pg_catalog")
            for key in self.keys:
                try:
                    _add(session, key)
                except psycopg.Error as error:
                    raise IncompleteError(
                        f"the copy cannot be made: the key {key.name!r} on"
                        f" {key.schema}.{key.table}: {reason(error)}",
                        "give a server that has what the database needs with --into",
                    ) from None

    def set_triggers(self, server: CopyServer, database: str) -> None:
        """Give the triggers of a copy the state of the source's; raises IncompleteError."""
        if not self.triggers:
            return
        with closing(server.connect(database)) as session:
            session.execute("SET search_path = pg_catalog")
            names = {row[:6]: row[6] for row in fetch(session, TRIGGERS)}
            for trigger, state in self.triggers.items():
                _set_trigger(session, trigger, names.get(trigger), STATES[state])


def _add(session: Session, key: _Key) -> None:
    try:
        session.execute(key.add)
    except psycopg.errors.ForeignKeyViolation:
        _add_broken(session, key)


def _add_broken(session: Session, key: _Key) -> None:
    """Add a key that rows break, and say in the catalog that it is valid, as the source's does.

    A key has no other state than that: the same comes of rows that are written while its triggers
    are disabled.
    """
    where = f"the key {key.name!r} on {key.schema}.{key.table}"
    try:
        with session.transaction():
            session.execute(key.add + sql.SQL(" NOT VALID"))
            session.execute(VALID, (key.schema, key.table, key.name))
    except psycopg.errors.InsufficientPrivilege:
        raise IncompleteError(
            f"the copy cannot be made: rows break {where}, which is valid all the same: only a"
            " superuser can make a copy of that",
            SUPERUSER,
        ) from None
    except psycopg.errors.WrongObjectType:  # a partitioned child, before PostgreSQL 18
        raise IncompleteError(
            f"the copy cannot be made: rows break {where}, which is valid all the same, and before"
            " PostgreSQL 18 that of a partitioned table cannot be copied",
            "give a server of PostgreSQL 18 with --into, or leave --into out",
        ) from None


def _set_trigger(
    session: Session, trigger: Sequence[str], name: str | None, state: LiteralString
) -> None:
    table, key, _, _, on, function = trigger
    what = f"the trigger {function} on {on} of {key!r} on {table}"
    if name is None:
        raise IncompleteError(
            f"the copy cannot be made: {what} is not there in the copy: its server makes others",
            "give a server of the same version with --into",
        )
    try:
        session.execute(
            sql.SQL("ALTER TABLE ONLY {} {} {}").format(
                sql.SQL(on),  # by regclass, which quotes
                sql.SQL(state),
                sql.Identifier(name),
            )
        )
    except psycopg.errors.InsufficientPrivilege:
        raise IncompleteError(
            f"the copy cannot be made: only a superuser can change {what}, and it does not fire as"
            " usual in the database",
            SUPERUSER,
        ) from None
