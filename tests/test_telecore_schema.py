"""The deployed schema is what the team measured, and the files that describe it agree."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runbook.telecore.files import script
from tests.conftest import Connect
from tests.telecore_databases import ENTRIES, accepts_key, name_of

PRISMA = Path(__file__).parents[1] / "runbook" / "telecore" / "schema.prisma"
OUTER = {"public.workspaces", "public.users", "public.sites", "public.documents"}

INDEXES = """
    SELECT i.indrelid::regclass::text, c.relname,
        array(
            SELECT a.attname::text FROM unnest(i.indkey) WITH ORDINALITY AS k (number, place)
            JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.number
            ORDER BY k.place
        ),
        i.indisunique, pg_get_expr(i.indpred, i.indrelid)
    FROM pg_index AS i
    JOIN pg_class AS c ON c.oid = i.indexrelid
    WHERE c.relnamespace = 'public'::regnamespace
        AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid)
"""
KEYS = """
    SELECT k.conname,
        'public.' || k.conrelid::regclass,
        array(
            SELECT a.attname::text FROM pg_attribute AS a
            WHERE a.attrelid = k.conrelid AND a.attnum = ANY(k.conkey)
        ),
        'public.' || k.confrelid::regclass,
        array(
            SELECT a.attname::text FROM pg_attribute AS a
            WHERE a.attrelid = k.confrelid AND a.attnum = ANY(k.confkey)
        ),
        CASE k.confdeltype
            WHEN 'r' THEN 'restrict' WHEN 'c' THEN 'cascade' WHEN 'n' THEN 'set null'
        END,
        k.convalidated
    FROM pg_constraint AS k
    WHERE k.contype = 'f' AND k.conparentid = 0
"""
COLUMNS = """
    SELECT 'public.' || attrelid::regclass, attname, NOT attnotnull
    FROM pg_attribute
    JOIN pg_class AS c ON c.oid = attrelid
    WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND attnum > 0
