"""What was planted is there, all of it is recorded, and nothing else is wrong."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from runbook.telecore import defects, demo
from runbook.telecore.files import script
from tests.conftest import PASSWORDS, Connect
from tests.telecore_databases import (
    ENTRIES,
    Entry,
    accepts_key,
    missing_parents,
    name_of,
    other_workspace,
    with_workspace,
)

CRITICAL_AUDITS = {
    "public.workflow_instances(config_version_id)",
    "public.workflow_instances(workspace_id)",
    "public.workflow_stages(workflow_instance_id)",
    "public.atp_submissions(workflow_instance_id)",
    "public.atp_scope_master(workspace_id)",
    "public.config_versions(workspace_id)",
    "public.punchlists(workflow_instance_id)",
    "public.approval_policy_master(workspace_id)",
}
BY_NAME: dict[str, Entry] = {name_of(entry): entry for entry in ENTRIES}


def prepared(connect: Connect, environment: str) -> Iterator[psycopg.Connection[Any]]:
    demo.prepare(connect, PASSWORDS, (environment,))
    database = demo.ENVIRONMENTS[environment].database
    with connect(database, demo.OWNER) as connection:
        yield connection


@pytest.fixture(scope="module")
def production(connect: Connect) -> Iterator[psycopg.Connection[Any]]:
    yield from prepared(connect, "production")


@pytest.fixture(scope="module")
def development(connect: Connect) -> Iterator[psycopg.Connection[Any]]:
    yield from prepared(connect, "development")


def planted(connection: psycopg.Connection[Any], kind: str) -> dict[str, list[str]]:
    """The child keys that were recorded for each relationship."""
    found = defaultdict(list)
    for name, key in connection.execute(
        "SELECT relationship, child_key FROM demo.planted WHERE kind = %s ORDER BY child_key",
        [kind],
    ):
        found[name].append(key)
    return dict(found)


@pytest.mark.parametrize(
    "name",
    ["planted_production.sql", "planted_development.sql", "planted_behind_triggers.sql"],
)
def test_what_is_planted_is_not_looked_up(name: str) -> None:
    text = re.sub(r"--.*", "", script(name).decode())
    words = re.sub(r"'[^']*'", "''", text)
    assert not re.search(r"\b(select|with|join|exists|count|in)\b", words, re.IGNORECASE)
    updates = [line for line in text.split(";") if line.strip().startswith("UPDATE")]
    assert all(re.search(r"\sWHERE id = '\w+'$", update) for update in updates)


def test_staging_lacks_56_keys_and_nothing_else(connect: Connect, telecore_staging: str) -> None:
    with connect(telecore_staging, demo.OWNER) as staging:
        rows = staging.execute("SELECT kind, relationship, child_key FROM demo.planted").fetchall()
    assert sorted(rows) == sorted(
        ("key_missing", name, None) for name in BY_NAME if name != defects.DEPLOYED
    )


def test_production_has_no_key_and_says_so(production: psycopg.Connection[Any]) -> None:
    keys = production.execute("SELECT count(*) FROM pg_constraint WHERE contype = 'f'").fetchone()
    assert keys == (0,)
    assert planted(production, "key_missing") == {name: [None] for name in BY_NAME}


def test_production_has_orphans_of_many_kinds(production: psycopg.Connection[Any]) -> None:
    orphans = planted(production, "orphan")
    core = {name for name in orphans if BY_NAME[name]["group"] == "core"}
    assert core >= CRITICAL_AUDITS
    assert len(core) >= 14
    assert {BY_NAME[name]["parent"] for name in orphans.keys() - core} >= {
        "public.users",
        "public.sites",
    }
    assert len({len(keys) for keys in orphans.values()}) > 6
    rows = Counter((BY_NAME[name]["child"], key) for name, keys in orphans.items() for key in keys)
    assert [row for row, times in rows.items() if times > 1] == [
        ("public.atp_submissions", "sub_000002")
    ]


def test_postgresql_refuses_exactly_the_keys_with_planted_orphans(
    production: psycopg.Connection[Any],
) -> None:
    refused = {name for name, entry in BY_NAME.items() if not accepts_key(production, entry)}
    assert refused == planted(production, "orphan").keys()


def test_every_recorded_orphan_has_no_parent(production: psycopg.Connection[Any]) -> None:
    for name, keys in planted(production, "orphan").items():
        assert missing_parents(production, BY_NAME[name], keys) == keys, name


def test_no_orphan_is_unrecorded(production: psycopg.Connection[Any]) -> None:
    for name, keys in planted(production, "orphan").items():
        entry = BY_NAME[name]
        with production.transaction(force_rollback=True):
            gone = sql.SQL("DELETE FROM {child} WHERE id = ANY(%s)")
            if entry["child"] == entry["parent"]:  # the row may be a parent as well
                gone = sql.SQL("UPDATE {child} SET {column} = NULL WHERE id = ANY(%s)")
            statement = gone.format(
                child=sql.Identifier(*entry["child"].split(".")),
                column=sql.Identifier(entry["columns"][0]),
            )
            assert production.execute(statement, [keys]).rowcount == len(keys)
            assert accepts_key(production, entry), name


def test_one_row_of_production_names_another_workspace(
    production: psycopg.Connection[Any],
) -> None:
    tables = with_workspace(production)
    found = {
        name: rows
        for name, entry in BY_NAME.items()
        if {entry["child"], entry["parent"]} <= tables
        and (rows := other_workspace(production, entry))
    }
    assert found == planted(production, "cross_workspace")
    assert [len(rows) for rows in found.values()] == [1]


def test_the_recorded_nulls_are_null(production: psycopg.Connection[Any]) -> None:
    recorded = planted(production, "null_reference")
    assert len(recorded) >= 3
    for name, keys in recorded.items():
        entry = BY_NAME[name]
        statement = sql.SQL("SELECT id FROM {} WHERE {} IS NULL AND id = ANY(%s) ORDER BY id")
        found = production.execute(
            statement.format(
                sql.Identifier(*entry["child"].split(".")), sql.Identifier(entry["columns"][0])
            ),
            [keys],
        ).fetchall()
        assert [key for (key,) in found] == keys, name


def test_development_has_all_keys_and_three_are_not_what_they_seem(
    development: psycopg.Connection[Any],
) -> None:
    keys = development.execute(
        "SELECT count(*), count(*) FILTER (WHERE NOT convalidated) FROM pg_constraint"
        " WHERE contype = 'f'"
    ).fetchone()
    assert keys == (57, 1)
    assert planted(development, "key_not_valid") == {
        "public.workflow_stages(policy_stage_id)": [None]
    }
    assert planted(development, "key_mismatched") == {
        "public.approver_overrides(cluster_id)": [None]
    }
    action = development.execute(
        "SELECT confdeltype::text FROM pg_constraint"
        " WHERE conname = 'fk_approver_overrides_cluster_id'"
    ).fetchone()
    assert action == ("c",)
    assert BY_NAME["public.approver_overrides(cluster_id)"]["on_delete"] == "restrict"
    disabled = development.execute(
        "SELECT DISTINCT c.conname FROM pg_trigger AS t"
        " JOIN pg_constraint AS c ON c.oid = t.tgconstraint WHERE t.tgenabled = 'D'"
    ).fetchall()
    assert disabled == [("fk_punchlist_items_punchlist_id",)]
    assert planted(development, "key_trigger_disabled") == {
        "public.punchlist_items(punchlist_id)": [None]
    }


def test_development_has_the_orphans_that_its_keys_hide(
    development: psycopg.Connection[Any],
) -> None:
    recorded = planted(development, "orphan")
    assert {name: len(keys) for name, keys in recorded.items()} == {
        "public.punchlist_items(punchlist_id)": 3,
        "public.workflow_stages(policy_stage_id)": 2,
    }
    for name, keys in recorded.items():
        assert missing_parents(development, BY_NAME[name], keys) == keys
    refused = {name for name, entry in BY_NAME.items() if not accepts_key(development, entry)}
    assert refused == recorded.keys()


def test_an_administrator_who_is_no_superuser_leaves_the_triggers_alone(
    connect: Connect, scratch: str
) -> None:
    helper = f"helper_{os.getpid()}"
    with connect("postgres", None) as admin:
        admin.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(helper)))
        try:
            with connect(scratch, demo.OWNER) as owner, connect(scratch, None) as plain:
                plain.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(helper)))
                assert not defects.plant_development(owner, plain)
                assert "key_trigger_disabled" not in str(
                    owner.execute("SELECT DISTINCT kind FROM demo.planted").fetchall()
                )
        finally:
            admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(helper)))
