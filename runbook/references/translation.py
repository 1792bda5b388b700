"""Turns the refusal of a foreign key (option A) into the errors of a check (option B).

Callers then see the same error whether the application or the database found it. The server's
language does not matter. Of its messages only names are used, and what stands in the two groups of
``(columns)=(values)``, which are the same in every language.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import AsyncConnection, Connection, pq

from runbook.references import foreign_key
from runbook.references.asking import Source, Work, answered
from runbook.references.error import NO_ROW, InvalidReferenceError, StillReferencedError
from runbook.references.foreign_key import ForeignKey
from runbook.references.reference import Names, Reference, names_of

FOREIGN_KEY_VIOLATION = "23503"
RESTRICT_VIOLATION = "23001"  # PostgreSQL 18 says so for ON DELETE RESTRICT
# Key (site_id)=(s-1) is not present in table "sites".
GROUPS = re.compile(r"\((?P<columns>.+?)\)=\((?P<values>.*)\)", re.DOTALL)
# around names: "a", »a«, « a », „a“, “a”, 「a」
QUOTE = '["«»„“”‟「」『』]'
NAME = re.compile(rf"{QUOTE}\s?(.+?)\s?{QUOTE}", re.DOTALL)


@dataclass(frozen=True)
class Refusal:
    """What the server said: fields of their own, and the detail in the server's language."""

    restrict: bool
    schema: str
    table: str
    constraint: str
    message: str
    detail: str

    @property
    def child(self) -> str:
        return f"{self.schema}.{self.table}"


def from_database(
    error: psycopg.Error,
    references: Iterable[Reference] = (),
    key: ForeignKey | None = None,
) -> InvalidReferenceError | None:
    """The same refusal as an error of this package; None for any other error.

    ``key`` is what the catalog knows of the foreign key; :func:`translated` reads it. Without it
    the columns are those of the server's detail, and the parent is the table of the one of
    ``references`` with that field, as the caller writes it, or the name in the detail, which has
    no schema. The server leaves columns and value out where the role may not read them; then the
    value is None, and without ``key`` the field is the constraint's name.
    """
    said = refusal_of(error)
    return None if said is None else of_refusal(said, references, key)


def of_refusal(
    said: Refusal, references: Iterable[Reference], key: ForeignKey | None
) -> InvalidReferenceError:
    """The error of a refusal."""
    field: Names
    if key is not None:
        delete = said.restrict or _names_the_parents_columns(said, key)
        field = key.references if delete else key.columns
        value = _value(said, field, said.table if delete else key.parent)
        parent = key.table
    else:
        found = GROUPS.search(said.detail)
        delete = said.restrict or _names_a_third(said)
        field, value = (found["columns"], found["values"]) if found else (said.constraint, None)
        names: list[str] = NAME.findall(
            said.detail.replace(found[0], "", 1) if found else said.detail
        )
        parent = names[-1] if names else "its parent"
    if delete:
        return StillReferencedError(field, value, said.child)
    for item in references:
        if ", ".join(names_of(item.field)) == ", ".join(names_of(field)):
            return InvalidReferenceError(item.field, item.value, item.table, NO_ROW)
    return InvalidReferenceError(field, value, parent, NO_ROW)


def refusal_of(error: psycopg.Error) -> Refusal | None:
    """The refusal of a foreign key; None for any other error."""
    said = error.diag
    if error.sqlstate not in (FOREIGN_KEY_VIOLATION, RESTRICT_VIOLATION):
        return None
    if not (said.schema_name and said.table_name and said.constraint_name):
        return None  # raised by a function of the application's own
    return Refusal(
        error.sqlstate == RESTRICT_VIOLATION,
        said.schema_name,
        said.table_name,
        said.constraint_name,
        said.message_primary or "",
        said.message_detail or "",
    )


def _names_the_parents_columns(said: Refusal, key: ForeignKey) -> bool:
    """Whether a parent was to go, and not a child to come: then the detail has its columns."""
    of_child, of_parent = (
        said.detail.find(f"({', '.join(names)})=(") for names in (key.columns, key.references)
    )
    if of_child == of_parent:  # the same names, or none where the role may not read the key
        return _names_a_third(said)
    return of_child < 0 or 0 <= of_parent < of_child  # a value may look like columns as well


def _names_a_third(said: Refusal) -> bool:
    """Whether the message has a name beside the child's and the key's: the parent's, that goes."""
    rest = said.message
    for name in (said.constraint, said.table):
        rest = re.sub(rf"{QUOTE}\s?{re.escape(name)}\s?{QUOTE}", "", rest, count=1)
    return NAME.search(rest) is not None


def _value(said: Refusal, columns: tuple[str, ...], other: str) -> str | None:
    """What the detail has for the columns; ``other`` is the table that it names."""
    before, group, rest = said.detail.partition(f"({', '.join(columns)})=(")
    if not group:
        return None
    # that name may have a parenthesis too; in some languages it comes before the columns
    behind = ")" in other and other not in before
    end = rest.rfind(other) if behind else len(rest)
    return rest[: rest.rfind(")", 0, end)]


def key_of_refusal(error: psycopg.Error) -> Work[ForeignKey | None]:
    """The foreign key that refused; None for another error, or where the catalog has it no more."""
    said = refusal_of(error)
    if said is None:
        return None
    return (yield from foreign_key.read(said.schema, said.table, said.constraint))


@contextmanager
def translated(
    references: Iterable[Reference] = (), source: Source | None = None
) -> Iterator[None]:
    """Raise :func:`from_database`'s error for a refusal inside the block; other errors as they are.

    Put it around the transaction and not into it: a deferred key refuses at the commit. With
    ``source``, a connection or a pool of them, the key's columns and the parent with its schema
    come from the catalog, which is a round trip after a refusal. Without it this serves
    asynchronous code as well, where it is an ordinary ``with``.
    """
    items = tuple(references)
    try:
        yield
    except psycopg.Error as error:
        same = from_database(error, items, _key(error, source))
        if same is None:
            raise
        raise same from error


def _key(error: psycopg.Error, source: Source | None) -> ForeignKey | None:
    if source is None or not can_be_asked(source):
        return None
    try:
        return answered(source, key_of_refusal(error))
    except psycopg.Error:  # the refusal is what the caller has to know
        return None


def can_be_asked(source: object) -> bool:
    """Whether a connection is open, and in no transaction that has failed; any pool is."""
    if not isinstance(source, Connection | AsyncConnection):
        return True
    failed = source.info.transaction_status == pq.TransactionStatus.INERROR
    return not source.closed and not failed
