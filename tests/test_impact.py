"""What keys cost is measured on a copy, with and without them, and judged by the limits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from bs4 import BeautifulSoup

from runbook import impact, impact_report
from runbook.disposable import Copy
from runbook.errors import IncompleteError
from runbook.impact import measuring, timing
from runbook.impact.measuring import Request
from runbook.impact.missing_index import missing_index
from runbook.impact.outcome import ImpactFound, Judgement, MissingIndex, Series
from runbook.relationships import Relationship
from tests.copies import ORPHANS, TABLES, copied
from tests.places import Place

pytestmark = pytest.mark.slow

MORE = """;
    CREATE TABLE shops (id int PRIMARY KEY, name text);
    INSERT INTO shops SELECT n, 's' || n FROM generate_series(1, 20) n;
    ALTER TABLE orders ADD shop_id int REFERENCES shops;
    UPDATE orders SET shop_id = 1 + id % 20;
"""


@pytest.fixture
def items(place: Place) -> tuple[Relationship, ...]:
    place.run(TABLES + MORE)
    return (
        place.relationship("orders", "customer_id", "customers", "id"),
        place.relationship("orders", "shop_id", "shops", "id"),
    )


@pytest.fixture
def copy(place: Place, admin_dsn: str, items: tuple[Relationship, ...]) -> Iterator[Copy]:
    assert items
    place.run(ORPHANS.replace("orders", "orders (id, customer_id)"))
    with copied(place, admin_dsn) as made:
        yield made


def measured(copy: Copy, items: tuple[Relationship, ...], **values: Any) -> ImpactFound:
    request = Request("scratch", seconds=0.4, **values)
    return measuring.measure(copy, items, request, lambda _: None)


@pytest.mark.slow
def test_every_write_is_measured_with_and_without_the_keys(
    copy: Copy, items: tuple[Relationship, ...], place: Place
) -> None:
    found = measured(copy, items, accepted_ms=1000.0, rollback_ms=2000.0)
    s = place.schema
    assert found.table == f"{s}.orders"
    assert found.keys == (f"{s}.orders.customer_id", f"{s}.orders.shop_id")
    assert (found.rows, found.quarantined) == (1000, 3)
    warm = {(x.operation, x.writers, x.keys) for x in found.series}
    names = ("insert", "update", "delete", "parent insert", "parent delete", timing.COPY)
    assert warm == {(n, w, k) for n in names for w in (1, 2, 4) for k in (False, True)}
    assert {x.temperature for x in found.series} == {"warm"}
    assert found.cold == "not measured: a server that was given is not restarted"
    for series in found.series:
        assert 0 < series.p50_ms <= series.p95_ms <= series.p99_ms
        assert series.per_second is not None
        assert series.per_second > 0
    insert, update, delete = found.triggers
    assert insert.triggers_ms > 0
    assert update.triggers_ms > 0
    assert delete.triggers_ms == 0  # the child's delete asks nobody
    assert found.judgement is Judgement.WITHIN
    assert found.exit_code == 0
    assert ImpactFound.model_validate_json(found.model_dump_json()) == found


def test_a_missing_index_makes_a_parents_delete_slow(
    copy: Copy, items: tuple[Relationship, ...], place: Place
) -> None:
    with copy.administer() as session:
        session.execute(
            f"INSERT INTO {place.schema}.orders SELECT n, 1 FROM generate_series(10000, 60000) n;"
            f"DELETE FROM {place.schema}.orders WHERE customer_id >= 900;"
            f"CREATE INDEX ready ON {place.schema}.orders (customer_id); ANALYZE"
        )
    found = missing_index(copy, copy.database, items[:1])
    assert found.reason == ""
    assert found.relationship == f"{place.schema}.orders.customer_id"
    assert found.child_rows == 51001
    assert found.with_index_ms is not None
    assert found.without_index_ms is not None
    assert found.without_index_ms > 2 * found.with_index_ms


def test_a_missing_index_that_cannot_be_measured_says_why(place: Place, admin_dsn: str) -> None:
    place.run(
        "CREATE TABLE a (id bool PRIMARY KEY); INSERT INTO a VALUES (true);"
        "CREATE TABLE b (id int PRIMARY KEY, a bool)"
    )
    item = place.relationship("b", "a", "a", "id")
    with copied(place, admin_dsn) as copy:
        found = missing_index(copy, copy.database, [item])
        nothing = missing_index(copy, copy.database, [])
    assert found == MissingIndex(reason=f"{place.schema}.b.a: no copy of a parent can be made")
    assert nothing == MissingIndex(reason="no relationship between two tables")


def test_nothing_to_measure_is_said(place: Place, admin_dsn: str) -> None:
    place.run("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY, a int)")
    item = place.relationship("b", "a", "a", "id")
    with copied(place, admin_dsn) as copy:
        with pytest.raises(IncompleteError) as none:
            measured(copy, ())
        with pytest.raises(IncompleteError) as empty:
            measured(copy, (item,))
    assert none.value.message == ("environment 'scratch': no relationship that a key could enforce")
    assert none.value.hint == "declare relationships between tables that are there"
    assert empty.value.message == f"{place.schema}.b: has no rows: its rows cannot be copied"
    assert empty.value.hint == "measure on an environment with more rows"


def test_a_writer_that_fails_is_said(copy: Copy, place: Place, items: tuple[Any, ...]) -> None:
    with copy.administer() as session:
        session.execute(
            "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'never'; END $$;"
            f"CREATE TRIGGER no BEFORE INSERT ON {place.schema}.orders FOR EACH ROW"
            " EXECUTE FUNCTION no()"
        )
    with pytest.raises(IncompleteError) as caught:
        measured(copy, items)
    assert caught.value.message == "a writer failed while the keys were measured: never (P0001)"
    assert caught.value.hint == "measure with --sample-rows, or mend what its rows break"


def series(operation: str, keys: bool, p50: float, writers: int = 1) -> Series:
    return Series(
        operation=operation,
        writers=writers,
        temperature="warm",
        keys=keys,
        count=10,
        p50_ms=p50,
        p95_ms=p50,
        p99_ms=p50,
    )


def found(cost: float | None, **values: Any) -> ImpactFound:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    pairs = () if cost is None else (
        series("insert", False, 1.0), series("insert", True, 1.5),
        series("update", False, 1.0, 4), series("update", True, 1.0 + cost, 4),
        series("parent insert", False, 0.0), series("parent insert", True, 99.0),
    )  # fmt: skip
    return ImpactFound(
        environment="e",
        started=now,
        finished=now,
        tool_version="0",
        copy_used={
            "where": "a private server",
            "server_version": 180000,
            "source_bytes": 1,
            "seconds": 1,
        },
        table="<script>",
        keys=("k",),
        rows=1,
        quarantined=0,
        seconds_each=1,
        cold="x",
        series=pairs,
        triggers=(),
        missing_index=MissingIndex(reason="y"),
        **values,
    )


@pytest.mark.parametrize(
    ("cost", "accepted", "judgement", "code"),
    [
        (10.0, 10.0, Judgement.WITHIN, 0),
        (10.1, 10.0, Judgement.ABOVE, 1),
        (20.1, 10.0, Judgement.ROLL_BACK, 1),
        (1.0, None, Judgement.NOT_JUDGED, 3),
        (None, 10.0, Judgement.NOT_JUDGED, 3),
    ],
)
def test_the_highest_cost_is_judged(
    cost: float | None, accepted: float | None, judgement: Judgement, code: int
) -> None:
    one = found(cost, accepted_ms=accepted, rollback_ms=20.0)
    assert one.highest_cost_ms == (None if cost is None else pytest.approx(max(0.5, cost)))
    assert (one.judgement, one.exit_code) == (judgement, code)


def test_the_page_has_the_estimate_the_limits_and_no_style() -> None:
    one = found(3.0, accepted_ms=10.0, rollback_ms=20.0, estimate_ms=(1.0, 5.0))
    page = BeautifulSoup(impact_report.html(one), "html.parser")
    assert page.find("script") is None
    assert page.find(style=True) is None
    text = " ".join(page.get_text().split())
    assert (
        "1 key of <script>, 1 rows: at most +3.000 ms a write (estimated +1 to +5 ms); accepted"
        " are 10 ms, rolled back above 20 ms." in text
    )
    assert "was not measured: y." in text
    assert page.find("svg") is not None


def test_percentiles_of_one_value_are_that_value() -> None:
    assert timing._percentile([3.0], 99) == 3.0


def test_the_quick_look_of_the_notebook_is_still_there() -> None:
    assert impact.busiest(()) == ()
