"""``runbook prisma compare``: what it prints, its exit codes, and that errors name their place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Connect
from tests.places import Dsn
from tests.starting import Beginner, database_of

pytestmark = pytest.mark.slow

PROJECT = """
[project]
title = "Shop"
relationships = "relationships.toml"

[environments.shop]
reader = { variable = "STAGING_DATABASE_URL" }
gate = "ready"

[[gate]]
name = "ready"
title = "Ready"
"""
DATABASE = """
CREATE TABLE customers (id int PRIMARY KEY);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL, note varchar(80) NOT NULL);
"""
SCHEMA = """\
model Customer {
  id     Int     @id
  orders Order[]
  @@map("customers")
}

model Order {
  id         Int      @id
  customerId Int      @map("customer_id")
  customer   Customer @relation(fields: [customerId], references: [id])
  note       String?  @db.VarChar(80)
  @@map("orders")
}
"""
MISSING = {
    "kind": "not in the database",
    "subject": "public.orders(customer_id) -> public.customers(id)",
    "prisma": "Order.customer",
    "database": "no foreign key",
    "place": "schema.prisma:10:3",
}
OPTIONAL = {
    "kind": "another nullability",
    "subject": "public.orders.note",
    "prisma": "NULL allowed",
    "database": "NOT NULL",
    "place": "schema.prisma:11:3",
}


@pytest.fixture(scope="module")
def shop(connect: Connect, dsn: Dsn) -> Iterator[str]:
    with database_of(connect, dsn, DATABASE) as text:
        yield text


@pytest.fixture
def beginner(tmp_path: Path, shop: str) -> Beginner:
    (tmp_path / "runbook.toml").write_text(PROJECT)
    (tmp_path / "relationships.toml").write_text("")
    (tmp_path / "schema.prisma").write_text(SCHEMA)
    return Beginner(tmp_path, shop)


def test_differences_are_printed_by_kind(beginner: Beginner) -> None:
    done = beginner.connected(
        "prisma", "compare", "shop", "--schema", "schema.prisma", COLUMNS="120"
    )
    assert done.returncode == 1, done.stderr
    assert [" ".join(line.split()) for line in done.stdout.splitlines()] == [
        "not in the database (1)",
        "what schema.prisma database line",
        "public.orders(customer_id) -> public.customers(id) Order.customer no foreign key 10",
        "another nullability (1)",
        "what schema.prisma database line",
        "public.orders.note NULL allowed NOT NULL 11",
        "1 relation of 2 models compared: 2 differences",
    ]


def test_json_has_the_same(beginner: Beginner) -> None:
    done = beginner.connected("prisma", "compare", "shop", "--schema", "schema.prisma", "--json")
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout) == [MISSING, OPTIONAL]


def test_what_agrees_ends_with_zero(beginner: Beginner) -> None:
    text = SCHEMA.replace("String? ", "String ")
    text = text.replace(
        "  customer   Customer @relation(fields: [customerId], references: [id])\n", ""
    )
    (beginner.folder / "schema.prisma").write_text(text.replace("  orders Order[]\n", ""))
    done = beginner.connected("prisma", "compare", "shop", "--schema", "schema.prisma")
    assert (done.returncode, done.stdout) == (
        0,
        "0 relations of 2 models compared: 0 differences\n",
    )


@pytest.mark.parametrize(
    ("text", "error", "hint"),
    [
        (
            "model A {\n  id Int @id @\n}",
            "schema.prisma:2:15: expected a name, got the end of the line",
            "write the attribute's name after its mark",
        ),
        (
            SCHEMA.replace("[customerId]", "[cId]"),
            "schema.prisma:10:24: Order.customer: Order has no field 'cId' that is a column",
            "correct the name in @relation",
        ),
    ],
)
def test_an_error_is_told_before_anything_is_asked(
    beginner: Beginner, text: str, error: str, hint: str
) -> None:
    (beginner.folder / "schema.prisma").write_text(text)
    done = beginner("prisma", "compare", "shop", "--schema", "schema.prisma")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [f"error: {error}", f"hint: {hint}"]


def test_no_file(beginner: Beginner) -> None:
    done = beginner("prisma", "compare", "shop", "--schema", "none.prisma")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: none.prisma: no such file",
        "hint: name schema.prisma, or the folder of its files",
    ]
