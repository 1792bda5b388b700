"""``runbook migrate plan`` and ``apply``: exit codes, messages, who may, and what is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runbook.migration.plan import Plan
from runbook.rehearsal.outcome import Rehearsal
from tests.migration_project import CHANGE, PROTECTED, TABLES, Shop
from tests.places import Dsn, Place

NO_REHEARSAL = ("--no-rehearsal", "a test")


@pytest.fixture
def shop(place: Place, dsn: Dsn, tmp_path: Path) -> Shop:
    place.run(TABLES)
    found = Shop(tmp_path, place, dsn)
    found.write()
    return found


def test_plan_and_apply_bring_the_key_and_a_second_apply_does_nothing(shop: Shop) -> None:
    planned = shop.migrate("plan", "shop")
    assert (planned.returncode, planned.stdout) == (
        0,
        (
            "shop: 1 relationship, 4 steps: 1 index, 1 add, 1 validate, 1 prove\n"
            f"plan: {shop.newest('plan')}\n"
        ),
    ), planned.stderr
    applied = shop.migrate("apply", "shop", *NO_REHEARSAL)
    assert (applied.returncode, applied.stdout) == (
        0,
        f"shop: 3 steps changed the database\nlog: {shop.newest('apply')}\n",
    ), applied.stderr
    log = shop.document("apply")
    assert (log["unrehearsed"], log["plan_id"]) == ("a test", shop.newest("plan").name)
    again = shop.migrate("apply", "shop", *NO_REHEARSAL)
    assert (again.returncode, again.stdout) == (
        0,
        f"shop: nothing was left to change\nlog: {shop.newest('apply')}\n",
    )
    third = shop.migrate("plan", "shop")
    assert third.stdout.startswith("shop: 0 relationships, 0 steps: nothing to do\n")


def test_orphan_rows_end_with_1_and_leave_the_key_not_valid(shop: Shop) -> None:
    shop.place.run("INSERT INTO orders VALUES (5001, 700), (5002, 701)")
    planned = shop.migrate("plan", "shop")
    assert planned.returncode == 1
    assert "  003-remediate  remediate the orphan rows of" in planned.stdout
    applied = shop.migrate("apply", "shop", *NO_REHEARSAL)
    label = f"{shop.place.schema}.orders(customer_id) -> {shop.place.schema}.customers(id)"
    waits = "waiting for remediation"
    assert (applied.returncode, applied.stdout) == (
        1,
        (
            "shop: 2 steps changed the database\n"
            f"  003-remediate  {label}: {waits}, 2 orphan rows\n"
            f"  004-validate  {label}: {waits}, after 003-remediate: {waits}\n"
            f"  005-prove  {label}: {waits}, after 003-remediate: {waits}\n"
            f"log: {shop.newest('apply')}\n"
        ),
    ), applied.stderr
    assert not shop.place.key().validated
    shop.place.run("DELETE FROM orders WHERE id > 5000")
    assert shop.migrate("apply", "shop", *NO_REHEARSAL).returncode == 0
    assert shop.place.key().validated


def refusal(shop: Shop, *arguments: str) -> tuple[int, str]:
    done = shop.migrate("apply", "shop", *arguments)
    return done.returncode, done.stderr


def test_an_environment_without_change_is_never_changed(shop: Shop) -> None:
    shop.write("")
    assert refusal(shop, *NO_REHEARSAL) == (
        2,
        (
            "error: environment 'shop' allows no changes\n"
            "hint: add change = { … } to [environments.shop] in runbook.toml\n"
        ),
    )


def test_there_is_nothing_to_apply_without_a_plan(shop: Shop) -> None:
    assert refusal(shop, *NO_REHEARSAL) == (
        2,
        "error: environment 'shop' has no plan\nhint: runbook migrate plan shop\n",
    )
    shop.migrate("plan", "shop")
    name = shop.newest("plan").name
    assert refusal(shop, "--plan", "x") == (
        2,
        (
            f"error: environment 'shop' has no plan 'x', the newest is {name!r}\n"
            "hint: name the folder of a plan, or leave --plan out\n"
        ),
    )


def test_a_protected_environment_is_changed_with_its_name_alone(shop: Shop) -> None:
    shop.write(f"{CHANGE}\n{PROTECTED}")
    shop.migrate("plan", "shop")
    assert refusal(shop, *NO_REHEARSAL) == (
        2,
        (
            "error: environment 'shop' is protected, and this changes it\n"
            "hint: with the consent of the DBA on call: add --confirm shop\n"
        ),
    )
    assert refusal(shop, *NO_REHEARSAL, "--confirm", "staging") == (
        2,
        (
            "error: --confirm 'staging' is not the environment, expected 'shop'\n"
            "hint: confirm the environment that you mean\n"
        ),
    )
    assert refusal(shop, *NO_REHEARSAL, "--confirm", "shop")[0] == 0


def rehearsed(shop: Shop, ago: timedelta, passed: bool = True, digest: str = "") -> str:
    """Write a rehearsal of the newest plan; returns its id."""
    folder = shop.newest("plan")
    plan = Plan.model_validate_json((folder / "plan.json").read_text(encoding="utf-8"))
    found = Rehearsal.model_validate(
        {
            "plan_id": folder.name,
            "plan_digest": digest or plan.digest,
            "finished": datetime.now(UTC) - ago,
            "passed": passed,
        }
    )
    name = "20260101T000000Z"
    target = shop.folder / "changes" / "shop" / "rehearsal" / name
    target.mkdir(parents=True, exist_ok=True)
    (target / "rehearsal.json").write_text(found.model_dump_json(), encoding="utf-8")
    return name


REHEARSED = "the rehearsal {r!r} of plan {p!r}"
HINT = "hint: runbook migrate rehearse shop, or --no-rehearsal with a reason\n"


@pytest.mark.parametrize(
    ("ago", "passed", "digest", "why"),
    [
        (timedelta(hours=3), True, "", f"{REHEARSED} is 3 h old, expected at most 2 h"),
        (timedelta(0), False, "", f"{REHEARSED} failed"),
        (timedelta(0), True, "other", "environment 'shop': plan {p!r} was not rehearsed"),
    ],
)  # fmt: skip
def test_a_plan_has_to_be_rehearsed(
    shop: Shop, ago: timedelta, passed: bool, digest: str, why: str
) -> None:
    shop.migrate("plan", "shop")
    name = rehearsed(shop, ago, passed, digest)
    why = why.format(r=name, p=shop.newest("plan").name)
    assert refusal(shop) == (2, f"error: {why}\n{HINT}")


def test_a_reason_of_blanks_is_none(shop: Shop) -> None:
    shop.migrate("plan", "shop")
    why = f"environment 'shop': plan {shop.newest('plan').name!r} was not rehearsed"
    assert refusal(shop, "--no-rehearsal", "  ") == (2, f"error: {why}\n{HINT}")


def test_the_log_names_the_rehearsal(shop: Shop) -> None:
    shop.migrate("plan", "shop")
    name = rehearsed(shop, timedelta(hours=1))
    assert refusal(shop)[0] == 0
    assert (shop.document("apply")["rehearsal"], shop.document("apply")["unrehearsed"]) == (
        name,
        "",
    )


def test_a_plan_of_another_database_is_refused(shop: Shop) -> None:
    shop.migrate("plan", "shop")
    path = shop.newest("plan") / "plan.json"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(f'"{shop.place.database}"', '"elsewhere"'), encoding="utf-8")
    assert refusal(shop, *NO_REHEARSAL)[1].endswith(
        f"error: the plan is of database 'elsewhere', and the owner is connected to"
        f" {shop.place.database!r}\n"
        "hint: let the owner's connection lead to the database that the plan is of\n"
    )


def test_a_plan_for_part_of_it(shop: Shop) -> None:
    assert shop.migrate("plan", "shop", "--only", "orders").returncode == 0
    missed = shop.migrate("plan", "shop", "--only", "nothing")
    assert (missed.returncode, missed.stderr.partition("error: ")[2]) == (
        2,
        (
            "no relationship whose name holds 'nothing'\n"
            "hint: names look like public.orders(customer_id) -> public.customers(id)\n"
        ),
    )


def test_what_was_not_counted_is_not_called_clean(shop: Shop) -> None:
    done = shop.migrate("plan", "shop", "--no-count")
    assert done.returncode == 0
    assert "003-remediate  remediate the orphan rows of" in done.stdout
    assert "they were not counted" in done.stdout
