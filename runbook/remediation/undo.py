"""Brings back what a remediation took or changed: all of it, in one transaction, or nothing."""

from __future__ import annotations

import psycopg
from psycopg import sql

from runbook import operators
from runbook import session as sessions
from runbook.audit import query
from runbook.environment import Change
from runbook.errors import IncompleteError, UsageError
from runbook.relationships import Relationship
from runbook.remediation import parents, quarantine, returning, statements, surroundings, survey
from runbook.remediation.document import Remediation
from runbook.remediation.remedy import Remedy, Strategy
from runbook.remediation.statements import AFTER, BEFORE
from runbook.schema import TableName
from runbook.session import Session

SHOWN = 5


def undo(
    session: Session, remedy: Remedy, change: Change, document: Remediation, reason: str
) -> Remediation:
    """Undo ``document``; the remediation as the register has it then.

    Raises :class:`UsageError`, with nothing done, where what is there is no longer what was left.
    """
    try:
        with quarantine.changing(session, change, change.scan) as path:
            sessions.set_local(session, extra_float_digits="3")  # rows are compared as text
            now = quarantine.held(session, document.id)
            if now.undone:
                raise UsageError(
                    f"remediation {now.id} was undone at {now.undone:%Y-%m-%d %H:%M} UTC",
                    "there is nothing more to bring back",
                )
            if now.rows and remedy.strategy is not Strategy.FLAG:
                _refuse_changed_table(session, remedy, now)
                _bring_back(session, remedy, now, path)
            quarantine.mark_undone(session, now.id, reason)
        return quarantine.of_id(session, document.id)
    except psycopg.IntegrityError as error:
        raise UsageError(
            f"remediation {document.id} cannot be undone: {sessions.reason(error)}",
            "what is in the database now stands against it: nothing was changed",
        ) from None
    except psycopg.Error as error:
        raise IncompleteError(
            f"remediation {document.id}: {sessions.reason(error)}", "nothing was undone: try again"
        ) from None


def _bring_back(session: Session, remedy: Remedy, document: Remediation, path: str) -> None:
    kept = quarantine.kept_in(document)
    if remedy.strategy is Strategy.RESTORE:
        _refuse(
            session, remedy, document, returning.gone_or_changed(remedy, kept), "were changed since"
        )
        _refuse_children(session, remedy, document)
        statement, moved = returning.unmade(remedy, kept), "left"
    elif remedy.strategy.changes:
        _refuse(
            session, remedy, document, returning.gone_or_changed(remedy, kept), "were changed since"
        )
        _refuse_without_parent(session, remedy, document)
        changed = _changed_columns(session, remedy, kept)
        statement, moved = returning.unchanged(remedy, kept, changed), "became what they were"
    else:
        if remedy.key:
            _refuse(session, remedy, document, returning.there_again(remedy, kept), "exist again")
        _refuse_without_parent(session, remedy, document)
        statement, moved = returning.untaken(remedy, kept), "came back"
    sessions.set_local(session, search_path=path)
    back, different = survey.one(session, statement)
    sessions.set_local(session, search_path=quarantine.CLOSED)
    if back != document.rows or different:
        raise UsageError(
            f"remediation {document.id} cannot be undone: {back:,} of {document.rows:,} rows"
            f" {moved}, {different:,} of them different: a trigger of {remedy.subject.name}"
            " stands against it",
            "disable the trigger for as long as it takes: nothing was changed",
        )


def _refuse_changed_table(session: Session, remedy: Remedy, document: Remediation) -> None:
    kept = quarantine.kept_in(document)
    then = parents.columns_of(session, kept)
    if not then:
        raise UsageError(
            f"remediation {document.id} cannot be undone: its table {str(kept)!r} is gone",
            "bring that table back from a backup",
        )
    columns = dict(list(then.items())[len(statements.OWN) :])
    now = {column.name: column.type for column in remedy.subject.columns}
    if columns != now:
        names = sorted(name for name, _ in set(columns.items()) ^ set(now.items()))
        raise UsageError(
            f"remediation {document.id} cannot be undone: columns of {remedy.subject.name} changed"
            f" since: {', '.join(dict.fromkeys(names))}",
            f"the rows are in {kept}: bring them back by hand",
        )


def _refuse(
    session: Session, remedy: Remedy, document: Remediation, found: sql.Composed, what: str
) -> None:
    """Raise for the rows (``FROM … fk WHERE …`` of the quarantine table) that cannot come back."""
    names = tuple(column.name for column in remedy.key) or remedy.relationship.columns
    (number,) = survey.one(session, sql.SQL("SELECT count(*) ") + found)
    if not number:
        return
    shown = session.execute(
        sql.SQL("SELECT {} {} ORDER BY 1 LIMIT {}").format(
            query.key_text(names), found, sql.Literal(SHOWN)
        )
    ).fetchall()
    texts = "; ".join(str(row[0]) for row in shown) + ("; …" if number > SHOWN else "")
    raise UsageError(
        f"remediation {document.id} cannot be undone: {number:,} rows of"
        f" {remedy.subject.name} {what}: ({', '.join(names)}) = {texts}",
        f"nothing was changed; the rows are in {quarantine.kept_in(document)}",
    )


def _refuse_without_parent(session: Session, remedy: Remedy, document: Remediation) -> None:
    """The key that is there now lets no orphan row in, so none can come back past it."""
    key = remedy.enforcing
    if key is None:
        return
    kept = quarantine.kept_in(document)
    found = sql.SQL("FROM {} fk WHERE {} AND {}").format(
        statements.table(kept), returning.image(remedy, "fk", BEFORE), statements.orphan(remedy)
    )
    (number,) = survey.one(session, sql.SQL("SELECT count(*) ") + found)
    if number:
        drop = sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(
            statements.table(remedy.child.name), sql.Identifier(key.name)
        )
        raise UsageError(
            f"remediation {document.id} cannot be undone: {number:,} of its rows still have no"
            f" parent, and the key {key.name!r} refuses them",
            f"restore the parents first, or {drop.as_string(session)}",
        )


def _refuse_children(session: Session, remedy: Remedy, document: Remediation) -> None:
    """A key would stop the delete of a parent, or carry it on to the rows that refer to it."""
    kept = quarantine.kept_in(document)
    same = surroundings.sharing(session, remedy.parent.name)
    keys = [key for key in remedy.schema.foreign_keys if key.parent in same]
    items = [Relationship(key.child, key.columns, key.parent, key.references) for key in keys]
    compared = operators.read(session, items) if items else ()
    for key, item, comparisons in zip(keys, items, compared, strict=True):
        child = query.table(remedy.schema.tables[item.child])
        session.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(child))
        found = sql.SQL("FROM {} fk WHERE {} AND EXISTS (SELECT FROM {} child WHERE {})").format(
            statements.table(kept),
            returning.image(remedy, "fk", AFTER),
            child,
            query.equal(item, comparisons, parent="fk", child="child"),
        )
        what = f"are referred to by {item.source} through the key {key.name!r}"
        _refuse(session, remedy, document, found, what)


def _changed_columns(session: Session, remedy: Remedy, kept: TableName) -> tuple[str, ...]:
    """The columns that differ between the rows as they were and as they became."""
    found = survey.one(session, returning.differing(remedy, kept))
    return tuple(
        column.name
        for column, different in zip(remedy.subject.columns, found, strict=True)
        if different and not column.generated
    )
