"""What could take rows that nobody keeps, go on for ever, or run somebody else's code."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.remedies import Ward, ward

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

__all__ = ["ward"]  # a fixture

ORDERS = ("orders.customer_id", "--strategy")
KEYLESS = ("--without-key", "a test")
APPLY = ("--apply", "--reason", "a test")


# --- rows that go with theirs --------------------------------------------------------------------


@pytest.mark.parametrize(("child", "key"), [("items", "items_1"), ("items_1", "items")])
def test_rows_that_refer_by_a_partition_or_to_the_whole_are_dependents(
    ward: Ward, child: str, key: str
) -> None:
    """Their ON DELETE CASCADE would take them, and no quarantine would have them."""
    ward.place.run(
        f"""
        CREATE TABLE items (id int PRIMARY KEY, customer_id int) PARTITION BY RANGE (id);
        CREATE TABLE items_1 PARTITION OF items FOR VALUES FROM (0) TO (100) PARTITION BY HASH (id);
        CREATE TABLE items_1a PARTITION OF items_1 FOR VALUES WITH (MODULUS 1, REMAINDER 0);
        CREATE TABLE notes (id int PRIMARY KEY, item_id int REFERENCES {key} ON DELETE CASCADE);
        INSERT INTO items VALUES (1, 1), (2, 77), (3, 78);
        INSERT INTO notes VALUES (1, 2);
        """
    )
    ward.relate(child, "customer_id", "customers", "cascade")
    words = (f"{child}.customer_id", "--strategy", "delete", *KEYLESS, *APPLY)
    assert ward(*words) == (
        2,
        (
            f"1 rows of {ward.place.schema}.notes(item_id) refer to rows that delete would remove\n"
            "hint: mend those first, or use reassign, restore or flag"
        ),
    )
    assert ward.ask("SELECT id FROM items ORDER BY id") == [(1,), (2,), (3,)]
    assert ward.ask("SELECT * FROM notes") == [(1, 2)]


# --- triggers that undo it -----------------------------------------------------------------------


def trigger(ward: Ward, when: str, body: str) -> None:
    ward.place.run(
        "CREATE FUNCTION back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" {body.format(schema=ward.place.schema)} END $$;"
        f"CREATE TRIGGER back {when} FOR EACH ROW EXECUTE FUNCTION back()"
    )


@pytest.mark.parametrize(
    ("strategy", "when", "body", "said"),
    [
        (
            ("set-null",),
            "BEFORE UPDATE ON orders",
            "new.customer_id := old.customer_id; RETURN new;",
            "are orphan rows as before",
        ),
        (
            ("reassign", "--to", "1"),
            "BEFORE UPDATE ON orders",
            "new.customer_id := 99; RETURN new;",
            "are orphan rows as before",
        ),
        (
            ("quarantine",),
            "AFTER DELETE ON orders",
            'INSERT INTO "{schema}".orders SELECT old.*; RETURN NULL;',
            "are there again",
        ),
        (
            ("restore", "--from-table", "{schema}.backup"),
            "BEFORE INSERT ON customers",
            "new.id := new.id + 1000; RETURN new;",
            "are parents of no row",
        ),
    ],
)
def test_a_trigger_that_undoes_a_batch_ends_it(
    ward: Ward, strategy: tuple[str, ...], when: str, body: str, said: str
) -> None:
    """The next batch would find the same rows, and so on for ever."""
    ward.place.run("CREATE TABLE backup AS SELECT n AS id FROM generate_series(3, 4) n")
    ward.relate("orders", "customer_id", "customers", "set null")
    table = when.rsplit(maxsplit=1)[-1]
    trigger(ward, when, body)
    before = ward.dump("orders"), ward.dump("customers")
    words = [word.format(schema=ward.place.schema) for word in (*ORDERS, *strategy)]
    found = ward(*words, *KEYLESS, *APPLY)
    wanted = ward.last().id
    assert found == (
        3,
        (
            f"remediation {wanted}: 2 of the rows of a batch {said}: a trigger of"
            f" {ward.place.schema}.{table} stands against it\n"
            "hint: disable the trigger for as long as it takes: nothing of this batch was kept; the"
            f" same command goes on, or --undo {wanted} takes back the batches before"
        ),
    )
    assert (ward.dump("orders"), ward.dump("customers")) == before
    assert (ward.last().rows, ward.last().state) == (0, "unfinished")
    ward.place.run(f"ALTER TABLE {table} DISABLE TRIGGER back")
    assert ward.apply(*words, *KEYLESS, code=int(table == "customers")) == wanted


# --- others in the database ----------------------------------------------------------------------


@pytest.fixture
def caught(ward: Ward) -> Iterator[Ward]:
    """Functions of somebody who may make some in ``public``, better matches than PostgreSQL's."""
    ward.place.run(
        """
        CREATE TABLE public.caught (name text);
        GRANT INSERT ON public.caught TO public;
        CREATE FUNCTION public.counted(bigint, int) RETURNS bigint LANGUAGE plpgsql AS
          'BEGIN INSERT INTO public.caught VALUES (''count''); RETURN $1 + 1; END';
        CREATE AGGREGATE public.count(int) (sfunc = public.counted, stype = bigint, initcond = '0');
        CREATE FUNCTION public.make_interval(secs numeric) RETURNS interval LANGUAGE plpgsql AS
          'BEGIN INSERT INTO public.caught VALUES (''interval''); RETURN ''0''; END';
        """,
        role=None,
    )
    yield ward
    ward.place.run(
        "DROP TABLE public.caught; DROP AGGREGATE public.count(int);"
        "DROP FUNCTION public.counted(bigint, int), public.make_interval(numeric)",
        role=None,
    )


