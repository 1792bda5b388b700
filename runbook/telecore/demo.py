"""Builds the demo's databases on any PostgreSQL 15 to 18, and keeps them while they are right.

============  ======  ===========================================================
environment   scale   what it shows
============  ======  ===========================================================
staging       1       as it was deployed: 1 of 45 core keys, no orphans
production    5       no key at all, and orphans in 20 relationships
development   1       all keys, of which three are not what they seem
============  ======  ===========================================================

A finished database carries a comment with the digest of what it was built from. The comment is
set last, so a database without it was left half-made and is built again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

import psycopg
from psycopg import sql

from runbook.errors import UsageError
from runbook.telecore import defects, seed
from runbook.telecore.files import MIGRATION, fingerprint, script

Connect = Callable[[str, str | None], psycopg.Connection[Any]]
Progress = Callable[[str], None]

OWNER = "telecore_owner"
READER = "telecore_reader"
MARKER = "fk-runbook demo "


@dataclass(frozen=True)
class Environment:
    """One demo database and the scale of its rows."""

    database: str
    scale: int

    @property
    def rows(self) -> int:
        return seed.ROWS_AT_SCALE_1 * self.scale


ENVIRONMENTS: Mapping[str, Environment] = {
    "staging": Environment("telecore_staging", 1),
    "production": Environment("telecore_production", 5),
    "development": Environment("telecore_development", 1),
}

_MAINTENANCE = "postgres"
# Two builds at the same time would drop each other's databases; the number is arbitrary.
_LOCK = "SELECT pg_advisory_lock(7305820251229)"
_ROLE = """
    SELECT rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication
    FROM pg_catalog.pg_roles
    WHERE rolname = %s
"""
_DATABASE = """
    SELECT pg_catalog.pg_get_userbyid(datdba), pg_catalog.shobj_description(oid, 'pg_database')
    FROM pg_catalog.pg_database
    WHERE datname = %s
"""
_LACKS_OWNER = "SELECT NOT pg_catalog.pg_has_role(current_user, %s, 'USAGE')"


def prepare(
    connect: Connect,
    passwords: Mapping[str, str],
    environments: Sequence[str] = ("staging", "production", "development"),
    progress: Progress = lambda _line: None,
) -> None:
    """Make the roles and the databases of these environments, or keep what is right already.

    ``connect(database, role)`` opens a connection, for role None as the administrator, who
    needs CREATEDB, CREATEROLE and the right to grant pg_read_all_data. ``passwords`` holds one
    for each of telecore_owner and telecore_reader. Sessions in a database that is built again
    are ended. Raises UsageError for an unknown environment, a missing password, a role with
    more rights than the demo's, or a database of that name that is not the demo's.
    """
    _check(passwords, environments)
    with connect(_MAINTENANCE, None) as admin:
        admin.autocommit = True
        admin.execute(_LOCK)
        for role in (OWNER, READER):
            _role(admin, role, passwords[role])
        admin.execute(
            sql.SQL("GRANT pg_read_all_data TO {}").format(sql.Identifier(READER)), params=None
        )
        for name in environments:
            _environment(admin, connect, name, progress)


def _check(passwords: Mapping[str, str], environments: Sequence[str]) -> None:
    for name in environments:
        if name not in ENVIRONMENTS:
            raise UsageError(
                f"no demo environment {name!r}", f"choose from {', '.join(ENVIRONMENTS)}"
            )
    for role in (OWNER, READER):
        if not passwords.get(role):
            raise UsageError(f"no password for role {role!r}", "give one for each demo role")


def _role(admin: psycopg.Connection[Any], name: str, password: str) -> None:
    # Only the verifier leaves this process: a server may log the statement.
    verifier = admin.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256")
    row = admin.execute(_ROLE, [name]).fetchone()
    if row is not None and row[0]:
        raise UsageError(
            f"role {name!r} exists and has more rights than a demo role",
            "use another server, or drop the role",
        )
    statement = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
    if row is not None:
        statement = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}")
    admin.execute(statement.format(sql.Identifier(name), sql.Literal(verifier.decode())))


def _environment(
    admin: psycopg.Connection[Any], connect: Connect, name: str, progress: Progress
) -> None:
    database = ENVIRONMENTS[name].database
    complete = name != "development" or defects.may_disable_triggers(admin)
    marker = MARKER + fingerprint(name if complete else f"{name} by no superuser")
    row = admin.execute(_DATABASE, [database]).fetchone()
    if row is not None:
        owner, comment = row
        if comment == marker:
            progress(f"{name}: {database} is up to date")
            return
        _refuse_foreign(database, owner, comment)
        progress(f"{name}: {database} is {'outdated' if comment else 'half-made'}, dropping it")
    started = monotonic()
    _create(admin, database, exists=row is not None)
    with connect(database, OWNER) as connection:
        connection.autocommit = True
        _fill(connection, connect, name, progress)
        connection.execute(
            sql.SQL("COMMENT ON DATABASE {} IS {}").format(
                sql.Identifier(database), sql.Literal(marker)
            )
        )
    progress(f"{name}: {database} is ready after {monotonic() - started:.1f} s")


def _refuse_foreign(database: str, owner: str, comment: str | None) -> None:
    """A database without a comment is a half-made one of ours if the demo's role owns it."""
    ours = owner == OWNER if comment is None else comment.startswith(MARKER)
    if not ours:
        raise UsageError(
            f"database {database!r} exists and is not a demo database, its owner is {owner!r}",
            "use another server, or rename or drop that database",
        )


def _create(admin: psycopg.Connection[Any], database: str, *, exists: bool) -> None:
    row = admin.execute(_LACKS_OWNER, [OWNER]).fetchone()
    if row is not None and row[0]:  # who is no superuser gives a database away as a member only
        admin.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(OWNER)))
    name = sql.Identifier(database)
    if exists:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
    # The same order of text on every server: run records are compared byte for byte.
    admin.execute(
        sql.SQL(
            "CREATE DATABASE {} OWNER {} TEMPLATE template0"
            " ENCODING 'UTF8' LOCALE_PROVIDER libc LOCALE 'C'"
        ).format(name, sql.Identifier(OWNER))
    )


def _fill(
    connection: psycopg.Connection[Any], connect: Connect, name: str, progress: Progress
) -> None:
    environment = ENVIRONMENTS[name]
    database = sql.Identifier(environment.database)
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    connection.execute(
        sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, sql.Identifier(READER))
    )
    progress(f"{name}: creating the tables")
    connection.execute(script("outer_tables.sql"))
    connection.execute(script(MIGRATION))
    progress(f"{name}: loading {environment.rows:,} rows")
    loaded = seed.load(connection, environment.scale)
    progress(f"{name}: planting what is wrong")
    defects.create_record(connection)
    if name == "production":
        defects.plant_production(connection)
    elif name == "staging":
        defects.plant_staging(connection)
    else:
        with connect(environment.database, None) as admin:
            admin.autocommit = True
            if not defects.plant_development(connection, admin):
                progress(f"{name}: triggers stay enabled, the administrator is no superuser")
    # A vacuum now is one that does not start by itself in the middle of a measurement.
    names = [sql.Identifier("public", table) for table in loaded]
    connection.execute(
        sql.SQL("VACUUM (ANALYZE) {}").format(
            sql.SQL(", ").join([*names, sql.Identifier("demo", "planted")])
        )
    )
