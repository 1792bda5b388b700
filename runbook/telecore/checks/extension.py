"""The server makes UUIDs: by the extension pgcrypto, or by its own ``gen_random_uuid()``.

The function is built in since PostgreSQL 13, so pgcrypto may be absent; the ids of the 16 tables
default to it.
"""

from __future__ import annotations

from typing import LiteralString

from runbook.checks import Context, Outcome, failed, passed
from runbook.session import fetch

TITLE = "pgcrypto is installed, or gen_random_uuid() works without it"
CRITERION = ""

EXTENSION = "pgcrypto"
BUILT_IN: LiteralString = """
    SELECT pg_catalog.has_function_privilege(
        pg_catalog.to_regprocedure('pg_catalog.gen_random_uuid()'), 'execute')
"""


def run(context: Context) -> Outcome:
    installed = EXTENSION in context.schema.extensions
    built_in = bool(fetch(context.session, BUILT_IN)[0][0])
    facts = {"pgcrypto": installed, "gen_random_uuid": built_in}
    if installed:
        return passed(f"{EXTENSION} is installed", facts)
    if built_in:
        return passed(f"gen_random_uuid() works, {EXTENSION} is not installed", facts)
    return failed(f"neither {EXTENSION} nor gen_random_uuid() can be used", 1, facts)
