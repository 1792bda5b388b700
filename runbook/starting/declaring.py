"""The text of a new relationships.toml: what is sure stands in it, what is not as a comment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import tomlkit

from runbook.discovery.proposal import Found, NotAKey, Proposal, Tier
from runbook.relationships import Relationship
from runbook.schema import ForeignKey, Schema, TableName

HEADER = """\
# What should hold: the relationships between the tables, whether a key holds them or not.
#
# child, columns       the referencing table and its columns
# parent, references   the table and the columns that they refer to, in the same order
# on_delete            what the key does when the parent row goes: no action, restrict, cascade,
#                      set null, set default
# priority             the order in which keys are added: critical, high, medium, low
# alert                how bad an orphan row is: critical, warning, below (no alert of its own)
# why                  the reason, in a sentence
#
# Made by runbook init. What stands as a comment was not sure enough to be taken without a person:
# remove the comment's marks to take it, or the lines to leave it.
"""


def of_keys(schema: Schema) -> tuple[Relationship, ...]:
    """A relationship for each foreign key of the database, a key that is there twice once.

    A temporal key (WITHOUT OVERLAPS) is not equality of columns, and no relationship.
    """
    found = {
        key.shape: Relationship(
            key.child,
            key.columns,
            key.parent,
            key.references,
            key.on_delete,
            why=f"the database has the key {key.name}{_doubt(key)}",
        )
        for key in reversed(schema.foreign_keys)
        if not key.temporal and {key.child, key.parent} <= schema.tables.keys()
    }
    return tuple(reversed(found.values()))


def _doubt(key: ForeignKey) -> str:
    """Why the key does not hold by itself; empty where it does."""
    if not key.enforced:
        return ", which is NOT ENFORCED"
    if key.disabled_triggers:
        return ", whose triggers are disabled"
    return "" if key.validated else ", which was never validated"


def accepted(schema: Schema, found: Found) -> tuple[Proposal, ...]:
    """The proposals that are taken without a person: between tables, and without a key yet."""
    known = {key.shape for key in schema.foreign_keys}
    return tuple(
        item
        for item in {item.shape: item for item in reversed(found.of(Tier.ACCEPTED))}.values()
        if item.shape not in known and _are_tables(schema, item)
    )[::-1]


def _are_tables(schema: Schema, item: Proposal) -> bool:
    ends = (schema.tables.get(item.child), schema.tables.get(item.parent))
    return all(table is not None and table.kind in ("r", "p") for table in ends)


def text(schema: Schema, found: Found) -> str:
    """relationships.toml for ``schema``."""
    parts = [HEADER, *_section("A foreign key of the database", map(_declared, of_keys(schema)))]
    taken = accepted(schema, found)
    parts += _section("Proposed, and sure enough to be taken", map(_proposed, taken))
    likely = [item for item in found.of(Tier.LIKELY) if _are_tables(schema, item)]
    parts += _section(
        "Likely: look at the evidence and decide",
        ("".join(f"# {line}\n" for line in _proposed(item).splitlines()) for item in likely),
    )
    return "\n".join(parts) + _remarks(found)


def _section(title: str, entries: Iterator[str]) -> list[str]:
    written = list(entries)
    return [f"# --- {title} ({len(written):,})\n", *written] if written else []


def _declared(item: Relationship) -> str:
    ends = _ends(item.child, item.columns, item.parent, item.references)
    return f'{ends}on_delete = "{item.on_delete.value}"\nwhy = {_string(item.why)}\n'


def _proposed(item: Proposal) -> str:
    because = "".join(f"# {_line(str(evidence))}\n" for evidence in item.evidence)
    reason = f"# {_line(item.on_delete_reason)}\n" if item.on_delete_reason else ""
    why = "; ".join(evidence.words for evidence in item.evidence)
    return (
        f"# confidence {item.confidence:.2f}\n{because}{reason}"
        f"{_ends(item.child, item.columns, item.parent, item.references)}"
        f'on_delete = "{item.on_delete.value}"\nwhy = {_string(why)}\n'
    )


def _ends(
    child: TableName, columns: Sequence[str], parent: TableName, references: Sequence[str]
) -> str:
    return (
        "[[relationship]]\n"
        f"child = {_string(str(child))}\n"
        f"columns = {_strings(columns)}\n"
        f"parent = {_string(str(parent))}\n"
        f"references = {_strings(references)}\n"
    )


def _remarks(found: Found) -> str:
    """What looks like a reference and is none, and what has no target, as comments."""
    lines = []
    for title, items in (
        ("Look like references and are no keys", found.not_keys),
        ("Look like references to tables that are not here", found.dangling),
    ):
        if items:
            lines += ["", f"# --- {title}", *map(_remark, items)]
    return "\n".join(lines) + ("\n" if lines else "")


def _remark(item: NotAKey) -> str:
    columns = ", ".join(item.columns)
    return f"# {_line(f'{item.child}({columns}): {item.reason}')}"


def _line(text: str) -> str:
    """One line that a TOML comment may hold: no line ends and no control characters."""
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))


def _string(value: str) -> str:
    return tomlkit.string(value).as_string()


def _strings(values: Sequence[str]) -> str:
    return f"[{', '.join(map(_string, values))}]"
