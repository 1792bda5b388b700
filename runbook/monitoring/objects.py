"""The objects of the monitoring's schema: tables, functions and views, each with its statement."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import LiteralString

from psycopg import sql

from runbook.monitoring import audit_function

TABLES: dict[str, LiteralString] = {
    "settings": """
        CREATE TABLE {settings} (
            only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
            version integer NOT NULL,
            digest text NOT NULL,
            installed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            run_every interval NOT NULL CHECK (run_every > '0'),
            retention interval NOT NULL CHECK (retention > '0'),
            relationship_limit interval NOT NULL CHECK (relationship_limit > '0'),
            lock_limit interval NOT NULL CHECK (lock_limit > '0'),
            critical_above bigint NOT NULL CHECK (critical_above >= 0),
            warning_above bigint NOT NULL CHECK (warning_above >= 0),
            readers text[] NOT NULL,
            schedule text NOT NULL,
            cron_database text NOT NULL
        )""",
    "relationships": """
        CREATE TABLE {relationships} (
            place integer NOT NULL,
            relationship text PRIMARY KEY,
            label text NOT NULL,
            child text NOT NULL,
            parent text NOT NULL,
            severity text NOT NULL CHECK (severity IN ('critical', 'warning', 'below')),
            query text,
            not_looked text,
            CHECK ((query IS NULL) = (not_looked IS NOT NULL))
        )""",
    "audit_log": """
        CREATE TABLE {audit_log} (
            run bigint NOT NULL,
            relationship text NOT NULL,
            severity text NOT NULL,
            threshold bigint,
            state text NOT NULL,
            orphans bigint,
            error text,
            seconds double precision NOT NULL,
            at timestamptz NOT NULL,
            PRIMARY KEY (relationship, run),
            CONSTRAINT a_count_or_a_reason CHECK (CASE state
                WHEN 'clean' THEN orphans = 0 AND error IS NULL
                WHEN 'orphans' THEN orphans > 0 AND error IS NULL
                WHEN 'could not look' THEN orphans IS NULL AND error <> ''
                WHEN 'not looked' THEN orphans IS NULL AND error <> ''
                ELSE false END IS TRUE)
        );
        CREATE INDEX audit_log_at ON {audit_log} (at)""",
    "heartbeat": """
        CREATE TABLE {heartbeat} (
            only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
            run bigint NOT NULL,
            started_at timestamptz NOT NULL,
            finished_at timestamptz NOT NULL,
            clean integer NOT NULL,
            orphans integer NOT NULL,
            not_looked integer NOT NULL,
            could_not_look integer NOT NULL,
            last_success timestamptz
        )""",
}
VIEWS: dict[str, LiteralString] = {
    "comprehensive_report": """
        CREATE VIEW {comprehensive_report} AS
        SELECT r.place, r.relationship, r.label, r.child, r.parent, r.severity,
               coalesce(l.state, 'not looked') AS state, l.orphans,
               CASE WHEN l.run IS NULL THEN 'no audit has run yet' ELSE l.error END AS error,
               l.threshold, coalesce(l.orphans > l.threshold, false) AS over_threshold,
               s.since, p.orphans AS orphans_before,
               CASE WHEN l.orphans IS NULL THEN 'unknown' WHEN p.orphans IS NULL THEN 'first'
                    WHEN l.orphans > p.orphans THEN 'rising'
                    WHEN l.orphans < p.orphans THEN 'falling' ELSE 'steady' END AS trend,
               l.seconds, l.run, l.at
          FROM {relationships} AS r
          LEFT JOIN LATERAL (
               SELECT a.* FROM {audit_log} AS a WHERE a.relationship = r.relationship
                ORDER BY a.run DESC LIMIT 1) AS l ON true
          LEFT JOIN LATERAL (
               SELECT a.orphans FROM {audit_log} AS a
                WHERE a.relationship = r.relationship AND a.run < l.run AND a.orphans IS NOT NULL
                ORDER BY a.run DESC LIMIT 1) AS p ON true
          LEFT JOIN LATERAL (
               SELECT min(a.at) AS since FROM {audit_log} AS a
                WHERE a.relationship = r.relationship AND a.run > (
                      SELECT coalesce(max(b.run), 0) FROM {audit_log} AS b
                       WHERE b.relationship = r.relationship AND b.state <> l.state)) AS s ON true
         ORDER BY r.place""",
    "dashboard": """
        CREATE VIEW {dashboard} AS
        SELECT c.severity, c.state, count(*) AS relationships,
               count(*) FILTER (WHERE c.over_threshold) AS over_threshold,
               sum(c.orphans)::bigint AS orphans, h.run, h.finished_at, h.last_success,
               clock_timestamp() - h.last_success AS age,
               clock_timestamp() - coalesce(h.last_success, s.installed_at) > 2 * s.run_every
                   AS stale
          FROM {comprehensive_report} AS c CROSS JOIN {settings} AS s
          LEFT JOIN {heartbeat} AS h ON true
         GROUP BY c.severity, c.state, h.run, h.finished_at, h.last_success, s.installed_at,
                  s.run_every
         ORDER BY array_position(ARRAY['critical', 'warning', 'below'], c.severity), c.state""",
}


class Sort(StrEnum):
    """What kind of object it is."""

    TABLE = "table"
    FUNCTION = "function"
    VIEW = "view"


@dataclass(frozen=True)
class Object:
    """An object of the schema, the statements that make it, and the digest of its text."""

    sort: Sort
    name: str
    statement: sql.Composed

    @property
    def digest(self) -> str:
        """SHA-256 (first 16 hex digits) of the statement; it is kept as the object's comment."""
        return hashlib.sha256(self.statement.as_string(None).encode()).hexdigest()[:16]


def wanted(schema: str) -> tuple[Object, ...]:
    """All objects, in the order in which they need each other."""
    names = {name: sql.Identifier(schema, name) for name in (*TABLES, *VIEWS)}

    def made(sort: Sort, texts: dict[str, LiteralString]) -> tuple[Object, ...]:
        return tuple(
            Object(sort, name, sql.SQL(text).format(**names)) for name, text in texts.items()
        )

    functions = audit_function.statements(schema).items()
    return (
        *made(Sort.TABLE, TABLES),
        *(Object(Sort.FUNCTION, name, statement) for name, statement in functions),
        *made(Sort.VIEW, VIEWS),
    )
