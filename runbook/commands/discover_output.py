"""How ``runbook discover`` shows what it found: for people, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import typer
from rich.markup import escape

from runbook.discovering import Looked
from runbook.discovery import engine, sentences
from runbook.discovery.proposal import NotAKey, Proposal
from runbook.record import write_atomically
from runbook.relationships import Relationships
from runbook.schema import Schema, TableName
from runbook.terminal import out


def explain(
    schema: Schema, looked: Looked, known: Relationships, table: TableName, column: str
) -> None:
    """Print why a column was matched, or was not: decisions, proposals, and all candidates."""
    where = f"{table.label}.{column}"
    for line in _decided(schema, looked, known, table, column):
        out.print(f"{escape(where)}: {escape(line)}", soft_wrap=True)
    for item in looked.found.proposals:
        if item.child == table and column in item.columns:
            _print(item)
    considered = engine.chances(schema, table, column, looked.told)
    if not considered:
        out.print(f"{escape(where)}: no key of any table has a name or type for it")
    for candidate, chance in considered:
        target = f"{candidate.key.table.label}.{candidate.key.column.name}"
        out.print(f"  {chance:.3f}  {escape(target)}", soft_wrap=True)
        for evidence in sentences.of(candidate, len(considered) - 1):
            out.print(f"         {escape(str(evidence))}", soft_wrap=True)
        for evidence in looked.told.sentences(candidate):
            out.print(f"         {escape(str(evidence))}", soft_wrap=True)


def show(looked: Looked, chosen: list[Proposal], rest: list[Proposal], json_: Path | None) -> None:
    if json_ is not None:
        text = json.dumps(_json(looked, chosen, rest), indent=1, ensure_ascii=False) + "\n"
        if json_ == Path("-"):
            typer.echo(text, nl=False)
            return
        write_atomically(json_, text)
    for item in rest:
        _print(item)
    for title, gone in (
        ("no keys", looked.found.not_keys),
        ("like references, without a table", looked.found.dangling),
    ):
        if gone:
            out.print(f"[bold]{title}[/bold]")
        for each in gone:
            out.print(f"  {escape(_of(each))}: {escape(each.reason)}", soft_wrap=True)
    for why in looked.unread:
        out.print(f"could not look at {escape(why)}", soft_wrap=True)
    out.print(
        f"{len(chosen)} written, {len(rest)} proposals left, {looked.tests} inclusions counted"
    )


def _print(item: Proposal) -> None:
    out.print(
        f"[bold]{escape(item.relationship.label)}[/bold] -> {escape(item.relationship.target)}"
        f"  {item.confidence:.2f} {item.tier}",
        soft_wrap=True,
    )
    for evidence in item.evidence:
        out.print(f"  {escape(str(evidence))}", soft_wrap=True)
    out.print(f"  on delete {item.on_delete}: {escape(item.on_delete_reason)}", soft_wrap=True)


def _of(each: NotAKey) -> str:
    return f"{each.child.label}.{', '.join(each.columns)}"


def _json(looked: Looked, chosen: list[Proposal], rest: list[Proposal]) -> dict[str, object]:
    def plain(item: Proposal, *, written: bool) -> dict[str, object]:
        return {
            "child": str(item.child),
            "columns": list(item.columns),
            "parent": str(item.parent),
            "references": list(item.references),
            "confidence": item.confidence,
            "tier": item.tier.value,
            "on_delete": item.on_delete.value,
            "on_delete_reason": item.on_delete_reason,
            "evidence": [{"source": e.source.value, "words": e.words} for e in item.evidence],
            "written": written,
        }

    def gone(each: NotAKey) -> dict[str, object]:
        return {"child": str(each.child), "columns": list(each.columns), "reason": each.reason}

    return {
        "proposals": [
            *(plain(item, written=True) for item in chosen),
            *(plain(item, written=False) for item in rest),
        ],
        "not_keys": [gone(each) for each in looked.found.not_keys],
        "dangling": [gone(each) for each in looked.found.dangling],
        "could_not_look": list(looked.unread),
    }


def _decided(
    schema: Schema, looked: Looked, known: Relationships, table: TableName, column: str
) -> Iterator[str]:
    """What the database, the people and the rules have already said of a column."""
    for key in schema.keys_of(table):
        if column in key.columns:
            yield f"enforced by {key.name!r}"
    for item in known:
        if item.child == table and column in item.columns:
            yield f"declared to refer to {item.target}"
    for each in known.rejected:
        if each.child == table and column in each.columns:
            yield f"rejected in relationships.toml: {each.reason or 'no reason given'}"
    for gone in (*looked.found.not_keys, *looked.found.dangling):
        if gone.child == table and column in gone.columns:
            yield gone.reason