def test_nobody_elses_function_is_called_with_the_owners_rights(caught: Ward) -> None:
    caught.relate("orders", "customer_id", "customers")
    words = (*ORDERS, "quarantine", "--minimum-age", "0s", *KEYLESS)
    assert caught(*words)[0] == 1
    wanted = caught.apply(*words)
    assert caught.undo(wanted)[0] == 0
    assert caught.ask("SELECT * FROM public.caught", role=None) == []


@pytest.mark.parametrize("when", ["at once", "deferred"])
def test_a_trigger_finds_what_is_on_the_path_of_its_role(ward: Ward, when: str) -> None:
    """A trigger of the application may name a table without its schema."""
    ward.place.run(
        """
        CREATE TABLE public.journal (id int);
        GRANT ALL ON public.journal TO public;
        """,
        role=None,
    )
    ward.place.run(
        """
        CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          IF TG_OP = 'DELETE' THEN INSERT INTO journal VALUES (old.id); RETURN old; END IF;
          INSERT INTO journal VALUES (-new.id); RETURN new;
        END $$;
        """
        + (
            "CREATE CONSTRAINT TRIGGER noted AFTER INSERT OR DELETE ON orders"
            " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION noted()"
            if when == "deferred"
            else "CREATE TRIGGER noted BEFORE INSERT OR DELETE ON orders FOR EACH ROW"
            " EXECUTE FUNCTION noted()"
        )
    )
    ward.relate("orders", "customer_id", "customers")
    try:
        wanted = ward.apply(*ORDERS, "quarantine", *KEYLESS)
        assert ward.ask("SELECT count(*), sum(id) FROM public.journal", None) == [(5, 25)]
        assert ward.undo(wanted)[0] == 0
        assert ward.ask("SELECT count(*), sum(id) FROM public.journal", None) == [(10, 0)]
    finally:
        ward.place.run("DROP TABLE public.journal", role=None)


@pytest.mark.parametrize("thing", ["schema", "register"])
def test_what_another_role_made_is_not_used(ward: Ward, thing: str) -> None:
    """A trigger on its register would run with the owner's rights."""
    owner = "telecore_reader" if thing == "schema" else "telecore_owner"
    ward.place.run(
        f"CREATE SCHEMA runbook_quarantine AUTHORIZATION {owner};"
        "GRANT ALL ON SCHEMA runbook_quarantine TO public",
        role=None,
    )
    if thing == "register":
        ward.place.run("CREATE VIEW runbook_quarantine.remediation AS SELECT", "telecore_reader")
    ward.relate("orders", "customer_id", "customers")
    refusal = (
        2,
        (
            "schema 'runbook_quarantine' belongs to the role 'telecore_reader', of which this one"
            " is no member\n"
            "hint: connect as the role that made it, or let an administrator give it away"
        ),
    )
    if thing == "register":
        refusal = (2, refusal[1].replace("schema '", "the register in schema '", 1))
    try:
        assert ward(*ORDERS, "quarantine", *KEYLESS, *APPLY) == refusal
        assert ward("--list") == refusal
        assert ward.ask("SELECT count(*) FROM orders") == [(7,)]
    finally:
        ward.place.run("DROP SCHEMA runbook_quarantine CASCADE", role=None)


def test_default_privileges_give_the_kept_rows_to_nobody(ward: Ward) -> None:
    defaults = "ALTER DEFAULT PRIVILEGES FOR ROLE telecore_owner"
    kinds = ("SELECT ON TABLES", "USAGE ON SCHEMAS")
    to = "PUBLIC, pg_read_all_stats"
    ward.place.run(";".join(f"{defaults} GRANT {kind} TO {to}" for kind in kinds), role=None)
    ward.relate("orders", "customer_id", "customers")
    try:
        ward.apply(*ORDERS, "quarantine", *KEYLESS)
    finally:
        ward.place.run(";".join(f"{defaults} REVOKE {kind} FROM {to}" for kind in kinds), role=None)
    assert ward.ask(
        """
        SELECT DISTINCT g.grantee::regrole::text
          FROM (SELECT relacl FROM pg_class WHERE relnamespace = 'runbook_quarantine'::regnamespace
                 UNION ALL
                SELECT nspacl FROM pg_namespace WHERE nspname = 'runbook_quarantine') o (acl)
         CROSS JOIN aclexplode(o.acl) g
        """
    ) == [("telecore_owner",)]
