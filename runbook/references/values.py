"""What a batch's values are asked for as: texts, or the reason why a value is not asked for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple
from uuid import UUID

from runbook.references.columns import ColumnType
from runbook.references.error import NO_ROW, NO_VALUE, WRONG_TYPE
from runbook.references.reference import is_text


class Fault(NamedTuple):
    """Why a value is looked up no further; not equal to any text."""

    reason: str


PASSES = Fault("")


def keys(values: Sequence[object], of: ColumnType, *, optional: bool) -> Sequence[str | Fault]:
    """For each value the text to look for, or why there is none."""
    if set(map(type, values)) == {str}:
        return values  # type: ignore[return-value]
    return [_key(value, of, optional=optional) for value in values]


def _key(value: object, of: ColumnType, *, optional: bool) -> str | Fault:
    if isinstance(value, str):
        return str.__str__(value)
    if value is None:
        return PASSES if optional else Fault(NO_VALUE)
    if isinstance(value, bool) or not isinstance(value, int | UUID):
        return Fault(WRONG_TYPE)
    if isinstance(value, UUID):
        return str(value) if of.takes(UUID) else Fault(WRONG_TYPE)
    if not of.takes(int):
        return Fault(WRONG_TYPE)
    return int.__repr__(value) if of.holds(value) else Fault(NO_ROW)


def sorted_out(distinct: set[str | Fault]) -> tuple[dict[str | Fault, str], list[str]]:
    """The reasons that need no server, and the texts to ask for."""
    reasons: dict[str | Fault, str] = {}
    given: Collection[str]
    if set(map(type, distinct)) <= {str}:
        given = distinct  # type: ignore[assignment]
    else:
        given = [key for key in distinct if not isinstance(key, Fault)]
        faults = (key for key in distinct if isinstance(key, Fault))
        reasons |= {key: key.reason for key in faults if key.reason}
    texts = list(filter(str.strip, given))
    if len(texts) < len(given):
        reasons |= {text: NO_VALUE for text in given if not text.strip()}
    if not is_text("".join(texts)):
        reasons |= {text: WRONG_TYPE for text in texts if not is_text(text)}
        texts = [text for text in texts if is_text(text)]
    return reasons, texts
