"""How names of other house styles are read: links, glued letters, key words, people, tenants."""

from __future__ import annotations

import pytest

from runbook import discovery
from runbook.discovery import roles, words
from runbook.discovery.vocabulary import Vocabulary
from runbook.schema import Column, Table, TableName
from tests.places import HOSTILE
from tests.test_discovery import index, pairs, schema, table

USERS = table("users", "id integer!, name text!, created_at date!")
TEAMS = table("teams", "id integer!, name text!")


@pytest.mark.parametrize(
    ("name", "sides", "targets"),
    [
        ("feature_relationship", "subject_id object_id", "features features"),
        ("feature_links", "from_feature_id to_feature_id", "features features"),
        ("l_area_feature", "entity0 entity1", "area features"),
        ("feature_area", "a_id b_id", "features area"),
        ("feature_relationship", "subject_id target_id", ""),  # no two sides
        ("feature_notes", "subject_id object_id", ""),  # no link
        ("other_relationship", "subject_id object_id", ""),  # of a table that is not there
    ],
)
def test_the_sides_of_a_link_are_the_tables_that_it_names(
    name: str, sides: str, targets: str
) -> None:
    columns = sides.split()
    link = table(name, f"id integer!, {columns[0]} integer!, {columns[1]} integer!, kind text")
    found = pairs(
        discovery.propose(
            schema(
                table("features", "id integer!, n text"), table("area", "id integer!, n text"), link
            )
        )
    )
    expected = [f"{target}.id" for target in targets.split()]
    assert [
        found[f"{name}.{column}"] for column in columns if f"{name}.{column}" in found
    ] == expected


def test_a_link_says_so() -> None:
    features = table("features", "id integer!, n text")
    link = table("feature_relationship", "id integer!, subject_id integer!, object_id integer!")
    proposals = discovery.propose(schema(features, link)).proposals
    assert {item.evidence[0].words for item in proposals} == {
        "the name is one side of a link, and feature_relationship links rows of features"
    }


def test_letters_that_are_glued_to_every_table_are_none_of_its_name() -> None:
    names = ("server", "action", "channel", "package", "errata", "checksum", "profile", "token",
             "family", "script", "snapshot")  # fmt: skip
    tables = [table(f"rhn{name}", "id integer!, label text!") for name in names]
    tables.append(table("rhnserveraction", "id integer!, server_id integer!, action_id integer!"))
    assert Vocabulary(schema(*tables)).glued == "rhn"
    assert pairs(discovery.propose(schema(*tables))) == {
        "rhnserveraction.server_id": "rhnserver.id",
        "rhnserveraction.action_id": "rhnaction.id",
    }
    assert Vocabulary(schema(*tables[:5])).glued == "", "too few to say"


@pytest.mark.parametrize("column", ["api_key_id", "pusher_api_key_id"])
def test_a_key_word_that_ends_a_tables_name_stays_in_it(column: str) -> None:
    keys = table("api_keys", "id integer!, secret text!")
    events = table("events", f"id integer!, {column} integer!")
    assert pairs(discovery.propose(schema(keys, events))) == {f"events.{column}": "api_keys.id"}
    apart = Vocabulary(schema(keys, events)).apart
    assert apart(("api", "key", "id")) == (("api", "key"), ("id",))
    assert apart(("api", "key")) == (("api",), ("key",)), "api_key is a value by itself"
    assert apart(("user", "id")) == (("user",), ("id",))


@pytest.mark.parametrize(
    ("name", "people"),
    [
        ("user", True),
        ("auth user", True),
        ("usr", True),
        ("m appuser", True),
        ("account", True),
        ("edi account", False),
        ("pipe profile", False),
        ("user setting value", False),
        ("", False),
    ],
)
def test_which_tables_hold_people(name: str, people: bool) -> None:
    assert roles.are_people(tuple(name.split())) is people


def test_who_did_it_is_read_where_it_is_written_together() -> None:
    assert words.words("lastupdatedby") == ("lastupdated", "by")
    assert words.words("standby") == ("standby",)


def test_the_order_of_children_is_a_number() -> None:
    types = table("types", "id integer!, child_order integer!, parent_id integer")
    assert pairs(discovery.propose(schema(types))) == {"types.parent_id": "types.id"}


def test_a_key_of_bytes_is_referred_to() -> None:
    branch = table("branches", "uuid bytea!, name text!", key="uuid")
    activity = table("activities", "id integer!, branch_uuid bytea!")
    found = pairs(discovery.propose(schema(branch, activity)))
    assert found == {"activities.branch_uuid": "branches.uuid"}


# --- keys of several columns ----------------------------------------------------------------------


def composites(*tables: object) -> dict[str, str]:
    found = pairs(discovery.propose(schema(*tables)))  # type: ignore[arg-type]
    return {child: parent for child, parent in found.items() if "(" in child}


def test_a_tenants_key_may_be_the_primary_key() -> None:
    clients = table("clients", "id integer!, year integer!, name text", key="id,year")
    access = table("access", "id integer!, client_id integer!, year integer!")
    assert composites(clients, access) == {}, "a year says whose nothing is"
    clients = table("clients", "id integer!, net_id integer!, name text", key="id,net_id")
    access = table("access", "id integer!, client_id integer!, net_id integer!")
    assert composites(clients, access) == {"access.(client_id, net_id)": "clients.(id, net_id)"}


