"""The rules of a check, for one reference and for many; who asks the server comes from outside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from runbook.references import existence
from runbook.references.asking import Work
from runbook.references.error import NO_ROW, InvalidReferenceError
from runbook.references.reference import Lookup, Reference, key_of, lookup_of
from runbook.references.setup import Setup

MOST_REFERENCES = 1000  # distinct ones a call; a statement takes 65,535 parameters at most


@dataclass(frozen=True)
class Validation:
    """What became of a list of references: an error for each that failed, in their order."""

    errors: tuple[InvalidReferenceError, ...] = ()

    @property
    def valid(self) -> bool:
        return not self.errors


def checked(references: Iterable[Reference], setup: Setup, *, lock: bool) -> Work[Validation]:
    """Look all of them up; what needs no server is found first, by the call of this function."""
    items: list[Reference] = []
    wanted: list[Lookup | str] = []
    distinct: dict[Lookup, None] = {}
    for item in references:
        lookup = lookup_of(item)
        if setup.declared is not None:
            setup.declared.check(key_of(item.table, item.id_column))
        if isinstance(lookup, Lookup):
            distinct[lookup] = None
        if len(distinct) > MOST_REFERENCES:  # a million of them is refused as early
            raise ValueError(
                f"expected at most {MOST_REFERENCES:,} distinct references, got more;"
                " give them to the batch validator"
            )
        items.append(item)
        wanted.append(lookup)
    return _looked_up(items, wanted, list(distinct), setup, lock=lock)


def _looked_up(
    items: Sequence[Reference],
    wanted: Sequence[Lookup | str],
    distinct: Sequence[Lookup],
    setup: Setup,
    *,
    lock: bool,
) -> Work[Validation]:
    cache = None if lock else setup.cache  # a row is locked only by asking for it
    known = {lookup for lookup in distinct if cache is not None and cache.knows(lookup)}
    asked = [lookup for lookup in distinct if lookup not in known]
    reasons, fresh = yield from existence.look_up(asked, lock=lock)
    if cache is not None and fresh:  # never a row that its own transaction may still undo
        cache.add(lookup for lookup, reason in reasons.items() if not reason)
    errors = []
    for item, lookup in zip(items, wanted, strict=True):
        reason = reasons.get(lookup, "") if isinstance(lookup, Lookup) else lookup
        if reason:
            errors.append(InvalidReferenceError(item.field, item.value, item.table, reason))
    if setup.metrics is not None:
        failed = Counter((error.table, error.reason) for error in errors)
        # a reference that may be None and is refers to nothing
        tables = Counter(i.table for i, lookup in zip(items, wanted, strict=True) if lookup)
        setup.metrics.count(tables, failed)
    return Validation(tuple(errors))


def exists(validation: Validation) -> bool:
    """The answer for one reference; raises its error where it cannot be a reference at all."""
    for error in validation.errors:
        if error.reason != NO_ROW:
            raise error
        return False
    return True
