"""Plants what is wrong in each demo database, and records it in ``demo.planted``.

The record is what an audit is compared to, so it must not come from an audit: every bad row
is a literal row of an SQL file, next to its literal record. ``kind`` is one of

=====================  ==================================================================
orphan                 the row ``child_key`` refers to no parent
cross_workspace        it refers to a row of another workspace
null_reference         it refers to nothing, which is no orphan
key_missing            no key holds the relationship
key_not_valid          the key was never validated
key_mismatched         the key's ON DELETE is not the one decided
key_trigger_disabled   the key is valid, but its triggers on the child do not fire
=====================  ==================================================================

``relationship`` reads ``public.workflow_instances(config_version_id)``; ``child_key`` is the
bad row's primary key, NULL for the kinds that are about a key.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from runbook.telecore.files import relationships, script

_RECORD = """
    CREATE SCHEMA demo;
    CREATE TABLE demo.planted (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        kind text NOT NULL,
        relationship text,
        child_key text,
        note text
    )
"""
_MISSING = """
    INSERT INTO demo.planted (kind, relationship, note) VALUES ('key_missing', %s, %s)
"""
_IS_SUPERUSER = "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user"
_CHILD_TRIGGERS = """
    SELECT t.tgname
    FROM pg_catalog.pg_trigger AS t
    JOIN pg_catalog.pg_constraint AS c ON c.oid = t.tgconstraint AND c.conrelid = t.tgrelid
    WHERE c.conname = %s
        AND c.conrelid = to_regclass(%s)
    ORDER BY t.tgname
"""

DEPLOYED = "public.config_versions(workspace_id)"


def relationship_names() -> list[str]:
    """Every relationship as ``demo.planted`` spells it, in the order of relationships.toml."""
    return [f"{entry['child']}({', '.join(entry['columns'])})" for entry in relationships()]


def create_record(owner: psycopg.Connection[Any]) -> None:
    """Create ``demo.planted``, empty."""
    owner.execute(_RECORD)


def plant_staging(owner: psycopg.Connection[Any]) -> None:
    """Nothing but the keys that the migration left out."""
    _record_missing(owner, [name for name in relationship_names() if name != DEPLOYED])


def plant_production(owner: psycopg.Connection[Any]) -> None:
    """Orphans, a row of another workspace, and no key at all."""
    owner.execute(script("planted_production.sql"))
    _record_missing(owner, relationship_names())


def may_disable_triggers(admin: psycopg.Connection[Any]) -> bool:
    """Whether this is a superuser; nobody else may disable the triggers of a key."""
    return admin.execute(_IS_SUPERUSER).fetchone() == (True,)


def plant_development(owner: psycopg.Connection[Any], admin: psycopg.Connection[Any]) -> bool:
    """All keys, of which one is not valid, one differs and one does not fire.

    ``admin`` is the administrator, in the same database. Returns False where it may not
    disable triggers and that defect was left out.
    """
    owner.execute(script("option_a_keys.sql"))
    owner.execute(script("planted_development.sql"))
    if not may_disable_triggers(admin):
        return False
    _disable_child_triggers(admin, "punchlist_items", "fk_punchlist_items_punchlist_id")
    owner.execute(script("planted_behind_triggers.sql"))
    return True


def _record_missing(owner: psycopg.Connection[Any], names: list[str]) -> None:
    notes = {DEPLOYED: "dropped by hand"}
    with owner.cursor() as cursor:
        cursor.executemany(
            _MISSING, [(name, notes.get(name, "the migration left it out")) for name in names]
        )


def _disable_child_triggers(admin: psycopg.Connection[Any], table: str, key: str) -> None:
    # The names of a key's triggers hold their oid, so they are read, not known.
    triggers = admin.execute(_CHILD_TRIGGERS, [key, f"public.{table}"]).fetchall()
    for (trigger,) in triggers:
        statement = sql.SQL("ALTER TABLE {} DISABLE TRIGGER {}").format(
            sql.Identifier("public", table), sql.Identifier(trigger)
        )
        admin.execute(statement)
