"""Installs, upgrades and removes the monitoring: first the statements, then their execution.

Every statement is complete as it stands, so that what is printed is what is executed; values are
in it as literals that psycopg quotes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any, LiteralString

from psycopg import sql

from runbook.errors import IncompleteError, UsageError
from runbook.monitoring import audit_function, objects
from runbook.monitoring.entries import Entry, digest
from runbook.monitoring.installed import COMMENT, IN_A_GIVEN, MARK, Installed
from runbook.monitoring.objects import Object, Sort
from runbook.monitoring.options import VERSION, Options
from runbook.session import Session, fetch

# what default privileges have given away; the owner's own rights stay
STRAYS: LiteralString = """
    SELECT c.relkind::text, c.relname::text, g.grantee::regrole::text
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) g
     WHERE n.nspname = %s AND c.relkind IN ('r', 'v') AND g.grantee NOT IN (0, c.relowner)
    UNION
    SELECT 'f', p.proname::text, g.grantee::regrole::text
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace, aclexplode(p.proacl) g
     WHERE n.nspname = %s AND g.grantee NOT IN (0, p.proowner)
    UNION
    SELECT 'n', '', g.grantee::regrole::text
      FROM pg_namespace n, aclexplode(n.nspacl) g
     WHERE n.nspname = %s AND g.grantee NOT IN (0, n.nspowner)
"""
EXPORT: LiteralString = """
    COPY (SELECT a.run, a.relationship, a.severity, a.threshold, a.state, a.orphans, a.error,
                 a.seconds, a.at FROM {audit_log} a ORDER BY a.run, a.relationship)
      TO STDOUT WITH (FORMAT csv, HEADER)
"""


@dataclass(frozen=True)
class Statement:
    """A statement that changes the database; ``what`` it does, in words; ``ddl`` or only rows."""

    what: str
    text: sql.Composed
    ddl: bool = True


def statements(
    found: Installed, schema: str, entries: Sequence[Entry], options: Options
) -> tuple[Statement, ...]:
    """What is left to do until the schema holds exactly this; nothing where it does.

    The rights of the readers come afterwards, with :func:`grants`.
    """
    own = sql.Identifier(schema)
    steps = []
    if not found.exists:
        steps.append(Statement("make the schema", sql.SQL("CREATE SCHEMA {}").format(own)))
    if not found.objects:
        mark = sql.Literal(IN_A_GIVEN if found.exists else COMMENT)
        comment = sql.SQL("COMMENT ON SCHEMA {} IS {}").format(own, mark)
        closed = sql.SQL("REVOKE ALL ON SCHEMA {} FROM PUBLIC").format(own)
        steps += [Statement("mark it as ours", comment), Statement("close it to others", closed)]
    made = _outdated(found, schema)
    steps += [_drop(schema, item) for item in reversed(made) if _in_the_way(found, item)]
    for item in made:
        steps += _make(schema, item)
    steps += _rows(found, schema, entries, options)
    return tuple(steps)


def _outdated(found: Installed, schema: str) -> list[Object]:
    """The objects that are missing or not what they should be."""
    wanted = objects.wanted(schema)
    sources = audit_function.sources(schema)

    def right(item: Object) -> bool:
        comment, source = found.objects.get((item.sort, item.name), ("", ""))
        if item.sort is Sort.TABLE:  # its rows are kept; a later version alters it
            return (item.sort, item.name) in found.objects
        marked = comment == f"{MARK} {item.digest}"
        return marked and (item.sort is Sort.VIEW or source == sources[item.name])

    wrong = [item for item in wanted if not right(item)]
    if any(item.sort is Sort.VIEW for item in wrong):  # one is built on the other
        wrong = [item for item in wanted if item in wrong or item.sort is Sort.VIEW]
    return wrong


def outdated(found: Installed, schema: str, entries: Sequence[Entry]) -> tuple[str, ...]:
    """What an upgrade would change, in words; empty where all is as it should be."""
    said = [
        f"the {item.sort} {item.name} is not this version's" for item in _outdated(found, schema)
    ]
    if found.version != VERSION:
        said.append(f"its version is {found.version}, expected {VERSION}")
    if tuple(entries) != found.entries or digest(entries) != found.digest:
        said.append("the relationships, or how they have to be counted, have changed")
    return tuple(said)


def _in_the_way(found: Installed, item: Object) -> bool:
    """A view cannot be replaced by one with other columns; a function and its rights can stay."""
    return item.sort is Sort.VIEW and (item.sort, item.name) in found.objects


def _named(schema: str, sort: Sort, name: str) -> sql.Composed:
    text = {Sort.TABLE: "TABLE {}", Sort.VIEW: "VIEW {}", Sort.FUNCTION: "FUNCTION {}()"}[sort]
    return sql.SQL(text).format(sql.Identifier(schema, name))


def _drop(schema: str, item: Object) -> Statement:
    text = sql.SQL("DROP {}").format(_named(schema, item.sort, item.name))
    return Statement(f"drop the {item.sort} {item.name}", text)


def _make(schema: str, item: Object) -> Iterator[Statement]:
    own = _named(schema, item.sort, item.name)
    yield Statement(f"make the {item.sort} {item.name}", item.statement)
    comment = sql.SQL("COMMENT ON {} IS {}").format(own, sql.Literal(f"{MARK} {item.digest}"))
    yield Statement("mark it as ours", comment)
    revoked = own if item.sort is Sort.FUNCTION else sql.Identifier(schema, item.name)
    closed = sql.SQL("REVOKE ALL ON {} FROM PUBLIC").format(revoked)
    yield Statement("close it to others", closed)


def _rows(
    found: Installed, schema: str, entries: Sequence[Entry], options: Options
) -> Iterator[Statement]:
    relationships = sql.Identifier(schema, "relationships")
    if tuple(entries) != found.entries:
        if found.entries:
            text = sql.SQL("DELETE FROM {}").format(relationships)
            yield Statement("forget the old relationships", text, ddl=False)
        for entry in entries:
            text = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
                relationships,
                sql.SQL(", ").join(sql.Identifier(column.name) for column in fields(Entry)),
                _literals(astuple(entry)),
            )
            yield Statement(f"count {entry.label}", text, ddl=False)
    now = (found.version, found.digest, found.options)
    if now == (VERSION, digest(entries), options):
        return
    columns = ("version", "digest", *Options.model_fields)
    values = (VERSION, digest(entries), *dict(options).values())
    text = sql.SQL(
        "INSERT INTO {} ({}) VALUES ({}) ON CONFLICT (only_one) DO UPDATE SET ({}) = ROW ({})"
    ).format(
        sql.Identifier(schema, "settings"),
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        _literals(values),
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.SQL(", ").join(sql.SQL("excluded.{}").format(sql.Identifier(c)) for c in columns),
    )
    yield Statement("keep the settings", text, ddl=False)


def _literals(values: Sequence[object]) -> sql.Composed:
    """Values as SQL, a tuple of names as an array."""
    return sql.SQL(", ").join(
        sql.SQL("{}::text[]").format(sql.Literal(list(value)))
        if isinstance(value, tuple)
        else sql.Literal(value)
        for value in values
    )


def grants(found: Installed, schema: str, options: Options) -> Iterator[Statement]:
    """What the readers may not read yet, or not any more once it is made again."""
    made = {item.name for item in _outdated(found, schema)}
    readable = (*objects.TABLES, *objects.VIEWS)
    for reader in options.readers:
        role = sql.Identifier(reader)
        if ("", reader) not in found.granted:
            text = sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(schema), role)
            yield Statement(f"let {reader} in", text)
        for name in readable:
            if name in made or (name, reader) not in found.granted:
                text = sql.SQL("GRANT SELECT ON {} TO {}").format(
                    sql.Identifier(schema, name), role
                )
                yield Statement(f"let {reader} read {name}", text)


def alone(session: Session, schema: str) -> None:
    """Hold the audit's lock until the transaction ends; raises :class:`IncompleteError`."""
    ((taken,),) = fetch(session, "SELECT pg_try_advisory_xact_lock(%s)", audit_function.key(schema))
    if not taken:
        raise IncompleteError(
            f"schema {schema!r}: an audit or another installation is going on",
            "wait until it has ended, and try again",
        )