def test_keys_of_one_tenant_share_its_column() -> None:
    runs = table("runs", "id integer!, project_id integer!", key="id,project_id")
    talks = table("talks", "id integer!, project_id integer!", key="id,project_id")
    events = table("events", "id integer!, run_id integer!, talk_id integer!, project_id integer!")
    assert composites(runs, talks, events) == {
        "events.(run_id, project_id)": "runs.(id, project_id)",
        "events.(talk_id, project_id)": "talks.(id, project_id)",
    }


def test_a_primary_key_of_another_name_is_a_tenants_key_too() -> None:
    methods = table("auth_method", "public_id text!, scope_id text!", key="public_id",
                    unique=("scope_id,public_id",))  # fmt: skip
    account = table("auth_account", "public_id text!, scope_id text!, auth_method_id text!",
                    key="public_id", unique=("scope_id,auth_method_id",))  # fmt: skip
    assert composites(methods, account) == {
        "auth_account.(scope_id, auth_method_id)": "auth_method.(scope_id, public_id)"
    }


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (
            "amount integer, note text",
            {"lines.(part_id, team_id)": "team_parts.(part_id, team_id)"},
        ),
        ("", {}),  # a link and nothing else: few refer to it
    ],
)
def test_a_link_is_referred_to_where_it_has_columns_of_its_own(
    own: str, expected: dict[str, str]
) -> None:
    columns = f"part_id integer!, team_id integer!, {own}".rstrip(", ")
    link = table("team_parts", columns, key="part_id,team_id")
    parts = table("parts", "id integer!, name text!")
    lines = table("lines", "id integer!, part_id integer!, team_id integer!")
    assert composites(TEAMS, parts, link, lines) == expected


def test_few_refer_to_the_members_of_a_team() -> None:
    members = table("user_team", "user_id integer!, team_id integer!, role text, since date",
                    key="user_id,team_id")  # fmt: skip
    tokens = table("tokens", "id integer!, user_id integer!, team_id integer!")
    found = pairs(discovery.propose(schema(USERS, TEAMS, members, tokens)))
    assert found["tokens.user_id"] == "users.id"
    assert found["tokens.team_id"] == "teams.id"


def test_what_replaces_a_table_does_not_refer_to_it() -> None:
    columns = "repo_id integer!, bucket integer!, kind text"
    points = table("repo_points", columns, key="repo_id,bucket")
    for name, expected in (("repo_points_v2", {}), ("repo_points_daily", OF_POINTS)):
        child = table(name, f"{columns}, day integer!", key="repo_id,bucket,day")
        assert composites(points, child) == expected


OF_POINTS = {"repo_points_daily.(repo_id, bucket)": "repo_points.(repo_id, bucket)"}
NAMES = "sched_name text!, trigger_name text!, trigger_group text!"
KEY = "sched_name,trigger_name,trigger_group"


@pytest.mark.parametrize(
    ("name", "columns", "right"),
    [
        ("qrtz_cron_triggers", f"{NAMES}, cron text", True),  # a part of it, by name and key
        ("qrtz_fired", f"id integer!, {NAMES}", True),  # in a key that no other table has
        ("qrtz_triggers_v2", f"{NAMES}, next integer", False),  # what replaces it
        ("qrtz_log_triggers", f"{NAMES}, next integer, more text", False),  # of the same kind
    ],
)
def test_a_key_of_names_is_referred_to_by_its_details(name: str, columns: str, right: bool) -> None:
    triggers = table("qrtz_triggers", f"{NAMES}, next integer", key=KEY)
    child = table(name, columns, key="id" if columns.startswith("id") else KEY)
    label = "sched_name, trigger_name, trigger_group"
    expected = {f"{name}.({label})": f"qrtz_triggers.({label})"} if right else {}
    assert composites(triggers, child) == expected


@pytest.mark.parametrize("type_", ["integer", "text"])
@pytest.mark.parametrize("name", [*HOSTILE, "$", "_", "1", "Ä", "客户"])
def test_names_without_a_word_are_read_without_a_fault(name: str, type_: str) -> None:
    def made(label: str, columns: tuple[str, ...], *keys: tuple[str, ...]) -> Table:
        found = tuple(Column(column, type_, not_null=True) for column in columns)
        indexes = [index(list(key), primary=not at) for at, key in enumerate(keys)]
        return Table(TableName("public", label), "r", found, tuple(indexes))

    columns = (
        name,
        "$",
        "§",
        "from_id",
        "to_id",
        "id",
        f"from_{name}",
        f"to_{name}",
        f"{name}_id",
        "order_id",
    )
    tables = [
        made(name, columns, (name,), (name, "$")),
        made(f"{name}{name}", columns, ("id", "$"), ("$", "§", name)),
        made("$$", columns, ("$", "§", name), ("id",)),
        made("$$$", columns, ("$", "§", name)),
        made("things", columns, ("id",), ("id", name)),
        made("orders", columns, (name,)),
    ]
    found = discovery.propose(schema(*tables))
    assert all(item.evidence for item in found.proposals)
