"""Disposable copies of a test's place, and rehearsals on them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from runbook import disposable
from runbook.disposable import Copy
from runbook.environment import Change
from runbook.migration.plan import Plan
from runbook.rehearsal import rehearse as rehearsing
from runbook.rehearsal.outcome import Rehearsal
from tests.migrations import QUICK
from tests.places import Place

TABLES = """
    CREATE TABLE customers (id int PRIMARY KEY, name text);
    CREATE TABLE orders (id int PRIMARY KEY, customer_id int);
    INSERT INTO customers SELECT n, 'c' || n FROM generate_series(1, 100) n;
    INSERT INTO orders SELECT n, 1 + n % 100 FROM generate_series(1, 1000) n;
"""
ORPHANS = "INSERT INTO orders VALUES (5001, 900), (5002, 901), (5003, 901)"


@contextmanager
def copied(place: Place, admin: str, **wanted: object) -> Iterator[Copy]:
    """A copy of the place's database on the tests' own server, which ``admin`` administers."""
    request = disposable.Wanted(into=admin, schemas=(place.schema,))
    with disposable.copied(place.environment(), replace(request, **wanted)) as copy:  # type: ignore[arg-type]
        yield copy


def rehearsed(copy: Copy, plan: Plan, change: Change = QUICK, **values: object) -> Rehearsal:
    """Rehearse without kills, unless asked for, and with little load before."""
    request = rehearsing.Request("20260102T030405Z", change, writers=2, before=0.3, kill=False)
    asked = replace(request, **values)  # type: ignore[arg-type]
    return rehearsing.rehearse(plan, copy, asked, lambda _: None, lambda _n, _text: None)


@contextmanager
def held_up(copy: Copy, statement: str, seconds: float) -> Iterator[None]:
    """Meanwhile a transaction on the copy has done ``statement`` and goes on for ``seconds``."""
    begun = threading.Event()

    def hold() -> None:
        with copy.administer() as session, session.transaction():
            session.execute(statement.encode())
            begun.set()
            time.sleep(seconds)

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    assert begun.wait(20)
    try:
        yield
    finally:
        thread.join()
