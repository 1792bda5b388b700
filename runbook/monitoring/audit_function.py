"""The function ``run_data_integrity_audit()``, which the schedule calls."""

from __future__ import annotations

import hashlib
from typing import LiteralString

from psycopg import sql

NAME = "run_data_integrity_audit"
OUT_OF_TIME = "out_of_time"
ALREADY_RUNNING = "already running"
DONE = "done"

# No code may end in 000: as a condition that is a whole class, and would catch the other one
# (https://www.postgresql.org/docs/current/plpgsql-control-structures.html#PLPGSQL-ERROR-TRAPPING).
BODY: LiteralString = """
DECLARE
    kept {settings}%ROWTYPE;
    item {relationships}%ROWTYPE;
    begun timestamptz := clock_timestamp();
    moment timestamptz;
    found bigint;
    said text;
    verdict text;
    stopped text;
    edge bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock({key}) THEN
        outcome := 'already running';
        RETURN;
    END IF;
    SELECT s.* INTO STRICT kept FROM {settings} AS s;
    PERFORM set_config('lock_timeout',
                       (extract(epoch FROM kept.lock_limit) * 1000)::bigint::text, true);
    SELECT coalesce(max(h.run), 0) + 1 INTO run FROM {heartbeat} AS h;
    clean := 0; orphans := 0; not_looked := 0; could_not_look := 0;
    FOR item IN SELECT r.* FROM {relationships} AS r ORDER BY r.place LOOP
        moment := clock_timestamp();
        found := NULL; said := NULL;
        IF item.query IS NULL THEN
            said := item.not_looked;
        ELSIF stopped IS NOT NULL THEN
            said := stopped;
        ELSE
            BEGIN
                EXECUTE item.query INTO STRICT found USING moment + kept.relationship_limit;
                -- undo the block, so that its locks do not last as long as the transaction
                RAISE SQLSTATE 'RB002';
            EXCEPTION
                WHEN SQLSTATE 'RB002' THEN
                    NULL;
                WHEN query_canceled THEN
                    found := NULL;
                    said := SQLERRM || ' (' || SQLSTATE || ')';
                    stopped := 'not begun: an earlier count was cancelled (' || SQLSTATE || ')';
                WHEN OTHERS THEN
                    found := NULL;
                    said := SQLERRM || ' (' || SQLSTATE || ')';
            END;
        END IF;
        IF item.query IS NULL THEN
            verdict := 'not looked'; not_looked := not_looked + 1;
        ELSIF found IS NULL THEN
            verdict := 'could not look'; could_not_look := could_not_look + 1;
            said := coalesce(said, 'the count came to nothing');
        ELSIF found = 0 THEN
            verdict := 'clean'; clean := clean + 1;
        ELSE
            verdict := 'orphans'; orphans := orphans + 1;
        END IF;
        edge := CASE item.severity WHEN 'critical' THEN kept.critical_above
                                   WHEN 'warning' THEN kept.warning_above END;
        INSERT INTO {audit_log}
               (run, relationship, severity, threshold, state, orphans, error, seconds, at)
        VALUES (run, item.relationship, item.severity, edge, verdict, found, said,
                extract(epoch FROM clock_timestamp() - moment), clock_timestamp());
    END LOOP;
    INSERT INTO {heartbeat} AS h
           (run, started_at, finished_at, clean, orphans, not_looked, could_not_look, last_success)
    VALUES (run, begun, clock_timestamp(), clean, orphans, not_looked, could_not_look,
            CASE WHEN could_not_look = 0 AND clean + orphans > 0 THEN clock_timestamp() END)
    ON CONFLICT (only_one) DO UPDATE
       SET run = excluded.run, started_at = excluded.started_at,
           finished_at = excluded.finished_at, clean = excluded.clean,
           orphans = excluded.orphans, not_looked = excluded.not_looked,
           could_not_look = excluded.could_not_look,
           last_success = coalesce(excluded.last_success, h.last_success);
    DELETE FROM {audit_log} AS a WHERE a.at < begun - kept.retention;
    outcome := 'done';
END
"""
CREATE: LiteralString = """
CREATE OR REPLACE FUNCTION {function}(
    OUT outcome text, OUT run bigint, OUT clean integer, OUT orphans integer,
    OUT not_looked integer, OUT could_not_look integer)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY INVOKER
SET search_path = pg_catalog, {schema}, pg_temp
SET row_security = off
SET lock_timeout = '2s'
SET jit = off
AS {body}
"""
OUT_OF_TIME_BODY: LiteralString = """
BEGIN
    RAISE EXCEPTION 'the time limit of a relationship is over' USING ERRCODE = 'RB001';
END
"""
CREATE_OUT_OF_TIME: LiteralString = """
CREATE OR REPLACE FUNCTION {function}() RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL SAFE SECURITY INVOKER
SET search_path = pg_catalog, pg_temp
AS {body}
"""


def key(schema: str) -> int:
    """The advisory lock that an audit and an installation of this schema take, of 64 bits."""
    text = f"fk-runbook: the monitoring in {schema}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big", signed=True)


def body(schema: str) -> sql.Composed:
    names = ("settings", "relationships", "heartbeat", "audit_log")
    tables = {name: sql.Identifier(schema, name) for name in names}
    return sql.SQL(BODY).format(key=sql.Literal(key(schema)), **tables)


def sources(schema: str) -> dict[str, str]:
    """The body of each function by its name, as ``pg_proc.prosrc`` holds it."""
    return {NAME: body(schema).as_string(None), OUT_OF_TIME: OUT_OF_TIME_BODY}


def statements(schema: str) -> dict[str, sql.Composed]:
    """The statement that makes each function, in the order in which they need each other."""
    found = sources(schema)
    return {
        OUT_OF_TIME: sql.SQL(CREATE_OUT_OF_TIME).format(
            function=sql.Identifier(schema, OUT_OF_TIME), body=sql.Literal(found[OUT_OF_TIME])
        ),
        NAME: sql.SQL(CREATE).format(
            function=sql.Identifier(schema, NAME),
            schema=sql.Identifier(schema),
            body=sql.Literal(found[NAME]),
        ),
    }