def execute(session: Session, steps: Sequence[Statement]) -> None:
    """Execute the statements in the caller's transaction."""
    for step in steps:
        session.execute(step.text)


def close_to_strays(session: Session, schema: str) -> tuple[str, ...]:
    """Take back what default privileges have granted on new objects; the roles that had it.

    It comes before the readers get their rights.
    """
    words: dict[str, LiteralString] = {"n": "SCHEMA", "f": "FUNCTION", "r": "TABLE", "v": "TABLE"}
    roles = set()
    for kind, name, role in fetch(session, STRAYS, schema, schema, schema):
        own = sql.Identifier(schema, name) if name else sql.Identifier(schema)
        session.execute(
            sql.SQL("REVOKE ALL ON {} {} FROM {}").format(
                sql.SQL(words[kind]),
                own,
                sql.SQL(role),  # as regrole prints it, quoted where it has to be
            )
        )
        roles.add(role)
    return tuple(sorted(roles))


def removal(found: Installed, schema: str, environment: str) -> tuple[Statement, ...]:
    """What removes all of it; whatever others have built on it makes the server refuse."""
    if not found.exists or not found.objects:
        raise UsageError(
            f"the monitoring is not installed in schema {schema!r}",
            f"look for it with --schema: runbook monitor status {environment}",
        )
    ours = [item for item in objects.wanted(schema) if (item.sort, item.name) in found.objects]
    own = sql.Identifier(schema)
    last = Statement("drop the schema", sql.SQL("DROP SCHEMA {}").format(own))
    if found.given:
        unmarked = sql.SQL("COMMENT ON SCHEMA {} IS NULL").format(own)
        last = Statement("leave the schema, which was there before", unmarked)
    return (*(_drop(schema, item) for item in reversed(ours)), last)


def export(session: Session, schema: str, write: Callable[[bytes], Any]) -> None:
    """The log as CSV with a header, handed to ``write`` piece by piece."""
    statement = sql.SQL(EXPORT).format(audit_log=sql.Identifier(schema, "audit_log"))
    with session.cursor() as cursor, cursor.copy(statement) as copy:
        for piece in copy:
            write(bytes(piece))
