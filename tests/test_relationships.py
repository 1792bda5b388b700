"""relationships.toml: what it means, and every message about what is wrong in it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from runbook import relationships
from runbook.errors import FileError, UsageError
from runbook.relationships import Alert, Exemption, Priority, Relationship
from runbook.schema import Action, TableName

ROOT = Path(__file__).parents[1]
FILE = Path("relationships.toml")

GOOD = """\
# what should hold
[[relationship]]
child = "orders"
columns = ["customer_id"]
parent = "customers"
references = ["id"]
on_delete = "cascade"
priority = "critical"
alert = "warning"
group = "core"
decided_by = "team"
why = "an order is nobody's without its customer"

[[relationship]]
child = 'sales."order lines"'
columns = [
  "tenant_id",
  "order_id",
]
parent = "sales.orders"
references = ["tenant", "id"]

[[exception]]
relationship = "public.orders(customer_id)"
owner = "DBA"
reason = "legacy rows"
review_by = 2026-01-01
"""

CORRECT = "correct the value"
ADD = "add the key"
REMOVE = "remove the key, or look for its right spelling in the settings reference"
MEND = "mend the line"


def test_relationships_are_read() -> None:
    found = relationships.parse(GOOD, FILE)
    first, second = found.items
    assert first == Relationship(
        child=TableName("public", "orders"),
        columns=("customer_id",),
        parent=TableName("public", "customers"),
        references=("id",),
        on_delete=Action.CASCADE,
        priority=Priority.CRITICAL,
        alert=Alert.WARNING,
        group="core",
        decided_by="team",
        why="an order is nobody's without its customer",
    )
    assert (second.on_delete, second.priority, second.alert) == (
        Action.NO_ACTION,
        Priority.LOW,
        Alert.BELOW,
    )
    assert (len(found), list(found)) == (2, [first, second])


def test_relationships_have_names() -> None:
    first, second = relationships.parse(GOOD, FILE).items
    assert first.id == "public.orders(customer_id) -> public.customers(id)"
    assert (first.label, first.target) == ("orders.customer_id", "customers.id")
    assert first.constraint_name == "fk_orders_customer_id"
    assert second.id == "sales.order lines(tenant_id, order_id) -> sales.orders(tenant, id)"
    assert second.label == "sales.order lines.(tenant_id, order_id)"
    assert second.target == "sales.orders.(tenant, id)"


def test_exceptions_belong_to_their_relationship_until_their_review() -> None:
    found = relationships.parse(GOOD, FILE)
    first, second = found.items
    exemption = Exemption("public.orders(customer_id)", "DBA", "legacy rows", date(2026, 1, 1))
    assert found.exception_for(first) == exemption
    assert found.exception_for(second) is None
    assert not exemption.overdue(date(2026, 1, 1))
    assert exemption.overdue(date(2026, 1, 2))


def test_an_exception_may_name_the_whole_relationship() -> None:
    whole = GOOD.replace(
        '"public.orders(customer_id)"', '"public.orders(customer_id) -> public.customers(id)"'
    )
    found = relationships.parse(whole, FILE)
    assert found.exception_for(found.items[0]) is not None


def test_priorities_and_alerts_are_ordered() -> None:
    assert [p.rank for p in Priority] == [0, 1, 2, 3]
    assert [a.rank for a in Alert] == [0, 1, 2]


def test_the_projects_own_file_is_read() -> None:
    found = relationships.read(ROOT / "runbook" / "telecore" / "relationships.toml")
    assert sum(item.group == "core" for item in found) == 45


# --- bad input ----------------------------------------------------------------------------------

SECOND = GOOD.index("[[relationship]]", GOOD.index("[[relationship]]") + 1)
ONE = GOOD[:SECOND]

FAULTS: dict[str, tuple[str, str, str]] = {
    "malformed": (
        GOOD.replace('parent = "customers"', "parent = customers"),
        "relationships.toml:5: not valid TOML: invalid value",
        MEND,
    ),
    "unfinished": (
        'x = """\n',
        "relationships.toml:1: not valid TOML: unterminated string",
        MEND,
    ),
    "key twice": (
        GOOD.replace('group = "core"', 'parent = "x"'),
        "relationships.toml:10: not valid TOML: cannot overwrite a value",
        MEND,
    ),
    "unknown key": (
        GOOD.replace('references = ["tenant"', 'refers = ["tenant"'),
        "relationships.toml:14: relationship[1].references: field required",
        ADD,
    ),
    "unknown key beside the right ones": (
        GOOD.replace('group = "core"', 'grup = "core"'),
        "relationships.toml:10: relationship[0].grup: extra inputs are not permitted",
        REMOVE,
    ),
    "unknown table": (
        GOOD + "[[relation]]\n",
        "relationships.toml:28: relation: extra inputs are not permitted",
        REMOVE,
    ),
    "missing key": (
        GOOD.replace('parent = "customers"\n', ""),
        "relationships.toml:2: relationship[0].parent: field required",
        ADD,
    ),
    "bad action": (
        GOOD.replace('"cascade"', '"cascades"'),
        (
            "relationships.toml:7: relationship[0].on_delete: input should be 'no action',"
            " 'restrict', 'cascade', 'set null' or 'set default', got 'cascades'"
        ),
        CORRECT,
    ),
    "bad priority": (
        GOOD.replace('priority = "critical"', "priority = 1"),
        (
            "relationships.toml:8: relationship[0].priority: input should be 'critical', 'high',"
            " 'medium' or 'low', got 1"
        ),
        CORRECT,
    ),
    "bad alert": (
        GOOD.replace('alert = "warning"', 'alert = "Warning"'),
        (
            "relationships.toml:9: relationship[0].alert: input should be 'critical', 'warning' or"
            " 'below', got 'Warning'"
        ),
        CORRECT,
    ),
    "columns as text": (
        GOOD.replace('columns = ["customer_id"]', 'columns = "customer_id"'),
        (
            "relationships.toml:4: relationship[0].columns: input should be a valid tuple,"
            " got 'customer_id'"
        ),
        CORRECT,
    ),
    "no columns": (
        GOOD.replace('columns = ["customer_id"]', "columns = []"),
        (
            "relationships.toml:4: relationship[0].columns: tuple should have at least 1 item after"
            " validation, not 0, got []"
        ),
        CORRECT,
    ),
    "a column that is no text": (
        GOOD.replace('"order_id"', "7"),
        "relationships.toml:16: relationship[1].columns[1]: input should be a valid string, got 7",
        CORRECT,
    ),
    "different lengths": (
        GOOD.replace('["tenant", "id"]', '["id"]'),
        (
            "relationships.toml:14: relationship[1]: 2 columns refer to 1 columns,"
            " expected the same number"
        ),
        CORRECT,
    ),
    "no table name": (
        GOOD.replace('parent = "sales.orders"', 'parent = "prod.sales.orders"'),
        (
            "relationships.toml:20: relationship[1].parent: not a table name: 'prod.sales.orders',"
            " expected schema.table"
        ),
        CORRECT,
    ),
    "NUL": (
        GOOD.replace('child = "orders"', 'child = "ord\\u0000ers"'),
        (
            "relationships.toml:3: relationship[0].child: a name cannot hold a NUL character:"
            " 'ord\\x00ers'"
        ),
        CORRECT,
    ),
    "twice": (
        ONE + ONE,
        (
            "relationships.toml:15: relationship[1]: 'public.orders(customer_id) ->"
            " public.customers(id)' is already declared at line 2"
        ),
        "remove one of the two",
    ),
    "twice in another order": (
        GOOD
        + '[[relationship]]\nchild = \'sales."order lines"\'\ncolumns = ["order_id", "tenant_id"]\n'
        + 'parent = "sales.orders"\nreferences = ["id", "tenant"]\n',
        (
            "relationships.toml:28: relationship[2]: 'sales.order lines(order_id, tenant_id) ->"
            " sales.orders(id, tenant)' is already declared at line 14"
        ),
        "remove one of the two",
    ),
    "unknown target of an exception": (
        GOOD.replace('"public.orders(customer_id)"', '"orders(customer_id)"'),
        "relationships.toml:24: exception[0].relationship: no relationship 'orders(customer_id)'",
        "write it as child(columns), as in 'public.orders(customer_id)'",
    ),
    "exception without an owner": (
        GOOD.replace('owner = "DBA"\n', ""),
        "relationships.toml:23: exception[0].owner: field required",
        ADD,
    ),
    "exception with no date": (
        GOOD.replace("2026-01-01", '"soon"'),
        (
            "relationships.toml:27: exception[0].review_by: input should be a valid date or"
            " datetime, input is too short, got 'soon'"
        ),
        CORRECT,
    ),
    "exception with an impossible date": (
        GOOD.replace("2026-01-01", "2026-02-30"),
        "relationships.toml:27: not valid TOML: invalid date or datetime",
        MEND,
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_with_its_line_and_key(fault: str) -> None:
    text, message, hint = FAULTS[fault]
    with pytest.raises(FileError) as caught:
        relationships.parse(text, FILE)
    assert (caught.value.message, caught.value.hint) == (message, hint)
    assert caught.value.exit_code == 2
    assert caught.value.path == FILE


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "relationships.toml"
    with pytest.raises(UsageError) as caught:
        relationships.read(path)
    assert str(caught.value) == f"{path}: no such file\nhint: name the right file in runbook.toml"
    assert caught.value.exit_code == 2


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        relationships.read(tmp_path)
    assert caught.value.message == f"{tmp_path}: cannot be read: Is a directory"


def test_another_encoding_is_named(tmp_path: Path) -> None:
    path = tmp_path / "relationships.toml"
    path.write_bytes("# first\n# Größe\n".encode("latin-1"))
    with pytest.raises(UsageError) as caught:
        relationships.read(path)
    assert str(caught.value) == (
        f"{path}:2: not UTF-8 text: b'\\xf6'\nhint: save the file in the encoding UTF-8"
    )
