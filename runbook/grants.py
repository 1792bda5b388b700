"""The SQL that makes the least privileged role with which the runbook can look at a database."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from runbook.relationships import Relationships

ROLE = "fk_runbook_reader"


@dataclass(frozen=True)
class Wanted:
    """What the role is for.

    ``declared``: it may read the tables of the relationships alone, so foreign keys that nobody
    declared are ``could not look``. ``bypass``: row security does not apply to it. ``schemas`` are
    read beside those of the relationships, for the project's own checks.
    """

    role: str = ROLE
    declared: bool = False
    bypass: bool = False
    schemas: tuple[str, ...] = ()


def script(environment: str, relationships: Relationships, wanted: Wanted) -> str:
    """Statements for psql, to be run in the database by its administrator; safe to run again."""
    role = _name(wanted.role)
    tables = sorted({table for item in relationships for table in (item.child, item.parent)})
    schemas = sorted({table.schema for table in tables} | set(wanted.schemas))
    lines = [
        f"-- The least that the reader of {environment!r} needs to look at everything.",
        "-- Run it in that database as its administrator, and again after a change of",
        "-- relationships.toml. It holds no password: set one with \\password.",
        *_role(wanted.role),
        "-- a belt: what keeps the role from writing is that it has no grant to write",
        f"ALTER ROLE {role} SET default_transaction_read_only = on;",
    ]
    lines += [f"GRANT USAGE ON SCHEMA {_name(schema)} TO {role};" for schema in schemas]
    if wanted.declared:
        lines.append("-- the tables of the relationships; other foreign keys cannot be audited")
        lines += [
            f"GRANT SELECT ON {_name(table.schema)}.{_name(table.table)} TO {role};"
            for table in tables
        ]
    else:
        lines.append("-- every table that is there now: foreign keys that nobody declared, and the")
        lines.append(
            "-- project's own checks; --declared names the tables of the relationships alone"
        )
        lines += [
            f"GRANT SELECT ON ALL TABLES IN SCHEMA {_name(schema)} TO {role};" for schema in schemas
        ]
    lines += [
        "-- to see whether the server is busy (--max-load), and how far a standby is behind",
        f"GRANT pg_read_all_stats TO {role};",
        "-- to know a server again by its system identifier",
        f"GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system() TO {role};",
    ]
    if wanted.bypass:
        lines.append("-- tables with row security: without this they are `could not look`")
        lines.append(f"ALTER ROLE {role} BYPASSRLS;")
    return "\n".join(lines) + "\n"


def _role(name: str) -> list[str]:
    """The role, where it is not there yet, and its way into this database whatever its name is."""
    tag = "$role$"
    while tag in name:
        tag = f"${tag[1:-1]}_$"
    text = _text(name)
    return [
        f"DO {tag} BEGIN",
        f"  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {text}) THEN",
        f"    CREATE ROLE {_name(name)} LOGIN;",
        "  END IF;",
        "  EXECUTE pg_catalog.format('GRANT CONNECT ON DATABASE %I TO %I',",
        f"                            pg_catalog.current_database(), {text});",
        f"END {tag};",
    ]


def _name(name: str) -> str:
    return sql.Identifier(name).as_string(None)


def _text(value: str) -> str:
    return sql.Literal(value).as_string(None)