"""


@pytest.fixture
def staging(connect: Connect, telecore_staging: str) -> Iterator[psycopg.Connection[Any]]:
    with connect(telecore_staging, "telecore_owner") as connection:
        yield connection


def test_the_migration_makes_16_tables_21_checks_and_one_key(
    staging: psycopg.Connection[Any],
) -> None:
    tables = {
        str(table)
        for (table,) in staging.execute(
            "SELECT 'public.' || relname FROM pg_class"
            " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
    }
    assert len(tables - OUTER) == 16
    assert tables >= OUTER
    kinds = Counter(
        kind
        for (kind,) in staging.execute(
            "SELECT contype::text FROM pg_constraint WHERE connamespace = 'public'::regnamespace"
        )
    )
    assert (kinds["c"], kinds["f"]) == (21, 1)
    assert staging.execute(KEYS).fetchall() == [
        (
            "fk_config_versions_workspace_id",
            "public.config_versions",
            ["workspace_id"],
            "public.workspaces",
            ["id"],
            "restrict",
            True,
        )
    ]


def test_the_migration_makes_89_plain_indexes_and_one_partial_unique_index(
    staging: psycopg.Connection[Any],
) -> None:
    found = staging.execute(INDEXES).fetchall()
    plain = [row for row in found if not row[3]]
    assert len(plain) == 89
    assert len({(table, tuple(columns)) for table, _, columns, _, _ in plain}) == 89
    assert all(name.startswith("idx_") and predicate is None for _, name, _, _, predicate in plain)
    assert [row for row in found if row[3]] == [
        (
            "config_versions",
            "ux_config_versions_one_active_per_workspace",
            ["workspace_id", "source_type"],
            True,
            "((status)::text = 'ACTIVE'::text)",
        )
    ]
    led = {(f"public.{table}", columns[0]) for table, _, columns, _, _ in plain}
    assert {(entry["child"], entry["columns"][0]) for entry in ENTRIES} <= led


def test_no_name_of_the_migration_is_cut_by_postgresql() -> None:
    text = (script("option_a_keys.sql") + script("outer_tables.sql")).decode()
    names = re.findall(r"(?:CONSTRAINT|INDEX) (\w+)", text)
    assert names
    assert max(map(len, names)) <= 63


def test_a_second_active_version_is_refused(staging: psycopg.Connection[Any]) -> None:
    with (
        pytest.raises(psycopg.errors.UniqueViolation),
        staging.transaction(force_rollback=True),
    ):
        staging.execute("UPDATE config_versions SET status = 'ACTIVE' WHERE id = 'cfg_1_matrix_5'")


def test_the_relationships_are_45_of_the_core_and_12_around_it() -> None:
    assert Counter(entry["group"] for entry in ENTRIES) == {"core": 45, "outer": 12}
    assert len({name_of(entry) for entry in ENTRIES}) == 57
    for entry in ENTRIES:
        outer = entry["parent"] in {"public.users", "public.sites", entry["child"]}
        assert entry["group"] == ("outer" if outer else "core"), name_of(entry)
    assert list(ENTRIES[0]) == [
        "child",
        "columns",
        "parent",
        "references",
        "on_delete",
        "priority",
        "alert",
        "group",
        "decided_by",
        "why",
    ]
    assert len({entry["why"] for entry in ENTRIES}) == 57


def test_the_eight_critical_audits_have_their_alerts() -> None:
    alerts = {name_of(entry): entry["alert"] for entry in ENTRIES if entry["alert"] != "below"}
    assert alerts == {
        "public.workflow_instances(config_version_id)": "critical",
        "public.workflow_instances(workspace_id)": "critical",
        "public.workflow_stages(workflow_instance_id)": "warning",
        "public.atp_submissions(workflow_instance_id)": "critical",
        "public.atp_scope_master(workspace_id)": "warning",
        "public.config_versions(workspace_id)": "warning",
        "public.punchlists(workflow_instance_id)": "warning",
        "public.approval_policy_master(workspace_id)": "warning",
    }


def test_the_relationships_name_columns_that_exist(staging: psycopg.Connection[Any]) -> None:
    nullable = {(table, column): null for table, column, null in staging.execute(COLUMNS)}
    for entry in ENTRIES:
        (column,), (reference,) = entry["columns"], entry["references"]
        assert (entry["parent"], reference) in nullable
        assert (entry["child"], column) in nullable
        if entry["on_delete"] == "set null":
            assert nullable[entry["child"], column], name_of(entry)


def test_the_orm_declares_all_but_users_itself_and_the_scope_of_a_workflow() -> None:
    declared: set[tuple[str, str, str]] = set()
    models = re.findall(r"^model (\w+) \{\n(.*?)^\}", PRISMA.read_text(), re.MULTILINE | re.DOTALL)
    tables = {model: re.findall(r'@@map\("(\w+)"\)', body)[0] for model, body in models}
    for model, body in models:
        columns = dict(re.findall(r'^  (\w+) .*@map\("(\w+)"\)', body, re.MULTILINE))
        for parent, field in re.findall(
            r"^  \w+ +(\w+)\?? +@relation\(fields: \[(\w+)\]", body, re.MULTILINE
        ):
            declared.add((f"public.{tables[model]}", columns[field], f"public.{tables[parent]}"))
            assert re.search(rf"^  \w+ +{model}\[\]", dict(models)[parent], re.MULTILINE), (
                model,
                parent,
            )
    assert len(declared) == 46
    assert declared == {
        (entry["child"], entry["columns"][0], entry["parent"])
        for entry in ENTRIES
        if entry["parent"] not in {"public.users", entry["child"]}
        and name_of(entry) != "public.workflow_instances(scope_id)"
    }


def test_option_a_adds_every_key_as_it_was_decided(connect: Connect, scratch: str) -> None:
    with connect(scratch, "telecore_owner") as owner:
        owner.execute(script("option_a_keys.sql"))
        keys = owner.execute(KEYS).fetchall()
    assert sorted(keys) == sorted(
        (
            f"fk_{entry['child'].removeprefix('public.')}_{entry['columns'][0]}",
            entry["child"],
            entry["columns"],
            entry["parent"],
            entry["references"],
            entry["on_delete"],
            True,
        )
        for entry in ENTRIES
    )


def test_option_a_reads_no_row_while_it_blocks_writers() -> None:
    statements = [
        text
        for text in re.sub(r"--.*", "", script("option_a_keys.sql").decode()).split(";")
        if text.strip()
    ]
    added, validated = statements[:56], statements[56:]
    assert all(text.endswith("NOT VALID") for text in added)
    assert all("VALIDATE CONSTRAINT" in text for text in validated)
    assert len(validated) == 56


def test_postgresql_accepts_every_relationship_on_staging(connect: Connect, scratch: str) -> None:
    with connect(scratch, "telecore_owner") as owner:
        assert [name_of(entry) for entry in ENTRIES if not accepts_key(owner, entry)] == []
